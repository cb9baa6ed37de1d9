//! A client of one cluster: its connections, what it knows of the topics, and the loop that tries again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{NodeId, TopicId};
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::DescribeClusterResponse;
use protocol::messages::metadata_request::MetadataRequest;
use protocol::messages::metadata_response::MetadataResponse;
use protocol::{Encode, FinalizedFeatures, Message};
use tokio::time::Instant;

use crate::backoff;
use crate::error::{Error, Result};
use crate::metadata::{self, Metadata};
use crate::options::{Address, ClientOptions};
use crate::transport::{Connection, Pool, Reply, pool::Peer};

/// The kind of endpoints that DescribeCluster is asked for.
pub(crate) const BROKERS: i8 = 1;
pub(crate) const CONTROLLERS: i8 = 2;

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Whoever answers; a broker forwards what the controller must decide.
    Any,
    Node(NodeId),
    /// The leader of the metadata quorum as the brokers name it, or any broker.
    Controller,
}

/// Which topics a refresh asks for.
#[derive(Clone, Debug)]
pub enum Topics {
    None,
    All,
    Named(Vec<Arc<str>>),
    /// Topics whose names are wanted.
    Ids(Vec<TopicId>),
}

struct Inner {
    options: Arc<ClientOptions>,
    pool: Pool,
    metadata: ArcSwap<Metadata>,
}

/// Shared by admin, producers and consumers; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

impl Client {
    /// Connects to nobody yet. `bootstrap_servers` must name one address at least.
    pub fn new(options: ClientOptions) -> Result<Self> {
        if options.bootstrap_servers.is_empty() {
            return Err(Error::InvalidOption {
                key: "bootstrap.servers",
                value: String::new(),
                expected: String::from("expected HOST:PORT, comma-separated"),
            });
        }
        let options = Arc::new(options);
        let pool = Pool::new(Arc::clone(&options));
        Ok(Self(Arc::new(Inner { options, pool, metadata: ArcSwap::default() })))
    }

    pub fn options(&self) -> &ClientOptions {
        &self.0.options
    }

    /// What is known now; empty before the first refresh.
    pub fn metadata(&self) -> Arc<Metadata> {
        self.0.metadata.load_full()
    }

    /// What the cluster has finalized, as the servers told that were asked so far.
    pub fn finalized_features(&self) -> FinalizedFeatures {
        self.0.pool.finalized()
    }

    /// The limit of a call that begins now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.0.options.api_timeout_ms)
    }

    /// A connection to the target, without trying twice.
    pub async fn connection(&self, target: Target) -> Result<Connection> {
        let metadata = self.metadata();
        let node = match target {
            Target::Node(id) => Some(id),
            Target::Controller => metadata.controller,
            Target::Any => None,
        };
        match node {
            Some(id) => match metadata.nodes.get(&id) {
                Some(node) => self.0.pool.get(Peer::Node(id), &node.address).await,
                None if target == Target::Controller => self.any(&metadata).await,
                None => Err(Error::api(protocol::ErrorCode::BrokerNotAvailable, None)),
            },
            None => self.any(&metadata).await,
        }
    }

    /// A connection to a node that another answer than the metadata's named.
    pub(crate) async fn connection_at(&self, id: NodeId, address: &Address) -> Result<Connection> {
        self.0.pool.get(Peer::Node(id), address).await
    }

    /// Known nodes first, from a random one on; then the bootstrap list.
    async fn any(&self, metadata: &Metadata) -> Result<Connection> {
        let nodes = metadata.nodes.values().map(|n| (Peer::Node(n.id), n.address.clone()));
        let mut peers: Vec<(Peer, Address)> = nodes.collect();
        let start = (backoff::random() * peers.len() as f64) as usize;
        if start < peers.len() {
            peers.rotate_left(start);
        }
        let bootstrap = self.0.options.bootstrap_servers.iter().cloned().enumerate();
        peers.extend(bootstrap.map(|(i, address)| (Peer::Bootstrap(i), address)));
        self.0.pool.first(&peers).await
    }

    /// One request, one try.
    pub async fn call<R: Message + Encode>(&self, target: Target, request: &R) -> Result<Reply> {
        self.connection(target).await?.call(request).await
    }

    /// Asks for metadata once and takes it over.
    pub async fn refresh_once(&self, topics: &Topics, create: bool) -> Result<Arc<Metadata>> {
        if self.0.options.controllers {
            return self.refresh_controllers().await;
        }
        let request = MetadataRequest {
            topics: match topics {
                Topics::All => None,
                Topics::None => Some(Vec::new()),
                Topics::Named(names) => {
                    Some(names.iter().map(|name| metadata::asked(name)).collect())
                }
                Topics::Ids(ids) => Some(ids.iter().map(|id| metadata::asked_id(*id)).collect()),
            },
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let reply = self.call(Target::Any, &request).await?;
        let response: MetadataResponse<'_> = reply.decode()?;
        Error::check(response.error_code, None)?;
        let complete = matches!(topics, Topics::All);
        let metadata = Arc::new(self.metadata().updated(&response, complete));
        self.0.metadata.store(Arc::clone(&metadata));
        self.0.pool.retain(|id| metadata.nodes.contains_key(&id));
        // Topics that an answer calls unknown or invalid are the caller's business: it finds them missing.
        for topic in &response.topics {
            let code = protocol::ErrorCode::from_code(topic.error_code);
            let asked = matches!(topics, Topics::Named(names) if names.len() == 1);
            if asked && code != protocol::ErrorCode::None {
                return Err(Error::api(code, None));
            }
        }
        Ok(metadata)
    }

    async fn refresh_controllers(&self) -> Result<Arc<Metadata>> {
        let request = DescribeClusterRequest { endpoint_type: CONTROLLERS, ..Default::default() };
        let reply = self.call(Target::Any, &request).await?;
        let response: DescribeClusterResponse<'_> = reply.decode()?;
        Error::check(response.error_code, response.error_message.as_deref())?;
        let metadata = Arc::new(Metadata::of_controllers(&response));
        self.0.metadata.store(Arc::clone(&metadata));
        self.0.pool.retain(|id| metadata.nodes.contains_key(&id));
        Ok(metadata)
    }

    /// As [`Self::refresh_once`], tried again until the deadline.
    pub async fn refresh(&self, topics: Topics, create: bool) -> Result<Arc<Metadata>> {
        self.retry("metadata", self.deadline(), || self.refresh_once(&topics, create)).await
    }

    /// Makes sure that at least the nodes are known. Controllers forward nothing: who is the active one must be new.
    pub(crate) async fn ensure_nodes(&self) -> Result<Arc<Metadata>> {
        let metadata = self.metadata();
        if metadata.nodes.is_empty() || self.0.options.controllers {
            self.refresh_once(&Topics::None, false).await
        } else {
            Ok(metadata)
        }
    }

    /// Repeats `attempt` while its error is retriable and time is left, with growing pauses.
    pub async fn retry<T, F, Fut>(
        &self,
        what: &'static str,
        deadline: Instant,
        mut attempt: F,
    ) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let begin = Instant::now();
        let mut failures = 0u32;
        let mut last: Option<Error> = None;
        loop {
            let expired = |last: Option<Error>| Error::Expired {
                what,
                after_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
                last: last.map(Box::new),
            };
            match tokio::time::timeout_at(deadline, attempt()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) if error.retriable() => {
                    failures = failures.saturating_add(1);
                    tracing::debug!(what, failures, %error, "trying again");
                    last = Some(error);
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(expired(last)),
            }
            let pause_ms = self.0.options.retry_backoff.after(failures, backoff::random()).max(1);
            let next = Instant::now() + Duration::from_millis(pause_ms);
            if next >= deadline {
                return Err(expired(last));
            }
            tokio::time::sleep_until(next).await;
        }
    }
}
