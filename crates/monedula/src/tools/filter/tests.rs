//! Filters against what Kafka's tools let through.

use super::*;

#[test]
fn topics() {
    let check = |filter: &str, topic: &str, expected: bool| {
        assert_eq!(TopicFilter::new(filter).unwrap().allows(topic), expected, "{filter} {topic}");
    };
    check("a", "a", true);
    check("a", "ab", false);
    check("a.*", "ab", true);
    check("a,b", "b", true);
    check("a, b", "b", true);
    check("a,b", "ab", false);
    check("\"a|b\"", "a", true);
    check("'x'", "x", true);
    assert_eq!(TopicFilter::new("(").unwrap_err(), "( is an invalid regex.");
}

#[test]
fn rules() {
    let check = |rule: &str, topic: &str, partition: i32, expected: bool| {
        let rule = Rule::parse(rule).unwrap();
        assert_eq!(rule.allows(topic, partition), expected, "{rule:?} {topic} {partition}");
    };
    check("t", "t", 7, true);
    check("t:", "t", 7, true);
    check("t:1", "t", 1, true);
    check("t:1", "t", 0, false);
    check("t:1-3", "t", 1, true);
    check("t:1-3", "t", 3, false);
    check("t:2-", "t", 99, true);
    check("t:2-", "t", 1, false);
    check("t:-2", "t", 1, true);
    check("t:-2", "t", 2, false);
    check(":0", "anything", 0, true);
    check("t.*:0", "tt", 0, true);
    for bad in ["t:b", "t:1:2", "t:1-b", "t:1-2-3"] {
        assert_eq!(Rule::parse(bad).unwrap_err(), format!("Invalid rule specification: {bad}"));
    }
}
