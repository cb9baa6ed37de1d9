//! Properties files, compared with what Java reads from them.

use config::properties::{MAX_BYTES, Properties, PropertiesError};

/// Undoes the fixture's escapes: two backslashes, and the four digits of a UTF-16 unit after `\u`.
fn unescape(text: &str) -> String {
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        rest = match escape.strip_prefix('\\') {
            Some(rest) => {
                units.push(u16::from(b'\\'));
                rest
            }
            None => {
                let (digits, rest) = escape[1..].split_at(4);
                units.push(u16::from_str_radix(digits, 16).expect("four digits"));
                rest
            }
        };
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
}

#[test]
fn texts_read_as_java_reads_them() {
    let fixture = include_str!("fixtures/properties.txt");
    for line in fixture.lines().skip(1) {
        let mut parts = line.split(" | ");
        let text = unescape(parts.next().expect("a text"));
        let expected: Vec<&str> = parts.collect();
        let ours = match Properties::parse(&text) {
            Err(PropertiesError::MalformedUnicode { .. }) => vec!["error".to_owned()],
            Err(error) => panic!("{text:?}: {error}"),
            Ok(properties) => {
                let mut pairs: Vec<_> = properties.iter().collect();
                pairs.sort();
                pairs.iter().map(|(key, value)| format!("{key} \u{1} {value}")).collect()
            }
        };
        let expected: Vec<String> = expected.iter().map(|pair| unescape(pair)).collect();
        assert_eq!(ours, expected, "{text:?}");
    }
}

#[test]
fn order_is_kept_and_the_last_value_counts() {
    let properties = Properties::parse("b=1\na=2\nb=3\n").unwrap();
    assert_eq!(properties.iter().collect::<Vec<_>>(), [("b", "3"), ("a", "2")]);
}

#[test]
fn surrogates_make_one_character_and_bytes_are_latin_1() {
    let properties =
        Properties::from_bytes(b"a=\\uD83D\\uDE00\nb=\xe9\nc=\xc3\xa9\nd=\\uD83D").unwrap();
    let values: Vec<&str> = properties.iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["\u{1f600}", "\u{e9}", "\u{c3}\u{a9}", "\u{fffd}"]);
}

#[test]
fn a_file_without_end_is_refused() {
    let bytes = vec![b'a'; MAX_BYTES + 1];
    let refused = PropertiesError::TooLong { bytes: MAX_BYTES + 1 };
    assert_eq!(Properties::from_bytes(&bytes), Err(refused));
}
