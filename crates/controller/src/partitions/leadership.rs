//! What the life of a broker means for leaders and in-sync sets.

use std::collections::BTreeSet;

use base::{BrokerEpoch, DirectoryId, NodeId, PartitionIndex};
use metadata::{Image, Partition, Topic};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::metadata_records::unregister_broker_record::UnregisterBrokerRecord;

use super::change::PartitionChange;
use crate::handle::Controller;

type Records = Vec<MetadataRecord<'static>>;

/// Whether a broker leads a partition.
pub(crate) fn leads_any(image: &Image, id: NodeId) -> bool {
    image.topics.iter().any(|topic| topic.partitions().any(|(_, partition)| partition.leader == id))
}

/// How a broker leaves or enters the sets of a partition.
#[derive(Clone, Copy)]
enum Move<'a> {
    Leaves(NodeId),
    /// With directories that broke in the meantime.
    Enters(NodeId, &'a [DirectoryId]),
    /// Came back without a clean shutdown: neither in sync nor eligible.
    CrashedBefore(NodeId),
}

/// A change of every partition that `concerned` names.
fn update(
    controller: &Controller,
    step: Move<'_>,
    concerned: impl Fn(&Partition) -> bool,
    records: &mut Records,
) {
    for topic in controller.image().topics.iter() {
        for (index, partition) in topic.partitions().filter(|(_, partition)| concerned(partition)) {
            records.extend(changed(controller, topic, index, partition, step));
        }
    }
}

fn changed(
    controller: &Controller,
    topic: &Topic,
    index: PartitionIndex,
    partition: &Partition,
    step: Move<'_>,
) -> Option<MetadataRecord<'static>> {
    moved(controller, topic, index, partition, step)?.build().map(Into::into)
}

fn moved<'a>(
    controller: &'a Controller,
    topic: &'a Topic,
    index: PartitionIndex,
    partition: &Partition,
    step: Move<'a>,
) -> Option<PartitionChange<'a>> {
    let is_active = move |id: NodeId| controller.image().cluster.is_active(id);
    let change = PartitionChange::of(controller, topic, index)?.unclean_where_allowed();
    let without = |gone: NodeId| partition.isr.iter().copied().filter(|id| *id != gone).collect();
    Some(match step {
        Move::Leaves(id) => {
            change.isr(without(id)).accepting(move |other| other != id && is_active(other))
        }
        Move::Enters(id, lost) => {
            change.losing(id, lost).accepting(move |other| other == id || is_active(other))
        }
        Move::CrashedBefore(id) => change
            .isr(without(id))
            .lost_by_unclean_shutdown(id)
            .accepting(move |other| other != id && is_active(other)),
    })
}

fn registration_change(
    id: NodeId,
    epoch: i64,
    fenced: i8,
    shutdown: i8,
) -> MetadataRecord<'static> {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: id.0,
        broker_epoch: epoch,
        fenced,
        in_controlled_shutdown: shutdown,
        ..Default::default()
    })
}

/// Takes a broker out of all in-sync sets and fences it.
pub(crate) fn fence(controller: &Controller, id: NodeId, records: &mut Records) {
    let Some(broker) = controller.image().cluster.broker(id) else { return };
    update(controller, Move::Leaves(id), |partition| partition.isr.contains(&id), records);
    records.push(registration_change(id, broker.epoch.0, 1, 0));
}

/// Unfences a broker and lets it lead what nobody leads, unless that is in one of the directories it has `lost`.
pub(crate) fn unfence(
    controller: &Controller,
    id: NodeId,
    epoch: i64,
    lost: &[DirectoryId],
    records: &mut Records,
) {
    records.push(registration_change(id, epoch, -1, 0));
    update(controller, Move::Enters(id, lost), |partition| !partition.has_leader(), records);
}

/// Moves the leaderships of a broker away; it stays in sync where it is the last one.
pub(crate) fn enter_controlled_shutdown(
    controller: &Controller,
    id: NodeId,
    epoch: i64,
    records: &mut Records,
) {
    if controller.image().cluster.broker(id).is_some_and(|broker| !broker.in_controlled_shutdown) {
        records.push(registration_change(id, epoch, 0, 1));
    }
    update(controller, Move::Leaves(id), |partition| partition.isr.contains(&id), records);
}

/// Takes a broker out of everything and forgets it.
pub(crate) fn unregister(
    controller: &Controller,
    id: NodeId,
    epoch: BrokerEpoch,
    records: &mut Records,
) {
    update(controller, Move::Leaves(id), |partition| partition.isr.contains(&id), records);
    update(controller, Move::Leaves(id), |partition| partition.elr.contains(&id), records);
    let record =
        UnregisterBrokerRecord { broker_id: id.0, broker_epoch: epoch.0, ..Default::default() };
    records.push(record.into());
}

/// A new incarnation registers: what the one before was in sync with does not count any more. Without a clean
/// shutdown it may have lost what it had acknowledged, so it is not eligible either.
pub(crate) fn forget_incarnation(
    controller: &Controller,
    id: NodeId,
    clean: bool,
    records: &mut Records,
) {
    if controller.image().features.elr_enabled() && !clean {
        update(
            controller,
            Move::CrashedBefore(id),
            |partition| partition.isr.contains(&id),
            records,
        );
        update(
            controller,
            Move::CrashedBefore(id),
            |partition| partition.elr.contains(&id),
            records,
        );
    } else {
        update(controller, Move::Leaves(id), |partition| partition.isr.contains(&id), records);
    }
}

/// Directories of a broker broke: its replicas in them leave the in-sync sets, but for those that `records` change
/// already.
pub(crate) fn leave_directories(
    controller: &Controller,
    id: NodeId,
    lost: &[DirectoryId],
    records: &mut Records,
) {
    let changed_partition = |record: &MetadataRecord<'_>| match record {
        MetadataRecord::PartitionChange(r) => Some((r.topic_id, PartitionIndex(r.partition_id))),
        _ => None,
    };
    let known: BTreeSet<_> = records.iter().filter_map(changed_partition).collect();
    for topic in controller.image().topics.iter() {
        for (index, partition) in topic.partitions() {
            let concerned = partition.directory(id).is_some_and(|dir| lost.contains(&dir));
            if concerned && !known.contains(&(topic.id, index)) {
                records.extend(changed(controller, topic, index, partition, Move::Leaves(id)));
            }
        }
    }
}

/// A replica turns out to be in a directory that is broken.
pub(crate) fn assign_to_broken(
    controller: &Controller,
    id: NodeId,
    topic: &Topic,
    index: PartitionIndex,
    directory: DirectoryId,
) -> Option<MetadataRecord<'static>> {
    let partition = topic.partition(index)?;
    let change = moved(controller, topic, index, partition, Move::Leaves(id))?;
    change.directory(id, directory).build().map(Into::into)
}
