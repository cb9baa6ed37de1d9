//! The runtime with a toy shard: a map of numbers, written by requests.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use base::Offset;
use base::machine::{Outcome, ReplyId, TimerChange};
use base::time::Now;
use coordinator::testing::TestContext;
use coordinator::{Decision, Effect, Event, Linger, LogRecord, Producer, RuntimeConfig, Shard};
use protocol::{DecodeError, EncodeError, ErrorCode};
use rpds::RedBlackTreeMapSync;

#[derive(Clone, Debug, PartialEq)]
struct Toy {
    map: RedBlackTreeMapSync<u8, u8>,
    fired: u32,
}

fn toy() -> Toy {
    Toy { map: RedBlackTreeMapSync::new_sync(), fired: 0 }
}

#[derive(Clone, Debug)]
enum Ask {
    /// Key, value: `None` deletes.
    Put(Vec<(u8, Option<u8>)>, bool),
    Look(u8),
    Alarm(u64),
    /// What no record holds.
    Mark(u8, u8),
    /// A timer that writes what it is for when it is due.
    Remind(u64, Reminder),
}

/// What timers do, by their key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reminder {
    Silent,
    /// Writes this row.
    Write(Row),
    /// Writes more than a batch can hold, at once.
    TooMuch,
}

type Row = (u8, Option<u8>);

impl Shard for Toy {
    type Request = Ask;
    type Query = u8;
    type Reply = Option<u8>;
    type Timer = Reminder;
    type Record = Row;
    type Duty = Infallible;
    type View = ();

    fn handle(&mut self, now: Now, id: ReplyId, ask: Ask, (): &()) -> Decision<Self> {
        let mut outcome = Outcome { atomic: true, ..Outcome::reply(vec![(id, None)]) };
        match ask {
            Ask::Put(rows, atomic) => {
                outcome.records = rows;
                outcome.atomic = atomic;
            }
            Ask::Look(key) => outcome.reply = vec![(id, self.map.get(&key).copied())],
            Ask::Mark(key, value) => {
                self.map.insert_mut(key, value);
            }
            Ask::Alarm(ms) => {
                outcome.timers =
                    vec![TimerChange::Set { key: Reminder::Silent, at: now.mono.plus_ms(ms) }];
                outcome.records = vec![(255, Some(1))];
            }
            Ask::Remind(ms, key) => {
                outcome.timers = vec![TimerChange::Set { key, at: now.mono.plus_ms(ms) }];
            }
        }
        outcome
    }

    fn query(&self, key: u8, (): &()) -> Option<u8> {
        self.map.get(&key).copied()
    }

    fn on_timer(&mut self, _: Now, timer: Reminder, (): &()) -> Decision<Self> {
        self.fired += 1;
        let records = match timer {
            Reminder::Silent => Vec::new(),
            Reminder::Write(row) => vec![row],
            Reminder::TooMuch => (0..100).map(|key| (key, Some(1))).collect(),
        };
        Outcome::atomic(records, Vec::new())
    }

    fn loaded(&mut self, _: Now, (): &()) -> Decision<Self> {
        Outcome::reply(Vec::new())
    }

    fn replay(&mut self, _: Offset, _: Option<Producer>, (key, value): &Row) {
        match value {
            Some(value) => self.map.insert_mut(*key, *value),
            None => {
                self.map.remove_mut(key);
            }
        }
    }

    fn replay_marker(&mut self, _: Producer, _: bool) {}

    fn encode((key, value): &Row) -> Result<LogRecord, EncodeError> {
        Ok(LogRecord { key: vec![*key], value: value.map(|value| vec![value]) })
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Row>, DecodeError> {
        match key {
            [key] => Ok(Some((*key, value.and_then(<[u8]>::first).copied()))),
            _ => Ok(None),
        }
    }
}

fn context(linger: Linger) -> TestContext<Toy> {
    TestContext::new(toy(), RuntimeConfig { linger, batch_bytes_max: 1_000 }, ())
}

fn put(key: u8, value: u8) -> Ask {
    Ask::Put(vec![(key, Some(value))], true)
}

#[test]
fn replies_wait_for_the_high_watermark_and_queries_see_only_what_is_committed() {
    let mut test = context(Linger::Ms(0));
    test.hold_commits = true;
    let (written, seen) = (test.request(put(1, 7)), test.request(Ask::Look(1)));
    assert!(test.replies.is_empty());
    assert_eq!(test.look(1), Ok(None));
    test.commit();
    assert_eq!(test.replies[&written], Ok(None));
    assert_eq!(test.replies[&seen], Ok(Some(7)));
    assert_eq!(test.look(1), Ok(Some(7)));
}

#[test]
fn a_new_leader_answers_queries_once_all_that_it_found_is_committed() {
    let mut test = context(Linger::Ms(0));
    test.ask(put(1, 1)).unwrap();
    test.ask(put(1, 2)).unwrap();
    test.known_at_load = Some(Offset(1));
    test.hold_commits = true;
    test.reload();
    // The predecessor may have told of the second value.
    assert_eq!(test.look(1), Err(ErrorCode::CoordinatorLoadInProgress));
    test.request(put(1, 3));
    test.event(Event::HighWatermark { to: Offset(2) });
    assert_eq!(test.look(1), Ok(Some(2)));
    test.commit();
    assert_eq!(test.look(1), Ok(Some(3)));
}

#[test]
fn records_are_gathered_as_the_linger_says() {
    // linger, requests, then batches in the log: before Drained, after it, after 10 ms.
    let cases =
        [(Linger::Ms(0), [3, 3, 3]), (Linger::Adaptive, [0, 1, 1]), (Linger::Ms(10), [0, 1, 1])];
    for (linger, [at_once, drained, later]) in cases {
        let mut test = context(linger);
        for key in 0..3 {
            test.request(put(key, key));
        }
        assert_eq!(test.log.len(), at_once, "{linger:?}");
        test.event(Event::Drained);
        assert_eq!(test.log.len(), drained, "{linger:?}");
        test.advance(10);
        assert_eq!(test.log.len(), later, "{linger:?}");
        assert_eq!(test.replies.len(), 3, "{linger:?}");
    }
}

#[test]
fn what_does_not_fit_one_batch_is_split_or_refused() {
    let rows: Vec<Row> = (0..100).map(|key| (key, Some(1))).collect();
    let mut test = context(Linger::Ms(0));
    assert_eq!(test.ask(Ask::Put(rows.clone(), true)), Err(ErrorCode::UnknownServerError));
    assert_eq!((test.runtime.tip(), test.log.len()), (&toy(), 0));
    assert_eq!(test.ask(Ask::Put(rows, false)), Ok(None));
    assert_eq!(test.runtime.tip().map.size(), 100);
    assert!(test.log.len() > 2);
    test.append_error = Some(ErrorCode::NotEnoughReplicas);
    let refused = Ask::Put((0..100).map(|key| (key, None)).collect(), false);
    assert_eq!(test.ask(refused), Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(test.runtime.tip().map.size(), 100);
}

#[test]
fn a_failed_append_takes_back_timers_too() {
    let mut test = context(Linger::Ms(0));
    test.append_error = Some(ErrorCode::NotLeaderOrFollower);
    assert_eq!(test.ask(Ask::Alarm(5)), Err(ErrorCode::NotCoordinator));
    test.advance(10);
    assert_eq!(test.runtime.tip().fired, 0);
    test.append_error = None;
    assert_eq!(test.ask(Ask::Alarm(5)), Ok(None));
    test.advance(10);
    assert_eq!(test.runtime.tip().fired, 1);
}

/// Advances by each span and counts how often timers have fired then.
fn fired_after(test: &mut TestContext<Toy>, spans_ms: &[u64]) -> Vec<u32> {
    let fired = |span: &u64| {
        test.advance(*span);
        test.runtime.tip().fired
    };
    spans_ms.iter().map(fired).collect()
}

#[test]
fn a_timer_whose_records_were_not_appended_comes_again_until_they_are() {
    for linger in [Linger::Adaptive, Linger::Ms(0)] {
        let mut test = context(linger);
        assert_eq!(test.ask(Ask::Remind(5, Reminder::Write((1, Some(7))))), Ok(None));
        test.append_error = Some(ErrorCode::NotEnoughReplicas);
        // What it did is taken back, the count too: it runs at 5, 505 and 1,005 ms.
        assert_eq!(fired_after(&mut test, &[5, 499, 1, 499]), [0; 4], "{linger:?}");
        assert_eq!((test.runtime.tip(), test.log.len()), (&toy(), 0), "{linger:?}");
        test.append_error = None;
        assert_eq!(fired_after(&mut test, &[0, 1, 500, 5_000]), [0, 1, 1, 1], "{linger:?}");
        assert_eq!(test.runtime.committed().map.get(&1), Some(&7), "{linger:?}");
        assert_eq!(test.runtime.deadline(), base::MonoMs::NEVER, "{linger:?}");
    }
}

#[test]
fn a_timer_whose_records_cannot_be_written_comes_again_and_holds_up_nobody() {
    let mut test = context(Linger::Ms(0));
    test.ask(Ask::Remind(5, Reminder::TooMuch)).unwrap();
    test.ask(Ask::Remind(6, Reminder::Write((1, Some(7))))).unwrap();
    assert_eq!(fired_after(&mut test, &[5, 1]), [0, 1]);
    assert_eq!(test.look(1), Ok(Some(7)));
    assert_eq!(test.runtime.deadline(), test.now.mono.plus_ms(499));
    assert_eq!(test.ask(put(2, 2)), Ok(None));
}

#[test]
fn timers_of_every_batch_behind_a_failed_one_come_again() {
    // Both timers come due while an append is on its way: one writes, one only counts on top of what may fail.
    let mut test = context(Linger::Ms(0));
    test.ask(Ask::Remind(5, Reminder::Write((1, Some(7))))).unwrap();
    test.ask(Ask::Remind(6, Reminder::Silent)).unwrap();
    let mut effects = Vec::new();
    let put = Event::Request { id: ReplyId(99), request: put(9, 9) };
    test.runtime.step(test.now, put, &(), &mut effects);
    assert!(matches!(effects[..], [Effect::Append { .. }]));
    test.advance(10);
    assert_eq!((test.runtime.tip().fired, test.log.len()), (2, 0));
    test.event(Event::AppendFailed { error: ErrorCode::RequestTimedOut });
    assert_eq!(test.replies[&ReplyId(99)], Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(test.runtime.tip(), &toy());
    assert_eq!(fired_after(&mut test, &[499, 1]), [0, 2]);
    assert_eq!(test.look(1), Ok(Some(7)));
    assert_eq!(test.look(9), Ok(None));
}

#[test]
fn a_reload_forgets_timers_that_were_to_come_again() {
    let mut test = context(Linger::Ms(0));
    test.ask(Ask::Remind(5, Reminder::Write((1, Some(7))))).unwrap();
    test.append_error = Some(ErrorCode::NotEnoughReplicas);
    test.advance(5);
    test.append_error = None;
    test.reload();
    assert_eq!(test.runtime.deadline(), base::MonoMs::NEVER);
    assert_eq!(fired_after(&mut test, &[1_000]), [0]);
}

#[test]
fn who_does_not_lead_says_so_and_who_waits_is_told() {
    let mut test = context(Linger::Ms(0));
    test.hold_commits = true;
    let waiting = test.request(put(1, 1));
    test.event(Event::Unload);
    assert_eq!(test.replies[&waiting], Err(ErrorCode::NotCoordinator));
    assert_eq!(test.ask(Ask::Look(1)), Err(ErrorCode::NotCoordinator));
    assert_eq!(test.look(1), Err(ErrorCode::NotCoordinator));
    test.reload();
    assert_eq!(test.look(1), Ok(Some(1)));
    test.event(Event::Unload);
    let mut effects = Vec::new();
    let event = Event::Lead { epoch: base::LeaderEpoch(2) };
    test.runtime.step(test.now, event, &(), &mut effects);
    assert_eq!(test.look(1), Err(ErrorCode::CoordinatorLoadInProgress));
    test.event(Event::LoadFailed);
    assert_eq!(test.look(1), Err(ErrorCode::NotCoordinator));
}

/// A small generator of numbers, so that a failing seed can be run again.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What the log says.
fn replayed(log: &[Vec<LogRecord>]) -> RedBlackTreeMapSync<u8, u8> {
    let mut state = toy();
    for record in log.iter().flatten() {
        let row = Toy::decode(&record.key, record.value.as_deref()).unwrap().unwrap();
        state.replay(Offset::ZERO, None, &row);
    }
    state.map
}

#[test]
fn with_failed_appends_and_crashes_the_state_is_what_the_log_says() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let linger = [Linger::Adaptive, Linger::Ms(0), Linger::Ms(3)][rng.below(3) as usize];
        let mut test = context(linger);
        let mut asked = 0;
        for step in 0..120 {
            let error = [None, None, Some(ErrorCode::NotEnoughReplicas)][rng.below(3) as usize];
            test.append_error = error;
            test.hold_commits = rng.below(4) == 0;
            match rng.below(10) {
                0..=5 => {
                    let rows = 1 + rng.below(30);
                    let value = |rng: &mut Rng| (rng.below(3) > 0).then(|| rng.below(250) as u8);
                    let rows = (0..rows).map(|_| (rng.below(20) as u8, value(&mut rng))).collect();
                    test.request(Ask::Put(rows, rng.below(2) == 0));
                    asked += 1;
                }
                6 => test.event(Event::Drained),
                7 => test.advance(rng.below(5)),
                8 => test.commit(),
                _ => {
                    asked = test.replies.len();
                    test.reload();
                }
            }
            if step % 8 != 7 {
                continue;
            }
            test.append_error = None;
            test.event(Event::Drained);
            test.commit();
            let expected = replayed(&test.log);
            assert_eq!(test.runtime.tip().map, expected, "seed {seed} step {step}");
            assert_eq!(test.runtime.committed().map, expected, "seed {seed} step {step}");
            assert_eq!(test.replies.len(), asked, "seed {seed} step {step}");
        }
    }
}

#[test]
fn a_corrupt_batch_stops_the_load_with_its_offset() {
    let record = LogRecord { key: vec![1], value: Some(vec![1]) };
    let mut builder = records::BatchBuilder::new(records::Compression::None);
    builder.append(0, Some(&record.key), record.value.as_deref(), &[]).unwrap();
    let mut bytes = builder.build().unwrap();
    let mut test = context(Linger::Ms(0));
    assert_eq!(test.runtime.load(&bytes, Offset(0), Offset(1)).unwrap(), Offset(1));
    *bytes.last_mut().unwrap() ^= 1;
    let error = test.runtime.load(&bytes, Offset(0), Offset(1)).unwrap_err();
    assert!(error.to_string().contains("after offset 0"), "{error}");
}

#[test]
fn queries_see_what_no_record_holds_once_what_it_rests_on_is_committed() {
    let mut test = context(Linger::Adaptive);
    test.ask(Ask::Mark(1, 1)).unwrap();
    assert_eq!(test.look(1), Ok(Some(1)));
    test.hold_commits = true;
    test.request(Ask::Put(vec![(2, Some(2))], true));
    test.request(Ask::Mark(1, 3));
    test.event(Event::Drained);
    test.request(Ask::Mark(1, 4));
    assert_eq!((test.look(1), test.look(2)), (Ok(Some(1)), Ok(None)));
    test.commit();
    assert_eq!((test.look(1), test.look(2)), (Ok(Some(4)), Ok(Some(2))));
}

#[test]
fn what_is_part_of_a_transaction_has_batches_of_its_own() {
    let mut test = context(Linger::Adaptive);
    let producer = Producer { id: base::ProducerId(7), epoch: base::ProducerEpoch(1) };
    let before = test.request(put(1, 7));
    assert_eq!(test.request_in_transaction(producer, put(2, 8)), Ok(None));
    assert_eq!(test.replies[&before], Ok(None), "what waited goes first");
    let end = test.end_transaction(producer, true, Some(9));
    assert_eq!(test.replies[&end], Ok(Some(9)));
    assert_eq!(test.ask(put(3, 9)), Ok(None));
    assert_eq!(test.log.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 1]);
    let whose = test.transactions.iter();
    let whose: Vec<_> = whose.map(|(at, (who, end))| (*at, *who, end.is_some())).collect();
    assert_eq!(whose, [(1, producer, false), (2, producer, true)]);
}
