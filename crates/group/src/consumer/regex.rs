//! Patterns of topic names: a heartbeat that brings one is answered, then the group's patterns are resolved together.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::ErrorCode;

use super::Timer;
use super::counts::{match_added, match_removed};
use super::member::Member;
use super::refusal::Refusal;
use super::state::Resolved;
use super::subscribe::patterns_after;
use super::work::Work;
use crate::record::ConsumerRecord;
use crate::topic_regex::TopicRegex;

/// Patterns are not resolved again before, as in Kafka.
const RESOLVE_AGAIN_AFTER_MS: i64 = 10_000;

/// What became of a member's pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PatternChange {
    None,
    /// Its topics are not known yet.
    Changed,
    /// What it means is known: the group can move on.
    ChangedAndResolved,
}

impl Work<'_> {
    pub(super) fn update_pattern(
        &mut self,
        old: &Member,
        new: &Member,
    ) -> Result<PatternChange, Refusal> {
        let mut change = PatternChange::None;
        let mut required = false;
        if old.subscription.regex != new.subscription.regex {
            let (was, is) = (old.subscription.pattern(), new.subscription.pattern());
            change = PatternChange::Changed;
            if let Some(was) = was
                && self.group.patterns.get(was) == Some(&1)
            {
                self.write(ConsumerRecord::Regex { regex: Arc::clone(was), value: None });
            }
            match is {
                Some(is) if !self.group.patterns.contains_key(is) => {
                    TopicRegex::new(is).map_err(|message| {
                        Refusal::new(ErrorCode::InvalidRegularExpression, message)
                    })?;
                    required = true;
                }
                Some(is) if self.group.resolved.contains_key(is) => {
                    change = PatternChange::ChangedAndResolved;
                }
                None if was.is_some() => change = PatternChange::ChangedAndResolved,
                _ => {}
            }
        }
        if required || !self.group.patterns.is_empty() {
            self.resolve_if_due(required, old, new);
        }
        Ok(change)
    }

    fn resolve_if_due(&mut self, mut required: bool, old: &Member, new: &Member) {
        let last = self.group.resolved.values().next();
        let last_ms = last.map(|resolved| resolved.timestamp_ms);
        let within =
            |ms: i64| last_ms.is_some_and(|last_ms| self.now_ms() <= last_ms.saturating_add(ms));
        if self.memory.resolving || within(RESOLVE_AGAIN_AFTER_MS) {
            return;
        }
        let patterns = patterns_after(&self.group, old, new);
        required |= patterns.size() != self.group.resolved.size();
        required |= last.map_or(0, |resolved| resolved.version) < self.shared.new_topics;
        required |= !within(i64::from(self.view.consumer.regex_refresh_interval_ms));
        if required && !patterns.is_empty() {
            self.memory.resolving = true;
            self.set(Timer::Regex { group: Arc::clone(&self.id) }, 0);
        }
    }

    /// Looks up what the patterns match now, and bumps the group's epoch when that is something else.
    pub(super) fn resolve(&mut self) {
        self.memory.resolving = false;
        let names = self.view.metadata.topic_names();
        let version = self.view.metadata.version();
        let timestamp_ms = self.now_ms();
        let mut topics = self.group.topics.clone();
        let mut bump = false;
        let nothing = BTreeSet::new();
        for regex in self.group.patterns.clone().keys() {
            let matched = matching(regex, &names);
            let known = self.group.resolved.get(regex).cloned();
            let before = known.as_ref().map_or(&nothing, |resolved| &resolved.topics);
            if *before != matched {
                bump = true;
                before.iter().for_each(|topic| match_removed(&mut topics, topic));
                matched.iter().for_each(|topic| match_added(&mut topics, topic));
            }
            let value = Some(Arc::new(Resolved { topics: matched, version, timestamp_ms }));
            self.write(ConsumerRecord::Regex { regex: Arc::clone(regex), value });
        }
        let hash = self.shared.hash(&topics, self.view);
        if bump || hash != self.group.metadata_hash {
            let epoch = self.group.epoch.saturating_add(1);
            self.write(ConsumerRecord::Epoch { epoch, metadata_hash: hash });
            self.memory.refreshed(version);
        }
    }
}

/// A pattern that cannot be read matches nothing: an older version may have let it in.
fn matching(regex: &str, names: &[Arc<str>]) -> BTreeSet<Arc<str>> {
    let Ok(regex) = TopicRegex::new(regex) else { return BTreeSet::new() };
    names.iter().filter(|name| regex.matches(name)).cloned().collect()
}
