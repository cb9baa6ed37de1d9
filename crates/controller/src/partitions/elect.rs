//! ElectLeaders, and the elections that come around by themselves.

use base::PartitionIndex;
use metadata::{Partition, Topic};
use protocol::ErrorCode;
use protocol::messages::elect_leaders_request::ElectLeadersRequest;
use protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use protocol::metadata_records::MetadataRecord;

use super::change::{Election, PartitionChange};
use crate::effective;
use crate::error::{ApiError, Result, check_size, fields};
use crate::handle::{Controller, Records};

/// Elections in one periodic run; with more to do it comes back at once.
pub(crate) const MAX_ELECTIONS_PER_RUN: usize = 1_000;

pub(crate) fn handle(
    controller: &Controller,
    request: &ElectLeadersRequest<'static>,
) -> (Records, ElectLeadersResponse<'static>) {
    let election = match request.election_type {
        0 => Election::Preferred,
        1 => Election::Unclean,
        other => {
            let message = format!("Unknown election type {other}");
            return (
                Records::none(),
                refused(request, ApiError::new(ErrorCode::InvalidRequest, message)),
            );
        }
    };
    let mut records = Vec::new();
    let mut results = Vec::new();
    if let Some(topics) = &request.topic_partitions {
        for topic in topics {
            let indexes = topic.partitions.iter().copied();
            let partition_result = indexes
                .map(|id| result(id, elect(controller, &topic.topic, id, election, &mut records)))
                .collect();
            results.push(ReplicaElectionResult {
                topic: topic.topic.clone(),
                partition_result,
                ..Default::default()
            });
        }
    } else {
        for topic in controller.image().topics.iter() {
            let mut partition_result = Vec::new();
            for (PartitionIndex(id), _) in topic.partitions() {
                let elected = elect(controller, &topic.name, id, election, &mut records);
                // Of all partitions, those are left out for which there was nothing to do.
                if elected.as_ref().is_err_and(|error| error.code == ErrorCode::ElectionNotNeeded) {
                    continue;
                }
                partition_result.push(result(id, elected));
            }
            results.push(ReplicaElectionResult {
                topic: topic.name.to_string().into(),
                partition_result,
                ..Default::default()
            });
        }
    }
    if let Err(error) = check_size(&records) {
        return (Records::none(), refused(request, error));
    }
    let reply = ElectLeadersResponse { replica_election_results: results, ..Default::default() };
    (Records::loose(records), reply)
}

/// One error for everything that was asked.
fn refused(
    request: &ElectLeadersRequest<'static>,
    error: ApiError,
) -> ElectLeadersResponse<'static> {
    let topics = request.topic_partitions.iter().flatten().map(|topic| ReplicaElectionResult {
        topic: topic.topic.clone(),
        partition_result: topic
            .partitions
            .iter()
            .map(|id| result(*id, Err(error.clone())))
            .collect(),
        ..Default::default()
    });
    ElectLeadersResponse {
        error_code: error.code.code(),
        replica_election_results: topics.collect(),
        ..Default::default()
    }
}

fn result(partition_id: i32, elected: Result<()>) -> PartitionResult<'static> {
    let (error_code, error_message) = fields(elected);
    PartitionResult { partition_id, error_code, error_message, ..Default::default() }
}

fn elect(
    controller: &Controller,
    name: &str,
    index: i32,
    election: Election,
    records: &mut Vec<MetadataRecord<'static>>,
) -> Result<()> {
    let unknown = |message| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = controller.image().topics.by_name(name);
    let topic = topic.ok_or_else(|| unknown(format!("No such topic as {name}")))?;
    let index = PartitionIndex(index);
    let missing = || unknown(format!("No such partition as {name}-{index}"));
    let partition = topic.partition(index).ok_or_else(missing)?;
    let needed = match election {
        Election::Preferred => !partition.has_preferred_leader(),
        Election::Unclean | Election::Online => !partition.has_leader(),
    };
    if !needed {
        return Err(ApiError::of(ErrorCode::ElectionNotNeeded));
    }
    let change = PartitionChange::of(controller, topic, index)
        .ok_or_else(missing)?
        .election(election)
        .build();
    let nobody = match election {
        Election::Preferred => ErrorCode::PreferredLeaderNotAvailable,
        Election::Unclean | Election::Online => ErrorCode::EligibleLeadersNotAvailable,
    };
    records.push(change.ok_or_else(|| ApiError::of(nobody))?.into());
    Ok(())
}

/// Elections of the partitions that `wanted` names, up to the limit, and whether more may be waiting.
fn run(
    controller: &Controller,
    election: Election,
    wanted: impl Fn(&Topic, &Partition) -> bool,
) -> (Vec<MetadataRecord<'static>>, bool) {
    let mut records: Vec<MetadataRecord<'static>> = Vec::new();
    for topic in controller.image().topics.iter() {
        for (index, _) in topic.partitions().filter(|(_, partition)| wanted(topic, partition)) {
            let change = PartitionChange::of(controller, topic, index);
            records.extend(
                change.and_then(|change| change.election(election).build()).map(Into::into),
            );
            if records.len() >= MAX_ELECTIONS_PER_RUN {
                return (records, true);
            }
        }
    }
    (records, false)
}

/// Gives partitions back to their preferred leaders where these are in sync.
pub(crate) fn balance(controller: &Controller) -> (Vec<MetadataRecord<'static>>, bool) {
    run(controller, Election::Preferred, |_, partition| !partition.has_preferred_leader())
}

/// Lets partitions without a leader be led by anyone where the configuration allows that.
pub(crate) fn unclean_where_allowed(
    controller: &Controller,
) -> (Vec<MetadataRecord<'static>>, bool) {
    run(controller, Election::Unclean, |topic, partition| {
        !partition.has_leader() && effective::unclean_leader_election(controller, &topic.name)
    })
}
