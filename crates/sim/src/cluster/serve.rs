//! What a broker answers to replicas and clients.

use base::{LeaderEpoch, MonoMs, Offset};
use metadata::Image;
use replication::{Event, FollowerLog, Position, Refusal};

use super::context::Context;
use super::message::{Ask, CallId, Part, Tell};
use super::part_log::PartLog;
use super::replica::{Appended, Known, Refused, Replica};
use super::replicas::{Logs, Parked, Replicas};
use super::tamper::Tamper;

/// Records in an answer.
const RECORDS_MAX: u64 = 8;
/// How long a producer with acks=all waits.
const PRODUCE_MS: u64 = 2_000;
/// How long a fetch waits for something new.
const PARK_MS: u64 = 400;

impl Replicas {
    pub fn serve(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        call: CallId,
        ask: Ask,
    ) {
        let tell = match ask {
            Ask::Replicate { replica, broker_epoch, parts } => {
                let until = cx.now.mono.plus_ms(PARK_MS);
                let fetch = Parked { replica, broker_epoch, parts, until };
                return self.replicate(cx, logs, image, call, fetch);
            }
            Ask::LogBound { partition, epoch, end } => {
                let found = self.by_id.get(&partition).zip(logs.get(&partition));
                let bound = found.ok_or(Refused::NotLeader).and_then(|(replica, log)| {
                    replica.check_epoch(epoch)?;
                    Ok(if end { log.end() } else { log.start() })
                });
                Tell::LogBound(bound)
            }
            Ask::Produce { partition, value, sequence, all } => {
                let found = self.by_id.get_mut(&partition).zip(logs.get_mut(&partition));
                let Some((replica, log)) = found else {
                    return cx.reply(call, Tell::Produced(Err(Refused::NotLeader)));
                };
                self.news = true;
                match replica.append(cx, log, image, (value, sequence, all)) {
                    Ok(Appended::At(offset) | Appended::Duplicate(offset))
                        if all && !cx.is(Tamper::AnswersEarly) =>
                    {
                        let deadline: MonoMs = cx.now.mono.plus_ms(PRODUCE_MS);
                        return replica.waiting.park(offset.plus(1), deadline, (call, offset));
                    }
                    Ok(Appended::At(offset) | Appended::Duplicate(offset)) => {
                        Tell::Produced(Ok(offset))
                    }
                    Err(refused) => Tell::Produced(Err(refused)),
                }
            }
            Ask::Read { partition, epoch, offset, last_epoch } => {
                let found = self.by_id.get(&partition).zip(logs.get(&partition));
                let read = found.ok_or(Refused::NotLeader).and_then(|(replica, log)| {
                    replica.check_epoch(epoch)?;
                    if let Some(Part::Diverging { end, .. }) = parting(log, offset, last_epoch) {
                        return Err(Refused::Diverging(end));
                    }
                    if offset > log.end() || offset < log.start() {
                        return Err(Refused::OutOfRange);
                    }
                    let max = 1 + cx.rng.below(RECORDS_MAX);
                    let max = usize::try_from(max).unwrap_or(1);
                    Ok(log.read(offset, log.high_watermark(), max))
                });
                Tell::Read(read)
            }
            Ask::Metadata => Tell::Metadata(Box::new(image.clone())),
            Ask::Raft(_) | Ask::Controller(_) | Ask::Group(_) => return,
        };
        cx.reply(call, tell);
    }
}

impl Replicas {
    /// A follower fetches: it is answered when there is something, or late.
    fn replicate(
        &mut self,
        cx: &mut Context<'_>,
        logs: &mut Logs,
        image: &Image,
        call: CallId,
        fetch: Parked,
    ) {
        let mut answers = Vec::new();
        let mut nothing = true;
        for (id, at) in &fetch.parts {
            let part = match (self.by_id.get_mut(id), logs.get_mut(id)) {
                (Some(found), Some(log)) => {
                    let before = log.high_watermark();
                    let who = (fetch.replica, fetch.broker_epoch);
                    let part = found.replicate(cx, log, image, who, at);
                    self.news |= log.high_watermark() > before;
                    part
                }
                _ => Part::Refused(Refusal::Retry),
            };
            nothing &= matches!(&part, Part::Records { records, .. } if records.is_empty());
            answers.push((*id, *at, part));
        }
        if nothing && fetch.until > cx.now.mono {
            self.parked.insert(call, fetch);
        } else {
            cx.reply(call, Tell::Replicate(answers));
        }
    }

    /// Looks at the fetches that wait again, when there is something new or they have waited long.
    pub fn wake(&mut self, cx: &mut Context<'_>, logs: &mut Logs, image: &Image) {
        let news = std::mem::take(&mut self.news);
        let due = |_: &CallId, fetch: &mut Parked| news || fetch.until <= cx.now.mono;
        let due: Vec<(CallId, Parked)> = self.parked.extract_if(.., due).collect();
        for (call, fetch) in due {
            // Followers are told of a new watermark by an answer without records.
            let until = cx.now.mono;
            self.replicate(cx, logs, image, call, Parked { until, ..fetch });
        }
    }
}

/// Where the log parts from that of a reader, which has everything before `offset` and a last record of that epoch.
fn parting(log: &PartLog, offset: Offset, last_epoch: LeaderEpoch) -> Option<Part> {
    if !last_epoch.is_some() {
        return None;
    }
    match log.end_of_epoch(last_epoch) {
        None => Some(Part::Refused(Refusal::OutOfRange)),
        Some((epoch, end)) if epoch < last_epoch || end < offset => {
            Some(Part::Diverging { epoch, end })
        }
        Some(_) => None,
    }
}

impl Replica {
    /// A follower fetches.
    fn replicate(
        &mut self,
        cx: &mut Context<'_>,
        log: &mut PartLog,
        image: &Image,
        (replica, broker_epoch): (base::NodeId, base::BrokerEpoch),
        at: &Position,
    ) -> Part {
        let epoch = if cx.is(Tamper::ForgetsEpochs) { LeaderEpoch::NONE } else { at.leader_epoch };
        match self.check_epoch(epoch) {
            Ok(()) => {}
            Err(Refused::Fenced) => return Part::Refused(Refusal::Fenced),
            Err(_) => return Part::Refused(Refusal::Retry),
        }
        let Some(leader) = self.leader() else { return Part::Refused(Refusal::Retry) };
        if leader.check_fetch(replica, broker_epoch, &Known(image)).is_err() {
            return Part::Refused(Refusal::Retry);
        }
        if at.offset < log.start() {
            return Part::Refused(Refusal::OutOfRange);
        }
        let last_epoch =
            if cx.is(Tamper::ForgetsEpochs) { LeaderEpoch::NONE } else { at.last_fetched_epoch };
        if let Some(part) = parting(log, at.offset, last_epoch) {
            return part;
        }
        if at.offset > log.end() {
            return Part::Refused(Refusal::OutOfRange);
        }
        let max = usize::try_from(1 + cx.rng.below(RECORDS_MAX)).unwrap_or(1);
        let records = log.read(at.offset, log.end(), max);
        let fetched = Event::FollowerFetched {
            replica,
            fetch_offset: at.offset,
            log_start: at.log_start,
            broker_epoch,
        };
        self.step(cx, log, image, fetched);
        let (high_watermark, log_start): (Offset, Offset) = (log.high_watermark(), log.start());
        Part::Records { records, high_watermark, log_start }
    }
}
