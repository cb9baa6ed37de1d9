//! Lines against what Kafka's reader makes of them.

use super::*;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Key, value and headers; None where they are null.
type Expected<'a> = (Option<&'a str>, Option<&'a str>, &'a [(&'a str, Option<&'a str>)]);

fn check(pairs: &[(&str, &str)], line: &str, expected: Result<Expected<'_>, &str>) {
    let parsed = LineReader::new(&settings(pairs)).and_then(|reader| reader.parse(line, 3));
    let expected = expected.map_err(str::to_owned).map(|(key, value, headers)| Parsed {
        key: key.map(str::to_owned),
        value: value.map(str::to_owned),
        headers: headers.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect(),
    });
    assert_eq!(parsed, expected, "{line}");
}

const KEY: (&str, &str) = ("parse.key", "true");
const HEADERS: (&str, &str) = ("parse.headers", " True ");
const NULL: (&str, &str) = ("null.marker", "NULL");

#[test]
fn lines() {
    check(&[], "a\tb", Ok((None, Some("a\tb"), &[])));
    check(&[], "", Ok((None, Some(""), &[])));
    check(&[KEY], "a\tb\tc", Ok((Some("a"), Some("b\tc"), &[])));
    check(&[KEY], "ab", Err("No key separator found on line number 3: 'ab'"));
    check(&[KEY, ("ignore.error", "true")], "ab", Ok((None, Some("ab"), &[])));
    check(&[KEY, ("key.separator", "::")], "a::b", Ok((Some("a"), Some("b"), &[])));
    let both = [("x", Some("1")), ("y", Some("2"))];
    check(&[HEADERS], "x:1,y:2\tv", Ok((None, Some("v"), &both)));
    check(&[HEADERS, KEY], "x:1,y:2,\tk\tv", Ok((Some("k"), Some("v"), &both)));
    check(&[HEADERS], "x\tv", Err("No header key separator found in pair 'x' on line number 3"));
    check(&[HEADERS, ("ignore.error", "true")], "x\tv", Ok((None, Some("v"), &[("x", None)])));
    check(&[HEADERS], "v", Err("No headers delimiter found on line number 3: 'v'"));
    check(&[HEADERS, KEY, NULL], "NULL\tNULL\tNULL", Ok((None, None, &[])));
    check(&[HEADERS, NULL], "x:NULL\tv", Ok((None, Some("v"), &[("x", None)])));
    let null_key =
        "Header keys should not be equal to the null marker 'NULL' as they can't be null";
    check(&[HEADERS, NULL], "NULL:x\tv", Err(null_key));
}

#[test]
fn separators_that_clash() {
    check(
        &[("headers.delimiter", ",")],
        "",
        Err("headers.delimiter and headers.separator may not be equal"),
    );
    check(&[("null.marker", "\t")], "", Err("null.marker and key.separator may not be equal"));
    check(
        &[("headers.key.separator", ",")],
        "",
        Err("headers.separator and headers.key.separator may not be equal"),
    );
}
