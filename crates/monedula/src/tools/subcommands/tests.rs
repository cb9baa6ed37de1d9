//! Command lines of a made-up program, and what is said of wrong ones.

use super::*;

const SERVER: Flag = value("--bootstrap-server", "").short("-b").together(Together::OneOfRequired);
const CONTROLLER: Flag =
    value("--bootstrap-controller", "").short("-C").together(Together::OneOfRequired);

const PROGRAM: Program = Program {
    name: "kafka-x",
    about: "About.",
    flags: &[value("--config", "")],
    commands: &[
        Subcommand {
            name: "go",
            about: "Goes.",
            flags: &[
                SERVER,
                CONTROLLER,
                value("--id", "").short("-i").number().together(Together::Required),
                flag("--dry-run", ""),
            ],
        },
        Subcommand { name: "rest", about: "Rests.", flags: &[] },
    ],
};

fn parse(line: &str) -> Result<Parsed, Stop> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    PROGRAM.parse(&words)
}

#[test]
fn command_lines() {
    let check = |line: &str, expected: &[(&str, &str)]| {
        let parsed = parse(line).expect(line);
        assert_eq!(parsed.command, "go", "{line}");
        let given: Vec<_> = parsed.given.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(given, expected, "{line}");
    };
    check("go -b a -i 1", &[("--bootstrap-server", "a"), ("--id", "1")]);
    check(
        "--config=f go --id=2 -Ca --dry",
        &[("--config", "f"), ("--id", "2"), ("--bootstrap-controller", "a"), ("--dry-run", "")],
    );
    check("go --id -1 --bootstrap-s a", &[("--id", "-1"), ("--bootstrap-server", "a")]);
    assert_eq!(parse("rest").expect("fine").number::<i32>("--id"), None);
}

#[test]
fn what_is_wrong() {
    let check = |line: &str, expected: &str| match parse(line) {
        Err(Stop::Bad { what, .. }) => assert_eq!(what, expected, "{line}"),
        other => panic!("{line}: {other:?}"),
    };
    check("", "too few arguments");
    check("--config f", "too few arguments");
    check("foo", "invalid choice: 'foo' (choose from 'go', 'rest')");
    check("go", "argument --id/-i is required");
    check(
        "go -i 1",
        "one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required",
    );
    check(
        "go -b a -C c",
        "argument --bootstrap-controller/-C: not allowed with argument --bootstrap-server/-b",
    );
    check(
        "go --id x",
        "argument --id/-i: could not convert 'x' to Integer (For input string: \"x\")",
    );
    check("go --id", "argument --id/-i: expected one argument");
    check("go --id --dry-run", "argument --id/-i: expected one argument");
    check("go --bootstrap a", "unrecognized arguments: '--bootstrap'");
    check("go --zz", "unrecognized arguments: '--zz'");
    check("rest more", "unrecognized arguments: 'more'");
    check("rest --config f", "unrecognized arguments: '--config'");
}

#[test]
fn usages() {
    let Err(Stop::Bad { usage, .. }) = parse("go") else { panic!("incomplete") };
    let expected = "\
usage: kafka-x go [-h] --id ID [--dry-run]
               (--bootstrap-server BOOTSTRAP_SERVER |
               --bootstrap-controller BOOTSTRAP_CONTROLLER)";
    assert_eq!(usage, expected);
    let Err(Stop::Help(help)) = parse("--help") else { panic!("help") };
    assert!(help.starts_with("usage: kafka-x [-h] [--config CONFIG] {go,rest} ...\n\nAbout.\n"));
    assert!(help.contains("\n  rest                   Rests.\n"));
}
