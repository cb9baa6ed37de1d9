//! Buffers and contexts that are expensive to make, kept for the next batch on the same thread.

use std::cell::RefCell;

/// Kept per thread and kind. More are in use only when streams are nested, which nothing does.
const KEPT: usize = 2;
/// A larger window goes back to the allocator: one hostile batch must not cost memory forever.
const MAX_KEPT_WINDOW: usize = 1 << 18;

pub(super) type Shelf<T> = RefCell<Vec<T>>;

pub(super) fn take<T>(shelf: &Shelf<T>) -> Option<T> {
    shelf.try_borrow_mut().ok()?.pop()
}

pub(super) fn give<T>(shelf: &Shelf<T>, item: T) {
    if let Ok(mut items) = shelf.try_borrow_mut()
        && items.len() < KEPT
    {
        items.push(item);
    }
}

thread_local! {
    static WINDOWS: Shelf<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Decompressed bytes that wait to be used. The buffer is fully initialised; `start..end` of it is content.
pub(super) struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { buffer: WINDOWS.with(take).unwrap_or_default(), start: 0, end: 0 }
    }

    pub(super) fn content(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// At least `size` bytes to write the next content into; what was unread is lost.
    pub(super) fn space(&mut self, size: usize) -> &mut [u8] {
        (self.start, self.end) = (0, 0);
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        self.buffer.get_mut(..size).unwrap_or_default()
    }

    /// The first `count` bytes of the last [`Self::space`] are the content now.
    pub(super) fn filled(&mut self, count: usize) {
        (self.start, self.end) = (0, count.min(self.buffer.len()));
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        if (1..=MAX_KEPT_WINDOW).contains(&buffer.capacity()) {
            // At thread exit the shelf may be gone already; then the buffer is simply freed.
            let _gone = WINDOWS.try_with(|shelf| give(shelf, buffer));
        }
    }
}
