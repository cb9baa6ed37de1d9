//! Small files: read whole and bounded, written so that a crash leaves the old or the new content, never a part.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{DirError, Result};
use crate::disk::{Disk, OpenMode};

/// The whole content; `None` when there is no such file. One larger than `max_bytes` is no `what`.
pub(super) fn read(
    disk: &dyn Disk,
    path: &Path,
    what: &'static str,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::ReadOnly) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DirError::io("open", path)(error)),
    };
    let len = file.len().map_err(DirError::io("read", path))?;
    let len = usize::try_from(len).ok().filter(|len| *len <= max_bytes).ok_or_else(|| {
        DirError::invalid(path, what, format!("{len} bytes are more than {max_bytes}"))
    })?;
    let mut content = vec![0; len];
    let read = file.read_at(&mut content, 0).map_err(DirError::io("read", path))?;
    content.truncate(read);
    Ok(Some(content))
}

/// As [`read`] for text.
pub(super) fn read_text(
    disk: &dyn Disk,
    path: &Path,
    what: &'static str,
    max_bytes: usize,
) -> Result<Option<String>> {
    let content = read(disk, path, what, max_bytes)?;
    let text = content.map(String::from_utf8).transpose();
    text.map_err(|_| DirError::invalid(path, what, "it is not UTF-8"))
}

/// Writes beside the file, syncs, and moves into place. The name is durable afterwards, too.
pub(super) fn write(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    let file =
        disk.open(&temporary, OpenMode::CreateEmpty).map_err(DirError::io("create", &temporary))?;
    let written = file.write_at(content, 0);
    if written.is_err() {
        // What it is, the error says. A part of the file only takes space.
        let _ = disk.remove_file(&temporary);
    }
    written.map_err(DirError::io("write", &temporary))?;
    file.sync_data().map_err(DirError::io("sync", &temporary))?;
    drop(file);
    disk.rename(&temporary, path).map_err(DirError::io("rename", &temporary))?;
    sync_parent(disk, path)
}

/// Removes the file if it is there, durably.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let existed = disk.remove_file(path).map_err(DirError::io("remove", path))?;
    if existed {
        sync_parent(disk, path)?;
    }
    Ok(existed)
}

pub(super) fn sync_parent(disk: &dyn Disk, path: &Path) -> Result<()> {
    // The parent of a bare name is the working directory.
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    disk.sync_dir(parent).map_err(DirError::io("sync", parent))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".tmp");
    PathBuf::from(name)
}
