//! What a heartbeat changes in its member's subscription, and what that changes in the group.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;

use super::counts::{Counts, Topics, added, match_removed, name_added, name_removed, removed};
use super::member::{Member, Subscription};
use super::refusal::Refusal;
use super::state::{Consumer, subscription_type};
use super::work::Work;
use crate::assignor::{Assignor, SubscriptionType};
use crate::caller::Caller;
use crate::java::{string_hash, timeline_order};
use crate::record::ConsumerRecord;

/// A list of names with more bytes could not be written; it is not taken apart first.
const NAMES_BYTES_MAX: usize = 8 << 20;
/// What a name needs besides its text.
const NAME_OVERHEAD_BYTES: usize = 2;

/// The subscription after a heartbeat: the same `Arc` when nothing changed.
pub(super) fn updated(
    old: &Arc<Subscription>,
    caller: &Caller,
    request: &ConsumerGroupHeartbeatRequest<'_>,
    group: &Consumer,
) -> Result<Arc<Subscription>, Refusal> {
    let mut new = (**old).clone();
    for (field, given) in [
        (&mut new.instance_id, &request.instance_id),
        (&mut new.rack_id, &request.rack_id),
        (&mut new.assignor, &request.server_assignor),
        (&mut new.regex, &request.subscribed_topic_regex),
    ] {
        if let Some(given) = given
            && field.as_deref() != Some(&**given)
        {
            *field = Some(Arc::from(&**given));
        }
    }
    if request.rebalance_timeout_ms != -1 {
        new.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(names) = &request.subscribed_topic_names {
        new.topics = names_of(&new.topics, names, group)?;
    }
    new.classic = None;
    let new = new.with_client(caller);
    Ok(if new == **old { Arc::clone(old) } else { Arc::new(new) })
}

/// The set of these names, sharing what the group has already.
pub(super) fn names_of(
    old: &Arc<BTreeSet<Arc<str>>>,
    names: &[impl AsRef<str>],
    group: &Consumer,
) -> Result<Arc<BTreeSet<Arc<str>>>, Refusal> {
    let bytes: usize = names.iter().map(|name| name.as_ref().len() + NAME_OVERHEAD_BYTES).sum();
    if bytes > NAMES_BYTES_MAX {
        return Err(Refusal::plain(ErrorCode::UnknownServerError));
    }
    let sorted: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
    let same =
        |known: &BTreeSet<Arc<str>>| known.iter().map(|name| &**name).eq(sorted.iter().copied());
    if same(old) {
        return Ok(Arc::clone(old));
    }
    if let Some((_, other)) = group.members.first()
        && same(&other.subscription.topics)
    {
        return Ok(Arc::clone(&other.subscription.topics));
    }
    let shared = |name: &str| {
        let known = group.topics.get_key_value(name).map(|(known, _)| Arc::clone(known));
        known.unwrap_or_else(|| Arc::from(name))
    };
    Ok(Arc::new(sorted.into_iter().map(shared).collect()))
}

impl Work<'_> {
    /// Writes a subscription that changed; whether the names of its topics did.
    pub fn write_changed(&mut self, old: &Member, new: &Member) -> bool {
        if Arc::ptr_eq(&old.subscription, &new.subscription) {
            return false;
        }
        self.write_subscription(new);
        old.subscription.topics != new.subscription.topics
    }

    /// Bumps the group's epoch if that is due or its topics are not what they were; the epoch that then holds.
    pub fn update_epoch(&mut self, bump: bool, old: &Member, new: &Member) -> i32 {
        let topics = topics_after(&self.group, old, new);
        let hash = self.shared.hash(&topics, self.view);
        let mut epoch = self.group.epoch;
        if bump || hash != self.group.metadata_hash {
            epoch = epoch.saturating_add(1);
            self.write(ConsumerRecord::Epoch { epoch, metadata_hash: hash });
        }
        self.memory.refreshed(self.view.metadata.version());
        if self.group.has_partition_metadata {
            self.write(ConsumerRecord::PartitionMetadata { present: false });
        }
        epoch
    }

    /// The group's way of subscribing with a member as it will be.
    pub fn subscription_type(&self, old: &Member, new: &Member) -> SubscriptionType {
        let group = &self.group;
        let known = group.members.contains_key(&new.id)
            || new
                .subscription
                .instance_id
                .as_ref()
                .is_some_and(|id| group.static_members.contains_key(id));
        let members = group.members.size() + usize::from(!known);
        let patterns = patterns_after(group, old, new);
        subscription_type(&patterns, &topics_after(group, old, new), members)
    }
}

/// How often each topic is subscribed to, once a member has changed.
fn topics_after(group: &Consumer, old: &Member, new: &Member) -> Topics {
    let mut topics = group.topics.clone();
    let (was, is) = (&old.subscription, &new.subscription);
    if !Arc::ptr_eq(&was.topics, &is.topics) {
        // Before a member is part of the group, nothing of it counts; then there are no names either.
        for name in was.topics.iter() {
            name_removed(&mut topics, name);
        }
        for name in is.topics.iter() {
            name_added(&mut topics, name);
        }
    }
    if let Some(regex) = was.pattern()
        && is.pattern() != Some(regex)
        && group.patterns.get(regex) == Some(&1)
    {
        remove_matches(&mut topics, group, regex);
    }
    topics
}

/// Takes out what a pattern matched that nobody has any more.
pub(super) fn remove_matches(topics: &mut Topics, group: &Consumer, regex: &Arc<str>) {
    for name in group.resolved.get(regex).iter().flat_map(|resolved| resolved.topics.iter()) {
        match_removed(topics, name);
    }
}

/// The members of each pattern, once a member has changed.
pub(super) fn patterns_after(group: &Consumer, old: &Member, new: &Member) -> Counts {
    let mut patterns = group.patterns.clone();
    let (was, is) = (old.subscription.pattern(), new.subscription.pattern());
    if was != is {
        was.iter().for_each(|regex| removed(&mut patterns, regex));
        is.iter().for_each(|regex| added(&mut patterns, regex));
    }
    patterns
}

/// The assignor that most members ask for; of several, the first that Kafka would come across.
pub(super) fn preferred_assignor(group: &Consumer) -> Option<Assignor> {
    most_wanted(&group.assignors, None)
}

/// The same, once a member has changed.
pub(super) fn preferred_assignor_after(
    group: &Consumer,
    old: &Member,
    new: &Member,
) -> Option<Assignor> {
    let mut counts = group.assignors.clone();
    let (was, is) = (&old.subscription.assignor, &new.subscription.assignor);
    was.iter().for_each(|name| removed(&mut counts, name));
    let late = is.as_ref().filter(|name| !counts.contains_key(*name));
    is.iter().for_each(|name| added(&mut counts, name));
    most_wanted(&counts, late)
}

/// `late` was not counted before: it comes last.
fn most_wanted(counts: &Counts, late: Option<&Arc<str>>) -> Option<Assignor> {
    let early = counts.keys().filter(|name| Some(*name) != late);
    let mut names = timeline_order(early.map(|name| (string_hash(name), name)).collect());
    names.extend(late);
    let mut best: Option<(&Arc<str>, u32)> = None;
    for name in names {
        let count = counts.get(name).copied().unwrap_or(0);
        if best.is_none_or(|(_, most)| count > most) {
            best = Some((name, count));
        }
    }
    best.and_then(|(name, _)| Assignor::from_name(name))
}
