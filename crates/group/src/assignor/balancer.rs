//! Who is next to get, and next to give, among the subscribers of one topic sorted by how much they have.
//!
//! Two ranges over the sorted members: the least loaded one grows to the right, the most loaded one to the left. Members of a range
//! take turns; when all had theirs, the range's level changes by one and it takes in the neighbours of that level.

/// How many partitions each member has, by index.
pub(super) type Sizes = [i64];

pub(super) struct Balancer {
    sorted: Vec<usize>,
    least_end: usize,
    least_level: i64,
    least_next: usize,
    most_start: usize,
    /// Behind it are members that have nothing to give.
    most_end: usize,
    most_level: i64,
    /// One behind the next.
    most_next: usize,
}

fn size(sizes: &Sizes, member: Option<&usize>) -> i64 {
    member.and_then(|member| sizes.get(*member)).copied().unwrap_or(0)
}

impl Balancer {
    /// Of `members`, which are ascending.
    pub(super) fn new(members: &[usize], sizes: &Sizes) -> Self {
        let mut sorted = members.to_vec();
        sorted.sort_by_key(|member| size(sizes, Some(member)));
        Self {
            least_end: 0,
            least_level: size(sizes, sorted.first()) - 1,
            least_next: 0,
            most_start: sorted.len(),
            most_end: sorted.len(),
            most_level: size(sizes, sorted.last()) + 1,
            most_next: sorted.len(),
            sorted,
        }
    }

    /// How far the levels of the two ranges are apart.
    pub(super) fn imbalance(&self) -> i64 {
        self.most_level - self.least_level
    }

    /// The member that gets the next partition.
    pub(super) fn least_loaded(&mut self, sizes: &Sizes) -> Option<usize> {
        if self.least_next >= self.least_end {
            self.least_level += 1;
            let grown = self.sorted.iter().skip(self.least_end);
            let level = self.least_level;
            self.least_end += grown.take_while(|m| size(sizes, Some(m)) == level).count();
            self.least_next = 0;
        }
        let member = self.sorted.get(self.least_next).copied();
        self.least_next += 1;
        member
    }

    /// The member that gives the next partition.
    pub(super) fn most_loaded(&mut self, sizes: &Sizes) -> Option<usize> {
        if self.most_next <= self.most_start {
            let before = self.sorted.get(..self.most_start).unwrap_or_default();
            if self.most_end <= self.most_start && self.most_start > 0 {
                // All of the range were excluded; it must grow, however far below the next one is.
                self.most_level = size(sizes, before.last());
            } else {
                self.most_level -= 1;
            }
            let level = self.most_level;
            let grown = before.iter().rev().take_while(|m| size(sizes, Some(m)) == level).count();
            self.most_start -= grown;
            self.most_next = self.most_end;
        }
        self.most_next = self.most_next.checked_sub(1)?;
        self.sorted.get(self.most_next).copied()
    }

    /// The last one of [`Self::most_loaded`] has nothing to give.
    pub(super) fn exclude_most_loaded(&mut self) {
        let Some(last) = self.most_end.checked_sub(1) else { return };
        if self.most_next <= last {
            self.sorted.swap(self.most_next, last);
        }
        self.most_end = last;
    }
}
