//! `consumer-groups`, `groups` and `console-consumer --group`.

use super::{Cluster, block_on, topics, until};

fn rows(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).filter(|line| !line.is_empty()).collect()
}

#[test]
fn from_a_console_consumer_to_a_deleted_group() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 2).await;
        cluster.produce("t", 2, 5).await;
    });
    for (protocol, shown) in [("classic", "Classic"), ("consumer", "Consumer")] {
        let group = format!("g-{protocol}");
        let read = format!(
            "--topic t --group {group} --command-property group.protocol={protocol} --from-beginning \
             --max-messages 10 --timeout-ms 30000"
        );
        let (code, out) = cluster.tool("console-consumer", &read);
        assert_eq!((code, out.lines().count()), (0, 10), "{out}");
        let describe = format!("--describe --group {group}");
        let check = |offsets: [i64; 2]| {
            let (_, out) = cluster.tool("consumer-groups", &describe);
            let expected: Vec<String> = offsets
                .iter()
                .enumerate()
                .map(|(index, offset)| format!("{group} t {index} {offset} 5 {} - - -", 5 - offset))
                .collect();
            assert_eq!(rows(&out)[1..], expected, "{out}");
        };
        check([5, 5]);
        let list = cluster.tool("consumer-groups", "--list --state --type");
        let line = format!("{group} {shown} Empty");
        assert!(rows(&list.1).contains(&line), "{}", list.1);
        let reset = format!("--reset-offsets --group {group} --topic t:1");
        cluster.tool("consumer-groups", &format!("{reset} --to-earliest --dry-run"));
        check([5, 5]);
        cluster.tool("consumer-groups", &format!("{reset} --to-offset 2 --execute"));
        check([5, 2]);
        cluster.tool("consumer-groups", &format!("{reset} --shift-by -1 --execute"));
        check([5, 1]);
        let export = format!("{reset} --to-current --export --dry-run");
        assert_eq!(cluster.tool("consumer-groups", &export), (0, String::from("t,1,1\n\n")));
        let delete = format!("--delete-offsets --group {group} --topic t:1");
        let (_, out) = cluster.tool("consumer-groups", &delete);
        assert_eq!(rows(&out)[2], "t 1 Successful", "{out}");
        let (_, out) = cluster.tool("consumer-groups", &describe);
        assert_eq!(rows(&out).len(), 2, "{out}");
        let (_, out) = cluster.tool("consumer-groups", &format!("--delete --group {group}"));
        let deleted = format!("Deletion of requested consumer groups ('{group}') was successful.");
        assert_eq!(rows(&out), [deleted]);
        let (_, out) = cluster.tool("consumer-groups", &describe);
        assert!(out.contains("Error: Executing consumer group command failed"), "{out}");
    }
    let (_, out) = cluster.tool("groups", "--list");
    assert_eq!(rows(&out), ["GROUP TYPE PROTOCOL"]);
}

#[test]
fn groups_with_members() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 3).await;
        for protocol in ["classic", "consumer"] {
            let settings = format!("group.protocol={protocol} group.instance.id=me");
            let mut member = cluster.member(protocol, &settings, topics(&["t"]));
            until(&mut [&mut member], "it has all", |m| m[0].count() == 3).await;
            let describe = format!("--describe --group {protocol} --members --verbose");
            let (_, out) = cluster.tool("consumer-groups", &describe);
            let (classic, new) = ("3 - t:0,1,2 - -", "t:0,1,2");
            let line = rows(&out).pop().unwrap_or_default();
            assert!(line.contains(" me /127.0.0.1 "), "{out}");
            match protocol {
                "classic" => assert!(line.ends_with(classic), "{out}"),
                _ => assert_eq!(line.matches(new).count(), 2, "{out}"),
            }
            let (_, out) =
                cluster.tool("consumer-groups", &format!("--describe --group {protocol} --state"));
            assert!(rows(&out)[1].ends_with("Stable 1"), "{out}");
            let (_, out) = cluster.tool("consumer-groups", &format!("--delete --group {protocol}"));
            assert!(out.contains("The group is not empty."), "{out}");
            let reset =
                format!("--reset-offsets --group {protocol} --topic t --to-latest --execute");
            let (_, out) = cluster.tool("consumer-groups", &reset);
            assert!(out.contains("is inactive, but the current state is Stable."), "{out}");
            member.consumer.close().await.unwrap();
        }
    });
}

#[test]
fn settings_of_groups() {
    let cluster = Cluster::start();
    let configs = |arguments: &str| cluster.tool("configs", &format!("{arguments} --group g"));
    let nothing = "The group 'g' doesn't exist and doesn't have dynamic config.\n";
    assert_eq!(configs("--describe"), (0, nothing.to_owned()));
    let changed = (0, String::from("Completed updating config for group g.\n"));
    let add =
        "--alter --add-config consumer.heartbeat.interval.ms=400,consumer.session.timeout.ms=4000";
    assert_eq!(configs(add), changed);
    let (_, out) = configs("--describe");
    let line = |out: &str, n: usize| out.lines().nth(n).unwrap_or_default().to_owned();
    assert!(
        line(&out, 1).starts_with("  consumer.heartbeat.interval.ms=400 sensitive=false "),
        "{out}"
    );
    assert!(
        line(&out, 2).contains("DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=4000"),
        "{out}"
    );
    assert_eq!(configs("--alter --delete-config consumer.session.timeout.ms"), changed);
    assert_eq!(configs("--describe").1.lines().count(), 2);
    assert_eq!(configs("--alter --add-config consumer.session.timeout.ms=1"), (1, String::new()));
}
