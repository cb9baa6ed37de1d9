//! One connection through the proxy: both ways, frame by frame, with what the faults make of them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::Way;
use crate::frame::{self, Header};
use crate::table::{Faults, Lose, Verdict};

/// Frames that wait for their latency; a connection with more stops reading.
const FRAMES_WAITING_MAX: usize = 1024;

/// Why a connection ends.
enum End {
    Closed,
    Reset,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// A request that was passed on and may be answered.
struct Asked {
    header: Header,
    /// The answer to a repeated request is nobody's.
    unheard: bool,
}

/// What both ways of a connection share.
struct Shared {
    link: Arc<str>,
    target: SocketAddr,
    faults: Arc<Faults>,
    asked: Mutex<VecDeque<Asked>>,
}

struct Arrived {
    at: Instant,
    frame: Vec<u8>,
}

/// Runs a connection to its end.
pub(crate) async fn run(
    link: Arc<str>,
    target: SocketAddr,
    faults: Arc<Faults>,
    mut client: TcpStream,
    mut resets: watch::Receiver<u64>,
) {
    if faults.refuses(&link) {
        reset(&client);
        return;
    }
    // A request that cannot get through is not even the first packet of a connection.
    faults.passable(&link, Way::Request).await;
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let shared = Shared { link, target, faults, asked: Mutex::default() };
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                pump(&shared, Way::Request, from_client, to_server),
                pump(&shared, Way::Response, from_server, to_client),
            )
            .err()
            .unwrap_or(End::Closed)
        };
        tokio::select! {
            end = both => end,
            _ = resets.changed() => End::Reset,
        }
    };
    if matches!(end, End::Reset) {
        reset(&client);
        reset(&server);
    }
}

/// What is closed from now on is closed with a reset.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
}

async fn pump(shared: &Shared, way: Way, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), End> {
    let (sender, receiver) = mpsc::channel(FRAMES_WAITING_MAX);
    tokio::try_join!(read(from, sender), write(shared, way, receiver, to)).map(|_| ())
}

async fn read(mut from: ReadHalf<'_>, sender: mpsc::Sender<Arrived>) -> Result<(), End> {
    while let Some(frame) = frame::read(&mut from).await? {
        sender.send(Arrived { at: Instant::now(), frame }).await.map_err(|_| End::Closed)?;
    }
    Ok(())
}

async fn write(
    shared: &Shared,
    way: Way,
    mut receiver: mpsc::Receiver<Arrived>,
    mut to: WriteHalf<'_>,
) -> Result<(), End> {
    while let Some(Arrived { at, frame }) = receiver.recv().await {
        let header = match way {
            Way::Request => Header::of_request(&frame),
            Way::Response => match shared.answered(&frame) {
                Some(asked) if asked.unheard => continue,
                Some(asked) => asked.header,
                None => Header::of_response(&frame),
            },
        };
        sleep_until(at + shared.faults.shape(&shared.link, way).latency).await;
        let verdict = shared.faults.verdict(&shared.link, way, &header);
        if verdict.reset {
            return Err(End::Reset);
        }
        shared.wait(&verdict).await;
        match verdict.lose {
            Some(Lose::Close) => return Err(End::Closed),
            Some(Lose::GoOn) => continue,
            None => {}
        }
        shared.faults.passable(&shared.link, way).await;
        let mut at_once = 0;
        for (times, after) in verdict.repeat {
            match after {
                None => at_once += times,
                Some(after) => {
                    for _ in 0..times {
                        tokio::spawn(send_later(shared.target, frame.clone(), after));
                    }
                }
            }
        }
        for nth in 0..=at_once {
            if way == Way::Request {
                let asked = Asked { header: header.clone(), unheard: nth > 0 };
                shared.asked.lock().push_back(asked);
            }
            shared.send(way, &mut to, &frame).await?;
        }
    }
    to.shutdown().await?;
    Ok(())
}

impl Shared {
    /// The request that this response answers. A Produce without acks is not answered, all else is in order.
    fn answered(&self, frame: &[u8]) -> Option<Asked> {
        let id = frame::correlation_id(frame)?;
        let mut asked = self.asked.lock();
        let place = asked.iter().position(|each| each.header.correlation_id == id)?;
        asked.drain(..place);
        asked.pop_front()
    }

    async fn wait(&self, verdict: &Verdict) {
        sleep(verdict.delay).await;
        for name in &verdict.held_by {
            self.faults.ended(name).await;
        }
    }

    async fn send(&self, way: Way, to: &mut WriteHalf<'_>, frame: &[u8]) -> io::Result<()> {
        if let Some(until) = self.faults.reserve(&self.link, way, frame.len()) {
            sleep_until(until).await;
        }
        let Some((bytes, pause)) = self.faults.shape(&self.link, way).slice else {
            return to.write_all(frame).await;
        };
        for slice in frame.chunks(bytes) {
            to.write_all(slice).await?;
            to.flush().await?;
            sleep(pause).await;
        }
        Ok(())
    }
}

/// A request that comes late, as one that was sent again or was long on its way: on a connection of its own, unheard.
async fn send_later(target: SocketAddr, frame: Vec<u8>, after: std::time::Duration) {
    sleep(after).await;
    let late = async {
        let mut server = TcpStream::connect(target).await?;
        server.write_all(&frame).await?;
        frame::read(&mut server).await
    };
    // A server that does not want it says so by closing.
    let _: io::Result<_> = late.await;
}
