//! A driver whose consensus steps down under it.

use base::NodeId;
use base::machine::Outcome;
use kraft::{Effects, Endpoint, Event, ReplicaKey, VersionRange, Voter, VoterSet};
use metadata::{Committed, Delta};
use protocol::metadata_records::no_op_record::NoOpRecord;
use storage::disk::RealDisk;
use tokio::sync::oneshot;

use super::super::handle::SubmitError;
use super::super::machine::{At, Decision, Random};
use super::*;

/// Answers every request with one record.
struct Scribe {
    tip: Image,
}

impl Machine for Scribe {
    type Request = ();
    type Reply = ();
    type Timer = ();

    fn activate(&mut self, _: At, bootstrap: Vec<MetadataRecord<'static>>) -> Decision<Self> {
        Outcome::atomic(bootstrap, ())
    }

    fn resign(&mut self, committed: Committed) {
        self.tip = committed.image;
    }

    fn handle(&mut self, _: At, (): (), _: Random<'_>) -> Decision<Self> {
        Outcome::atomic(vec![MetadataRecord::NoOp(NoOpRecord::default())], ())
    }

    fn on_timer(&mut self, _: At, (): (), _: Random<'_>) -> Decision<Self> {
        Outcome::reply(())
    }

    fn replay(&mut self, record: &MetadataRecord<'_>, _: Offset) -> Result<(), ReplayError> {
        self.tip.replay(record, &mut Delta::default())
    }

    fn reset(&mut self, committed: Committed) {
        self.tip = committed.image;
    }

    fn tip(&self) -> &Image {
        &self.tip
    }
}

#[test]
fn who_asks_while_consensus_takes_nothing_any_more_is_not_told_that_it_was_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let (id, directory) = (NodeId(1), base::Uuid([7; 16]));
    let endpoint = Endpoint { name: "CONTROLLER".into(), host: "localhost".into(), port: 9093 };
    let mut config = QuorumConfig::new(id, "cluster".into(), dir.path().to_path_buf(), directory);
    config.endpoints = vec![endpoint.clone()];
    config.static_voters = VoterSet::from_iter([Voter {
        key: ReplicaKey { id, directory_id: None },
        endpoints: vec![endpoint],
        kraft_versions: VersionRange { min: 0, max: 0 },
    }]);
    let quorum = start(Arc::new(RealDisk), config, Clock::new(), None, |tip, _| Scribe { tip });
    let mut driver = quorum.expect("it starts").driver;
    let permits = Arc::new(Semaphore::new(2));
    let ask = |driver: &mut Driver<Scribe>| {
        let (answer, reply) = oneshot::channel();
        let permit = Arc::clone(&permits).try_acquire_owned().expect("there are enough");
        driver.take_request((), (answer, permit)).expect("the disk is fine");
        reply
    };

    let end = driver.raft.log().end;
    let mut before = ask(&mut driver);
    assert_eq!(driver.raft.log().end, end.plus(1));
    assert!(before.try_recv().is_err(), "not committed yet");

    // Consensus steps down, and the driver does not know it yet.
    let now = driver.clock.now();
    driver.raft.step(now, Event::Shutdown, &mut Effects::new());
    assert!(driver.active.is_some());
    let mut after = ask(&mut driver);
    assert_eq!(after.try_recv(), Ok(Err(SubmitError::NotController)));
    assert_eq!(driver.raft.log().end, end.plus(1));
    assert!(driver.proposed.is_none());
}
