//! Where the coordinator of a group or of a transactional id is. A member of a group has a connection to it that nobody
//! else uses: a JoinGroup may wait for minutes, and answers come in order.

use std::sync::Arc;
use std::time::Duration;

use base::NodeId;
use parking_lot::Mutex;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::FindCoordinatorResponse;
use protocol::{Encode, ErrorCode, Message};

use crate::backoff;
use crate::cluster::{Client, Target};
use crate::error::{Error, Result};
use crate::options::Address;
use crate::transport::{Connection, Reply};

/// The first version of FindCoordinator that asks for several keys.
const FIRST_BATCHED: i16 = 4;

/// What a coordinator coordinates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CoordinatorKind {
    Group,
    Transaction,
}

impl CoordinatorKind {
    /// On the wire.
    const fn code(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
        }
    }
}

/// The coordinator of one group or transactional id.
pub(crate) struct Coordinator {
    client: Client,
    kind: CoordinatorKind,
    group: Arc<str>,
    known: Mutex<Option<(NodeId, Address)>>,
}

impl Coordinator {
    /// Of a group, with connections of its own.
    pub(crate) fn new(client: &Client, group: Arc<str>) -> Result<Self> {
        let client = Client::new(client.options().clone())?;
        Ok(Self::with(client, CoordinatorKind::Group, group))
    }

    /// With the connections of this client.
    pub(crate) fn with(client: Client, kind: CoordinatorKind, key: Arc<str>) -> Self {
        Self { client, kind, group: key, known: Mutex::default() }
    }

    /// The group, or the transactional id.
    pub(crate) fn group(&self) -> &Arc<str> {
        &self.group
    }

    /// The coordinator, asked for when it is not known.
    pub(crate) async fn connection(&self) -> Result<Connection> {
        let known = self.known.lock().clone();
        let (id, address) = match known {
            Some(known) => known,
            None => {
                let found = find(&self.client, self.kind, &self.group).await?;
                *self.known.lock() = Some(found.clone());
                found
            }
        };
        let connection = self.client.connection_at(id, &address).await;
        connection.inspect_err(|_| self.forget())
    }

    /// After an error that says it is elsewhere, or a lost connection.
    pub(crate) fn forget(&self) {
        self.known.lock().take();
    }

    /// One request, one try, within `timeout_ms`.
    pub(crate) async fn call<R: Message + Encode>(
        &self,
        request: &R,
        timeout_ms: u64,
    ) -> Result<Reply> {
        let connection = self.connection().await?;
        let reply = connection.call_within(request, i16::MAX, timeout_ms).await;
        reply.inspect_err(|error| self.lost(error))
    }

    /// Forgets the coordinator when the error says that it is elsewhere.
    pub(crate) fn lost(&self, error: &Error) {
        if error.code().is_none_or(moved) {
            self.forget();
        }
    }

    /// A connection of `client` to the same place, for what must not wait behind a JoinGroup.
    pub(crate) async fn spare_connection(&self, client: &Client) -> Result<Connection> {
        let known = self.known.lock().clone();
        let (id, address) = match known {
            Some(known) => known,
            None => find(client, self.kind, &self.group).await?,
        };
        client.connection_at(id, &address).await
    }

    pub(crate) fn request_timeout_ms(&self) -> u64 {
        self.client.options().request_timeout_ms
    }

    /// Waits before the next try.
    pub(crate) async fn pause(&self, failures: u32) {
        let ms = self.client.options().retry_backoff.after(failures.max(1), backoff::random());
        tokio::time::sleep(Duration::from_millis(ms.max(1))).await;
    }

    /// As [`Client::retry`].
    pub(crate) async fn retry<T, F, Fut>(&self, what: &'static str, attempt: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.client.retry(what, self.client.deadline(), attempt).await
    }
}

/// Whether the coordinator is somewhere else, or nowhere for now.
pub(crate) fn moved(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
}

/// Asks any node where a coordinator is.
pub(crate) async fn find(
    client: &Client,
    kind: CoordinatorKind,
    key: &str,
) -> Result<(NodeId, Address)> {
    let connection = client.connection(Target::Any).await?;
    let mut request = FindCoordinatorRequest { key_type: kind.code(), ..Default::default() };
    if connection.version_for::<FindCoordinatorRequest<'_>>()? >= FIRST_BATCHED {
        request.coordinator_keys = vec![key.into()];
    } else {
        request.key = key.into();
    }
    let reply = connection.call(&request).await?;
    let response: FindCoordinatorResponse<'_> = reply.decode()?;
    let (code, message, id, host, port) = if reply.version >= FIRST_BATCHED {
        let found = response.coordinators.iter().find(|c| c.key == key);
        let found = found.ok_or_else(|| Error::Incomplete {
            what: format!("the coordinator of {key}"),
            address: reply.address().to_owned(),
        })?;
        (found.error_code, &found.error_message, found.node_id, &found.host, found.port)
    } else {
        let r = &response;
        (r.error_code, &r.error_message, r.node_id, &r.host, r.port)
    };
    Error::check(code, message.as_deref())?;
    let port = u16::try_from(port);
    let port = port.map_err(|_| Error::api(ErrorCode::CoordinatorNotAvailable, None))?;
    Ok((NodeId(id), Address { host: host.to_string(), port }))
}
