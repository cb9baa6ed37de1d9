//! Writing the leader epochs down without the log's lock, before a flush that needs them on the disk.
//!
//! The file is made and takes its place under the lock; its bytes and its name become durable in between and afterwards. What
//! changes the epochs meanwhile makes the work void: the flush then writes them itself.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;

use super::Log;
use super::epochs::Written;
use super::error::{LogError, Result};
use super::names::EPOCH_CHECKPOINT;
use crate::disk::{Disk, DiskFile, OpenMode, is_full};

/// Not the name that is used under the lock: that file may be written at the same time.
const TEMPORARY: &str = "next-leader-epoch-checkpoint.tmp";

/// A checkpoint on its way to the disk.
struct EpochWork {
    file: Arc<dyn DiskFile>,
    text: String,
    written: Written,
}

/// One that has taken its place, and the directory whose names are to be made durable.
struct PlacedEpochs {
    written: Written,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

/// Makes the epochs of a log durable if its next flush would have to, mostly without the lock. On a full disk nothing is done.
///
/// # Errors
/// When the disk failed; the log is offline then.
pub fn store_epochs(log: &RwLock<Log>) -> Result<()> {
    if !log.read().wants_epochs() {
        return Ok(());
    }
    let Some(work) = log.write().begin_epochs()? else { return Ok(()) };
    let written = work.file.write_at(work.text.as_bytes(), 0).and_then(|()| work.file.sync_data());
    let Some(placed) = log.write().place_epochs(&work, written)? else { return Ok(()) };
    let named = placed.disk.sync_dir(&placed.dir);
    log.write().epochs_placed(placed.written, named)
}

impl Log {
    fn wants_epochs(&self) -> bool {
        self.failure.is_none() && self.epochs.needs_store(self.end_offset())
    }

    fn temporary_epochs(&self) -> PathBuf {
        self.path(TEMPORARY)
    }

    fn begin_epochs(&mut self) -> Result<Option<EpochWork>> {
        if !self.wants_epochs() {
            return Ok(None);
        }
        let Some(written) = self.epochs.begin_write() else { return Ok(None) };
        let (text, path) = (self.epochs.to_text(), self.temporary_epochs());
        self.change_if_space(|log| match log.files.disk().open(&path, OpenMode::CreateEmpty) {
            Ok(file) => Ok(Some(EpochWork { file, text, written })),
            Err(error) => {
                log.epochs.end_write();
                if is_full(&error) { Ok(None) } else { Err(LogError::io("create", &path)(error)) }
            }
        })
    }

    fn place_epochs(
        &mut self,
        work: &EpochWork,
        written: io::Result<()>,
    ) -> Result<Option<PlacedEpochs>> {
        self.epochs.end_write();
        // The directory may have another name by now.
        let (temporary, path) = (self.temporary_epochs(), self.path(EPOCH_CHECKPOINT));
        self.change_if_space(|log| {
            let disk = Arc::clone(log.files.disk());
            match written {
                Ok(()) if log.epochs.is_current(work.written) => {
                    disk.rename(&temporary, &path).map_err(LogError::io("replace", &path))?;
                    let written = log.epochs.placed(work.written);
                    let dir = log.files.dir().to_path_buf();
                    return Ok(Some(PlacedEpochs { written, disk, dir }));
                }
                Err(error) if !is_full(&error) => {
                    return Err(LogError::io("write", &temporary)(error));
                }
                _ => {}
            }
            disk.remove_file(&temporary).map_err(LogError::io("remove", &temporary))?;
            Ok(None)
        })
    }

    fn epochs_placed(&mut self, written: Written, named: io::Result<()>) -> Result<()> {
        self.change_if_space(|log| match named {
            Ok(()) => {
                log.epochs.named(written);
                Ok(())
            }
            // The directory has another name by now: the flush does it again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(LogError::io("sync", log.files.dir())(error)),
        })
    }
}
