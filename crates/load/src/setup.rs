//! What all scenarios share: where the server is, the group and its topic, and connections.

use std::time::Duration;

use base::{TopicId, Uuid};
use client::admin::NewTopic;
use client::transport::Connection;
use client::{Address, Admin, Client, ClientOptions};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::metadata_response::MetadataResponse;
use tokio::time::Instant;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Between two tries of what the server is not ready for.
const PAUSE_MS: u64 = 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Classic,
    Consumer,
}

/// The topic that members subscribe to and offsets are committed for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Topic {
    pub id: TopicId,
    pub partitions: i32,
}

pub struct Setup {
    pub address: Address,
    pub protocol: Protocol,
    pub group: String,
    pub topic: String,
    pub session_timeout_ms: i32,
    /// Of classic members; the others are told theirs.
    pub heartbeat_ms: u64,
    /// How long anything may take.
    pub limit_ms: u64,
    found: Mutex<Topic>,
}

impl Setup {
    pub fn parse(args: &[String]) -> Result<Self, String> {
        let (address, settings) = args.split_first().ok_or("no server is named")?;
        let mut setup = Self {
            address: Address::parse(address).ok_or_else(|| format!("no address: {address}"))?,
            protocol: Protocol::Classic,
            group: String::from("load"),
            topic: String::from("load"),
            session_timeout_ms: 45_000,
            heartbeat_ms: 3_000,
            limit_ms: 300_000,
            found: Mutex::default(),
        };
        for setting in settings {
            let invalid = || format!("not understood: {setting}");
            let (key, value) = setting.split_once('=').ok_or_else(invalid)?;
            match key {
                "protocol" => setup.protocol = value.parse()?,
                "group" => setup.group = value.to_owned(),
                "topic" => setup.topic = value.to_owned(),
                "session-timeout-ms" => {
                    setup.session_timeout_ms = value.parse().map_err(|_| invalid())?;
                }
                "heartbeat-ms" => setup.heartbeat_ms = value.parse().map_err(|_| invalid())?,
                "limit-ms" => setup.limit_ms = value.parse().map_err(|_| invalid())?,
                _ => return Err(invalid()),
            }
        }
        Ok(setup)
    }

    pub fn topic_found(&self) -> Topic {
        *self.found.lock()
    }

    fn options(&self) -> ClientOptions {
        ClientOptions {
            bootstrap_servers: vec![self.address.clone()],
            client_id: String::from("load"),
            request_timeout_ms: self.limit_ms,
            // What many members wait for at a time.
            max_in_flight: 100_000,
            ..Default::default()
        }
    }

    pub fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.options())?)
    }

    pub async fn connection(&self) -> Result<Connection, Failure> {
        Ok(Connection::open(&self.address, &self.options()).await?)
    }

    pub async fn connections(&self, count: usize) -> Result<Vec<Connection>, Failure> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(self.connection().await?);
        }
        Ok(connections)
    }

    /// Makes the topic where there is none, and waits until it and the group's coordinator are there.
    pub async fn make_topic(&self, partitions: i32) -> Result<String, Failure> {
        let begin = Instant::now();
        let admin = Admin::new(self.client()?);
        let new = NewTopic { partitions, replication_factor: 1, ..NewTopic::new(&self.topic) };
        for (_, created) in admin.create_topics(&[new], false).await? {
            match created {
                Ok(_) => {}
                Err(error) if error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let connection = self.connection().await?;
        let limit = begin + Duration::from_millis(self.limit_ms);
        while !(self.look(&connection).await? == partitions
            && self.coordinated(&connection).await?)
        {
            if Instant::now() > limit {
                return Err("the topic or the coordinator are not there in time".into());
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
        }
        Ok(format!("ms={}", begin.elapsed().as_millis()))
    }

    /// Looks the topic up; how many of its partitions have leaders.
    pub async fn look(&self, connection: &Connection) -> Result<i32, Failure> {
        let asked =
            MetadataRequestTopic { name: Some(self.topic.as_str().into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![asked]), ..Default::default() };
        let reply = connection.call(&request).await?;
        let response: MetadataResponse<'_> = reply.decode()?;
        let Some(topic) = response.topics.first() else { return Ok(0) };
        let led = topic.partitions.iter().filter(|partition| partition.leader_id >= 0).count();
        let partitions = i32::try_from(led)?;
        *self.found.lock() = Topic { id: topic.topic_id, partitions };
        Ok(if topic.topic_id == Uuid::ZERO { 0 } else { partitions })
    }

    async fn coordinated(&self, connection: &Connection) -> Result<bool, Failure> {
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![self.group.as_str().into()],
            ..Default::default()
        };
        let reply = connection.call(&request).await?;
        let response: FindCoordinatorResponse<'_> = reply.decode()?;
        Ok(response.coordinators.first().is_some_and(|found| found.error_code == 0))
    }
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "classic" => Ok(Self::Classic),
            "consumer" => Ok(Self::Consumer),
            _ => Err(format!("no such protocol: {text}")),
        }
    }
}

/// What a server says while a coordinator loads or moves: try again.
pub fn is_passing(code: i16) -> bool {
    [
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotCoordinator,
    ]
    .iter()
    .any(|passing| passing.code() == code)
}

/// So many per cent of them, which are sorted, are not above it.
pub fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().unwrap_or(0)
}

pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
}

/// An error code as a failure.
pub fn check(what: &str, code: i16) -> Result<(), Failure> {
    match code {
        0 => Ok(()),
        _ => Err(format!("{what}: {:?}", ErrorCode::from_code(code)).into()),
    }
}
