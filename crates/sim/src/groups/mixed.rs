//! Groups on their way from one protocol to the other: members of both kinds, and people who replace one kind by the other.

use std::sync::Arc;

use client::group::assignor::Assignor;
use group::classic::State;
use group::{Kind, Request, classic};

use super::checks::Verdict;
use super::client::{Client, Member};
use super::turn::{Ask, Call, Lane};
use super::world::World;

/// What the classic members of a mixed group assign with, by the group's name.
pub(super) fn assignor(group: &str) -> Option<Assignor> {
    match group {
        "mixed-range" => Some(Assignor::Range),
        "mixed-sticky" => Some(Assignor::Sticky),
        "mixed-cooperative" => Some(Assignor::CooperativeSticky),
        _ => None,
    }
}

impl World {
    /// The protocol of the next member of a mixed group.
    pub(super) fn draws_classic(&mut self, group: &Arc<str>) -> bool {
        let percent = self.classic_percent.get(group).copied().unwrap_or(50);
        self.rng.chance(percent)
    }

    /// Somebody decides where a mixed group is to go, and replaces members. False when there is no such group.
    pub(super) fn turn_over(&mut self) -> Result<bool, String> {
        let mixed = self.groups.iter().filter(|group| assignor(group).is_some());
        let mixed: Vec<Arc<str>> = mixed.cloned().collect();
        let Some(group) = self.rng.pick(&mixed).cloned() else { return Ok(false) };
        let percent = self.rng.pick(&[0, 0, 50, 100, 100]).copied().unwrap_or(50);
        self.note(&format!("{group} is to have {percent} classic members of a hundred"));
        self.classic_percent.insert(Arc::clone(&group), percent);
        let share = self.rng.pick(&[30, 60, 100]).copied().unwrap_or(100);
        for at in 0..self.clients.len() {
            let client = &self.clients[at];
            let idle = client.paused_until_ms <= self.now_ms;
            let wanted = match &client.member {
                Member::Classic(_) => percent == 100,
                Member::Consumer(_) => percent == 0,
            };
            if client.lives() && idle && !wanted && *client.group() == group {
                self.replace(at, &group, share)?;
            }
        }
        Ok(true)
    }

    fn replace(&mut self, at: usize, group: &Arc<str>, share: u64) -> Verdict {
        if !self.rng.chance(share) {
            return Ok(());
        }
        // A successor may come before its predecessor goes.
        let first = self.rng.chance(20);
        if first {
            self.add_client(group, Some(at));
        }
        if self.rng.chance(80) {
            self.act(at, |client, turn| client.leave(turn))?;
        } else {
            self.clients[at].crashed = true;
        }
        self.note(&format!("client {at} is replaced"));
        if !first {
            self.add_client(group, Some(at));
        }
        Ok(())
    }

    /// A consumer group takes a classic member in again that it has forgotten, under its old id, as Apache Kafka does. The
    /// member cannot know that others had its partitions meanwhile, and its commits could go back. Here it is told, and
    /// gives up what it had.
    pub(super) fn tell_forgotten_member(&mut self, client: usize, ask: &Ask) {
        let Ask::Request(Request::Classic(classic::Request::JoinGroup { request, .. })) = ask
        else {
            return;
        };
        let groups = self.server.runtime.tip().groups();
        let Some(Kind::Consumer(group)) = groups.get(&*request.group_id) else { return };
        if group.member(&request.member_id).is_none()
            && let Some(Client { member: Member::Classic(member), .. }) =
                self.clients.get_mut(client)
        {
            member.work.lose_all();
        }
    }

    /// Within an epoch of a mixed group partitions can go from one member to another: what its sender does not wait for any
    /// more does not come, so that nothing old is committed.
    pub(super) fn is_given_up(&self, client: usize, call: &Call) -> bool {
        let Some(client) = self.clients.get(client) else { return false };
        call.lane == Lane::Offsets
            && !client.crashed
            && assignor(client.group()).is_some()
            && !client.waits_for_offsets(call.id)
    }

    /// A static member that takes over from one of the other protocol can make its group a classic one without a rebalance,
    /// as in Apache Kafka: nobody leads then, and who still waited for partitions does not hear of them. Somebody has to ask
    /// for a rebalance.
    pub(super) fn ask_for_rebalances(&mut self) -> Verdict {
        for group in self.groups.clone() {
            let known = self.server.runtime.tip().groups().get(&group);
            let stable =
                matches!(known, Some(Kind::Classic(known)) if known.state() == State::Stable);
            if !stable || assignor(&group).is_none() {
                continue;
            }
            let members = (0..self.clients.len()).filter(|at| {
                let client = &self.clients[*at];
                *client.group() == group && client.lives() && client.is_member()
            });
            let members: Vec<usize> = members.collect();
            let leads = |at: &usize| matches!(&self.clients[*at].member, Member::Classic(one) if one.leads());
            if let Some(first) = members.first().filter(|_| !members.iter().any(leads)) {
                self.note(&format!("client {first} is to ask for a rebalance"));
                self.act(*first, Client::ask_for_rebalance)?;
            }
        }
        Ok(())
    }

    /// A member of a consumer group never reads what the coordinator does not count as its.
    pub(super) fn clients_own_what_is_theirs(&self) -> Verdict {
        for client in &self.clients {
            if !client.lives() || !client.is_member() {
                continue;
            }
            let groups = self.server.runtime.tip().groups();
            let Some(Kind::Consumer(group)) = groups.get(client.group()) else { continue };
            let Some(known) = group.member(client.id()) else { continue };
            if !counts_as_its(client, known.epoch) {
                continue;
            }
            for one in client.owned() {
                let Some(topic) = self.cluster.topics.get(&one.topic) else { continue };
                if known.assignment_epoch(topic.id, one.partition.get()).is_none() {
                    let (group, id) = (client.group(), client.id());
                    return Err(format!("{group}: {id} reads {one}, which is not its"));
                }
            }
        }
        Ok(())
    }
}

/// A classic group goes on without those who do not join in time: what they read is told by their generation. Nobody takes
/// anything from a member of a consumer group that has not given it up.
fn counts_as_its(client: &Client, epoch: i32) -> bool {
    match &client.member {
        Member::Classic(member) => member.generation == epoch,
        Member::Consumer(_) => true,
    }
}
