//! A client of either kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::TopicPartition;
use group::Reply;
use protocol::ErrorCode;

use super::classic::{self, ClassicMember};
use super::consumer::{self, ConsumerMember};
use super::turn::{Lane, Turn};
use super::work::Work;

#[derive(Clone, Debug)]
pub enum Member {
    Classic(ClassicMember),
    Consumer(ConsumerMember),
}

#[derive(Clone, Debug)]
pub struct Client {
    pub member: Member,
    /// Crashed: it does nothing and hears nothing any more.
    pub crashed: bool,
    /// It does nothing until then; what arrives meanwhile it finds afterwards.
    pub paused_until_ms: u64,
}

impl Client {
    pub fn new(member: Member) -> Self {
        Self { member, crashed: false, paused_until_ms: 0 }
    }

    pub fn group(&self) -> &Arc<str> {
        match &self.member {
            Member::Classic(member) => &member.group,
            Member::Consumer(member) => &member.group,
        }
    }

    pub fn id(&self) -> &str {
        match &self.member {
            Member::Classic(member) => &member.member_id,
            Member::Consumer(member) => &member.member_id,
        }
    }

    pub fn instance_id(&self) -> Option<&Arc<str>> {
        match &self.member {
            Member::Classic(member) => member.instance_id.as_ref(),
            Member::Consumer(member) => member.instance_id.as_ref(),
        }
    }

    pub fn topics(&self) -> &BTreeSet<Arc<str>> {
        match &self.member {
            Member::Classic(member) => &member.topics,
            Member::Consumer(member) => &member.topics,
        }
    }

    fn work(&mut self) -> &mut Work {
        match &mut self.member {
            Member::Classic(member) => &mut member.work,
            Member::Consumer(member) => &mut member.work,
        }
    }

    pub fn waits_for_offsets(&self, call: u64) -> bool {
        match &self.member {
            Member::Classic(member) => member.work.waits_for(call),
            Member::Consumer(member) => member.work.waits_for(call),
        }
    }

    pub fn owned(&self) -> BTreeSet<TopicPartition> {
        match &self.member {
            Member::Classic(member) => member.work.owned(),
            Member::Consumer(member) => member.work.owned(),
        }
    }

    /// It wants to be a member, now or later.
    pub fn lives(&self) -> bool {
        !self.crashed
            && match &self.member {
                Member::Classic(member) => member.phase != classic::Phase::Gone,
                Member::Consumer(member) => member.phase != consumer::Phase::Gone,
            }
    }

    /// It believes to be one.
    pub fn is_member(&self) -> bool {
        match &self.member {
            Member::Classic(member) => member.phase == classic::Phase::Member,
            Member::Consumer(member) => member.phase == consumer::Phase::Member,
        }
    }

    pub fn wake(&mut self, turn: &mut Turn<'_>) {
        match &mut self.member {
            Member::Classic(member) => member.wake(turn),
            Member::Consumer(member) => member.wake(turn),
        }
    }

    /// What an application can ask of its classic consumer.
    pub fn ask_for_rebalance(&mut self, turn: &mut Turn<'_>) {
        if let Member::Classic(member) = &mut self.member {
            member.join(turn);
        }
    }

    pub fn leave(&mut self, turn: &mut Turn<'_>) {
        match &mut self.member {
            Member::Classic(member) => member.leave(turn),
            Member::Consumer(member) => member.leave(turn),
        }
    }

    pub fn answered(
        &mut self,
        turn: &mut Turn<'_>,
        lane: Lane,
        call: u64,
        reply: Result<Reply, ErrorCode>,
    ) {
        match (lane, &mut self.member) {
            (Lane::Offsets, _) => self.work().answered(turn, call, reply),
            (Lane::Group, Member::Classic(member)) => member.answered(turn, call, reply),
            (Lane::Group, Member::Consumer(member)) => member.answered(turn, call, reply),
        }
    }
}
