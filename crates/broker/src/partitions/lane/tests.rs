//! One thread of a runtime stands still in a disk operation: all other tasks go on.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A way to a directory that was not slow yet, in a runtime of a few threads.
struct World {
    runtime: Runtime,
    lane: Arc<Lane>,
}

impl World {
    fn new(threads: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build();
        let runtime = runtime.unwrap();
        let lanes = runtime.block_on(async { Lanes::new(Clock::new()) });
        let lane = lanes.of_log(Path::new("/data/t-0"));
        Self { runtime, lane }
    }

    /// Stands still in an operation until something is sent, or nobody is there to send; afterwards its end is told.
    fn stand_still(&self, before: impl FnOnce() + Send + 'static) -> (mpsc::Sender<()>, Ended) {
        let (go_on, wait) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let lane = Arc::clone(&self.lane);
        self.runtime.spawn(async move {
            before();
            lane.run_now(move || {
                begun.send(()).unwrap();
                let _ = wait.recv();
            });
            let _ = end.send(());
        });
        has_begun.recv_timeout(PATIENCE).expect("the operation begins");
        (go_on, ended)
    }

    /// Sends back what comes.
    fn echo(&self) -> SocketAddr {
        let listener = self.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let address = listener.local_addr().unwrap();
        self.runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        stream.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        address
    }
}

type Ended = mpsc::Receiver<()>;

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn assert_echoes(address: SocketAddr) {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for byte in 0..3 {
        stream.write_all(&[byte]).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).expect("an answer while an operation stands still");
        assert_eq!(answer, [byte]);
    }
}

#[test]
fn sockets_and_timers_are_served_while_an_operation_stands_still() {
    let world = World::new(3);
    let address = world.echo();
    assert_echoes(address);
    // As long as nothing is to be done, one thread waits for all sockets and timers: the operation begins on that one.
    let trigger = world.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let to_trigger = trigger.local_addr().unwrap();
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = mpsc::channel();
    let lane = Arc::clone(&world.lane);
    let standing = world.runtime.spawn(async move {
        trigger.accept().await.unwrap();
        lane.run_now(move || {
            begun.send(()).unwrap();
            let _ = wait.recv();
        });
    });
    std::thread::sleep(Duration::from_millis(100));
    let _connected = std::net::TcpStream::connect(to_trigger).unwrap();
    has_begun.recv_timeout(PATIENCE).unwrap();
    assert_echoes(address);
    let (timer, rang) = mpsc::channel();
    world.runtime.spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        timer.send(()).unwrap();
    });
    rang.recv_timeout(PATIENCE).expect("a timer while an operation stands still");
    drop(go_on);
    world.runtime.block_on(standing).unwrap();
}

#[test]
fn a_task_woken_just_before_does_not_wait_for_the_operation() {
    let world = World::new(2);
    let (woken, done) = (Arc::new(Notify::new()), mpsc::channel());
    let waits = Arc::clone(&woken);
    world.runtime.spawn(async move {
        waits.notified().await;
        done.0.send(()).unwrap();
    });
    // It waits for that already.
    std::thread::sleep(Duration::from_millis(100));
    let (go_on, ended) = world.stand_still(move || woken.notify_one());
    done.1.recv_timeout(PATIENCE).expect("it goes on while the operation stands still");
    drop(go_on);
    ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn with_all_but_one_in_operations_the_next_hands_its_thread_over() {
    let world = World::new(3);
    let address = world.echo();
    let standing: Vec<_> = (0..6).map(|_| world.stand_still(|| ())).collect();
    assert_echoes(address);
    for (go_on, ended) in standing {
        drop(go_on);
        ended.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn who_looks_after_operations_sleeps_without_any_and_ends_with_them() {
    let world = World::new(2);
    let pulses = |world: &World| -> u64 {
        let metrics = world.runtime.metrics();
        (0..metrics.num_workers()).map(|worker| metrics.worker_park_count(worker)).sum()
    };
    let (go_on, ended) = world.stand_still(|| ());
    let before = pulses(&world);
    until("somebody looks after the operation", || pulses(&world) > before);
    drop(go_on);
    ended.recv_timeout(PATIENCE).unwrap();
    until("nobody looks after nothing", || {
        let before = pulses(&world);
        std::thread::sleep(Duration::from_millis(400));
        pulses(&world) == before
    });
}

#[test]
fn a_read_that_nobody_waits_for_any_more_keeps_its_place() {
    let world = World::new(2);
    let (begun, has_begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let readers: Vec<_> = (0..THREADS_MAX)
        .map(|_| {
            let (lane, begun, wait) = (Arc::clone(&world.lane), begun.clone(), Arc::clone(&wait));
            world.runtime.spawn(async move {
                let read = move || {
                    begun.send(()).unwrap();
                    let _ = wait.lock().recv();
                };
                lane.apart(read).await;
            })
        })
        .collect();
    for reader in readers {
        has_begun.recv_timeout(PATIENCE).expect("the read begins");
        reader.abort();
        assert!(world.runtime.block_on(reader).is_err());
    }
    assert_eq!(world.lane.loads.available_permits(), 0);
    drop(go_on);
    until("the places are free again", || world.lane.loads.available_permits() == THREADS_MAX);
}
