//! The file `quorum-state`: one line of JSON, versions 0 (static voters) and 1 (voters in the log).

use std::path::{Path, PathBuf};

use base::{NodeId, Uuid};
use kraft::{ElectionState, ReplicaKey};
use serde_json::Value;
use storage::disk::{Disk, OpenMode};

use super::QuorumError;

/// A real file is below 200 bytes plus 20 for each voter.
const BYTES_MAX: u64 = 64 * 1024;
const VERSION_MAX: i64 = 1;

pub(crate) fn path(metadata_dir: &Path) -> PathBuf {
    metadata_dir.join("quorum-state")
}

/// `None` when there is no such file.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<ElectionState>, QuorumError> {
    let Some(info) = disk.stat(path).map_err(QuorumError::io("look at", path))? else {
        return Ok(None);
    };
    if info.len > BYTES_MAX {
        return Err(QuorumError::damaged(path, format!("{} bytes are too many", info.len)));
    }
    let read = || {
        let file = disk.open(path, OpenMode::ReadOnly)?;
        let mut bytes = vec![0; info.len as usize];
        let count = file.read_at(&mut bytes, 0)?;
        bytes.truncate(count);
        Ok(bytes)
    };
    let bytes = read().map_err(QuorumError::io("read", path))?;
    parse(&bytes).map(Some).map_err(|reason| QuorumError::damaged(path, reason))
}

/// Replaces the file, durably.
pub(crate) fn write(
    disk: &dyn Disk,
    path: &Path,
    state: &ElectionState,
    version: i16,
) -> Result<(), QuorumError> {
    let temp = path.with_file_name("quorum-state.tmp");
    let replace = || {
        let file = disk.open(&temp, OpenMode::CreateEmpty)?;
        file.write_at(render(state, version).as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(&temp, path)?;
        disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    replace().map_err(QuorumError::io("write", path))
}

fn render(state: &ElectionState, version: i16) -> String {
    let leader = state.leader.unwrap_or(NodeId::NONE);
    let voted = state.voted.map_or(NodeId::NONE, |key| key.id);
    let epoch = state.epoch;
    if version == 0 {
        let voter = |id: &NodeId| format!(r#"{{"voterId":{id}}}"#);
        let voters: Vec<String> = state.voters.iter().map(voter).collect();
        format!(
            r#"{{"clusterId":"","leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"appliedOffset":0,"currentVoters":[{}],"data_version":0}}"#,
            voters.join(",")
        )
    } else {
        let directory = state.voted.and_then(|key| key.directory_id).unwrap_or(Uuid::ZERO);
        format!(
            r#"{{"leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted},"votedDirectoryId":"{directory}","data_version":{version}}}"#
        )
    }
}

fn parse(bytes: &[u8]) -> Result<ElectionState, String> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if !value.is_object() {
        return Err("it holds no JSON object".into());
    }
    let number = |key: &str| {
        let number = value.get(key).and_then(Value::as_i64);
        number.ok_or_else(|| format!("{key} is missing or no number"))
    };
    let int = |key: &str| {
        number(key).and_then(|n| i32::try_from(n).map_err(|_| format!("{key} is out of range")))
    };
    let version = number("data_version")?;
    if !(0..=VERSION_MAX).contains(&version) {
        return Err(format!("data_version {version} is not between 0 and {VERSION_MAX}"));
    }
    let some = |id: i32| (id >= 0).then_some(NodeId(id));
    let directory = match value.get("votedDirectoryId").and_then(Value::as_str) {
        Some(text) if version >= 1 => text.parse().map_err(|error| format!("{error}"))?,
        _ => Uuid::ZERO,
    };
    let voters = value.get("currentVoters").and_then(Value::as_array).into_iter().flatten();
    let voters = voters.filter_map(|voter| voter.get("voterId")?.as_i64());
    Ok(ElectionState {
        epoch: int("leaderEpoch")?,
        leader: some(int("leaderId")?),
        voted: some(int("votedId")?).map(|id| ReplicaKey::new(id, directory)),
        voters: voters.filter_map(|id| i32::try_from(id).ok().map(NodeId)).collect(),
    })
}

#[cfg(test)]
mod tests;
