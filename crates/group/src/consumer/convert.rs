//! Classic groups that become consumer groups while they have members, and the way back (KIP-848's migration).

use std::sync::Arc;

use base::Uuid;
use protocol::ErrorCode;
use protocol::messages::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::sync_group_response::SyncGroupResponse;

use super::member::{ClassicMember, ClassicProtocol, Member, MemberState, Owned, Subscription};
use super::refusal::Refusal;
use super::work::Work;
use crate::assignor::Partitions;
use crate::classic::{self, Classic, Turn};
use crate::embedded;
use crate::record::{ConsumerRecord, GroupRecord};
use crate::shard;
use crate::view::{Metadata, View};

impl Work<'_> {
    /// The decision goes on with the group that the classic one becomes.
    pub(crate) fn upgrade(&mut self, from: &Classic) -> Result<(), Refusal> {
        self.may_upgrade(from)?;
        let protocol = from.protocol().ok_or(Refusal::plain(ErrorCode::UnknownServerError))?;
        let mut members = Vec::new();
        for member in from.members() {
            members.push(self.upgraded(member, from.generation(), protocol)?);
        }
        self.turn_away(from);
        self.records.push(GroupRecord::Classic { group: Arc::clone(&self.id), value: None });
        for member in &members {
            self.write_subscription(member);
            self.group.replay(&subscription_record(member));
        }
        let metadata_hash = self.shared.hash(&self.group.topics, self.view);
        let epoch = from.generation();
        let mut rest = vec![ConsumerRecord::Epoch { epoch, metadata_hash }];
        rest.extend(members.iter().map(target_record));
        rest.push(ConsumerRecord::TargetMetadata { value: Some((epoch, 0)) });
        rest.extend(members.iter().map(Work::current_record));
        for record in rest {
            self.group.replay(&record);
            self.write(record);
        }
        for member in &members {
            if let Some(classic) = &member.subscription.classic {
                self.set_session_of(&member.id, classic.session_timeout_ms);
            }
        }
        Ok(())
    }

    fn may_upgrade(&self, from: &Classic) -> Result<(), Refusal> {
        let max = usize::try_from(self.view.consumer.members_max).unwrap_or(0);
        let why = if !self.view.consumer.migration.upgrade {
            "online upgrade is disabled"
        } else if !from.is_of_consumers() {
            "the group does not use the consumer embedded protocol"
        } else if from.members().count() > max {
            "the group size exceeds the consumer group maximum size"
        } else {
            return Ok(());
        };
        Err(self.no_upgrade(why))
    }

    fn no_upgrade(&self, why: &str) -> Refusal {
        let group = &self.id;
        Refusal::group_not_found(format!(
            "Cannot upgrade classic group {group} to consumer group because {why}."
        ))
    }

    fn upgraded(
        &self,
        from: &classic::Member,
        generation: i32,
        protocol: &str,
    ) -> Result<Member, Refusal> {
        let malformed = || self.no_upgrade("the embedded consumer protocol is malformed");
        let said = embedded::subscription(from.metadata(protocol)).ok_or_else(malformed)?;
        let mut assigned = Owned::new();
        if !from.assignment.is_empty() {
            let owns = embedded::assignment(&from.assignment).ok_or_else(malformed)?;
            if owns.user_data.is_some_and(|data| !data.is_empty()) {
                return Err(self.no_upgrade(
                    "an unsupported custom assignor is in use. Please refer to the documentation \
                     or switch to a default assignor before re-attempting the upgrade",
                ));
            }
            for topic in &owns.assigned_partitions {
                if let Some(known) = self.view.metadata.topic(&topic.topic) {
                    let epochs = topic.partitions.iter().map(|one| (*one, generation));
                    assigned.insert(known.id, epochs.collect());
                }
            }
        }
        let protocols = from.protocols.iter().map(|protocol| ClassicProtocol {
            name: Arc::clone(&protocol.name),
            metadata: Arc::clone(&protocol.metadata),
        });
        let classic = ClassicMember {
            session_timeout_ms: from.session_timeout_ms,
            protocols: protocols.collect(),
        };
        let subscription = Subscription {
            instance_id: from.instance_id.clone(),
            rack_id: said.rack_id.filter(|rack| !rack.is_empty()).map(Arc::from),
            client_id: Arc::clone(&from.client_id),
            client_host: Arc::clone(&from.client_host),
            topics: Arc::new(said.topics.iter().map(|topic| Arc::from(&**topic)).collect()),
            rebalance_timeout_ms: from.rebalance_timeout_ms,
            classic: Some(Arc::new(classic)),
            ..Subscription::default()
        };
        Ok(Member {
            id: Arc::clone(&from.id),
            epoch: generation,
            previous_epoch: generation,
            state: MemberState::Stable,
            subscription: Arc::new(subscription),
            assigned: Arc::new(assigned),
            revoking: Arc::default(),
        })
    }

    /// Requests that wait in the classic group are told to come again; its timers end.
    fn turn_away(&mut self, from: &Classic) {
        let error_code = ErrorCode::RebalanceInProgress.code();
        for member in from.members() {
            if let Some(waiting) = member.join {
                let member_id = member.id.to_string().into();
                let response = JoinGroupResponse {
                    error_code,
                    member_id,
                    protocol_name: None,
                    ..Default::default()
                };
                self.reply(waiting, classic::Reply::JoinGroup(response));
            }
            if let Some(waiting) = member.sync {
                let response = SyncGroupResponse { error_code, ..Default::default() };
                self.reply(waiting, classic::Reply::SyncGroup(response));
            }
            let (group, member) = (Arc::clone(&self.id), Arc::clone(&member.id));
            self.cancel_classic(classic::Timer::Session { group, member });
        }
        self.cancel_classic(classic::Timer::Join { group: Arc::clone(&self.id) });
        self.cancel_classic(classic::Timer::Sync { group: Arc::clone(&self.id) });
    }

    /// Only classic members stay when these go.
    pub(super) fn may_downgrade_without(&self, leaving: &[Arc<Member>]) -> bool {
        let classic = leaving.iter().filter(|member| member.uses_classic_protocol()).count();
        let stay = self.group.members.size().saturating_sub(leaving.len());
        stay > 0 && self.group.classic_members.saturating_sub(classic) == stay && self.allows(stay)
    }

    /// Only classic members are left when this one has become one.
    pub(super) fn may_downgrade_with(&self, replaced: &Member) -> bool {
        let members = self.group.members.size();
        !replaced.uses_classic_protocol()
            && self.group.classic_members.saturating_add(1) == members
            && self.allows(members)
    }

    fn allows(&self, members: usize) -> bool {
        let max = usize::try_from(self.view.classic.members_max).unwrap_or(0);
        self.view.consumer.migration.downgrade && members <= max
    }

    /// The group becomes a classic one of those who stay, with `joining` for the member whose instance it has. False, and
    /// nothing has happened, when what the members said cannot be read.
    pub(super) fn downgrade(
        &mut self,
        leaving: &[Arc<Member>],
        joining: Option<&Member>,
        rebalance: bool,
    ) -> bool {
        let replaced = joining.and_then(|joining| {
            let instance_id = joining.subscription.instance_id.as_ref()?;
            self.group.static_members.get(instance_id).cloned()
        });
        let Some(group) = self.downgraded(leaving, joining, replaced.as_ref()) else {
            return false;
        };
        let rename = |id| match joining {
            Some(joining) if Some(id) == replaced.as_ref() => &joining.id,
            _ => id,
        };
        self.records.extend(self.group.tombstones_renamed(&self.id, rename));
        for member in self.group.members.clone().values() {
            self.cancel_timers(&member.id);
        }
        let name = Arc::clone(&self.id);
        let mut turn = Turn::new(self.now, &self.view.classic, &name, group);
        for member in turn.group.members.clone().values() {
            turn.renew_session(member);
        }
        if rebalance {
            turn.prepare_rebalance();
        }
        let Turn { group, timers, .. } = turn;
        self.records.push(GroupRecord::Classic { group: name, value: Some(group) });
        self.timers.extend(timers.into_iter().map(shard::wrap_classic));
        true
    }

    fn downgraded(
        &self,
        leaving: &[Arc<Member>],
        joining: Option<&Member>,
        replaced: Option<&Arc<str>>,
    ) -> Option<Classic> {
        let leaves = |id: &Arc<str>| leaving.iter().any(|one| one.id == *id);
        let stay = self.group.members.values().filter(|member| !leaves(&member.id));
        let stay = stay.filter(|member| Some(&member.id) != replaced).map(|member| &**member);
        let mut members = Vec::new();
        for member in stay.chain(joining) {
            members.push((classic_member(member)?, member));
        }
        let voters = members.iter().map(|(member, _)| member.clone());
        let protocol = Classic::vote_of(voters)?;
        for (classic, member) in &mut members {
            let before = replaced.filter(|_| joining.is_some_and(|one| one.id == member.id));
            let target = self.group.target(before.unwrap_or(&member.id));
            let version = embedded::version(classic.metadata(&protocol))?;
            let told = told(&target, &*self.view.metadata);
            classic.assignment = embedded::write_assignment(&told, version)?.into();
        }
        let members = members.into_iter().map(|(member, _)| member);
        Some(Classic::of_consumers(self.group.epoch, protocol, members, self.now_ms()))
    }
}

fn subscription_record(member: &Member) -> ConsumerRecord {
    ConsumerRecord::Subscription {
        member: Arc::clone(&member.id),
        value: Some(Arc::clone(&member.subscription)),
    }
}

/// What it has is what it is to have.
fn target_record(member: &Member) -> ConsumerRecord {
    let owned = member.assigned.iter();
    let target: Partitions =
        owned.map(|(topic, epochs)| (*topic, epochs.keys().copied().collect())).collect();
    ConsumerRecord::Target { member: Arc::clone(&member.id), value: Some(Arc::new(target)) }
}

fn classic_member(from: &Member) -> Option<classic::Member> {
    let classic = from.subscription.classic.as_ref()?;
    let protocols = classic.protocols.iter().map(|protocol| classic::Protocol {
        name: Arc::clone(&protocol.name),
        metadata: Arc::clone(&protocol.metadata),
    });
    Some(classic::Member {
        id: Arc::clone(&from.id),
        instance_id: from.subscription.instance_id.clone(),
        client_id: Arc::clone(&from.subscription.client_id),
        client_host: Arc::clone(&from.subscription.client_host),
        rebalance_timeout_ms: from.subscription.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: protocols.collect(),
        assignment: Arc::from([]),
        is_new: false,
        join: None,
        sync: None,
    })
}

/// Partitions by the names of their topics, as the consumer protocol tells them.
pub(super) fn told(
    partitions: &Partitions,
    metadata: &dyn Metadata,
) -> ConsumerProtocolAssignment<'static> {
    let topics = partitions.iter().filter_map(|(topic, partitions)| {
        let topic = metadata.topic_by_id(*topic)?.name.to_string().into();
        Some(TopicPartition { topic, partitions: partitions.iter().copied().collect() })
    });
    ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None }
}

/// The ids of topics by their names.
pub(super) fn topic_id(view: &View, name: &str) -> Option<Uuid> {
    view.metadata.topic(name).map(|topic| topic.id)
}
