//! Arguments against what Kafka's tools make of them.

use super::*;

const TABLE: &[Opt] = &[
    flag("list", "List."),
    value("topic", "topic", "Topic."),
    value("partitions", "n", "Number."),
    Opt { name: "codec", takes: Takes::MaybeValue("codec"), help: "Codec." },
];

fn parse(line: &str) -> Result<Vec<(&'static str, Option<String>)>, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    Args::parse(TABLE, &words).map(|args| args.given)
}

fn given(name: &'static str, value: &str) -> (&'static str, Option<String>) {
    (name, Some(value.to_owned()))
}

#[test]
fn forms_of_options() {
    let check = |line: &str, expected: Result<Vec<(&'static str, Option<String>)>, &str>| {
        assert_eq!(parse(line), expected.map_err(str::to_owned), "{line}");
    };
    check("--list", Ok(vec![("list", None)]));
    check("--topic a", Ok(vec![given("topic", "a")]));
    check("--topic=a=b", Ok(vec![given("topic", "a=b")]));
    check("-topic a -list", Ok(vec![given("topic", "a"), ("list", None)]));
    check("word --list other", Ok(vec![("list", None)]));
    check("--topic --list", Ok(vec![given("topic", "--list")]));
    check("--list -- --topic a", Ok(vec![("list", None)]));
    check("--codec --list", Ok(vec![("codec", None), ("list", None)]));
    check("--codec zstd --list", Ok(vec![given("codec", "zstd"), ("list", None)]));
    check("--codec=", Ok(vec![given("codec", "")]));
    check("--lis", Err("lis is not a recognized option"));
    check("-lis", Err("l is not a recognized option"));
    check("--topic", Err("Option topic requires an argument"));
}

#[test]
fn values() {
    let words = ["--topic", "a", "--topic", "b", "--partitions", "x"].map(str::to_owned);
    let args = Args::parse(TABLE, &words).unwrap();
    let twice = "Found multiple arguments for option topic, but you asked for only one";
    assert_eq!(args.value("topic"), Err(twice.to_owned()));
    assert_eq!(args.values("topic").collect::<Vec<_>>(), ["a", "b"]);
    let unreadable = "Cannot parse argument 'x' of option partitions";
    assert_eq!(args.number::<i32>("partitions"), Err(unreadable.to_owned()));
    assert_eq!(args.check_required(&["topic"]), Ok(()));
    assert_eq!(
        args.check_required(&["list"]),
        Err("Missing required argument \"[list]\"".to_owned())
    );
    let both = "Option \"[topic]\" can't be used with option \"[partitions]\"";
    assert_eq!(args.check_alone("topic", &["list", "partitions"]), Err(both.to_owned()));
}

#[test]
fn usage_in_two_columns() {
    let text = usage(TABLE);
    assert!(text.starts_with("--codec [codec]                         Codec.\n"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 100), "{text}");
}
