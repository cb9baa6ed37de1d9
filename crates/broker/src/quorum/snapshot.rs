//! Snapshot files: a header, the voters, the records of an image, a footer; in batches, from offset 0.

mod read;

use std::path::{Path, PathBuf};

use base::{LeaderEpoch, Offset, WallMs};
use kraft::{ControlRecord, KRaftVersion, SnapshotId, VoterSet};
use protocol::encode_to_vec;
use protocol::messages::snapshot_footer_record::SnapshotFooterRecord;
use protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use protocol::metadata_records::MetadataRecord;
use records::control::quorum_batch;
use records::{BatchBuilder, Codec, ControlType};
use storage::disk::{Disk, DiskFile, OpenMode};

use super::{QuorumError, control};
pub(crate) use read::{Head, Reader};

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
    let mut reader = Reader::open(disk, path)?;
    let records = reader.by_ref().collect::<Result<_, _>>()?;
    let Head { last_contained, control } = reader.into_head();
    Ok(Snapshot { last_contained, control, records })
}

/// Time of the last record that the snapshot stands for, from its first batch alone.
pub(crate) fn last_contained(disk: &dyn Disk, path: &Path) -> Result<WallMs, QuorumError> {
    Ok(Reader::open(disk, path)?.first()?.last_contained)
}
