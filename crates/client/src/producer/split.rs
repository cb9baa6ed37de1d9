//! A batch that a server finds too large goes in two halves, again and again down to single records.

use std::sync::Arc;

use records::batch::increment_sequence;
use records::builder::BatchBuilder;
use records::{AnyBatch, Header};

use super::accumulator::{Accumulator, Batch, Limits, key};
use super::delivery::{Completion, Outcome};

/// No batch of this client holds more when it is decompressed: its own limit of a batch is far below.
const MAX_DECOMPRESSED: usize = 1 << 30;

impl Accumulator {
    /// Cuts a batch that came back. Both parts wait in its place, with its sequences. Gives it back when it cannot
    /// be cut: it holds one record.
    #[must_use]
    pub fn split(&mut self, batch: Batch) -> Option<Batch> {
        let room = batch.order_room / 2;
        let halves =
            if batch.records > 1 && room > 0 { halves(&batch, &self.limits) } else { None };
        let Some([first, second]) = halves else { return Some(batch) };
        self.landed(&batch);
        self.completions.remove(&key(&batch.completion));
        let at = first.count();
        let permits = batch.permits / 2;
        let part = |builder: BatchBuilder, permits: u32, from: i32, order: u64| Batch {
            partition: batch.partition.clone(),
            completion: Arc::<Completion>::default(),
            permits,
            attempts: batch.attempts,
            last_error: batch.last_error.clone(),
            records: builder.count(),
            builder,
            bytes: None,
            created: batch.created,
            order: batch.order.map(|first| first + order),
            order_room: room,
            sequence: batch.sequence.map(|first| increment_sequence(first, from)),
            identity: batch.identity,
        };
        let first = part(first, permits, 0, 0);
        let second = part(second, batch.permits - permits, at, room);
        let outcome = Outcome::Split {
            at: i64::from(at),
            first: Arc::clone(&first.completion),
            second: Arc::clone(&second.completion),
        };
        let queue = self.queues.entry(batch.partition.clone()).or_default();
        for part in [first, second] {
            self.completions.insert(key(&part.completion), Arc::clone(&part.completion));
            queue.insert(part);
        }
        batch.completion.set(outcome);
        None
    }
}

/// The records of a built batch in two builders. None for bytes that cannot be read, which were never built here.
fn halves(batch: &Batch, limits: &Limits) -> Option<[BatchBuilder; 2]> {
    let bytes = batch.bytes.as_deref()?;
    let any = AnyBatch::parse(bytes).ok()??;
    let mut buffer = Vec::new();
    let middle = batch.records / 2;
    let mut parts = [limits.builder(), limits.builder()];
    for (index, record) in (0..).zip(any.records(&mut buffer, MAX_DECOMPRESSED).ok()?) {
        let record = record.ok()?;
        let headers: Vec<Header<'_>> = record.headers.iter().collect();
        let part = parts.get_mut(usize::from(index >= middle))?;
        part.append(record.timestamp, record.key, record.value, &headers).ok()?;
    }
    Some(parts)
}
