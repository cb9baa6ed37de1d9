//! Whether a file of the quorum, or a record in its log, can be read, for who looks through a directory. Nothing is taken over, nothing written.

use std::path::Path;

use protocol::metadata_records::MetadataRecord;
use records::Record;
use storage::disk::Disk;

use super::patient::BALLAST_FILE;
use super::snapshot::Reader;
use super::{control, state_file};

/// Reads a file to its end as what its name says. `None` for one that is not the quorum's.
pub fn inspect(disk: &dyn Disk, path: &Path) -> Option<Result<(), String>> {
    let name = path.file_name()?.to_str()?;
    let result = if name == "quorum-state" {
        state_file::read(disk, path).map(|_| ())
    } else if name.ends_with(".checkpoint") {
        Reader::open(disk, path).and_then(|mut records| records.try_for_each(|r| r.map(|_| ())))
    } else if name == BALLAST_FILE {
        Ok(())
    } else {
        return None;
    };
    Some(result.map_err(|fault| fault.to_string()))
}

/// Whether a record of the metadata log is of a known type and version, and whole.
pub fn inspect_record(is_control: bool, record: &Record<'_>) -> Result<(), String> {
    let value = record.value.unwrap_or_default();
    let read = if is_control {
        control::check(record.key.unwrap_or_default(), value)
    } else {
        MetadataRecord::decode_value(value).map(|_| ())
    };
    read.map_err(|fault| fault.to_string())
}
