//! Telling publishers and readers what is committed, on a thread of its own: making a thousand partitions takes seconds
//! where the disk is busy, and consensus must not be silent meanwhile.
//!
//! Updates are told one after the other, in the order of the log. It knows nothing of consensus.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use base::Offset;
use metadata::{Delta, Image, Publisher, Update};
use parking_lot::{Condvar, Mutex};

use super::handle::Answer;

/// Updates that may wait; then the quorum's thread waits, too.
const WAITING_MAX: usize = 10_000;

/// Called by the thread with the end of what was told, or with `None` when it has failed.
pub(super) type Notify = Box<dyn Fn(Option<Offset>) + Send>;

/// The quorum's end of it.
pub(super) struct Publishing {
    image: Arc<ArcSwap<Image>>,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    publishers: usize,
    /// End of what was handed over, and of what was told.
    handed: Offset,
    told: Offset,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    changed: Condvar,
}

enum Job {
    Tell {
        update: Update,
        end: Offset,
    },
    /// A new publisher learns all there is.
    Introduce {
        publisher: Box<dyn Publisher>,
        image: Image,
        done: Answer<()>,
    },
    Stop,
}

impl Queue {
    fn push(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        while jobs.len() >= WAITING_MAX {
            self.changed.wait(&mut jobs);
        }
        jobs.push_back(job);
        self.changed.notify_all();
    }

    fn pop(&self) -> Job {
        let mut jobs = self.jobs.lock();
        loop {
            if let Some(job) = jobs.pop_front() {
                self.changed.notify_all();
                return job;
            }
            self.changed.wait(&mut jobs);
        }
    }

    /// Takes whatever comes from now on without doing it.
    fn drain(&self) {
        while !matches!(self.pop(), Job::Stop) {}
    }
}

impl Publishing {
    pub(super) fn new(image: Arc<ArcSwap<Image>>) -> Self {
        Self {
            image,
            queue: Arc::default(),
            thread: None,
            publishers: 0,
            handed: Offset(0),
            told: Offset(0),
        }
    }

    /// Starts the thread; there are no publishers before.
    pub(super) fn start(&mut self, notify: Notify) -> std::io::Result<()> {
        let (queue, image) = (Arc::clone(&self.queue), Arc::clone(&self.image));
        let thread = std::thread::Builder::new().name("metadata-publisher".into());
        let run = move || {
            let run =
                || Teller { image: &image, publishers: Vec::new(), notify: &notify }.run(&queue);
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                notify(None);
                queue.drain();
            }
        };
        self.thread = Some(thread.spawn(run)?);
        Ok(())
    }

    /// Takes a step of the committed state; `end` is the offset behind it. Readers see it when all publishers have
    /// acted on it.
    pub(super) fn tell(&mut self, update: Update, end: Offset) {
        let nothing_to_do = self.publishers == 0 || update.delta.is_empty();
        if nothing_to_do && self.is_idle() {
            self.image.store(Arc::new(update.after));
            (self.handed, self.told) = (end, end);
            return;
        }
        self.handed = end;
        self.queue.push(Job::Tell { update, end });
    }

    /// Adds a publisher behind those that are there; `image` is the committed state.
    pub(super) fn introduce(
        &mut self,
        publisher: Box<dyn Publisher>,
        image: Image,
        done: Answer<()>,
    ) {
        self.publishers += 1;
        self.queue.push(Job::Introduce { publisher, image, done });
    }

    /// The thread has told everything before `end`.
    pub(super) fn told(&mut self, end: Offset) {
        self.told = end;
    }

    fn is_idle(&self) -> bool {
        self.handed == self.told
    }

    /// How far replies may go that wait for the commit of what they say: `committed`, unless some of it is still being told.
    pub(super) fn reached(&self, committed: Offset) -> Offset {
        if self.is_idle() { committed } else { self.told }
    }

    /// Waits until everything is told.
    pub(super) fn finish(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.queue.push(Job::Stop);
        // A panic was reported when it happened.
        let _ = thread.join();
        self.told = self.handed;
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The thread's end of it.
struct Teller<'a> {
    image: &'a ArcSwap<Image>,
    publishers: Vec<Box<dyn Publisher>>,
    notify: &'a Notify,
}

impl Teller<'_> {
    fn run(mut self, queue: &Queue) {
        loop {
            match queue.pop() {
                Job::Tell { update, end } => self.tell(update, end),
                Job::Introduce { publisher, image, done } => self.introduce(publisher, image, done),
                Job::Stop => return,
            }
        }
    }

    fn tell(&mut self, update: Update, end: Offset) {
        if !update.delta.is_empty() {
            for publisher in &mut self.publishers {
                publisher.publish(&update);
            }
        }
        // Readers of the pointer see a change when the publishers have acted on it.
        self.image.store(Arc::new(update.after));
        (self.notify)(Some(end));
    }

    fn introduce(&mut self, mut publisher: Box<dyn Publisher>, after: Image, done: Answer<()>) {
        let before = Image::default();
        let delta = Delta::between(&before, &after);
        publisher.publish(&Update { before, after, delta });
        self.publishers.push(publisher);
        // Who asked may be gone.
        let _ = done.send(());
    }
}
