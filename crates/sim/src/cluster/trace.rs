//! What happened: its last lines for people, and a digest of all of it, by which two runs are known to be the same.

use std::collections::VecDeque;

const LINES: usize = 3_000;
const CHARS: usize = 700;

pub(super) struct Trace {
    /// Lines are only written when somebody is going to read them.
    pub wanted: bool,
    lines: VecDeque<String>,
    digest: u64,
}

impl Trace {
    pub fn new(wanted: bool) -> Self {
        Self { wanted, lines: VecDeque::new(), digest: 0xcbf2_9ce4_8422_2325 }
    }

    pub fn line(&mut self, now_ms: u64, what: &str) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        let what: String = what.chars().take(CHARS).collect();
        self.lines.push_back(format!("{now_ms:>7} {what}"));
    }

    /// Something happened of which these numbers tell enough.
    pub fn mix(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.digest = (self.digest ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }
}
