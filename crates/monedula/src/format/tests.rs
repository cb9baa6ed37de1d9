//! Command lines and their outcomes, as Kafka's tool has them.

use base::Uuid;
use config::BrokerConfig;
use config::properties::Properties;

use super::arguments::{Command, FormatArguments, Quorum, parse};
use super::info::{Found, report};
use super::{features, plan, voters};

fn args(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn format_arguments() -> FormatArguments {
    FormatArguments { config: "f".into(), cluster_id: "id".into(), ..Default::default() }
}

#[test]
fn command_lines() {
    let check = |line: &str, expected: Command| {
        assert_eq!(parse(&args(line)), Ok(expected), "{line}");
    };
    let format = format_arguments;
    check("info -c f", Command::Info { config: "f".into() });
    check("info -c e -c f", Command::Info { config: "f".into() });
    check("info --conf=f", Command::Info { config: "f".into() });
    check("random-uuid", Command::RandomUuid);
    check("version-mapping", Command::VersionMapping { release: None });
    check("version-mapping -r4.0", Command::VersionMapping { release: Some("4.0".into()) });
    let features = vec!["a=1".to_owned(), "b=2".to_owned()];
    check("feature-dependencies -f a=1 --feat b=2", Command::FeatureDependencies { features });
    check("format -c f -t id", Command::Format(format()));
    check(
        "format --config f --cluster-id id -g -s -r 4.0 -f a=1",
        Command::Format(FormatArguments {
            ignore_formatted: true,
            quorum: Some(Quorum::Standalone),
            release: Some("4.0".into()),
            features: vec!["a=1".into()],
            ..format()
        }),
    );
    let voters = Quorum::InitialControllers("1@h:1:x".into());
    check(
        "format -c f -t id -I 1@h:1:x",
        Command::Format(FormatArguments { quorum: Some(voters), ..format() }),
    );
}

#[test]
fn command_lines_that_make_no_sense() {
    let check = |line: &str, expected: &str| {
        let error = parse(&args(line)).expect_err(line);
        let (usage, what) = error.0.rsplit_once("\nkafka-storage: error: ").expect("both parts");
        assert!(usage.starts_with("usage: kafka-storage"), "{usage}");
        assert_eq!(what, expected, "{line}");
    };
    check("", "too few arguments");
    check(
        "nosuch",
        "invalid choice: 'nosuch' (choose from 'info', 'format', 'version-mapping', \
         'feature-dependencies', 'random-uuid')",
    );
    check("format", "argument --cluster-id/-t is required");
    check("format -t x", "argument --config/-c is required");
    check("format -t", "argument --cluster-id/-t: expected one argument");
    check("format --foo", "unrecognized arguments: '--foo'");
    check("random-uuid x", "unrecognized arguments: 'x'");
    check("version-mapping -r 4.4 extra", "unrecognized arguments: 'extra'");
    check("feature-dependencies", "argument --feature/-f is required");
    check(
        "format -t x -c f -s -N",
        "argument --no-initial-controllers/-N: not allowed with argument --standalone/-s",
    );
}

#[test]
fn releases_and_features() {
    let mapping = |name: Option<&str>, expected: &str| {
        assert_eq!(features::version_mapping(name).as_deref(), Ok(expected), "{name:?}");
    };
    mapping(
        None,
        "metadata.version=33 (4.4-IV2)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n\
         eligible.leader.replicas.version=1\nshare.version=2\nstreams.version=1\n",
    );
    mapping(
        Some("4.0"),
        "metadata.version=25 (4.0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\n\
         eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n",
    );
    mapping(
        Some("3.3-IV3"),
        "metadata.version=7 (3.3-IV3)\nkraft.version=0\ntransaction.version=0\ngroup.version=0\n\
         eligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n",
    );
    assert!(features::version_mapping(Some("4.5-IV0")).is_ok());
    for unknown in ["4.5", "9.9", ""] {
        let error = features::version_mapping(Some(unknown)).expect_err(unknown);
        assert!(error.ends_with("4.4-IV2, 4.5-IV0"), "{error}");
    }
    let error = features::release("4.5-IV0", false).expect_err("not stable");
    assert!(error.ends_with("4.4-IV1, 4.4-IV2"), "{error}");

    let dependencies = |wishes: &str, expected: Result<&str, &str>| {
        let ours = features::dependencies(&args(wishes));
        assert_eq!(ours.as_deref().map_err(String::as_str), expected, "{wishes}");
    };
    dependencies(
        "eligible.leader.replicas.version=1 share.version=2",
        Ok("eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\n\
            share.version=2 has no dependencies.\n"),
    );
    dependencies("metadata.version=33", Ok("metadata.version=33 (4.4-IV2) has no dependencies.\n"));
    dependencies("metadata.version=5", Err("Unknown metadata.version 5"));
    dependencies("foo.version=2", Err("Unknown feature: foo.version"));
    dependencies("group.version=x", Err("Invalid version format: x for feature group.version"));
    dependencies(
        "transaction.version=9",
        Err("Feature level 9 is not supported for feature transaction.version"),
    );
    dependencies(
        "x",
        Err(
            "Invalid feature format: x. Expected format: 'feature=version' (e.g. 'group.version=1')",
        ),
    );
}

#[test]
fn initial_controllers() {
    let two = "2@[::1]:8083:MvDxzVmcRsaTz33bUuRU6A,0@example.com:8082:JEXY6aqzQY-32P5TStzaFg";
    let voters = voters::parse(two).expect("valid");
    assert_eq!(voters.iter().map(|voter| voter.id.0).collect::<Vec<_>>(), [0, 2]);
    assert_eq!((voters[1].host.as_str(), voters[1].port), ("::1", 8083));
    let check = |text: &str, expected: &str| {
        assert_eq!(voters::parse(text), Err(expected.to_owned()), "{text}");
    };
    check("", "No voters given.");
    check("x", "No @ found in dynamic voter string.");
    check("@h:1:x", "Invalid @ at beginning of dynamic voter string.");
    check("x@h:1:x", "Failed to parse node id in dynamic voter string.");
    check("-1@h:1:x", "Invalid negative node id -1 in dynamic voter string.");
    check("1@", "No hostname found after node id.");
    check("1@h", "No colon following hostname could be found.");
    check("1@[h:1:x", "Hostname began with left bracket, but no right bracket was found.");
    check("1@[h]1:x", "Port section must start with a colon.");
    check("1@localhost:19393", "No colon following port could be found.");
    check("1@h:x:y", "Failed to parse port in dynamic voter string.");
    check("1@h:65536:y", "Invalid port 65536 in dynamic voter string.");
    check("1@h:1:y", "Failed to parse directory ID in dynamic voter string.");
    let twice = "1@h:1:JEXY6aqzQY-32P5TStzaFg,1@g:2:JEXY6aqzQY-32P5TStzaFg";
    check(twice, "Node id 1 was specified more than once.");
}

#[test]
fn what_is_found_in_directories() {
    let meta = |id: &str| {
        Found::Formatted(
            [("node.id", "1"), ("cluster.id", id), ("version", "1")].into_iter().collect(),
        )
    };
    let check = |found: &[(&str, Found)], expected: &str, well: bool| {
        let found: Vec<_> = found.iter().map(|(d, f)| (d.to_string(), f.clone())).collect();
        assert_eq!(report(&found), (expected.to_owned(), well));
    };
    check(&[], "No directories specified.\n", true);
    check(&[("/a", Found::Missing)], "Found problem:\n  /a does not exist\n\n", false);
    check(
        &[("/a", meta("x")), ("/b", meta("x"))],
        "Found log directories:\n  /a\n  /b\n\nFound metadata: {cluster.id=x, node.id=1, version=1}\n\n",
        true,
    );
    check(
        &[
            ("/a", meta("x")),
            ("/b", meta("y")),
            ("/c", Found::NotFormatted),
            ("/d", Found::NotADirectory),
        ],
        "Found log directories:\n  /a\n  /b\n  /c\n\n\
         Found metadata: {cluster.id=x, node.id=1, version=1}\n\n\
         Found problems:\n  Mismatched cluster IDs between storage directories.\n  \
         /c is not formatted.\n  /d is not a directory\n\n",
        false,
    );
}

const COMBINED: &str = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=C\n\
    listeners=PLAINTEXT://127.0.0.1:9092,C://127.0.0.1:9093\nlog.dirs=/b,/a\n";
const BROKER: &str = "process.roles=broker\nnode.id=1\ncontroller.listener.names=C\n\
    listeners=PLAINTEXT://127.0.0.1:9092\nlog.dirs=/b,/a\n";

fn planned(config: &str, change: impl FnOnce(&mut FormatArguments)) -> Result<plan::Plan, String> {
    let properties = Properties::parse(config).expect("well-formed");
    let config = BrokerConfig::load(Some(&properties), &[]).expect("valid");
    let mut arguments = format_arguments();
    change(&mut arguments);
    plan::plan(&config, &arguments, Uuid([7; 16]), "machine")
}

#[test]
fn plans() {
    let fixed = format!("{COMBINED}controller.quorum.voters=1@127.0.0.1:9093\n");
    let dynamic = format!("{COMBINED}controller.quorum.bootstrap.servers=127.0.0.1:9093\n");
    let broker = format!("{BROKER}controller.quorum.bootstrap.servers=127.0.0.1:9093\n");

    let plan = planned(&fixed, |_| {}).expect("a static quorum");
    assert_eq!((plan.directories.len(), plan.metadata_directory.as_str()), (2, "/b"));
    assert!(plan.voters.is_empty() && !plan.dynamic_quorum && plan.is_controller);

    let plan = planned(&dynamic, |a| a.quorum = Some(Quorum::Standalone)).expect("standalone");
    let voter = &plan.voters[0];
    assert_eq!(
        (voter.host.as_str(), voter.port, voter.directory),
        ("127.0.0.1", 9093, Uuid([7; 16]))
    );
    assert!(plan.dynamic_quorum);

    let plan = planned(&broker, |a| a.release = Some("3.9".into())).expect("a broker joins");
    assert_eq!((plan.release, plan.is_controller), (Some(21), false));

    let check = |config: &str, change: fn(&mut FormatArguments), expected: &str| {
        let error = planned(config, change).expect_err(expected);
        assert!(error.starts_with(expected), "{error}");
    };
    check(&dynamic, |_| {}, "Because controller.quorum.voters is not set on this controller");
    check(
        &fixed,
        |a| a.quorum = Some(Quorum::Standalone),
        "You cannot specify controller.quorum.voters",
    );
    check(
        &broker,
        |a| a.quorum = Some(Quorum::Standalone),
        "You can only use --standalone on a controller.",
    );
    check(&fixed, |a| a.release = Some("9.9".into()), "Unknown metadata.version '9.9'.");
    check(
        &fixed,
        |a| a.features = vec!["transaction.version".into()],
        "Can't parse feature=level string transaction.version: equals sign not found.",
    );
    check(&fixed, |a| a.scram = vec!["x".into()], "--add-scram is not supported yet");
}
