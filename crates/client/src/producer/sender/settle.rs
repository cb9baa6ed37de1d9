//! What the answers of servers mean for each batch: stored, again, or given up.

use std::sync::Arc;

use protocol::ErrorCode;

use super::Sender;
use crate::backoff;
use crate::error::{Error, Result};
use crate::producer::batch::Batch;
use crate::producer::delivery::Stored;
use crate::producer::request;
use crate::transport::Reply;

impl Sender {
    pub(super) fn answered(&mut self, batches: Vec<Batch>, result: Result<Reply>) {
        let metadata = self.shared.client.metadata();
        let answers = result.and_then(|reply| {
            request::answers(&reply, &metadata).map(|answers| (answers, reply.address().to_owned()))
        });
        for batch in batches {
            let result = match &answers {
                Ok((answers, address)) => {
                    answers.get(&batch.partition).cloned().unwrap_or_else(|| {
                        let what = format!("an answer for {}", batch.partition);
                        Err(Error::Incomplete { what, address: address.clone() })
                    })
                }
                Err(error) => Err(error.clone()),
            };
            if let Some(failure) = self.settle(batch, result) {
                self.records_failed(&failure);
            }
        }
    }

    /// The error of a batch that is given up.
    fn settle(&mut self, batch: Batch, result: Result<Stored>) -> Option<Error> {
        let shared = Arc::clone(&self.shared);
        let now = shared.now();
        let mut accumulator = shared.accumulator.lock();
        let error = match result {
            Ok(stored) => {
                shared.memory.add_permits(accumulator.complete(batch, stored));
                return None;
            }
            Err(error) => error,
        };
        let code = error.code();
        let kept = if code == Some(ErrorCode::MessageTooLarge) {
            accumulator.split(batch)
        } else {
            Some(batch)
        };
        let batch = kept?;
        let sequence = code.filter(|code| {
            use ErrorCode::{OutOfOrderSequenceNumber, UnknownProducerId};
            matches!(code, OutOfOrderSequenceNumber | UnknownProducerId)
        });
        let mendable = match sequence {
            Some(code) => accumulator.out_of_sequence(&batch, code),
            None => error.retriable(),
        };
        let again = mendable
            && batch.attempts < shared.options.retries
            && !accumulator.past_deadline(now, &batch);
        if again {
            tracing::debug!(partition = %batch.partition, %error, "sending a batch again");
            self.refresh_wanted |= sequence.is_none();
            let pause_ms =
                shared.client.options().retry_backoff.after(batch.attempts + 1, backoff::random());
            accumulator.put_back(batch, now.plus_ms(pause_ms), error);
            return None;
        }
        // Only a server that refused it for good has not stored it on an earlier try, either.
        let refused = code.is_some() && !error.retriable();
        shared.memory.add_permits(accumulator.give_up(batch, refused, error.clone()));
        Some(error)
    }
}
