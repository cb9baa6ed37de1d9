//! BrokerHeartbeat: fencing, unfencing, controlled shutdown, lost and cordoned directories.

use std::collections::BTreeSet;

use base::{BrokerEpoch, DirectoryId, NodeId, Offset};
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::broker_registration_change_record::BrokerRegistrationChangeRecord;

use crate::brokers::check_epoch;
use crate::handle::{At, Controller, Records};
use crate::partitions::leadership;

/// Where a broker stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl Life {
    fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }
}

pub(crate) fn handle(
    controller: &mut Controller,
    at: At,
    request: &BrokerHeartbeatRequest,
) -> (Records, BrokerHeartbeatResponse) {
    let (id, epoch) = (NodeId(request.broker_id), request.broker_epoch);
    if let Err(error) = check_epoch(controller, id.0, epoch) {
        let refused =
            BrokerHeartbeatResponse { error_code: error.code.code(), ..Default::default() };
        return (Records::none(), refused);
    }
    controller.sessions.contact(id, BrokerEpoch(epoch), at.now.mono);

    let registered_at = controller.tip().registration_offset(id);
    let offset = Offset(request.current_metadata_offset);
    let (current, next) = next_life(controller, id, request, registered_at);
    let lost = newly_lost(controller, id, request);
    let mut records = Vec::new();
    if current != next {
        match next {
            Life::Fenced | Life::ShutdownNow => leadership::fence(controller, id, &mut records),
            Life::Unfenced => leadership::unfence(controller, id, epoch, &lost, &mut records),
            Life::ControlledShutdown => {
                leadership::enter_controlled_shutdown(controller, id, epoch, &mut records)
            }
        }
    }
    controller.sessions.touch(id, next.is_fenced(), offset);
    directories(controller, id, request, &lost, &mut records);
    if next == Life::ControlledShutdown {
        let count = i64::try_from(records.len()).unwrap_or(i64::MAX);
        controller.sessions.enter_controlled_shutdown(id, at.next_offset.plus(count - 1));
    }
    let reply = BrokerHeartbeatResponse {
        is_caught_up: offset >= registered_at,
        is_fenced: next.is_fenced(),
        should_shut_down: next == Life::ShutdownNow,
        ..Default::default()
    };
    (Records::loose(records), reply)
}

/// Kafka's table of states: what the broker is, and what its wishes make of it.
fn next_life(
    controller: &Controller,
    id: NodeId,
    request: &BrokerHeartbeatRequest,
    registered_at: Offset,
) -> (Life, Life) {
    let caught_up = Offset(request.current_metadata_offset) >= registered_at;
    let leads = || leadership::leads_any(controller.image(), id);
    let sessions = &controller.sessions;
    if let Some(shutdown_offset) = sessions.controlled_shutdown_offset(id) {
        let all_know =
            sessions.lowest_active_offset().is_none_or(|lowest| shutdown_offset <= lowest);
        let next = if !leads() && all_know { Life::ShutdownNow } else { Life::ControlledShutdown };
        return (Life::ControlledShutdown, next);
    }
    if sessions.is_fenced(id) {
        let next = match (request.want_shut_down, request.want_fence) {
            (true, _) => Life::ShutdownNow,
            (false, false) if caught_up => Life::Unfenced,
            (false, _) => Life::Fenced,
        };
        return (Life::Fenced, next);
    }
    let next = match (request.want_shut_down, request.want_fence) {
        (true, true) => Life::ShutdownNow,
        (false, true) => Life::Fenced,
        (true, false) if leads() => Life::ControlledShutdown,
        (true, false) => Life::ShutdownNow,
        (false, false) => Life::Unfenced,
    };
    (Life::Unfenced, next)
}

/// Directories that were not known to be broken.
fn newly_lost(
    controller: &Controller,
    id: NodeId,
    request: &BrokerHeartbeatRequest,
) -> Vec<DirectoryId> {
    let Some(broker) = controller.image().cluster.broker(id) else { return Vec::new() };
    if !controller.metadata_version().supports_directory_assignment() {
        return Vec::new();
    }
    let is_offline = |directory: &DirectoryId| request.offline_log_dirs.contains(directory);
    broker.directories.iter().copied().filter(is_offline).collect()
}

/// Directories that broke since, and those that take no new replicas.
fn directories(
    controller: &Controller,
    id: NodeId,
    request: &BrokerHeartbeatRequest,
    lost: &[DirectoryId],
    records: &mut Vec<MetadataRecord<'static>>,
) {
    let version = controller.metadata_version();
    let Some(broker) = controller.image().cluster.broker(id) else { return };
    let change = |log_dirs: Vec<DirectoryId>, cordoned_log_dirs| {
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: id.0,
            broker_epoch: request.broker_epoch,
            log_dirs,
            cordoned_log_dirs,
            ..Default::default()
        })
    };
    if !lost.is_empty() {
        leadership::leave_directories(controller, id, lost, records);
        let online = broker.directories.iter().copied().filter(|dir| !lost.contains(dir));
        records.push(change(online.collect(), None));
    }
    if version.supports_cordoned_log_dirs()
        && let Some(cordoned) = &request.cordoned_log_dirs
    {
        let set = |ids: &[DirectoryId]| ids.iter().copied().collect::<BTreeSet<_>>();
        if broker.cordoned_directories.as_deref().map(set) != Some(set(cordoned)) {
            records.push(change(Vec::new(), Some(cordoned.clone())));
        }
    }
}
