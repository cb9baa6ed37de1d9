//! What goes wrong, and what people do.

use std::sync::Arc;

use group::{DeletedTopic, Request, consumer};
use protocol::ErrorCode;
use protocol::messages::offset_delete_request::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

use super::checks::Verdict;
use super::network::Network;
use super::world::{Event, World};

impl World {
    /// One more thing happens; the next one later.
    pub fn chaos(&mut self) -> Verdict {
        if self.calm {
            return Ok(());
        }
        if self.groups.is_empty() {
            self.set_up();
        }
        let next_ms = self.rng.range(200, 8_000);
        self.after(next_ms, Event::Chaos);
        match self.rng.below(100) {
            0..12 => self.crash(),
            12..24 => self.pause(),
            24..36 => self.newcomer(),
            36..40 => {
                if !self.turn_over()? {
                    self.newcomer();
                }
            }
            40..50 => return self.somebody_leaves(),
            50..58 => self.fail_appends(),
            58..66 => self.hold_commits(),
            66..74 => {
                let compact = self.rng.chance(60);
                return self.reload(compact);
            }
            74..78 => self.create_topic(),
            78..84 => self.grow_topic(),
            84..87 => return self.delete_topic(),
            87..93 => {
                self.network = Network::BAD;
                let ms = self.rng.range(1_000, 20_000);
                self.after(ms, Event::NetworkHeals);
            }
            93..96 => return self.delete_offsets(),
            96..98 => return self.delete_group(),
            _ => self.static_duel(),
        }
        Ok(())
    }

    fn somebody(&mut self) -> Option<usize> {
        let living: Vec<usize> =
            (0..self.clients.len()).filter(|at| self.clients[*at].lives()).collect();
        self.rng.pick(&living).copied()
    }

    fn crash(&mut self) {
        if let Some(at) = self.somebody() {
            self.clients[at].crashed = true;
            self.note(&format!("client {at} crashes"));
            let group = Arc::clone(self.clients[at].group());
            // A static member is started again.
            if self.clients[at].instance_id().is_some() && self.rng.chance(60) {
                self.add_client(&group, Some(at));
            }
        }
    }

    fn pause(&mut self) {
        if let Some(at) = self.somebody() {
            let ms = self.rng.range(1_000, 60_000);
            self.clients[at].paused_until_ms = self.now_ms + ms;
            self.note(&format!("client {at} pauses for {ms} ms"));
        }
    }

    fn newcomer(&mut self) {
        let living = self.clients.iter().filter(|client| client.lives()).count();
        if living < 12
            && let Some(group) = self.rng.pick(&self.groups).cloned()
        {
            self.add_client(&group, None);
        }
    }

    fn somebody_leaves(&mut self) -> Verdict {
        let Some(at) = self.somebody() else { return Ok(()) };
        if self.clients[at].paused_until_ms > self.now_ms {
            return Ok(());
        }
        self.note(&format!("client {at} leaves"));
        self.act(at, |client, turn| client.leave(turn))
    }

    /// Two clients with one instance id.
    fn static_duel(&mut self) {
        let Some(at) = self.somebody() else { return };
        let group = Arc::clone(self.clients[at].group());
        if self.clients[at].instance_id().is_some() {
            self.add_client(&group, Some(at));
        }
    }

    fn fail_appends(&mut self) {
        let errors = [
            ErrorCode::NotEnoughReplicas,
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::MessageTooLarge,
        ];
        self.server.append_error = self.rng.pick(&errors).copied();
        let ms = self.rng.range(100, 15_000);
        self.note(&format!("appends fail for {ms} ms"));
        self.after(ms, Event::AppendsHeal);
    }

    fn hold_commits(&mut self) {
        self.server.hold_commits = true;
        let ms = self.rng.range(100, 15_000);
        self.note(&format!("commits wait for {ms} ms"));
        self.after(ms, Event::CommitsHeal);
    }

    /// Tells the coordinator that topics changed.
    pub fn tell_metadata(&mut self, topics: &[Arc<str>], new: bool) {
        self.server.view.metadata = Arc::new(self.cluster.clone());
        let version = self.cluster.version;
        let topics = Arc::from(topics.to_vec());
        let request = consumer::Request::MetadataChanged { version, topics, new };
        self.tell(Request::Consumer(request));
    }

    fn grow_topic(&mut self) {
        let names: Vec<Arc<str>> = self.topic_names().into_iter().collect();
        let Some(name) = self.rng.pick(&names).cloned() else { return };
        let Some(topic) = self.cluster.topics.get_mut(&name) else { return };
        topic.partitions += 1;
        self.cluster.version += 1;
        self.note(&format!("topic {name} grows"));
        self.tell_metadata(&[name], false);
    }

    fn delete_topic(&mut self) -> Verdict {
        let names: Vec<Arc<str>> = self.topic_names().into_iter().collect();
        let Some(name) = self.rng.pick(&names).cloned() else { return Ok(()) };
        let Some(topic) = self.cluster.topics.remove(&name) else { return Ok(()) };
        self.cluster.version += 1;
        self.note(&format!("topic {name} is deleted"));
        self.checks.deleted_topics.insert(Arc::clone(&name));
        self.tell_metadata(std::slice::from_ref(&name), false);
        self.tell(Request::TopicsDeleted(vec![DeletedTopic { name, id: topic.id }]));
        Ok(())
    }

    fn is_healthy(&self) -> bool {
        self.server.append_error.is_none() && !self.server.hold_commits
    }

    fn delete_offsets(&mut self) -> Verdict {
        let Some(group) = self.rng.pick(&self.groups).cloned() else { return Ok(()) };
        let names: Vec<Arc<str>> = self.topic_names().into_iter().collect();
        let Some(topic) = self.rng.pick(&names).cloned() else { return Ok(()) };
        if !self.is_healthy() {
            return Ok(());
        }
        let partition = OffsetDeleteRequestPartition { partition_index: 0 };
        let request = OffsetDeleteRequest {
            group_id: group.to_string().into(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.to_string().into(),
                partitions: vec![partition],
            }],
        };
        self.note(&format!("offsets of {topic} in {group} are deleted"));
        self.reset(&group, Request::OffsetDelete(request))
    }

    fn delete_group(&mut self) -> Verdict {
        let Some(group) = self.rng.pick(&self.groups).cloned() else { return Ok(()) };
        if !self.is_healthy() {
            return Ok(());
        }
        self.note(&format!("{group} is deleted"));
        self.reset(&group, Request::DeleteGroups(vec![group.to_string()]))
    }

    /// Somebody changes offsets on purpose.
    fn reset(&mut self, group: &Arc<str>, request: Request) -> Verdict {
        self.settle();
        self.checks.follow(&self.server.log)?;
        self.checks.reset.insert(Arc::clone(group));
        self.tell(request);
        self.settle();
        self.checks.follow(&self.server.log)?;
        self.checks.reset.remove(group);
        Ok(())
    }
}
