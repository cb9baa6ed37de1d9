//! One connection: reads frames, hands them to the service, writes responses in the order of the requests.
//!
//! One task does all three. While responses are owed it goes on reading, up to a limit; a peer that closes its side drops the
//! work that waits for it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info};

use super::{Connection, Handled, ReplyFuture, ServerLimits, Service};
use crate::budget::BudgetPermit;
use crate::frame::{Frame, FrameError, FrameReader};
use crate::response::{Response, write_response};

/// Tells the service that the connection is gone, however its task ends.
struct Closing<S: Service> {
    service: Arc<S>,
    connection: Arc<Connection>,
}

impl<S: Service> Drop for Closing<S> {
    fn drop(&mut self) {
        self.service.closed(&self.connection);
    }
}

pub(super) async fn run<S: Service>(
    stream: TcpStream,
    connection: Arc<Connection>,
    service: Arc<S>,
    limits: Arc<ServerLimits>,
    stop: watch::Receiver<bool>,
) {
    let closing = Closing { service: Arc::clone(&service), connection: Arc::clone(&connection) };
    let peer = connection.peer;
    match serve(&stream, connection, service, limits, stop).await {
        Ok(()) => debug!(%peer, "connection closed"),
        Err(FrameError::Io(e)) => debug!(%peer, error = %e, "connection lost"),
        Err(e) => info!(%peer, listener = %closing.connection.listener, "connection closed: {e}"),
    }
}

enum Event {
    Frame(Option<Frame>),
    Owed(Paid),
    Idle,
    Stop,
}

async fn serve<S: Service>(
    stream: &TcpStream,
    connection: Arc<Connection>,
    service: Arc<S>,
    limits: Arc<ServerLimits>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), FrameError> {
    let mut reader = FrameReader::new(limits.request_bytes_max, limits.budget.clone());
    let mut owed: VecDeque<Owed> = VecDeque::new();
    let idle = Duration::from_millis(limits.idle_ms_max.min(1 << 40));
    let mut active = Instant::now();
    let idle_timer = tokio::time::sleep_until(active + idle);
    tokio::pin!(idle_timer);
    let mut reading = true;
    loop {
        if !reading && owed.is_empty() {
            return Ok(());
        }
        let may_read = reading && owed.len() < limits.owed_per_connection_max;
        let event = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop), if reading => Event::Stop,
            response = next_owed(&mut owed), if !owed.is_empty() => Event::Owed(response),
            frame = reader.next(stream), if may_read => Event::Frame(frame?),
            () = &mut idle_timer => Event::Idle,
        };
        match event {
            Event::Frame(None) => return Ok(()),
            Event::Frame(Some(frame)) => {
                active = Instant::now();
                let handled = call(&service, &connection, frame).await;
                match handled {
                    (Handled::Now(Some(response)), _) if owed.is_empty() => {
                        write_response(stream, response, idle).await?;
                    }
                    (Handled::Now(response), _) => {
                        if response.is_some() || !owed.is_empty() {
                            owed.push_back(Owed::Ready(response));
                        }
                    }
                    (Handled::Later(reply), permit) => {
                        owed.push_back(Owed::Waiting { reply, _permit: permit })
                    }
                    (Handled::Waiting(reply), permit) => {
                        drop(permit);
                        owed.push_back(Owed::Waiting { reply, _permit: BudgetPermit::default() });
                    }
                    (Handled::Close, _) => return Ok(()),
                }
            }
            Event::Owed(Paid::Response(response)) => {
                active = Instant::now();
                write_response(stream, response, idle).await?;
            }
            Event::Owed(Paid::Nothing) => {}
            // An answer that was owed and cannot be given: the peer must not wait for it.
            Event::Owed(Paid::Broken) => return Ok(()),
            Event::Idle if owed.is_empty() && active.elapsed() >= idle => {
                debug!(peer = %connection.peer, "closing idle connection");
                return Ok(());
            }
            Event::Idle => {
                let from = if owed.is_empty() { active } else { Instant::now() };
                idle_timer.as_mut().reset(from + idle);
            }
            Event::Stop => reading = false,
        }
    }
}

async fn call<S: Service>(
    service: &Arc<S>,
    connection: &Arc<Connection>,
    mut frame: Frame,
) -> (Handled, BudgetPermit) {
    // The permit outlives the frame where the response is owed: its memory is still ours.
    let permit = std::mem::take(&mut frame.permit);
    (Arc::clone(service).call(Arc::clone(connection), frame).await, permit)
}

enum Owed {
    Ready(Option<Response>),
    Waiting { reply: ReplyFuture, _permit: BudgetPermit },
}

/// What became of an owed response.
enum Paid {
    Response(Response),
    /// The request has no response.
    Nothing,
    Broken,
}

/// Completes with the response of the oldest owed request, which then leaves the queue.
fn next_owed(owed: &mut VecDeque<Owed>) -> NextOwed<'_> {
    NextOwed(owed)
}

struct NextOwed<'a>(&'a mut VecDeque<Owed>);

impl Future for NextOwed<'_> {
    type Output = Paid;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.0.front_mut() {
            None => return Poll::Pending,
            Some(Owed::Ready(response)) => response.take().map_or(Paid::Nothing, Paid::Response),
            Some(Owed::Waiting { reply, .. }) => match reply.as_mut().poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(response) => response.map_or(Paid::Broken, Paid::Response),
            },
        };
        self.0.pop_front();
        Poll::Ready(response)
    }
}
