//! A shard with one consumer group, and members that say little.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;
use coordinator::testing::TestContext;
use coordinator::{Linger, RuntimeConfig};
use group::consumer::{self, Consumer};
use group::testing::Cluster;
use group::{Caller, GroupShard, Kind, Query, Reply, Request};
use protocol::ErrorCode;
use protocol::messages::consumer_group_describe_response::DescribedGroup;
use protocol::messages::consumer_group_heartbeat_request::{
    ConsumerGroupHeartbeatRequest, TopicPartitions,
};
use protocol::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;

pub const GROUP: &str = "g";

pub type Heartbeat = ConsumerGroupHeartbeatRequest<'static>;
pub type Answer = ConsumerGroupHeartbeatResponse<'static>;

pub struct Test {
    pub context: TestContext<GroupShard>,
    pub cluster: Cluster,
}

/// Partitions by topic, as members tell and are told.
pub type Owned = BTreeMap<Uuid, Vec<i32>>;

impl Test {
    /// Topics `a` with 4 partitions and `b` with 2.
    pub fn new() -> Self {
        let mut cluster = Cluster::default();
        cluster.put_topic("a", 1, 4);
        cluster.put_topic("b", 2, 2);
        let config = RuntimeConfig { linger: Linger::Adaptive, batch_bytes_max: 1 << 20 };
        let mut view = group::testing::view(cluster.clone());
        view.consumer.assignment_interval_ms = 0;
        Self { context: TestContext::new(GroupShard::default(), config, view), cluster }
    }

    pub fn topic(&self, name: &str) -> Uuid {
        self.cluster.topics[name].id
    }

    pub fn send(&mut self, request: Heartbeat) -> Result<Answer, ErrorCode> {
        let caller = Caller {
            version: 1,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            fresh_id: Uuid([7; 16]),
        };
        let request = consumer::Request::Heartbeat { caller, request };
        match self.context.ask(Request::Consumer(request)) {
            Ok(Reply::Consumer(consumer::Reply::Heartbeat(answer))) => Ok(answer),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    }

    /// An answer without error.
    pub fn ok(&mut self, request: Heartbeat) -> Answer {
        let answer = self.send(request).unwrap();
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer
    }

    pub fn error(&mut self, request: Heartbeat) -> ErrorCode {
        ErrorCode::from_code(self.send(request).unwrap().error_code)
    }

    /// Joins, and tells the epoch and what is assigned at once.
    pub fn join(&mut self, member: &'static str, topics: &[&'static str]) -> (i32, Owned) {
        let answer = self.ok(join(member, topics));
        (answer.member_epoch, owned(&answer).expect("who joins is told"))
    }

    /// Goes on; what it is told, if anything.
    pub fn go_on(&mut self, member: &'static str, epoch: i32) -> (i32, Option<Owned>) {
        let answer = self.ok(alive(member, epoch));
        (answer.member_epoch, owned(&answer))
    }

    /// Goes on and says what it owns.
    pub fn owns(&mut self, member: &'static str, epoch: i32, has: &Owned) -> (i32, Option<Owned>) {
        let answer = self.ok(telling(member, epoch, has));
        (answer.member_epoch, owned(&answer))
    }

    /// Every member does what it is told until nothing changes any more.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            let before = self.group().clone();
            let members: Vec<_> = before.members().cloned().collect();
            for member in members {
                let has: Owned = member
                    .assigned
                    .iter()
                    .map(|(id, set)| (*id, set.keys().copied().collect()))
                    .collect();
                let id: &'static str = Box::leak(member.id.to_string().into_boxed_str());
                let mut request = telling(id, member.epoch, &has);
                request.instance_id =
                    member.subscription.instance_id.as_ref().map(|id| id.to_string().into());
                self.ok(request);
            }
            self.context.advance(1);
            if self.group() == &before {
                return;
            }
        }
        panic!("the group does not come to rest");
    }

    pub fn group(&self) -> &Consumer {
        self.try_group().expect("the group is there")
    }

    pub fn try_group(&self) -> Option<&Consumer> {
        match self.context.runtime.tip().groups().get(GROUP) {
            Some(Kind::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    pub fn describe(&mut self, group: &str) -> DescribedGroup<'static> {
        let query = consumer::Query::Describe { groups: vec![group.to_owned()] };
        match self.context.look(Query::Consumer(query)) {
            Ok(Reply::Consumer(consumer::Reply::Described(mut groups))) => groups.remove(0),
            other => panic!("{other:?}"),
        }
    }

    /// The cluster changes, and the shard is told.
    pub fn change(&mut self, names: &[&str], new: bool, how: impl FnOnce(&mut Cluster)) {
        how(&mut self.cluster);
        self.cluster.version += 1;
        self.context.view.metadata = Arc::new(self.cluster.clone());
        let version = self.cluster.version;
        let topics = names.iter().map(|name| Arc::from(*name)).collect();
        let told = consumer::Request::MetadataChanged { version, topics, new };
        assert_eq!(self.context.ask(Request::Consumer(told)), Ok(Reply::Done));
    }
}

pub fn join(member: &'static str, topics: &[&'static str]) -> Heartbeat {
    Heartbeat {
        member_epoch: 0,
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(topics.iter().map(|name| (*name).into()).collect()),
        topic_partitions: Some(Vec::new()),
        ..alive(member, 0)
    }
}

pub fn join_static(
    member: &'static str,
    instance: &'static str,
    topics: &[&'static str],
) -> Heartbeat {
    Heartbeat { instance_id: Some(instance.into()), ..join(member, topics) }
}

pub fn join_regex(member: &'static str, regex: &'static str) -> Heartbeat {
    let regex = Some(regex.into());
    Heartbeat { subscribed_topic_names: None, subscribed_topic_regex: regex, ..join(member, &[]) }
}

/// Nothing new.
pub fn alive(member: &'static str, epoch: i32) -> Heartbeat {
    Heartbeat {
        group_id: GROUP.into(),
        member_id: member.into(),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        topic_partitions: None,
        ..Default::default()
    }
}

pub fn telling(member: &'static str, epoch: i32, has: &Owned) -> Heartbeat {
    let topics = has.iter().map(|(topic_id, partitions)| TopicPartitions {
        topic_id: *topic_id,
        partitions: partitions.clone(),
        ..Default::default()
    });
    Heartbeat { topic_partitions: Some(topics.collect()), ..alive(member, epoch) }
}

pub fn owned(answer: &Answer) -> Option<Owned> {
    let assignment = answer.assignment.as_ref()?;
    let topics = assignment.topic_partitions.iter();
    Some(topics.map(|topic| (topic.topic_id, topic.partitions.clone())).collect())
}
