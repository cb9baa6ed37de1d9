//! What heartbeats tell, known to the active controller alone: who was heard of when, who has read how far.

use std::collections::BTreeMap;

use base::{BrokerEpoch, MonoMs, NodeId, Offset};
use metadata::Image;
use protocol::metadata_records::MetadataRecord;

use crate::handle::Controller;
use crate::partitions::leadership;

#[derive(Debug, Default)]
struct Broker {
    fenced: bool,
    /// How far the broker has read the metadata log.
    metadata_offset: Option<Offset>,
    /// The end of the records that moved its leaderships away; set while it is in controlled shutdown.
    controlled_shutdown_offset: Option<Offset>,
}

/// Sessions of all brokers.
#[derive(Debug)]
pub(crate) struct Sessions {
    timeout_ms: u64,
    brokers: BTreeMap<NodeId, Broker>,
    /// When each registration was last heard of.
    contacts: BTreeMap<(NodeId, BrokerEpoch), MonoMs>,
}

impl Sessions {
    pub(crate) fn new(timeout_ms: u64) -> Self {
        Self { timeout_ms, brokers: BTreeMap::new(), contacts: BTreeMap::new() }
    }

    pub(crate) fn timeout_ms(&self) -> u64 {
        self.timeout_ms
    }

    pub(crate) fn clear(&mut self) {
        self.brokers.clear();
        self.contacts.clear();
    }

    /// Every broker that is not fenced gets a whole session to be heard of.
    pub(crate) fn activate(&mut self, now: MonoMs, image: &Image) {
        self.clear();
        self.align(image);
        for broker in image.cluster.brokers.values().filter(|broker| !broker.fenced) {
            self.contacts.insert((broker.id, broker.epoch), now);
        }
    }

    /// Starts anew from the brokers of `image`; when they were last heard of stays known.
    pub(crate) fn align(&mut self, image: &Image) {
        self.brokers.clear();
        for broker in image.cluster.brokers.values() {
            self.registered(broker.id, broker.fenced);
        }
    }

    /// Follows the records that change who is registered and fenced.
    pub(crate) fn follow(&mut self, record: &MetadataRecord<'_>, image: &Image) {
        let id = match record {
            MetadataRecord::RegisterBroker(r) => {
                self.brokers.remove(&NodeId(r.broker_id));
                r.broker_id
            }
            MetadataRecord::UnregisterBroker(r) => {
                self.brokers.remove(&NodeId(r.broker_id));
                return;
            }
            MetadataRecord::BrokerRegistrationChange(r) => r.broker_id,
            MetadataRecord::FenceBroker(r) => r.id,
            MetadataRecord::UnfenceBroker(r) => r.id,
            MetadataRecord::AbortTransaction(_) => return self.align(image),
            _ => return,
        };
        if let Some(broker) = image.cluster.broker(NodeId(id)) {
            self.registered(broker.id, broker.fenced);
        }
    }

    /// A record told what the broker is. How far it has read is known again from its next heartbeat on, unless the
    /// record fences or unfences it.
    fn registered(&mut self, id: NodeId, fenced: bool) {
        let broker = self.brokers.entry(id).or_default();
        if broker.fenced == fenced {
            broker.metadata_offset = None;
        }
        broker.fenced = fenced;
        if fenced {
            broker.controlled_shutdown_offset = None;
        }
    }

    /// A heartbeat was processed.
    pub(crate) fn touch(&mut self, id: NodeId, fenced: bool, metadata_offset: Offset) {
        let broker = self.brokers.entry(id).or_default();
        broker.fenced = fenced;
        broker.metadata_offset = Some(metadata_offset);
        if fenced {
            broker.controlled_shutdown_offset = None;
        }
    }

    pub(crate) fn contact(&mut self, id: NodeId, epoch: BrokerEpoch, now: MonoMs) {
        self.contacts.insert((id, epoch), now);
    }

    fn is_expired(&self, since: MonoMs, now: MonoMs) -> bool {
        now.since(since) > self.timeout_ms
    }

    pub(crate) fn has_valid_session(&self, id: NodeId, epoch: BrokerEpoch, now: MonoMs) -> bool {
        self.contacts.get(&(id, epoch)).is_some_and(|since| !self.is_expired(*since, now))
    }

    pub(crate) fn is_fenced(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_none_or(|broker| broker.fenced)
    }

    /// `Some` while the broker is in controlled shutdown.
    pub(crate) fn controlled_shutdown_offset(&self, id: NodeId) -> Option<Offset> {
        self.brokers.get(&id)?.controlled_shutdown_offset
    }

    /// The first offset told stays.
    pub(crate) fn enter_controlled_shutdown(&mut self, id: NodeId, offset: Offset) {
        self.brokers.entry(id).or_default().controlled_shutdown_offset.get_or_insert(offset);
    }

    /// How far all brokers that may serve have read; `None` when there are none.
    pub(crate) fn lowest_active_offset(&self) -> Option<Offset> {
        let active =
            |broker: &&Broker| !broker.fenced && broker.controlled_shutdown_offset.is_none();
        let offsets = self.brokers.values().filter(active);
        offsets.map(|broker| broker.metadata_offset.unwrap_or(Offset::NONE)).min()
    }

    /// Brokers that may get replicas, with whether they are fenced: all but those in controlled shutdown.
    pub(crate) fn usable(&self) -> impl Iterator<Item = (NodeId, bool)> {
        let staying =
            self.brokers.iter().filter(|(_, broker)| broker.controlled_shutdown_offset.is_none());
        staying.map(|(id, broker)| (*id, broker.fenced))
    }

    /// Takes out every registration that was silent for too long.
    fn take_expired(&mut self, now: MonoMs) -> Vec<(NodeId, BrokerEpoch)> {
        let (contacts, timeout_ms) = (std::mem::take(&mut self.contacts), self.timeout_ms);
        let (expired, alive) =
            contacts.into_iter().partition(|(_, since)| now.since(*since) > timeout_ms);
        self.contacts = alive;
        let expired: BTreeMap<(NodeId, BrokerEpoch), MonoMs> = expired;
        expired.into_keys().collect()
    }
}

/// Fences a broker whose session has run out; the second value tells that there is another one.
///
/// One at a time, since the choice of leaders for the next must see what became of the first.
pub(crate) fn fence_stale(
    controller: &mut Controller,
    now: MonoMs,
) -> (Vec<MetadataRecord<'static>>, bool) {
    let mut records = Vec::new();
    for (id, epoch) in controller.sessions.take_expired(now) {
        if controller.image().cluster.broker(id).is_none_or(|broker| broker.epoch != epoch) {
            continue;
        }
        if !records.is_empty() {
            controller.sessions.contacts.insert((id, epoch), MonoMs(0));
            return (records, true);
        }
        leadership::fence(controller, id, &mut records);
        controller.sessions.registered(id, true);
    }
    (records, false)
}
