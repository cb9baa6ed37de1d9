//! How dirty a log is: how far the cleaner has come, what it may go through now, and whether it should. Must not know
//! files, clocks, or how records are cleaned.

/// When a compacted log is to be cleaned, by its topic's settings.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CleanRules {
    /// `min.cleanable.dirty.ratio`
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_lag_ms: i64,
}

/// Where a log starts and ends, and how far it was cleaned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub start: i64,
    pub end: i64,
    /// Nothing from here on is decided for good: the last stable offset.
    pub last_stable: i64,
    /// `None`: never.
    pub cleaned: Option<i64>,
}

/// One segment, as far as the decision needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    pub base_offset: i64,
    pub size: u64,
    /// `None` where nobody asks: in clean segments, the active one, and without `min.compaction.lag.ms`.
    pub largest_timestamp: Option<i64>,
    /// Of the first batch. `None` where nobody asks, as above with `max.compaction.lag.ms`, and where there is none.
    pub first_timestamp: Option<i64>,
}

/// What there is to clean.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dirt {
    /// Keys are gathered from here on.
    pub first_dirty: i64,
    /// The base offset of the first segment that stays as it is.
    pub first_uncleanable: i64,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
    /// How far `max.compaction.lag.ms` is exceeded.
    pub delay_ms: i64,
}

impl Dirt {
    pub fn total_bytes(&self) -> u64 {
        self.clean_bytes.saturating_add(self.cleanable_bytes)
    }

    /// The part of the cleanable log that is dirty.
    pub fn ratio(&self) -> f64 {
        match self.total_bytes() {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }

    /// It is time to clean.
    pub fn is_due(&self, rules: &CleanRules) -> bool {
        let late = self.delay_ms > 0 && self.cleanable_bytes > 0;
        self.total_bytes() > 0 && (late || self.ratio() > rules.min_dirty_ratio)
    }
}

/// Why the cleaner begins at the log start although it had been there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    /// The log start has moved past what was cleaned.
    BeforeStart(i64),
    /// The log ends before what was cleaned: it is not the log that was cleaned.
    BeyondEnd(i64),
}

/// The first offset that was not cleaned.
pub fn first_dirty(bounds: &Bounds) -> (i64, Option<Reset>) {
    match bounds.cleaned {
        None => (bounds.start, None),
        Some(cleaned) if cleaned < bounds.start => {
            (bounds.start, Some(Reset::BeforeStart(cleaned)))
        }
        Some(cleaned) if cleaned > bounds.end => (bounds.start, Some(Reset::BeyondEnd(cleaned))),
        Some(cleaned) => (cleaned, None),
    }
}

/// What there is to clean in a log with these segments, by rising base offset; the last one is active.
pub fn dirt(bounds: &Bounds, segments: &[SegmentFacts], rules: &CleanRules, now: i64) -> Dirt {
    let (first_dirty, _) = first_dirty(bounds);
    let active = segments.last().map_or(bounds.end, |last| last.base_offset);
    let too_young = dirty_sealed(segments, first_dirty)
        .iter()
        .filter(|_| rules.min_lag_ms > 0)
        .find(|segment| segment.largest_timestamp.is_some_and(|at| at > now - rules.min_lag_ms))
        .map_or(i64::MAX, |segment| segment.base_offset);
    let uncleanable = first_dirty.max(bounds.last_stable.min(active).min(too_young));
    let first_uncleanable =
        dirty_sealed(segments, uncleanable).first().map_or(active, |segment| segment.base_offset);
    let cleanable = range(segments, first_dirty.min(first_uncleanable), first_uncleanable);
    let clean = segments.iter().take_while(|segment| segment.base_offset < first_dirty);
    let bytes = |segments: &[SegmentFacts]| segments.iter().map(|segment| segment.size).sum();
    Dirt {
        first_dirty,
        first_uncleanable,
        clean_bytes: clean.map(|segment| segment.size).sum(),
        cleanable_bytes: bytes(cleanable),
        delay_ms: delay_ms(dirty_sealed(segments, first_dirty), rules, now),
    }
}

/// By how much the oldest dirty segment exceeds the largest lag.
fn delay_ms(dirty: &[SegmentFacts], rules: &CleanRules, now: i64) -> i64 {
    let times = dirty.iter().filter_map(|segment| segment.first_timestamp);
    let until = now.saturating_sub(rules.max_lag_ms.max(0));
    match times.filter(|at| *at > 0).min() {
        Some(earliest) if earliest < until => until.saturating_sub(earliest),
        _ => 0,
    }
}

/// The segments from the one that holds `from` up to the active one, without that.
pub fn dirty_sealed(segments: &[SegmentFacts], from: i64) -> &[SegmentFacts] {
    match segments.last() {
        Some(active) if from <= active.base_offset => range(segments, from, active.base_offset),
        _ => &[],
    }
}

/// The segments from the one that holds `from` up to `to`.
fn range(segments: &[SegmentFacts], from: i64, to: i64) -> &[SegmentFacts] {
    if from >= to {
        return &[];
    }
    let first = segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
    let end = segments.partition_point(|segment| segment.base_offset < to);
    segments.get(first..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CleanRules =
        CleanRules { min_dirty_ratio: 0.5, min_lag_ms: 0, max_lag_ms: i64::MAX };
    const NOW: i64 = 1_000_000;

    /// Segments of 100 bytes each ten offsets.
    fn segments(count: i64) -> Vec<SegmentFacts> {
        let segment = |at: i64| SegmentFacts {
            base_offset: at * 10,
            size: 100,
            largest_timestamp: Some(at * 1000 + 900),
            first_timestamp: Some(at * 1000 + 100),
        };
        (0..count).map(segment).collect()
    }

    fn bounds(end: i64, cleaned: Option<i64>) -> Bounds {
        Bounds { start: 0, end, last_stable: end, cleaned }
    }

    #[test]
    fn a_log_that_was_never_cleaned_is_all_dirt_up_to_the_active_segment() {
        let dirt = dirt(&bounds(45, None), &segments(5), &RULES, NOW);
        assert_eq!((dirt.first_dirty, dirt.first_uncleanable), (0, 40));
        assert_eq!((dirt.clean_bytes, dirt.cleanable_bytes), (0, 400));
        assert!(dirt.is_due(&RULES));
    }

    #[test]
    fn a_log_of_one_segment_has_nothing_to_clean() {
        let dirt = dirt(
            &bounds(5, None),
            &segments(1),
            &CleanRules { min_dirty_ratio: 0.0, ..RULES },
            NOW,
        );
        assert_eq!(dirt.total_bytes(), 0);
        assert!(!dirt.is_due(&RULES));
    }

    #[test]
    fn the_ratio_must_be_larger_than_the_least() {
        let half = dirt(&bounds(45, Some(20)), &segments(5), &RULES, NOW);
        assert_eq!((half.clean_bytes, half.cleanable_bytes), (200, 200));
        assert!(!half.is_due(&RULES));
        assert!(half.is_due(&CleanRules { min_dirty_ratio: 0.49, ..RULES }));
        let all_clean = dirt(&bounds(45, Some(40)), &segments(5), &RULES, NOW);
        assert_eq!(all_clean.cleanable_bytes, 0);
        assert!(!all_clean.is_due(&CleanRules { min_dirty_ratio: 0.0, ..RULES }));
    }

    #[test]
    fn a_segment_that_was_cleaned_in_part_counts_as_both() {
        let dirt = dirt(&bounds(45, Some(25)), &segments(5), &RULES, NOW);
        assert_eq!((dirt.clean_bytes, dirt.cleanable_bytes), (300, 200));
    }

    #[test]
    fn nothing_from_the_segment_of_the_last_stable_offset_on_is_cleaned() {
        let open = Bounds { last_stable: 25, ..bounds(45, None) };
        let dirt = dirt(&open, &segments(5), &RULES, NOW);
        assert_eq!((dirt.first_uncleanable, dirt.cleanable_bytes), (20, 200));
        let before_dirty = Bounds { last_stable: 5, ..bounds(45, Some(30)) };
        let dirt = super::dirt(&before_dirty, &segments(5), &RULES, NOW);
        assert_eq!((dirt.first_dirty, dirt.first_uncleanable, dirt.cleanable_bytes), (30, 30, 0));
    }

    #[test]
    fn segments_with_young_records_wait() {
        let rules = CleanRules { min_lag_ms: 10_000, ..RULES };
        // The third segment ends at 2,900.
        let young = dirt(&bounds(45, None), &segments(5), &rules, 12_899);
        assert_eq!(young.first_uncleanable, 20);
        let old_enough = dirt(&bounds(45, None), &segments(5), &rules, 12_900);
        assert_eq!(old_enough.first_uncleanable, 30);
    }

    #[test]
    fn old_records_are_cleaned_whatever_the_ratio() {
        let rules = CleanRules { max_lag_ms: 10_000, ..RULES };
        // The fourth segment begins at 3,100.
        let bounds = bounds(45, Some(30));
        let in_time = dirt(&bounds, &segments(5), &rules, 13_100);
        assert_eq!(in_time.delay_ms, 0);
        assert!(!in_time.is_due(&rules));
        let late = dirt(&bounds, &segments(5), &rules, 13_101);
        assert_eq!(late.delay_ms, 1);
        assert!(late.is_due(&rules));
        // An open transaction holds it back all the same.
        let held = Bounds { last_stable: 31, ..bounds };
        assert!(!dirt(&held, &segments(5), &rules, 13_101).is_due(&rules));
        // Without a timestamp nothing is late.
        let mut timeless = segments(5);
        for segment in &mut timeless {
            segment.first_timestamp = None;
        }
        assert!(!dirt(&bounds, &timeless, &rules, i64::MAX).is_due(&rules));
    }

    #[test]
    fn a_wrong_checkpoint_begins_anew_at_the_log_start() {
        let before = Bounds { start: 10, ..bounds(45, Some(9)) };
        assert_eq!(first_dirty(&before), (10, Some(Reset::BeforeStart(9))));
        let beyond = Bounds { start: 10, ..bounds(45, Some(46)) };
        assert_eq!(first_dirty(&beyond), (10, Some(Reset::BeyondEnd(46))));
        for cleaned in [10, 45] {
            let right = Bounds { start: 10, ..bounds(45, Some(cleaned)) };
            assert_eq!(first_dirty(&right), (cleaned, None));
        }
    }
}
