//! Files that were damaged while the node was down: it recovers, or is refused with the file's name; it never serves what was not
//! written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::Records;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::init_producer_id_request::InitProducerIdRequest;
use protocol::messages::init_producer_id_response::InitProducerIdResponse;
use records::{AnyRecords, BatchBuilder, Batches};

use crate::common::{Node, Place, Refused, command, decoded};
use crate::damages::{DAMAGES, HALF};

/// Batches of this many value bytes; three of them fill a segment of the smallest size.
const VALUE_BYTES: usize = 300_000;
const LARGE: u8 = 8;
const SMALL: u8 = 12;

const TOPIC: &[(&str, &str)] = &[("segment.bytes", "1048576"), ("segment.index.bytes", "4096")];

/// A directory with a topic of several segments, an idempotent producer, and a metadata log; by whether it was stopped cleanly.
fn written(clean: bool) -> Place {
    written_with(clean, &[])
}

fn written_with(clean: bool, settings: &[(&str, &str)]) -> Place {
    let place = Place::new();
    let node = Node::start_with(&place.data, settings);
    assert_eq!(node.create_topic("t", 1, TOPIC), 0);
    let request = InitProducerIdRequest { transaction_timeout_ms: 1000, ..Default::default() };
    let body = node.connect().call(&request, 4);
    let producer: InitProducerIdResponse = decoded(&body, 4);
    for number in 0..LARGE + SMALL {
        let mut builder = BatchBuilder::new(records::Compression::None).producer(
            base::ProducerId(producer.producer_id),
            base::ProducerEpoch(producer.producer_epoch),
            i32::from(number),
        );
        let bytes = if number < LARGE { VALUE_BYTES } else { 200 };
        let time = 1_700_000_000_000 + i64::from(number) * 1000;
        builder.append(time, None, Some(&vec![number; bytes]), &[]).unwrap();
        assert_eq!(node.produce("t", &builder.build().unwrap()), (0, i64::from(number)));
    }
    if clean {
        assert_eq!(node.stop(), Some(0));
    } else {
        node.kill();
    }
    place
}

/// Everything that consumers can read of the topic, by offset; batches with a wrong checksum are theirs to refuse.
fn read(node: &Node) -> Result<BTreeMap<i64, Vec<u8>>, i16> {
    let mut found = BTreeMap::new();
    let mut peer = node.connect();
    let mut offset = 0;
    loop {
        let partition = FetchPartition {
            fetch_offset: offset,
            partition_max_bytes: 16 << 20,
            ..Default::default()
        };
        let topic =
            FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest { topics: vec![topic], ..Default::default() };
        let body = peer.call(&request, 12);
        let response: FetchResponse<'_> = decoded(&body, 12);
        let partition = &response.responses[0].partitions[0];
        if partition.error_code != 0 {
            return Err(partition.error_code);
        }
        let bytes = partition.records.as_ref().and_then(Records::bytes).unwrap_or_default();
        let from = offset;
        for batch in Batches::new(bytes) {
            let Ok(batch) = batch else { break };
            if batch.check_crc().is_err() {
                return Ok(found);
            }
            let mut scratch = Vec::new();
            let records = batch.records(&mut scratch, 64 << 20).unwrap();
            let AnyRecords::V2(records) = records else { panic!("a batch of an old format") };
            for record in records {
                let record = record.unwrap();
                found.insert(record.offset.0, record.value.unwrap_or_default().to_vec());
                offset = record.offset.0 + 1;
            }
        }
        if offset == from {
            return Ok(found);
        }
    }
}

/// How a node may take a damaged file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    /// Does not start; says the file.
    Refused,
    /// Every record is there, and the next one is taken.
    Whole,
    /// The records before the damage are there; what follows is not there or fails its checksum.
    Part,
    /// The partition answers with this error.
    Error(i16),
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn outcome(data: &Path, file: &str, case: &str) -> Outcome {
    let mut node = match Node::try_start(command(data, &[]), data) {
        Ok(node) => node,
        Err(refused) => {
            let Refused { code, stderr } = &refused;
            assert_eq!(*code, Some(1), "{case}: {stderr}");
            assert!(!stderr.contains("panicked"), "{case}: {stderr}");
            let told = refused.reason().contains(file);
            assert!(told, "{case}: refused without the file's name: {stderr}");
            return Outcome::Refused;
        }
    };
    let found = read(&node);
    node.assert_alive(case);
    let found = match found {
        Ok(found) => found,
        Err(code) => {
            // The partition is not served; its records are still there.
            let kept = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap());
            let kept = kept.filter(|entry| entry.file_name().to_string_lossy().starts_with("t-0"));
            let mut logs = kept.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap());
            let log = |name: &str| name.ends_with(".log");
            let kept = logs.any(|file| log(&file.unwrap().file_name().to_string_lossy()));
            assert!(kept, "{case}: the records are gone");
            return Outcome::Error(code);
        }
    };
    for (offset, value) in &found {
        let number = u8::try_from(*offset).unwrap();
        let bytes = if number < LARGE { VALUE_BYTES } else { 200 };
        assert!(
            value.len() == bytes && value.iter().all(|byte| *byte == number),
            "{case}: {offset}"
        );
    }
    if found.len() < usize::from(LARGE + SMALL) {
        return Outcome::Part;
    }
    let next = node.produce("t", &crate::common::batch(&[b"next"]));
    assert_eq!(next, (0, i64::from(LARGE + SMALL)), "{case}:\n{}", node.log());
    Outcome::Whole
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files below `data` whose relative path starts and ends so, in order.
fn files(data: &Path, folder: &str, end: &str) -> Vec<PathBuf> {
    let folder = data.join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.to_string_lossy().ends_with(end))
        .map(|path| path.strip_prefix(data).unwrap().to_path_buf())
        .collect();
    files.sort();
    files
}

/// Each damage to each file of this kind; what may come of it.
fn check(clean: bool, folder: &str, end: &str, allowed: &[Outcome]) {
    check_some(clean, folder, end, |_| true, allowed);
}

/// The damages whose names `wanted` tells.
fn check_some(clean: bool, folder: &str, end: &str, wanted: fn(&str) -> bool, allowed: &[Outcome]) {
    let whole = written(clean);
    let files = files(&whole.data, folder, end);
    assert!(!files.is_empty(), "no {folder}/*{end}");
    check_files(&whole, &files, &format!("clean={clean}"), wanted, allowed);
}

fn check_files(
    whole: &Place,
    files: &[PathBuf],
    stop: &str,
    wanted: fn(&str) -> bool,
    allowed: &[Outcome],
) {
    let mut wrong = Vec::new();
    for file in files {
        let bytes = std::fs::read(whole.data.join(file)).unwrap();
        let removed = ("removed", None);
        let damages = DAMAGES.iter().map(|(name, damage)| (*name, Some(damage)));
        for (name, damage) in damages.chain([removed]).filter(|(name, _)| wanted(name)) {
            let mut damaged = bytes.clone();
            if let Some(damage) = damage {
                damage(&mut damaged);
                if damaged == bytes {
                    continue;
                }
            }
            let place = Place::new();
            copy(&whole.data, &place.data);
            match damage {
                Some(_) => std::fs::write(place.data.join(file), &damaged).unwrap(),
                None => std::fs::remove_file(place.data.join(file)).unwrap(),
            }
            let case = format!("{} {name}, {stop}", file.display());
            let outcome = outcome(&place.data, &name_of(file), &case);
            if !allowed.contains(&outcome) {
                wrong.push(format!("{case}: {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "allowed is {allowed:?}, but:\n{}", wrong.join("\n"));
}

/// After a clean stop nothing is looked through, as in Kafka: what is damaged is found when it is read, by the server (2 is
/// CORRUPT_MESSAGE) or by the checksum. What the log's end is told by must be whole, else the start is refused.
#[test]
fn segments_after_a_clean_stop() {
    let allowed = [
        Outcome::Part,
        Outcome::Whole,
        Outcome::Error(2),
        // The first segment is gone: OFFSET_OUT_OF_RANGE.
        Outcome::Error(1),
        Outcome::Refused,
    ];
    check(true, "t-0", ".log", &allowed);
}

#[test]
fn segments_after_an_unclean_stop() {
    check(false, "t-0", ".log", &[Outcome::Part, Outcome::Whole, Outcome::Error(1)]);
}

#[test]
fn offset_indexes() {
    check(true, "t-0", ".index", &[Outcome::Whole]);
    check(false, "t-0", ".index", &[Outcome::Whole]);
}

#[test]
fn time_indexes() {
    check(true, "t-0", ".timeindex", &[Outcome::Whole]);
    check(false, "t-0", ".timeindex", &[Outcome::Whole]);
}

#[test]
fn producer_snapshots() {
    check(true, "t-0", ".snapshot", &[Outcome::Whole]);
    check(false, "t-0", ".snapshot", &[Outcome::Whole]);
}

#[test]
fn leader_epochs() {
    check(true, "t-0", "leader-epoch-checkpoint", &[Outcome::Whole, Outcome::Refused]);
    check(false, "t-0", "leader-epoch-checkpoint", &[Outcome::Whole, Outcome::Refused]);
}

#[test]
fn partition_metadata() {
    let allowed = [Outcome::Whole, Outcome::Refused, Outcome::Error(56)];
    check(true, "t-0", "partition.metadata", &allowed);
    check(false, "t-0", "partition.metadata", &allowed);
}

#[test]
fn offset_checkpoints() {
    check(true, "", "-offset-checkpoint", &[Outcome::Whole, Outcome::Refused]);
    check(false, "", "-offset-checkpoint", &[Outcome::Whole, Outcome::Refused]);
}

/// Of a compacted log, as if a cleaner had been there.
#[test]
fn the_cleaners_checkpoint() {
    for clean in [true, false] {
        let whole = written(clean);
        let file = PathBuf::from("cleaner-offset-checkpoint");
        std::fs::write(whole.data.join(&file), "0\n1\nt 0 3\n").unwrap();
        let stop = format!("clean={clean}");
        check_files(&whole, &[file], &stop, |_| true, &[Outcome::Whole]);
    }
}

#[test]
fn the_marker_of_a_clean_stop() {
    check(true, "", ".kafka_cleanshutdown", &[Outcome::Whole]);
}

/// An epoch that a broker can have had, and the metadata log does not reach, says that the log has lost its end.
#[test]
fn a_clean_stop_that_the_metadata_log_does_not_know() {
    let place = written(true);
    let file = ".kafka_cleanshutdown";
    let text = r#"{"version":0,"brokerEpoch":1000000}"#;
    std::fs::write(place.data.join(file), text).unwrap();
    assert_eq!(outcome(&place.data, file, "a later epoch"), Outcome::Refused);
}

#[test]
fn meta_properties() {
    // Its first line is a comment, and a changed cluster.id is as good as any other.
    check(true, "", "meta.properties", &[Outcome::Refused, Outcome::Whole]);
    check(false, "", "meta.properties", &[Outcome::Refused, Outcome::Whole]);
}

#[test]
fn quorum_state() {
    let allowed = [Outcome::Whole, Outcome::Refused];
    check(true, "__cluster_metadata-0", "quorum-state", &allowed);
    check(false, "__cluster_metadata-0", "quorum-state", &allowed);
}

#[test]
fn metadata_snapshots() {
    let allowed = [Outcome::Whole, Outcome::Refused];
    check(true, "__cluster_metadata-0", ".checkpoint", &allowed);
    check(false, "__cluster_metadata-0", ".checkpoint", &allowed);
}

/// A snapshot that the log before it was replaced by.
#[test]
fn newer_metadata_snapshots() {
    let often = [("metadata.log.max.record.bytes.between.snapshots", "100")];
    let whole = written_with(true, &often);
    let newest = files(&whole.data, "__cluster_metadata-0", ".checkpoint").pop().unwrap();
    assert!(!name_of(&newest).starts_with("00000000000000000000-"), "only {}", newest.display());
    check_files(&whole, &[newest], "", |_| true, &[Outcome::Whole, Outcome::Refused]);
}

#[test]
fn transaction_indexes() {
    for clean in [true, false] {
        for content in [&b""[..], &[0; 34], &[0xff; 34], b"garbage"] {
            let place = written(clean);
            let file = "00000000000000000000.txnindex";
            std::fs::write(place.data.join("t-0").join(file), content).unwrap();
            let outcome = outcome(&place.data, file, &format!("{file} {content:?}"));
            assert_eq!(outcome, Outcome::Whole, "{content:?}, clean={clean}");
        }
    }
}

const TAIL: fn(&str) -> bool = |damage| ["last byte flipped", "cut in half"].contains(&damage);

#[test]
fn the_metadata_log() {
    let allowed = [Outcome::Whole, Outcome::Refused];
    check_some(true, "__cluster_metadata-0", ".log", |damage| damage != HALF, &allowed);
    check_some(false, "__cluster_metadata-0", ".log", |damage| !TAIL(damage), &allowed);
}

/// After a clean stop the log must reach the broker's registration, which other files tell of. Where its middle is depends on how long
/// the node ran: a log that ends behind the registration may have lost the topic.
#[test]
fn half_a_metadata_log() {
    let allowed = [Outcome::Whole, Outcome::Refused, Outcome::Error(3)];
    check_some(true, "__cluster_metadata-0", ".log", |damage| damage == HALF, &allowed);
}

/// After an unclean stop, a log that just ends earlier looks like one whose last write was torn, to Kafka as well: the topic may be
/// unknown (3), then its partition is set aside as a stray.
#[test]
fn the_metadata_logs_tail() {
    let allowed = [Outcome::Whole, Outcome::Refused, Outcome::Error(3)];
    check_some(false, "__cluster_metadata-0", ".log", TAIL, &allowed);
}
