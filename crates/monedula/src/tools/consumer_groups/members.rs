//! `consumer-groups --describe --members`.

use base::TopicPartition;
use client::admin::{ConsumerGroup, GroupMember};
use client::group::blob::by_topic;

use super::describe::has_something;
use super::{Failure, MISSING};

/// How wide the columns are, and which of them there are.
struct Columns {
    group: usize,
    consumer: usize,
    instance: Option<usize>,
    host: usize,
    client: usize,
    current: usize,
    target: usize,
    /// Members of both protocols at once: which one each speaks.
    upgraded: bool,
    verbose: bool,
}

pub fn print(group: &ConsumerGroup, verbose: bool) -> Result<(), Failure> {
    let mut columns = Columns {
        group: 15,
        consumer: 15,
        instance: None,
        host: 15,
        client: 15,
        current: 20,
        target: 20,
        upgraded: false,
        verbose,
    };
    if has_something(group, group.members.len())? {
        columns.fit(group);
    }
    print!("{}", columns.header());
    println!();
    for member in &group.members {
        println!("{}", columns.line(group, member));
    }
    Ok(())
}

impl Columns {
    fn fit(&mut self, group: &ConsumerGroup) {
        let widest = |least: usize, text: &dyn Fn(&GroupMember) -> usize| {
            group.members.iter().map(text).max().unwrap_or(0).max(least)
        };
        let chars = |text: &str| text.chars().count();
        self.group = chars(&group.id).max(15);
        self.consumer = widest(15, &|m| chars(&m.id));
        self.host = widest(15, &|m| chars(&m.host));
        self.client = widest(15, &|m| chars(&m.client_id));
        self.current = widest(20, &|m| chars(&shown(&m.assignment)));
        self.target = widest(20, &|m| chars(&shown(&m.target)));
        if group.members.iter().any(|member| member.instance_id.is_some()) {
            self.instance = Some(widest(17, &|m| m.instance_id.as_deref().map_or(0, chars)));
        }
        let speaks = |new: bool| group.members.iter().any(|member| member.upgraded == Some(new));
        self.upgraded = speaks(true) && speaks(false);
    }

    fn header(&self) -> String {
        let first = self.first(
            "GROUP",
            "CONSUMER-ID",
            "GROUP-INSTANCE-ID",
            "HOST",
            "CLIENT-ID",
            "#PARTITIONS",
        );
        let rest = self.rest(
            "CURRENT-EPOCH",
            "CURRENT-ASSIGNMENT",
            "TARGET-EPOCH",
            "TARGET-ASSIGNMENT",
            "UPGRADED",
        );
        format!("\n{first}{rest}")
    }

    fn line(&self, group: &ConsumerGroup, member: &GroupMember) -> String {
        let number = |n: Option<i32>| n.map_or(MISSING.to_owned(), |n| n.to_string());
        let first = self.first(
            &group.id,
            &member.id,
            member.instance_id.as_deref().unwrap_or_default(),
            &member.host,
            &member.client_id,
            &member.assignment.len().to_string(),
        );
        let rest = self.rest(
            &number(member.epoch),
            &shown(&member.assignment),
            &number(group.epochs.map(|epochs| epochs.assignment)),
            &shown(&member.target),
            &member.upgraded.map_or(MISSING.to_owned(), |upgraded| upgraded.to_string()),
        );
        format!("{first}{rest}")
    }

    fn first(
        &self,
        group: &str,
        consumer: &str,
        instance: &str,
        host: &str,
        client: &str,
        partitions: &str,
    ) -> String {
        let instance = self.instance.map_or(String::new(), |width| format!("{instance:<width$} "));
        let (groups, consumers) = (self.group, self.consumer);
        let (hosts, clients) = (self.host, self.client);
        format!(
            "{group:<groups$} {consumer:<consumers$} {instance}{host:<hosts$} {client:<clients$} \
             {partitions:<15} "
        )
    }

    fn rest(
        &self,
        epoch: &str,
        current: &str,
        target_epoch: &str,
        target: &str,
        upgraded: &str,
    ) -> String {
        if !self.verbose {
            return String::new();
        }
        let upgraded = if self.upgraded { format!(" {upgraded}") } else { String::new() };
        let (currents, targets) = (self.current, self.target);
        format!("{epoch:<15} {current:<currents$} {target_epoch:<15} {target:<targets$}{upgraded}")
    }
}

/// `topic:0,1;other:3`.
fn shown(partitions: &[TopicPartition]) -> String {
    let topic = |(topic, indexes): (&str, Vec<i32>)| {
        let indexes: Vec<String> = indexes.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", indexes.join(","))
    };
    let topics: Vec<String> = by_topic(partitions).into_iter().map(topic).collect();
    if topics.is_empty() { MISSING.to_owned() } else { topics.join(";") }
}
