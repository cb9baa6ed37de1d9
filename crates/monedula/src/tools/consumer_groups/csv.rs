//! Plans as CSV: `topic,partition,offset`, for several groups with the group first.

use std::collections::BTreeMap;

use base::TopicPartition;

/// New offsets by group.
pub type Plans = BTreeMap<String, BTreeMap<TopicPartition, i64>>;

/// Texts of up to so many characters are looked at; longer ones are quoted without a look, as Kafka's library does.
const LOOKED_AT: usize = 24;

/// A line per partition, the group only when there may be several.
pub fn write(plans: &Plans, single: bool) -> String {
    let mut text = String::new();
    for (group, plan) in plans {
        for (tp, offset) in plan {
            if !single {
                text.push_str(&quoted(group));
                text.push(',');
            }
            text.push_str(&format!("{},{},{offset}\n", quoted(&tp.topic), tp.partition));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    if text.chars().count() <= LOOKED_AT && !text.chars().any(|c| c <= ',') {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Lines without a group are those of `single`, the one group that was named.
pub fn read(text: &str, single: Option<&str>) -> Result<Plans, String> {
    let lines: Vec<Vec<String>> =
        text.lines().filter(|line| !line.is_empty()).map(fields).collect::<Result<_, _>>()?;
    let without_group = single.filter(|_| lines.first().is_none_or(|line| line.len() == 3));
    let mut plans = Plans::new();
    for line in &lines {
        let (group, topic, partition, offset) = match (line.as_slice(), without_group) {
            ([topic, partition, offset], Some(group)) => (group, topic, partition, offset),
            ([group, topic, partition, offset], None) => (group.as_str(), topic, partition, offset),
            _ => {
                let expected = if without_group.is_some() {
                    "topic,partition,offset"
                } else {
                    "group,topic,partition,offset"
                };
                return Err(format!("{}: expected {expected}", line.join(",")));
            }
        };
        let partition: i32 =
            partition.trim().parse().map_err(|_| format!("{partition} is no partition"))?;
        let offset: i64 = offset.trim().parse().map_err(|_| format!("{offset} is no offset"))?;
        let plan = plans.entry(group.to_owned()).or_default();
        plan.insert(TopicPartition::new(topic.as_str(), partition), offset);
    }
    Ok(plans)
}

fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    let mut inside = false;
    while let Some(c) = chars.next() {
        let Some(field) = fields.last_mut() else { break };
        match c {
            '"' if inside && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if inside || field.is_empty() => inside = !inside,
            ',' if !inside => fields.push(String::new()),
            c => field.push(c),
        }
    }
    if inside { Err(format!("{line}: a quote is not closed")) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(lines: &[(&str, &str, i32, i64)]) -> Plans {
        let mut plans = Plans::new();
        for (group, topic, partition, offset) in lines {
            let plan = plans.entry((*group).to_owned()).or_default();
            plan.insert(TopicPartition::new(*topic, *partition), *offset);
        }
        plans
    }

    #[test]
    fn what_is_written_is_read() {
        let one = plans(&[("g", "t", 0, 5), ("g", "a-topic-of-25-characters.", 1, 7)]);
        let text = write(&one, true);
        assert_eq!(text, "\"a-topic-of-25-characters.\",1,7\nt,0,5\n");
        assert_eq!(read(&text, Some("g")), Ok(one.clone()));
        let two = plans(&[("g", "t", 0, 5), ("h \"x\"", "t", 0, 6)]);
        let text = write(&two, false);
        assert_eq!(text, "g,t,0,5\n\"h \"\"x\"\"\",t,0,6\n");
        assert_eq!(read(&text, None), Ok(two.clone()));
        // One group is named, the file has the groups all the same.
        assert_eq!(read(&text, Some("g")), Ok(two));
    }

    #[test]
    fn faulty_lines() {
        assert_eq!(
            read("t,0", Some("g")),
            Err(String::from("t,0: expected group,topic,partition,offset"))
        );
        assert_eq!(read("t,x,1", Some("g")), Err(String::from("x is no partition")));
        assert_eq!(read("t,0,x", Some("g")), Err(String::from("x is no offset")));
        assert_eq!(read("\"t,0,1", Some("g")), Err(String::from("\"t,0,1: a quote is not closed")));
        assert_eq!(read("", Some("g")), Ok(Plans::new()));
    }
}
