//! Formatting compared with directories that Apache Kafka formatted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base::{NodeId, Uuid, WallMs};
use broker::format::{Features, Format, levels, standalone_voters};
use kraft::Endpoint;
use metadata::MetadataVersion;
use records::Batches;
use storage::disk::RealDisk;

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";
const SNAPSHOT: &str = "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";

fn wishes(dir: &Path) -> Format {
    Format {
        node_id: NodeId(1),
        cluster_id: CLUSTER.into(),
        directories: vec![dir.join("b"), dir.join("a")],
        metadata_dir: dir.join("a"),
        is_controller: true,
        features: Features::default(),
        ignore_formatted: false,
        initial_voters: None,
        more_records: Vec::new(),
    }
}

fn run(format: &Format) -> Result<Vec<String>, String> {
    let mut last = 0;
    let mut ids = || {
        last += 1;
        Uuid([last + 100; 16])
    };
    format.run(&RealDisk, WallMs(1_795_255_667_531), &mut ids).map_err(|error| error.to_string())
}

/// A snapshot without what depends on the time: checksums, batch times, and the header's own time.
fn timeless(file: &Path) -> Vec<u8> {
    let mut bytes = fs::read(file).expect("the snapshot");
    let starts: Vec<usize> = {
        let mut batches = Batches::new(&bytes);
        let mut starts = vec![0];
        while let Some(batch) = batches.next() {
            batch.expect("a batch");
            starts.push(batches.position());
        }
        starts
    };
    for start in &starts[..starts.len() - 1] {
        bytes[start + 17..start + 21].fill(0);
        bytes[start + 27..start + 43].fill(0);
    }
    // Length, attributes, two deltas, key length, key, value length and version come before the time.
    bytes[61 + 12..61 + 20].fill(0);
    bytes
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn a_static_quorum() {
    let dir = tempfile::tempdir().expect("a directory");
    let lines = run(&wishes(dir.path())).expect("formatted");
    let shown = dir.path().display();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        "Bootstrap metadata: BootstrapMetadata(records=[\
         ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel=33) at version 0), \
         ApiMessageAndVersion(FeatureLevelRecord(name='eligible.leader.replicas.version', featureLevel=1) at version 0), \
         ApiMessageAndVersion(FeatureLevelRecord(name='group.version', featureLevel=1) at version 0), \
         ApiMessageAndVersion(FeatureLevelRecord(name='share.version', featureLevel=2) at version 0), \
         ApiMessageAndVersion(FeatureLevelRecord(name='streams.version', featureLevel=1) at version 0), \
         ApiMessageAndVersion(FeatureLevelRecord(name='transaction.version', featureLevel=2) at version 0)], \
         metadataVersionLevel=33, source=format command)"
    );
    assert_eq!(
        lines[1],
        format!("Formatting metadata directory {shown}/a with metadata.version 4.4-IV2.")
    );
    assert_eq!(
        lines[2],
        format!("Formatting data directory {shown}/b with metadata.version 4.4-IV2.")
    );
    assert_eq!(
        timeless(&dir.path().join("a").join(SNAPSHOT)),
        timeless(&fixture("static").join(SNAPSHOT))
    );
    assert!(!dir.path().join("b/__cluster_metadata-0").exists());
    let meta = fs::read_to_string(dir.path().join("b/meta.properties")).expect("meta.properties");
    for line in ["version=1", "node.id=1", "cluster.id=MkU3OEVBNTcwNTJENDM2Qg"] {
        assert!(meta.lines().any(|found| found == line), "{meta}");
    }

    let shown = dir.path().display();
    let formatted = format!(
        "Log directory {shown}/a is already formatted. Use --ignore-formatted to ignore this directory and format the others."
    );
    assert_eq!(run(&wishes(dir.path())), Err(formatted));
    let ignore = Format { ignore_formatted: true, ..wishes(dir.path()) };
    let nothing = vec!["All of the log directories are already formatted.".to_owned()];
    assert_eq!(run(&ignore), Ok(nothing));
    let other = Format { cluster_id: "other".into(), ..ignore.clone() };
    let error = run(&other).expect_err("refused");
    assert!(error.contains("Invalid cluster.id in"), "{error}");
    let other = Format { node_id: NodeId(2), ..ignore.clone() };
    let error = run(&other).expect_err("refused");
    assert!(error.contains("node id") && error.contains("meta.properties"), "{error}");

    fs::remove_file(dir.path().join("b/meta.properties")).expect("removed");
    assert_eq!(run(&ignore).expect("formatted").len(), 2);
}

#[test]
fn a_dynamic_quorum() {
    let dir = tempfile::tempdir().expect("a directory");
    let id: Uuid = "5_22tNIPSWOEjungCdoE7Q".parse().expect("an id");
    let listener = Endpoint { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 19411 };
    let format = Format {
        features: Features { dynamic_quorum: true, ..Features::default() },
        initial_voters: Some(standalone_voters(NodeId(1), id, listener)),
        ..wishes(dir.path())
    };
    let lines = run(&format).expect("formatted");
    assert!(lines[1].starts_with("Formatting dynamic metadata voter directory "), "{}", lines[1]);
    assert_eq!(
        timeless(&dir.path().join("a").join(SNAPSHOT)),
        timeless(&fixture("dynamic").join(SNAPSHOT))
    );
    let meta = fs::read_to_string(dir.path().join("a/meta.properties")).expect("meta.properties");
    assert!(meta.contains("directory.id=5_22tNIPSWOEjungCdoE7Q"), "{meta}");
}

#[track_caller]
fn check(wishes: Features, expected: Result<&[(&str, i16)], &str>) {
    let found = levels(&wishes).map_err(|error| error.to_string());
    let expected = expected.map(|levels| {
        levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect::<BTreeMap<_, _>>()
    });
    assert_eq!(found, expected.map_err(str::to_owned));
}

fn wish(name: &str, level: i16) -> Features {
    Features { levels: BTreeMap::from([(name.to_owned(), level)]), ..Features::default() }
}

/// Texts as `kafka-storage format` of Apache Kafka 4.4 prints them.
#[test]
fn feature_levels() {
    let release = |name| MetadataVersion::from_name(name).expect("a release");
    check(
        Features { release: Some(release("3.9")), ..Features::default() },
        Ok(&[
            ("metadata.version", 21),
            ("kraft.version", 0),
            ("transaction.version", 0),
            ("group.version", 0),
            ("eligible.leader.replicas.version", 0),
            ("share.version", 0),
            ("streams.version", 0),
        ]),
    );
    check(
        Features { dynamic_quorum: true, ..wish("share.version", 0) },
        Ok(&[
            ("metadata.version", 33),
            ("kraft.version", 1),
            ("transaction.version", 2),
            ("group.version", 1),
            ("eligible.leader.replicas.version", 1),
            ("share.version", 0),
            ("streams.version", 1),
        ]),
    );
    check(
        wish("no.such", 1),
        Err(
            "Unsupported feature: no.such. Supported features are: eligible.leader.replicas.version, \
             group.version, kraft.version, share.version, streams.version, transaction.version",
        ),
    );
    check(wish("share.version", 9), Err("No feature:share.version with feature level 9"));
    check(wish("metadata.version", 34), Err("metadata.version 4.5-IV0 is not yet stable."));
    check(
        wish("metadata.version", 99),
        Err("No MetadataVersion with feature level 99. Valid feature levels are from 7 to 34."),
    );
    check(
        Features { release: Some(release("4.0")), ..wish("metadata.version", 25) },
        Err("Use --release-version instead of --feature metadata.version=X to avoid ambiguity."),
    );
    check(
        Features { release: Some(release("3.9")), ..wish("eligible.leader.replicas.version", 1) },
        Err(
            "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23",
        ),
    );
    let error = levels(&wish("kraft.version", 1)).expect_err("refused").to_string();
    assert!(
        error.starts_with("Cannot set kraft.version to 1 unless controller.quorum.voters is empty"),
        "{error}"
    );
}
