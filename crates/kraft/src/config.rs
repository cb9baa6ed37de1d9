//! What a node is told at its start: its configuration, and what the driver found on disk.

use base::Offset;

use crate::{ControlRecord, ElectionState, LogView, StartError, Voter, VoterHistory, VoterSet};

/// Time-outs of the quorum, by the keys `controller.quorum.*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// `election.timeout.ms`
    pub election_timeout_ms: u64,
    /// `election.backoff.max.ms`
    pub election_backoff_max_ms: u64,
    /// `fetch.timeout.ms`
    pub fetch_timeout_ms: u64,
    /// `request.timeout.ms`
    pub request_timeout_ms: u64,
    /// `retry.backoff.ms`
    pub retry_backoff_ms: u64,
}

impl Default for Times {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            election_timeout_ms: 1_000,
            election_backoff_max_ms: 1_000,
            fetch_timeout_ms: 2_000,
            request_timeout_ms: 2_000,
            retry_backoff_ms: 20,
        }
    }
}

/// What does not change while the process lives.
#[derive(Clone, Debug)]
pub struct Config {
    pub cluster_id: String,
    /// This node as a voter: its id, directory, controller listeners and the levels of `kraft.version` it supports.
    pub local: Voter,
    /// `process.roles` has `controller`: this node may vote and lead. Otherwise it only observes.
    pub can_be_voter: bool,
    /// How many `controller.quorum.bootstrap.servers` there are.
    pub bootstrap_servers: usize,
    /// `controller.quorum.auto.join.enable`
    pub auto_join: bool,
    pub times: Times,
    /// `controller.quorum.fetch.max.bytes`
    pub fetch_max_bytes: i32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub fetch_snapshot_max_bytes: i32,
    /// Source of the random part of election timeouts.
    pub seed: u64,
}

/// What the driver found on disk.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The `quorum-state` file.
    pub election: Option<ElectionState>,
    /// `controller.quorum.voters`; empty when not set.
    pub static_voters: VoterSet,
    pub log: LogView,
    /// Control records of the latest snapshot (at the offset of the last record it contains) and of the log behind it.
    pub control: Vec<(Offset, ControlRecord)>,
}

/// Whether a node with this configuration can have a part in a quorum of these voters.
pub(crate) fn check_voters(config: &Config, history: &VoterHistory) -> Result<(), StartError> {
    let (voters, version) = (history.last().0, history.kraft_version());
    if voters.is_empty() && config.bootstrap_servers == 0 {
        return Err(StartError::NoVoters);
    }
    let local = config.local.key;
    // Nobody else could ever be elected, and nobody could take this directory in.
    if voters.ids() == [local.id] && !voters.is_voter(local) {
        return Err(StartError::OtherDirectory {
            local: local.id,
            directory: local.directory_id.unwrap_or_default(),
        });
    }
    // A static set names every controller; the voters of a log may have become others.
    if config.can_be_voter && !version.is_dynamic() && !voters.is_empty() && !voters.is_voter(local)
    {
        return Err(StartError::NotAVoter { local: local.id, voters: voters.ids() });
    }
    Ok(())
}

pub(crate) fn check_log(log: &LogView) -> Result<(), StartError> {
    let latest = log.latest_snapshot();
    if log.start > Offset::ZERO && latest.is_none_or(|id| id.offset < log.start) {
        return Err(StartError::SnapshotMissing { log_start: log.start.get(), latest });
    }
    Ok(())
}
