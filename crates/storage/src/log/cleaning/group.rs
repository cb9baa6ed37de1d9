//! Which neighbouring segments become one: as many as fit by their sizes before cleaning. Pure.

/// What counts about a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub base_offset: i64,
    /// First offset of what follows, at most the end of what may be cleaned.
    pub end_offset: i64,
    pub bytes: u64,
    pub offset_index_bytes: u64,
    pub time_index_bytes: u64,
}

/// The limits of one segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub bytes: u64,
    pub index_bytes: u64,
}

/// Lengths of the groups, from the first segment on.
pub(super) fn group(segments: &[Extent], limits: Limits) -> Vec<usize> {
    let mut groups = Vec::new();
    let mut open: Option<(Extent, usize)> = None;
    for segment in segments {
        open = Some(match open {
            Some((sum, count)) if fits(&sum, segment, limits) => (join(&sum, segment), count + 1),
            Some((_, count)) => {
                groups.push(count);
                (*segment, 1)
            }
            None => (*segment, 1),
        });
    }
    groups.extend(open.map(|(_, count)| count));
    groups
}

fn join(sum: &Extent, next: &Extent) -> Extent {
    Extent {
        base_offset: sum.base_offset,
        end_offset: next.end_offset,
        bytes: sum.bytes.saturating_add(next.bytes),
        offset_index_bytes: sum.offset_index_bytes.saturating_add(next.offset_index_bytes),
        time_index_bytes: sum.time_index_bytes.saturating_add(next.time_index_bytes),
    }
}

fn fits(sum: &Extent, next: &Extent, limits: Limits) -> bool {
    let both = join(sum, next);
    let last_offset = next.end_offset.saturating_sub(1);
    // Indexes store offsets in 31 bits; an empty segment has none.
    let in_range = last_offset.saturating_sub(sum.base_offset) <= i64::from(i32::MAX);
    both.bytes <= limits.bytes
        && both.offset_index_bytes <= limits.index_bytes
        && both.time_index_bytes <= limits.index_bytes
        && (next.bytes == 0 || in_range)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 100, index_bytes: 24 };

    fn segment(base_offset: i64, end_offset: i64, bytes: u64) -> Extent {
        Extent { base_offset, end_offset, bytes, offset_index_bytes: 8, time_index_bytes: 0 }
    }

    #[test]
    fn as_many_as_fit() {
        let segments = [segment(0, 10, 40), segment(10, 20, 60), segment(20, 30, 1)];
        assert_eq!(group(&segments, LIMITS), [2, 1]);
        assert_eq!(group(&[], LIMITS), [0usize; 0]);
        let large = [segment(0, 10, 400), segment(10, 20, 400)];
        assert_eq!(group(&large, LIMITS), [1, 1], "a segment that is too large stays alone");
    }

    #[test]
    fn indexes_limit_a_group() {
        let segments: Vec<Extent> = (0..7).map(|n| segment(n * 10, n * 10 + 10, 1)).collect();
        assert_eq!(group(&segments, LIMITS), [3, 3, 1]);
        let times = segments.iter().map(|s| Extent { time_index_bytes: 12, ..*s });
        assert_eq!(group(&times.collect::<Vec<_>>(), LIMITS), [2, 2, 2, 1]);
    }

    #[test]
    fn offsets_of_a_group_fit_into_its_index() {
        let last = i64::from(i32::MAX);
        let wide = |end| [segment(0, 10, 1), segment(10, end, 1)];
        assert_eq!(group(&wide(last + 1), LIMITS), [2]);
        assert_eq!(group(&wide(last + 2), LIMITS), [1, 1]);
        let empty = [segment(0, 10, 1), segment(10, last + 2, 0)];
        assert_eq!(group(&empty, LIMITS), [2], "an empty segment has no offsets");
    }
}
