//! The two tasks of an outbound connection: one writes requests, one reads answers.

use std::sync::Arc;
use std::time::Duration;

use protocol::{correlation_id, set_correlation_id};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::{Answer, LinkLimits, Outgoing, Pending, Shared};
use crate::frame::FrameReader;

pub(super) async fn write_requests(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Outgoing>,
    shared: Arc<Shared>,
) {
    let mut next_id = 0i32;
    loop {
        let outgoing = tokio::select! {
            outgoing = queue.recv() => outgoing,
            () = shared.until_closed() => None,
        };
        let Some(Outgoing { mut frame, answer }) = outgoing else { break };
        let correlation_id = next_id;
        next_id = next_id.wrapping_add(1) & i32::MAX;
        set_correlation_id(&mut frame, correlation_id);
        if let Some((answer, place)) = answer {
            let mut pending = shared.pending.lock();
            if *shared.closed.borrow() {
                let _ = answer.send(Err(shared.error()));
                break;
            }
            pending.push_back(Pending { correlation_id, answer, _place: place });
        }
        let written = tokio::select! {
            written = socket.write_all(&frame) => written,
            () = shared.until_closed() => break,
        };
        if let Err(error) = written {
            shared.close(&error.to_string());
            break;
        }
    }
    // Nobody asks any more, or the reader gave up: what still waits in the queue gets the reason.
    shared.close("closed by this side");
    queue.close();
    while let Ok(outgoing) = queue.try_recv() {
        if let Some((answer, _place)) = outgoing.answer {
            let _ = answer.send(Err(shared.error()));
        }
    }
}

pub(super) async fn read_answers(socket: OwnedReadHalf, shared: Arc<Shared>, limits: LinkLimits) {
    let mut reader = FrameReader::new(limits.answer_bytes_max, limits.budget.clone());
    let idle = Duration::from_millis(limits.idle_ms_max.min(1 << 40));
    let reason = loop {
        let frame = tokio::select! {
            frame = tokio::time::timeout(idle, reader.next(socket.as_ref())) => frame,
            () = shared.until_closed() => return,
        };
        let frame = match frame {
            Ok(Ok(Some(frame))) => frame,
            Ok(Ok(None)) => break "the peer closed it".to_owned(),
            Ok(Err(error)) => break error.to_string(),
            Err(_) if shared.pending.lock().is_empty() => break "idle".to_owned(),
            Err(_) => continue, // an answer is awaited; its deadline decides
        };
        let expected = shared.pending.lock().pop_front();
        let Some(pending) = expected else {
            break "the peer sent an answer that nobody asked for".to_owned();
        };
        if correlation_id(&frame.bytes) != Some(pending.correlation_id) {
            let reason = "the peer answered out of order";
            shared.close(reason);
            let _ = pending.answer.send(Err(shared.error()));
            return;
        }
        // The caller may have given up; the answer is then for nobody.
        let answer = Answer { bytes: frame.bytes.freeze(), permit: frame.permit };
        let _ = pending.answer.send(Ok(answer));
    };
    shared.close(&reason);
}
