//! Snapshot files: a header, the voters, the records of an image, a footer; in batches, from offset 0.

use std::path::{Path, PathBuf};

use base::{LeaderEpoch, Offset, WallMs};
use kraft::{ControlRecord, KRaftVersion, SnapshotId, VoterSet};
use protocol::messages::snapshot_footer_record::SnapshotFooterRecord;
use protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use protocol::metadata_records::MetadataRecord;
use protocol::{decode_exact, encode_to_vec};
use records::control::quorum_batch;
use records::{BatchBuilder, Batches, Codec, ControlType, Tail, record};
use storage::disk::{Disk, DiskFile, OpenMode};

use super::{QuorumError, control};

/// Kafka's largest batch in the metadata log and in snapshots.
pub(crate) const BATCH_BYTES_MAX: usize = 8 << 20;
/// A batch is closed when it has grown to this, so that a snapshot is read in small pieces.
const BATCH_BYTES_WANTED: usize = 1 << 20;
/// Cap when a compressed batch is opened.
pub(super) const DECOMPRESSED_MAX: usize = 64 << 20;
/// Version of header and footer.
const VERSION: i16 = 0;

/// What a snapshot file says.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Time of the last record that the snapshot stands for.
    pub(crate) last_contained: WallMs,
    pub(crate) control: Vec<ControlRecord>,
    pub(crate) records: Vec<MetadataRecord<'static>>,
}

/// The parts of a snapshot that are not metadata records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotHead<'a> {
    pub(crate) id: SnapshotId,
    pub(crate) last_contained: WallMs,
    pub(crate) kraft_version: KRaftVersion,
    /// Only from `kraft.version` 1 on.
    pub(crate) voters: Option<&'a VoterSet>,
}

pub(crate) fn path(dir: &Path, id: SnapshotId) -> PathBuf {
    dir.join(id.file_name())
}

/// Writes the file under a temporary name, makes it durable, gives it its name. Returns its size.
/// `unique` keeps two writers of the same snapshot apart.
pub(crate) fn write<'r>(
    disk: &dyn Disk,
    dir: &Path,
    head: SnapshotHead<'_>,
    records: impl Iterator<Item = (MetadataRecord<'r>, i16)>,
    now: WallMs,
    unique: u64,
) -> Result<u64, QuorumError> {
    let target = path(dir, head.id);
    let stem = head.id.file_name().trim_end_matches(".checkpoint").to_owned();
    let part = dir.join(format!("{stem}-{unique}.checkpoint.part"));
    disk.create_dir(dir).map_err(QuorumError::io("create", dir))?;
    let file = disk.open(&part, OpenMode::CreateEmpty).map_err(QuorumError::io("create", &part))?;
    let written = Output { file: &*file, path: &part, position: 0 }.all(head, records, now);
    let finish = |bytes: u64| {
        let steps = || {
            file.sync_data()?;
            disk.rename(&part, &target)?;
            disk.sync_dir(dir)
        };
        steps().map_err(QuorumError::io("finish", &part))?;
        Ok(bytes)
    };
    let result = written.and_then(finish);
    if result.is_err() {
        // The error is what matters; the next start removes leftovers, too.
        let _ = disk.remove_file(&part);
    }
    result
}

struct Output<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    position: u64,
}

impl Output<'_> {
    fn all<'r>(
        mut self,
        head: SnapshotHead<'_>,
        records: impl Iterator<Item = (MetadataRecord<'r>, i16)>,
        now: WallMs,
    ) -> Result<u64, QuorumError> {
        let epoch = LeaderEpoch(head.id.epoch);
        let mut offset = self.put_head(head, epoch, now)?;
        let builder =
            |offset| BatchBuilder::new(Codec::None).base_offset(offset).leader_epoch(epoch);
        let mut batch = builder(offset);
        for (record, version) in records {
            let value = record.encode_value(version)?;
            if !batch.is_empty() && batch.uncompressed_size() + value.len() > BATCH_BYTES_WANTED {
                self.put(&batch.build()?)?;
                batch = builder(batch.next_offset());
            }
            batch.append(now.0, None, Some(&value), &[])?;
        }
        if !batch.is_empty() {
            offset = batch.next_offset();
            self.put(&batch.build()?)?;
        }
        let footer = SnapshotFooterRecord { version: VERSION, ..Default::default() };
        let footer = encode_to_vec(&footer, VERSION)?;
        self.put(&quorum_batch(offset, epoch, now.0, &[(ControlType::SnapshotFooter, &footer)])?)?;
        Ok(self.position)
    }

    fn put_head(
        &mut self,
        head: SnapshotHead<'_>,
        epoch: LeaderEpoch,
        now: WallMs,
    ) -> Result<Offset, QuorumError> {
        let header = SnapshotHeaderRecord {
            version: VERSION,
            last_contained_log_timestamp: head.last_contained.0,
            ..Default::default()
        };
        let mut parts = vec![(ControlType::SnapshotHeader, encode_to_vec(&header, VERSION)?)];
        if head.kraft_version.is_dynamic() {
            parts.push(control::encode(&ControlRecord::KRaftVersion(head.kraft_version))?);
            if let Some(voters) = head.voters {
                parts.push(control::encode(&ControlRecord::Voters(voters.clone()))?);
            }
        }
        let slices: Vec<_> = parts.iter().map(|(kind, body)| (*kind, body.as_slice())).collect();
        self.put(&quorum_batch(Offset::ZERO, epoch, now.0, &slices)?)?;
        Ok(Offset::ZERO.plus(parts.len() as i64))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), QuorumError> {
        self.file.write_at(bytes, self.position).map_err(QuorumError::io("write", self.path))?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}

/// Reads a whole snapshot, checking every checksum, that it begins with a header and ends with a footer.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Snapshot, QuorumError> {
    let load = || {
        let file = disk.open(path, OpenMode::ReadOnly)?;
        let mut bytes = vec![0; file.len()? as usize];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    };
    let bytes: Vec<u8> = load().map_err(QuorumError::io("read", path))?;
    Reading::default().all(&bytes, path)
}

#[derive(Default)]
struct Reading {
    snapshot: Snapshot,
    seen: u64,
    footer: bool,
}

impl Reading {
    fn all(mut self, bytes: &[u8], path: &Path) -> Result<Snapshot, QuorumError> {
        let mut batches = Batches::new(bytes);
        for batch in batches.by_ref() {
            let batch = batch.map_err(QuorumError::records(path))?;
            batch.check_crc().map_err(QuorumError::records(path))?;
            let header = batch.v2().ok_or_else(|| QuorumError::damaged(path, "an old batch"))?;
            let mut buffer = Vec::new();
            let body = record::decompressed(batch.bytes(), &mut buffer, DECOMPRESSED_MAX);
            let body = body.map_err(QuorumError::records(path))?;
            let is_control = header.attributes.is_control();
            for record in record::Records::new(header, body).map_err(QuorumError::records(path))? {
                let record = record.map_err(QuorumError::records(path))?;
                if self.footer {
                    return Err(QuorumError::damaged(path, "records follow the footer"));
                }
                let value = record.value.unwrap_or_default();
                if is_control {
                    self.control(record.key.unwrap_or_default(), value, path)?;
                } else if self.seen == 0 {
                    return Err(QuorumError::damaged(path, "it does not begin with a header"));
                } else {
                    let record = MetadataRecord::decode_value(value);
                    let record = record.map_err(QuorumError::decode(path))?.into_owned();
                    self.snapshot.records.push(record);
                }
                self.seen += 1;
            }
        }
        match batches.tail() {
            Tail::Clean if self.footer => Ok(self.snapshot),
            Tail::Clean => Err(QuorumError::damaged(path, "it does not end with a footer")),
            _ => Err(QuorumError::damaged(path, "its last batch is cut")),
        }
    }

    fn control(&mut self, key: &[u8], value: &[u8], path: &Path) -> Result<(), QuorumError> {
        match (ControlType::from_key(key), self.seen) {
            (Some(ControlType::SnapshotHeader), 0) => {
                let header: SnapshotHeaderRecord =
                    decode_exact(value, VERSION).map_err(QuorumError::decode(path))?;
                self.snapshot.last_contained = WallMs(header.last_contained_log_timestamp);
            }
            (_, 0) => return Err(QuorumError::damaged(path, "it does not begin with a header")),
            (Some(ControlType::SnapshotFooter), _) => self.footer = true,
            _ => {
                let record = control::decode(key, value).map_err(QuorumError::decode(path))?;
                self.snapshot.control.extend(record);
            }
        }
        Ok(())
    }
}

/// Time of the last record that the snapshot stands for, from its first batch alone.
pub(crate) fn last_contained(disk: &dyn Disk, path: &Path) -> Result<WallMs, QuorumError> {
    /// A header batch is about 80 bytes, with the voters some kilobytes.
    const HEAD_BYTES: usize = 256 << 10;
    let load = || {
        let file = disk.open(path, OpenMode::ReadOnly)?;
        let mut bytes = vec![0; HEAD_BYTES];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    };
    let bytes: Vec<u8> = load().map_err(QuorumError::io("read", path))?;
    let missing = || QuorumError::damaged(path, "it does not begin with a header");
    let batch = Batches::new(&bytes).next().ok_or_else(missing)?;
    let batch = batch.map_err(QuorumError::records(path))?;
    let header = batch.v2().filter(|header| header.attributes.is_control()).ok_or_else(missing)?;
    let mut records = record::Records::new(header, record::body(batch.bytes()))
        .map_err(QuorumError::records(path))?;
    let first = records.next().ok_or_else(missing)?.map_err(QuorumError::records(path))?;
    let mut reading = Reading::default();
    reading.control(first.key.unwrap_or_default(), first.value.unwrap_or_default(), path)?;
    Ok(reading.snapshot.last_contained)
}
