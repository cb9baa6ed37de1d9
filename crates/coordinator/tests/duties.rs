//! Duties of a toy shard: open jobs, which records begin and end.
#![allow(clippy::unwrap_used)]

use base::Offset;
use base::machine::{Outcome, ReplyId};
use base::time::Now;
use coordinator::testing::TestContext;
use coordinator::{Decision, Event, Linger, LogRecord, Producer, RuntimeConfig, Shard};
use protocol::{DecodeError, EncodeError, ErrorCode};
use rpds::RedBlackTreeMapSync;

#[derive(Clone)]
struct Jobs {
    open: RedBlackTreeMapSync<u64, u8>,
    last: u64,
}

#[derive(Clone, Copy)]
enum Job {
    Begin(u8),
    End(u8),
}

impl Shard for Jobs {
    type Request = Job;
    type Query = ();
    type Reply = ();
    type Timer = ();
    type Record = Job;
    type Duty = u8;
    type View = ();

    fn handle(&mut self, _: Now, id: ReplyId, job: Job, (): &()) -> Decision<Self> {
        Outcome::atomic(vec![job], vec![(id, ())])
    }

    fn query(&self, (): (), (): &()) {}

    fn on_timer(&mut self, _: Now, (): (), (): &()) -> Decision<Self> {
        Outcome::reply(Vec::new())
    }

    fn loaded(&mut self, _: Now, (): &()) -> Decision<Self> {
        Outcome::reply(Vec::new())
    }

    fn duties(&self, after: u64) -> Vec<(u64, u8)> {
        self.open.range(after + 1..).map(|(number, job)| (*number, *job)).collect()
    }

    fn replay(&mut self, _: Offset, _: Option<Producer>, job: &Job) {
        match job {
            Job::Begin(job) => {
                self.last += 1;
                self.open.insert_mut(self.last, *job);
            }
            Job::End(ended) => {
                let open = self.open.iter().filter(|(_, job)| *job != ended);
                self.open = open.map(|(number, job)| (*number, *job)).collect();
            }
        }
    }

    fn replay_marker(&mut self, _: Producer, _: bool) {}

    fn encode(job: &Job) -> Result<LogRecord, EncodeError> {
        let (key, value) = match job {
            Job::Begin(job) => (*job, Some(vec![*job])),
            Job::End(job) => (*job, None),
        };
        Ok(LogRecord { key: vec![key], value })
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Job>, DecodeError> {
        let job = |key: &u8| if value.is_some() { Job::Begin(*key) } else { Job::End(*key) };
        Ok(key.first().map(job))
    }
}

fn context() -> TestContext<Jobs> {
    let blank = Jobs { open: RedBlackTreeMapSync::new_sync(), last: 0 };
    let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1_000 };
    TestContext::new(blank, config, ())
}

fn told(test: &mut TestContext<Jobs>) -> Vec<u8> {
    std::mem::take(&mut test.duties)
}

#[test]
fn a_duty_is_told_once_when_its_record_is_committed() {
    let mut test = context();
    test.hold_commits = true;
    test.request(Job::Begin(1));
    test.event(Event::Drained);
    test.request(Job::Begin(2));
    assert_eq!(told(&mut test), []);
    test.commit();
    assert_eq!(told(&mut test), [1]);
    test.event(Event::Drained);
    test.commit();
    assert_eq!(told(&mut test), [2]);
    test.request(Job::End(1));
    test.event(Event::Drained);
    test.commit();
    assert_eq!(told(&mut test), []);
}

#[test]
fn a_failed_append_asks_for_nothing() {
    let mut test = context();
    test.append_error = Some(ErrorCode::NotEnoughReplicas);
    test.request(Job::Begin(1));
    test.event(Event::Drained);
    test.append_error = None;
    test.ask(Job::Begin(2)).unwrap();
    assert_eq!(told(&mut test), [2]);
}

#[test]
fn a_new_leader_is_told_what_is_open_once_all_that_it_found_is_committed() {
    let mut test = context();
    for job in [Job::Begin(1), Job::Begin(2), Job::End(1)] {
        test.ask(job).unwrap();
    }
    test.duties.clear();
    // The last record is there, and nobody knows yet whether it is committed.
    test.known_at_load = Some(Offset(2));
    test.reload();
    assert_eq!(told(&mut test), []);
    test.commit();
    assert_eq!(told(&mut test), [2]);
    test.ask(Job::Begin(3)).unwrap();
    assert_eq!(told(&mut test), [3]);
}

#[test]
fn who_stops_to_lead_has_no_duties() {
    let mut test = context();
    test.ask(Job::Begin(1)).unwrap();
    test.event(Event::Unload);
    assert_eq!(told(&mut test), []);
}
