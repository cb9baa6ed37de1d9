//! The small files of a log directory: what Kafka wrote is read, what we write is what Kafka writes, faults name the file.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs;
use std::path::Path;

use base::{BrokerEpoch, NodeId, Offset, TopicPartition, Uuid, WallMs};
use storage::RealDisk;
use storage::dirs::{
    DirError, DirKind, DirLock, MetaEnsemble, MetaProperties, MetaVersion, Offsets, clean_shutdown,
    dir_name, marked_dir_name, parse_dir_name, partition_metadata, read_offsets, write_offsets,
};

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

#[test]
fn names_of_directories() {
    use DirKind::{Current, Delete, Future, Stray};
    for (name, expected) in [
        ("topic-0", Some(("topic", 0, Current))),
        ("my.topic-with-dashes-12", Some(("my.topic-with-dashes", 12, Current))),
        ("t-0.0123abcd-delete", Some(("t", 0, Delete))),
        ("a.b-c-3.0123abcd-future", Some(("a.b-c", 3, Future))),
        ("t-0.x-stray", Some(("t", 0, Stray))),
        ("foo-delete-1", Some(("foo-delete", 1, Current))),
        ("foo-delete-1.u-delete", Some(("foo-delete", 1, Delete))),
        ("-0", None),
        ("topic-", None),
        ("topic", None),
        ("lost+found", None),
        ("topic-x", None),
        ("t-0-delete", None),
        ("t-0.-delete", None),
        ("t.u-delete", None),
        ("topic-99999999999", None),
    ] {
        let found = parse_dir_name(name);
        let found = found.as_ref().map(|(tp, kind)| (&*tp.topic, tp.partition.0, *kind));
        assert_eq!(found, expected, "{name}");
    }
    for topic in ["t", "a.b-c_d", &"x".repeat(249)] {
        let partition = TopicPartition::new(topic, 17);
        assert_eq!(parse_dir_name(&dir_name(&partition)), Some((partition.clone(), Current)));
        for kind in [Delete, Stray] {
            let name = marked_dir_name(&partition, kind, 0xabc);
            assert!(name.len() <= 255, "{name}");
            let (found, found_kind) = parse_dir_name(&name).unwrap();
            assert!(topic.starts_with(&*found.topic) && found_kind == kind);
        }
    }
    let name = marked_dir_name(&TopicPartition::new("t", 5), Delete, 0xabc);
    assert_eq!(name, "t-5.00000000000000000000000000000abc-delete");
}

#[test]
fn offset_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("recovery-point-offset-checkpoint");
    assert_eq!(read_offsets(&RealDisk, &path).unwrap(), Offsets::new());
    let kafka = "0\n3\nmy.topic-x 0 17\nmy.topic-x 1 0\nother 12 9223372036854775807\n";
    fs::write(&path, kafka).unwrap();
    let offsets = read_offsets(&RealDisk, &path).unwrap();
    assert_eq!(offsets.len(), 3);
    assert_eq!(offsets[&TopicPartition::new("my.topic-x", 0)], Offset(17));
    write_offsets(&RealDisk, &path, &offsets).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), kafka);
    write_offsets(&RealDisk, &path, &Offsets::new()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "0\n0\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    for (text, reason) in [
        ("1\n0\n", "version 1"),
        ("x\n0\n", "malformed"),
        ("0\nx\n", "malformed"),
        ("0\n-1\n", "malformed"),
        ("0\n1\n", "1 entries are announced, 0"),
        ("0\n1\nt 0 1\nt 1 1\n", "1 entries are announced, 2"),
        ("0\n1\nt 0\n", "malformed"),
        ("0\n1\nt 0 1 2\n", "malformed"),
        ("0\n1\nt x 1\n", "malformed"),
        ("0\n1\nt 0 99999999999999999999\n", "malformed"),
        ("0\n18446744073709551615\n", "announced"),
    ] {
        fs::write(&path, text).unwrap();
        let fault = read_offsets(&RealDisk, &path).unwrap_err().to_string();
        assert!(fault.contains("recovery-point-offset-checkpoint"), "{fault}");
        assert!(fault.contains(reason), "{text:?}: {fault}");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(read_offsets(&RealDisk, &path).unwrap_err().to_string().contains("UTF-8"));
    for text in ["", "0", "0\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(read_offsets(&RealDisk, &path).unwrap(), Offsets::new(), "{text:?}");
    }
}

#[test]
fn partition_metadata_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(partition_metadata::FILE_NAME);
    let read = || partition_metadata::read_topic_id(&RealDisk, dir.path());
    assert_eq!(read().unwrap(), None);
    let topic_id = id("MkU3OEVBNTcwNTJENDM2Qg");
    partition_metadata::write_topic_id(&RealDisk, dir.path(), topic_id).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, "version: 0\ntopic_id: MkU3OEVBNTcwNTJENDM2Qg");
    assert_eq!(read().unwrap(), Some(topic_id));
    // What a crash leaves of a file that was being written.
    for text in ["", "version: 0", "version: 0\ntopic_id: MkU3", &"\0".repeat(43)] {
        fs::write(&path, text).unwrap();
        assert_eq!(read().unwrap(), None, "{text:?}");
    }
    for text in [
        "version: 1\ntopic_id: MkU3OEVBNTcwNTJENDM2Qg",
        "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
        "version: 0\ntopic_id: nonsense of the length of an id",
        "topic_id: MkU3OEVBNTcwNTJENDM2Qg\nversion: 0",
        "garbage",
    ] {
        fs::write(&path, text).unwrap();
        assert!(read().unwrap_err().to_string().contains("partition.metadata"), "{text:?}");
    }
}

#[test]
fn clean_shutdown_markers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".kafka_cleanshutdown");
    let disk = RealDisk;
    assert!(!clean_shutdown::exists(&disk, dir.path()).unwrap());
    clean_shutdown::write(&disk, dir.path(), BrokerEpoch(10)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"version":0,"brokerEpoch":10}"#);
    assert!(clean_shutdown::exists(&disk, dir.path()).unwrap());
    for (text, expected) in [
        (r#"{"version":0,"brokerEpoch":10}"#, Some(10)),
        (r#"{ "brokerEpoch" : -1 , "version":0}"#, Some(-1)),
        ("", None),
        ("{}", None),
        (r#"{"brokerEpoch":"x"}"#, None),
        (r#"{"version":0,"brokerEpoch":9223372036854775807}"#, None),
    ] {
        fs::write(&path, text).unwrap();
        let found = clean_shutdown::read_epoch(&disk, dir.path());
        assert_eq!(found, expected.map(BrokerEpoch), "{text}");
    }
    let other = tempfile::tempdir().unwrap();
    clean_shutdown::write(&disk, dir.path(), BrokerEpoch(4)).unwrap();
    let common = |epoch| {
        clean_shutdown::write(&disk, other.path(), BrokerEpoch(epoch)).unwrap();
        clean_shutdown::common_epoch(&disk, [dir.path(), other.path()])
    };
    assert_eq!((common(4), common(5)), (Some(BrokerEpoch(4)), None));
    assert!(clean_shutdown::remove(&disk, dir.path()).unwrap());
    assert!(!clean_shutdown::remove(&disk, dir.path()).unwrap());
    assert_eq!(clean_shutdown::common_epoch(&disk, [dir.path(), other.path()]), None);
}

const KAFKAS: &str = "#\n#Sat Nov 21 09:50:02 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n\
                      directory.id=Wsxas1RHQTCxcOdvLgvc-A\nnode.id=1\nversion=1\n";

#[test]
fn meta_properties_as_kafka_writes_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meta.properties");
    assert_eq!(MetaProperties::read(&RealDisk, dir.path()).unwrap(), None);
    fs::write(&path, KAFKAS).unwrap();
    let meta = MetaProperties::read(&RealDisk, dir.path()).unwrap().unwrap();
    let ids = ("MkU3OEVBNTcwNTJENDM2Qg", NodeId(1), id("Wsxas1RHQTCxcOdvLgvc-A"));
    assert_eq!(meta, MetaProperties::new(ids.0, ids.1, ids.2));
    meta.write(&RealDisk, dir.path(), WallMs(1_795_254_602_000)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), KAFKAS);
    for (ms, date) in [
        (0, "Thu Jan 01 00:00:00 UTC 1970"),
        (951_782_399_999, "Mon Feb 28 23:59:59 UTC 2000"),
        (951_782_400_000, "Tue Feb 29 00:00:00 UTC 2000"),
        (4_107_542_400_000, "Mon Mar 01 00:00:00 UTC 2100"),
    ] {
        meta.write(&RealDisk, dir.path(), WallMs(ms)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains(date), "{date}");
    }

    for (text, expected) in [
        ("! old\nbroker.id : 7", (MetaVersion::V0, None, Some(7))),
        ("version=0", (MetaVersion::V0, None, None)),
        (
            "version=1\ncluster.id=a\\=\\u0062\\\n  c\nnode.id 3",
            (MetaVersion::V1, Some("a=bc"), Some(3)),
        ),
    ] {
        fs::write(&path, text).unwrap();
        let meta = MetaProperties::read(&RealDisk, dir.path()).unwrap().unwrap();
        let found = (meta.version, meta.cluster_id.as_deref(), meta.node_id.map(|id| id.0));
        assert_eq!(found, expected, "{text:?}");
    }
    for text in [
        "version=2",
        "version=1\nnode.id=1",
        "version=1\ncluster.id=x",
        "version=1\ncluster.id=x\nnode.id=one",
        "version=1\ncluster.id=x\nnode.id=1\ndirectory.id=??",
    ] {
        fs::write(&path, text).unwrap();
        let fault = MetaProperties::read(&RealDisk, dir.path()).unwrap_err();
        assert!(fault.to_string().contains("meta.properties"), "{fault}");
    }
}

#[test]
fn directories_of_one_node_agree() {
    let root = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| root.path().join(name));
    let dirs: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
    let (one, two) = (id("Wsxas1RHQTCxcOdvLgvc-A"), id("MkU3OEVBNTcwNTJENDM2Qg"));
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    let verify =
        |a: MetaProperties, b: MetaProperties, cluster: Option<&str>, node: Option<i32>| {
            a.write(&RealDisk, dirs[0], WallMs(0)).unwrap();
            b.write(&RealDisk, dirs[1], WallMs(0)).unwrap();
            let ensemble = MetaEnsemble::load(&RealDisk, dirs.iter().copied());
            assert_eq!(ensemble.missing().collect::<Vec<_>>(), [dirs[2]]);
            ensemble.verify(cluster, node.map(NodeId), Some(dirs[0]))
        };
    let empty = MetaEnsemble::load(&RealDisk, dirs.iter().copied());
    assert!(matches!(empty.verify(None, None, None), Err(DirError::NoMetaProperties)));

    let good = |id| MetaProperties::new("cluster", NodeId(1), id);
    verify(good(one), good(two), None, None).unwrap();
    verify(good(one), good(two), Some("cluster"), Some(1)).unwrap();
    let other_cluster = MetaProperties::new("other", NodeId(1), two);
    let other_node = MetaProperties::new("cluster", NodeId(2), two);
    for (fault, expected) in [
        (verify(good(one), good(two), Some("x"), None), "Expected x, but read cluster"),
        (verify(good(one), good(two), None, Some(9)), "Stored node id 1 doesn't match"),
        (verify(good(one), other_cluster, None, None), "Expected cluster, but read other"),
        (verify(good(one), other_node, None, None), "Stored node id 2 doesn't match"),
        (verify(good(one), good(one), None, None), "Duplicate directory ID"),
        (verify(good(Uuid::DIR_LOST), good(two), None, None), "Invalid reserved directory ID"),
    ] {
        let text = fault.unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert!(text.contains(&root.path().display().to_string()), "{text}");
    }
    verify(good(one), good(two), None, None).unwrap();
    fs::write(dirs[0].join("meta.properties"), "version=1").unwrap();
    let ensemble = MetaEnsemble::load(&RealDisk, dirs.iter().copied());
    assert!(ensemble.verify(None, None, Some(dirs[1])).is_ok());
    let fault = ensemble.verify(None, None, Some(dirs[0])).unwrap_err().to_string();
    assert!(fault.contains("cluster.id was not found"), "{fault}");
}

#[test]
fn one_lock_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let lock = DirLock::acquire(dir.path()).unwrap();
    let fault = DirLock::acquire(dir.path()).unwrap_err();
    assert!(matches!(fault, DirError::Locked { .. }));
    assert!(fault.to_string().contains("Failed to acquire lock on file .lock in"), "{fault}");
    drop(lock);
    DirLock::acquire(dir.path()).unwrap();
}
