//! `monedula verify` on what a node wrote: nothing is wrong, running, stopped or killed; a flipped bit has the file's name; nothing
//! is changed by looking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{BINARY, Node, Place, batch};

fn verify(data: &Path, options: &[&str]) -> Output {
    Command::new(BINARY).arg("verify").arg("--quiet").args(options).arg(data).output().unwrap()
}

/// Nothing is wrong, and nothing is even worth a note.
fn check_clean(data: &Path, when: &str) {
    let output = verify(data, &[]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), told.as_str()), (Some(0), ""), "{when}");
}

fn contents(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents(&path, found);
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn what_a_node_wrote_is_right_until_a_bit_is_flipped() {
    let place = Place::new();
    let mut node = Node::start(&place.data);
    assert_eq!(node.create_topic("t", 2, &[("segment.bytes", "1048576")]), 0);
    for n in 0..20 {
        assert_eq!(node.produce("t", &batch(&[b"one", b"two"])), (0, n * 2));
    }
    check_clean(&place.data, "while it runs");
    node.assert_alive("verify");
    node.kill();
    check_clean(&place.data, "after kill -9");
    assert_eq!(Node::start(&place.data).stop(), Some(0));
    check_clean(&place.data, "after a clean stop");

    let mut before = BTreeMap::new();
    contents(&place.data, &mut before);
    let log = place.data.join("t-0/00000000000000000000.log");
    let mut bytes = before[&log].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(&log, &bytes).unwrap();
    let output = verify(&place.data, &["--json"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let lines: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["path"], log.to_str().unwrap(), "{told}");
    assert_eq!(lines[0]["severity"], "damage", "{told}");
    assert!(lines[0]["position"].as_u64().unwrap() <= middle as u64, "{told}");
    let summary = &lines.last().unwrap()["summary"];
    assert_eq!(summary["damage"], lines.len() - 1, "{told}");
    assert!(summary["records"].as_u64().unwrap() >= 38, "{told}");

    let other = verify(&place.data, &["--topic", "__cluster_metadata"]);
    assert_eq!(other.status.code(), Some(0), "the other topic is whole");

    std::fs::write(&log, &before[&log]).unwrap();
    let mut after = BTreeMap::new();
    contents(&place.data, &mut after);
    assert!(before == after, "looking has changed something");
}

#[test]
fn damaged_quorum_files_are_named() {
    let place = Place::new();
    let node = Node::start(&place.data);
    assert_eq!(node.stop(), Some(0));
    let folder = place.data.join("__cluster_metadata-0");
    for name in ["quorum-state", "00000000000000000000-0000000000.checkpoint"] {
        let path = folder.join(name);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let output = verify(&place.data, &[]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.lines().all(|line| line.contains(name)) && !told.is_empty(), "{told}");
        std::fs::write(&path, whole).unwrap();
    }
    check_clean(&place.data, "mended");
}

/// A batch as whole as any, with records that no version of Kafka knows.
#[test]
fn records_of_the_metadata_log_that_nobody_knows_are_named() {
    let place = Place::new();
    assert_eq!(Node::start(&place.data).stop(), Some(0));
    let folder = place.data.join("__cluster_metadata-0");
    let log = folder.join("00000000000000000000.log");
    let whole = std::fs::read(&log).unwrap();
    let (mut end, mut next, mut epoch) = (0, base::Offset::ZERO, base::LeaderEpoch::NONE);
    for batch in records::Batches::new(&whole) {
        let batch = batch.unwrap();
        end += batch.bytes().len();
        next = batch.last_offset().plus(1);
        epoch = batch.v2().unwrap().partition_leader_epoch;
    }
    // Frame version 1, a type and a version; then what follows.
    let cases: [(&[u8], &str); 4] = [
        (&[1, 99, 0], "unknown type of record 99"),
        (&[1, 2, 77], "not 77"),
        (&[1, 2, 0, 5], "bytes needed"),
        (&[9, 2, 0], "frame version 9"),
    ];
    for (value, words) in cases {
        let mut builder = records::BatchBuilder::new(records::Compression::None)
            .base_offset(next)
            .leader_epoch(epoch);
        builder.append(1_700_000_000_000, None, Some(value), &[]).unwrap();
        let mut bytes = whole[..end].to_vec();
        bytes.extend(builder.build().unwrap());
        std::fs::write(&log, &bytes).unwrap();
        let output = verify(&place.data, &[]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        let at = format!("metadata-records, at byte {end}");
        let record = format!("the record at offset {next}: ");
        let found = told.lines().find(|line| line.contains(&at));
        let found = found.unwrap_or_else(|| panic!("{told}"));
        assert!(found.contains(&record) && found.contains(words), "{told}");
        assert_eq!(verify(&place.data, &["--quick"]).status.code(), Some(0), "not opened");
    }
    std::fs::write(&log, &whole).unwrap();
    check_clean(&place.data, "mended");
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let output = Command::new(BINARY).arg("verify").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let nowhere = verify(Path::new("/nowhere/at/all"), &[]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("/nowhere/at/all"));
}
