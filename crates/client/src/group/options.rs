//! The settings of a group's member; keys and defaults are Kafka's.

use super::assignor::Assignor;
use crate::error::{Error, Result};
use crate::options::{boolean, number};

/// How a member speaks with its coordinator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupProtocol {
    /// JoinGroup and SyncGroup; a member assigns.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848); the coordinator assigns.
    Consumer,
}

/// Times in milliseconds.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    pub group_id: String,
    /// A static member keeps its partitions while it restarts.
    pub instance_id: Option<String>,
    pub protocol: GroupProtocol,
    pub session_timeout_ms: u32,
    pub heartbeat_interval_ms: u32,
    /// A member whose application does not poll for so long leaves. Also the limit of a rebalance.
    pub max_poll_interval_ms: u32,
    /// In the order in which they are wanted; classic protocol only.
    pub assignors: Vec<Assignor>,
    /// The coordinator's assignor; none: it chooses. Consumer protocol only.
    pub remote_assignor: Option<String>,
    pub auto_commit: bool,
    pub auto_commit_interval_ms: u32,
    pub rack: String,
    /// Keys that were set and belong to one protocol only.
    pub(super) classic_only: Vec<&'static str>,
    pub(super) consumer_only: Vec<&'static str>,
}

impl GroupOptions {
    pub fn new(group_id: impl Into<String>) -> Self {
        Self {
            group_id: group_id.into(),
            instance_id: None,
            protocol: GroupProtocol::Classic,
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 3_000,
            max_poll_interval_ms: 300_000,
            assignors: vec![Assignor::Range, Assignor::CooperativeSticky],
            remote_assignor: None,
            auto_commit: true,
            auto_commit_interval_ms: 5_000,
            rack: String::new(),
            classic_only: Vec::new(),
            consumer_only: Vec::new(),
        }
    }

    /// Takes one setting by its Kafka key. `Ok(false)` when the key is not a member's.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool> {
        match key {
            "group.id" => self.group_id = value.to_owned(),
            "group.instance.id" => self.instance_id = Some(value.to_owned()),
            "group.protocol" => {
                self.protocol = match value.to_ascii_lowercase().as_str() {
                    "classic" => GroupProtocol::Classic,
                    "consumer" => GroupProtocol::Consumer,
                    _ => {
                        return Err(Error::InvalidOption {
                            key: "group.protocol",
                            value: value.to_owned(),
                            expected: String::from(
                                "String must be one of (case insensitive): CLASSIC, CONSUMER",
                            ),
                        });
                    }
                }
            }
            "session.timeout.ms" => {
                self.session_timeout_ms = milliseconds("session.timeout.ms", value)?;
                self.classic_only.push("session.timeout.ms");
            }
            "heartbeat.interval.ms" => {
                self.heartbeat_interval_ms = milliseconds("heartbeat.interval.ms", value)?;
                self.classic_only.push("heartbeat.interval.ms");
            }
            "max.poll.interval.ms" => {
                self.max_poll_interval_ms = milliseconds("max.poll.interval.ms", value)?;
            }
            "partition.assignment.strategy" => {
                self.assignors = assignors(value)?;
                self.classic_only.push("partition.assignment.strategy");
            }
            "group.remote.assignor" => {
                self.remote_assignor = Some(value.to_owned());
                self.consumer_only.push("group.remote.assignor");
            }
            "enable.auto.commit" => self.auto_commit = boolean("enable.auto.commit", value)?,
            "auto.commit.interval.ms" => {
                self.auto_commit_interval_ms = milliseconds("auto.commit.interval.ms", value)?;
            }
            "client.rack" => self.rack = value.to_owned(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Kafka's rules between the settings.
    pub fn check(&self) -> Result<()> {
        let (protocol, foreign) = match self.protocol {
            GroupProtocol::Classic => ("CLASSIC", self.consumer_only.first()),
            GroupProtocol::Consumer => ("CONSUMER", self.classic_only.first()),
        };
        if let Some(key) = foreign {
            return Err(Error::InvalidOption {
                key,
                value: String::new(),
                expected: format!("{key} cannot be set when group.protocol={protocol}"),
            });
        }
        if self.group_id.is_empty() {
            return Err(Error::api(protocol::ErrorCode::InvalidGroupId, None));
        }
        Ok(())
    }

    /// Whether partitions are kept while the group rebalances: only if every assignor can.
    pub fn cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| assignor.is_cooperative())
    }
}

/// From 1 up to what the wire carries.
fn milliseconds(key: &'static str, value: &str) -> Result<u32> {
    let ms: u32 = number(key, value)?;
    if ms >= 1 && i32::try_from(ms).is_ok() {
        return Ok(ms);
    }
    Err(Error::InvalidOption {
        key,
        value: value.to_owned(),
        expected: String::from("expected a number in its range"),
    })
}

fn assignors(value: &str) -> Result<Vec<Assignor>> {
    let invalid = || Error::InvalidOption {
        key: "partition.assignment.strategy",
        value: value.to_owned(),
        expected: String::from("expected range, roundrobin, sticky or cooperative-sticky"),
    };
    let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let list: Vec<Assignor> =
        names.map(|name| Assignor::parse(name).ok_or_else(invalid)).collect::<Result<_>>()?;
    if list.is_empty() { Err(invalid()) } else { Ok(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &str, expected: Result<(GroupProtocol, bool), &str>) {
        let mut options = GroupOptions::new("g");
        let set = pairs.split_whitespace().try_for_each(|pair| {
            let (key, value) = pair.split_once('=').expect("key=value");
            options.set(key, value).map(drop)
        });
        let found = set.and_then(|()| options.check()).map_err(|error| error.to_string());
        let found = found.map(|()| (options.protocol, options.cooperative()));
        match (&found, expected) {
            (Err(found), Err(part)) => assert!(found.contains(part), "{pairs}: {found}"),
            (found, expected) => {
                assert_eq!(found, &expected.map_err(str::to_owned), "{pairs}");
            }
        }
    }

    #[test]
    fn settings_and_their_rules() {
        use GroupProtocol::{Classic, Consumer};
        let strategy = "partition.assignment.strategy";
        check("", Ok((Classic, false)));
        check("group.protocol=Consumer group.remote.assignor=range", Ok((Consumer, false)));
        check(&format!("{strategy}=cooperative-sticky"), Ok((Classic, true)));
        let class = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        check(&format!("{strategy}={class},sticky"), Ok((Classic, false)));
        check(&format!("{strategy}=best"), Err("expected range"));
        check("group.protocol=new", Err("must be one of"));
        check(
            "group.protocol=consumer session.timeout.ms=1000",
            Err("session.timeout.ms cannot be set when group.protocol=CONSUMER"),
        );
        check("group.remote.assignor=uniform", Err("cannot be set when group.protocol=CLASSIC"));
        check("heartbeat.interval.ms=0", Err("in its range"));
        check("max.poll.interval.ms=4000000000", Err("in its range"));
        check("group.id=", Err("group id is invalid"));
    }
}
