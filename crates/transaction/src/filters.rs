//! The filters of ListTransactions.

use base::{ProducerId, WallMs};
use protocol::ErrorCode;
use regex::bytes::{Regex, RegexBuilder};

use crate::state::State;
use crate::transaction::Transaction;

/// How large a compiled pattern may be. It bounds the time for an id, too.
const COMPILED_BYTES_MAX: usize = 512 << 10;
/// How long a pattern may be.
const PATTERN_BYTES_MAX: usize = 64 << 10;

/// Made once for a request, asked of every shard. What is empty lets all through.
#[derive(Clone, Debug)]
pub struct Filters {
    producer_ids: Vec<ProducerId>,
    /// `None`: no filter. States that do not exist are dropped, and let nothing through.
    states: Option<Vec<State>>,
    /// Transactions that began longer ago; negative for all.
    duration_ms: i64,
    pattern: Option<Regex>,
    now: WallMs,
}

impl Filters {
    /// With the states that do not exist.
    ///
    /// Kafka takes the patterns of Java; here they are those without look-around and back-references, whose time is bounded.
    ///
    /// # Errors
    /// InvalidRegularExpression.
    pub fn new(
        now: WallMs,
        producer_ids: impl IntoIterator<Item = i64>,
        states: &[impl AsRef<str>],
        duration_ms: i64,
        pattern: Option<&str>,
    ) -> Result<(Self, Vec<String>), ErrorCode> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for name in states.iter().map(AsRef::as_ref) {
            match State::from_name(name) {
                Some(state) => known.push(state),
                None => unknown.push(name.to_owned()),
            }
        }
        let filters = Self {
            producer_ids: producer_ids.into_iter().map(ProducerId).collect(),
            states: (!states.is_empty()).then_some(known),
            duration_ms,
            pattern: pattern.filter(|text| !text.is_empty()).map(compiled).transpose()?,
            now,
        };
        Ok((filters, unknown))
    }

    pub(crate) fn let_through(&self, transactional_id: &str, transaction: &Transaction) -> bool {
        let lasts_ms = self.now.0.saturating_sub(transaction.start_ms);
        transaction.state != State::Dead
            && (self.producer_ids.is_empty()
                || self.producer_ids.contains(&transaction.producer.id))
            && self.states.as_ref().is_none_or(|states| states.contains(&transaction.state))
            && (self.duration_ms < 0 || lasts_ms > self.duration_ms)
            && self.pattern.as_ref().is_none_or(|regex| regex.is_match(transactional_id.as_bytes()))
    }
}

/// Classes are those of ASCII, as Java has them by default, and so is case.
fn compiled(pattern: &str) -> Result<Regex, ErrorCode> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(ErrorCode::InvalidRegularExpression);
    }
    let pattern = with_ascii_classes(pattern);
    let compile = |text: &str, unicode: bool| {
        let mut builder = RegexBuilder::new(text);
        builder.unicode(unicode).size_limit(COMPILED_BYTES_MAX).build()
    };
    // Alone it must be a pattern, too: `a)(b` is none. What ignores case is compiled for ASCII.
    let whole = |unicode: bool| {
        compile(&pattern, unicode).and_then(|_| compile(&format!("\\A(?:{pattern})\\z"), unicode))
    };
    whole(true).or_else(|_| whole(false)).map_err(|_| ErrorCode::InvalidRegularExpression)
}

fn with_ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(one) = chars.next() {
        if one != '\\' {
            out.push(one);
            continue;
        }
        match chars.next() {
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('s') => out.push_str("[ \\t\\n\\x0b\\f\\r]"),
            Some('S') => out.push_str("[^ \\t\\n\\x0b\\f\\r]"),
            Some('b') => out.push_str("(?-u:\\b)"),
            escaped => {
                out.push(one);
                out.extend(escaped);
            }
        }
    }
    out
}
