//! Patterns of topics against RE2/J, which Kafka uses: `topic_regex/patterns.txt` is of `generate/Patterns.java`, which says how it is
//! written.

#![allow(clippy::unwrap_used)] // Helpers of tests: a table that is broken is a failed test.

use group::TopicRegex;
use proptest::prelude::*;

const PATTERNS: &str = include_str!("topic_regex/patterns.txt");

/// `%CODEPOINT;` for what could not be written as it is.
fn unescape(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, behind) = part.split_once(';').unwrap();
        out.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        out.push_str(behind);
    }
    out
}

/// As in the table: a hexadecimal digit for each four names.
fn verdict(pattern: &str, names: &[String]) -> String {
    match TopicRegex::new(pattern) {
        Ok(regex) => {
            let bit = |(at, name): (usize, &String)| u32::from(regex.matches(name)) << at;
            let digit = |four: &[String]| -> u32 { four.iter().enumerate().map(bit).sum() };
            names.chunks(4).map(|four| format!("{:x}", digit(four))).collect()
        }
        Err(message) => {
            let head =
                format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: ");
            let text = message.strip_prefix(&head).and_then(|text| text.strip_suffix('.'));
            format!("! {}", text.unwrap())
        }
    }
}

#[test]
fn patterns_mean_what_they_mean_to_kafka() {
    let mut lines = PATTERNS.lines().skip(1);
    let names = lines.next().unwrap().strip_prefix("names ").unwrap();
    let names: Vec<String> = names.split(' ').map(unescape).collect();
    let mut total = 0;
    let mut wrong = Vec::new();
    for line in lines {
        let (pattern, expected) = line.split_once(' ').unwrap();
        let ours = verdict(&unescape(pattern), &names);
        total += 1;
        if ours != expected {
            wrong.push((pattern, expected, ours));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {total} differ: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(9)]
    );
    assert_eq!(total, 2000);
}

#[test]
fn a_pattern_that_grows_without_bound_is_refused() {
    let nested = "((((a{1000}){1000}){1000}){1000}){1000}";
    let deep = format!("{}a{}", "(a|".repeat(5000), ")".repeat(5000));
    let long = "a".repeat(1 << 20);
    for pattern in [nested, &deep, &long] {
        let refused = TopicRegex::new(pattern).unwrap_err();
        assert!(refused.ends_with("is not a valid regular expression: pattern too large."));
    }
    // What is looked for in vain is not looked for again and again.
    for piece in ["{", "{1", "[[:", "(?:", "a|", r"\Q", "(?i)", "[^", "x{1,"] {
        let _ = TopicRegex::new(&piece.repeat(65_000 / piece.len()));
    }
    // Brackets alone are no depth.
    let brackets = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
    assert!(TopicRegex::new(&brackets).unwrap().matches("a"));
    // As long as a name can be.
    assert!(TopicRegex::new("[a-z]{249}").unwrap().matches(&"x".repeat(249)));
}

proptest! {
    #[test]
    fn any_text_is_a_pattern_or_refused(
        pattern in r"(\PC|[\\\[\](){}^$|?*+.,:<>i-]){0,24}",
        name in "[a-zA-Z0-9._-]{1,30}",
    ) {
        if let Ok(regex) = TopicRegex::new(&pattern) {
            let either = TopicRegex::new(&format!("(?:{pattern})|(?-i:{name})"));
            // A quotation or a class that does not end takes the rest with it.
            let closed = !pattern.contains(r"\Q") && !pattern.contains('[');
            prop_assert!(!closed || either.is_ok_and(|either| either.matches(&name)));
            regex.matches(&name);
        }
    }

    #[test]
    fn a_quoted_name_matches_itself_only(
        name in "[a-zA-Z0-9._-]{1,30}",
        other in "[a-zA-Z0-9._-]{1,30}",
    ) {
        let regex = TopicRegex::new(&format!(r"\Q{name}\E")).unwrap();
        prop_assert!(regex.matches(&name));
        prop_assert_eq!(regex.matches(&other), name == other);
    }
}
