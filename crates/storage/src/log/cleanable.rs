//! What a log tells its cleaner and keeps of it: how dirty it is, how far it was cleaned, whether it can be at all.

use base::{Offset, WallMs};

use super::Log;
use super::dirt::{self, Bounds, CleanRules, Dirt, Reset, SegmentFacts};
use super::error::Result;

/// How the cleaner stands with one log.
#[derive(Clone, Debug, Default)]
pub(super) struct CleaningState {
    /// Everything below was cleaned.
    upto: Option<i64>,
    /// It is being cleaned, since the log was last cut.
    since: Option<u64>,
    /// Why it is left alone.
    uncleanable: Option<String>,
}

impl CleaningState {
    pub fn new(upto: Option<Offset>) -> Self {
        Self { upto: upto.map(|offset| offset.0), ..Self::default() }
    }

    pub fn upto(&self) -> Option<i64> {
        self.upto
    }

    /// A cleaner has been at work on this log, be it elsewhere: it may lack offsets. Where it starts it is to be cleaned from.
    pub fn has_gaps(&mut self, start: i64) {
        self.upto.get_or_insert(start);
    }

    /// The log was cut; its active segment now begins here, and what follows was not cleaned.
    pub fn cut(&mut self, active: i64) {
        self.upto = self.upto.map(|upto| upto.min(active));
    }
}

impl Log {
    /// Up to where the log was cleaned; `None` when it never was.
    pub fn cleaned_upto(&self) -> Option<Offset> {
        self.cleaning.upto.map(Offset)
    }

    /// Takes over how far the log was cleaned.
    pub fn set_cleaned_upto(&mut self, offset: Offset) {
        self.cleaning.upto = Some(offset.0);
    }

    /// Nobody else may clean the log or remove segments of it until [`Log::end_cleaning`]. Tells whether it was free.
    pub fn begin_cleaning(&mut self) -> bool {
        let free = self.cleaning.since.is_none();
        self.cleaning.since.get_or_insert(self.rewrites);
        free
    }

    /// The log was cleaned up to `upto`, or not at all. What was cut meanwhile is not clean.
    pub fn end_cleaning(&mut self, upto: Option<Offset>) {
        let uncut = self.cleaning.since.take() == Some(self.rewrites);
        if let Some(upto) = upto.filter(|_| uncut) {
            self.set_cleaned_upto(upto);
        }
    }

    pub fn is_being_cleaned(&self) -> bool {
        self.cleaning.since.is_some()
    }

    /// Why the cleaner leaves this log alone, if it does: it came upon something there that it cannot read.
    pub fn uncleanable(&self) -> Option<&str> {
        self.cleaning.uncleanable.as_deref()
    }

    pub fn mark_uncleanable(&mut self, cause: String) {
        self.cleaning.uncleanable.get_or_insert(cause);
    }

    /// The topic's settings that the cleaner follows.
    pub fn clean_rules(&self) -> CleanRules {
        CleanRules {
            min_dirty_ratio: self.config.min_cleanable_dirty_ratio,
            min_lag_ms: self.config.min_compaction_lag_ms,
            max_lag_ms: self.config.max_compaction_lag_ms,
        }
    }

    /// What there is to clean. The second part tells that what was known of earlier cleaning cannot be right.
    pub fn dirt(&self, now: WallMs) -> Result<(Dirt, Option<Reset>)> {
        let bounds = Bounds {
            start: self.start_offset,
            end: self.end_offset,
            last_stable: self.last_stable_offset().0,
            cleaned: self.cleaning.upto,
        };
        let rules = self.clean_rules();
        let (first_dirty, reset) = dirt::first_dirty(&bounds);
        let segments = self.segment_facts(first_dirty, &rules)?;
        Ok((dirt::dirt(&bounds, &segments, &rules, now.0), reset))
    }

    /// Timestamps may have to be read from the disk, so only those that count are looked at.
    fn segment_facts(&self, first_dirty: i64, rules: &CleanRules) -> Result<Vec<SegmentFacts>> {
        let dirty = self.floor_segment(first_dirty).unwrap_or(0);
        let active = self.segments.len().saturating_sub(1);
        let mut facts = Vec::with_capacity(self.segments.len());
        for (slot, segment) in self.segments.iter().enumerate() {
            let counts = (dirty..active).contains(&slot);
            let (mut largest_timestamp, mut first_timestamp) = (None, None);
            if counts && rules.min_lag_ms > 0 {
                largest_timestamp = Some(segment.largest_timestamp(&self.files)?);
            }
            if counts && rules.max_lag_ms < i64::MAX {
                first_timestamp = segment.first_timestamp(&self.files)?;
            }
            facts.push(SegmentFacts {
                base_offset: segment.base_offset,
                size: segment.size,
                largest_timestamp,
                first_timestamp,
            });
        }
        Ok(facts)
    }
}
