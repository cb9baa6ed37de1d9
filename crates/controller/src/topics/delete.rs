//! DeleteTopics, by name and by id.

use std::collections::{BTreeMap, BTreeSet};

use base::TopicId;
use protocol::ErrorCode;
use protocol::messages::delete_topics_request::DeleteTopicsRequest;
use protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use protocol::metadata_records::remove_topic_record::RemoveTopicRecord;

use crate::Random;
use crate::error::{ApiError, check_size};
use crate::handle::{Controller, Records};
use crate::random::shuffle;

type TopicResult = DeletableTopicResult<'static>;

pub(crate) fn handle(
    controller: &Controller,
    request: &DeleteTopicsRequest<'static>,
    random: &mut dyn Random,
) -> (Records, DeleteTopicsResponse<'static>) {
    if !controller.settings.node.topics.delete_topic_enable {
        let error = ApiError::of(ErrorCode::TopicDeletionDisabled);
        return (Records::none(), refused(request, &error));
    }
    let (mut asked, mut responses) = Asked::read(request);
    let topics = &controller.image().topics;
    // Ids first: a name that leads to an id already given is a duplicate of it.
    let mut chosen: BTreeMap<TopicId, String> = BTreeMap::new();
    for id in &asked.ids.once {
        match topics.by_id(*id) {
            Some(topic) => drop(chosen.insert(*id, topic.name.to_string())),
            None => {
                responses.push(result(None, *id, Some(ApiError::of(ErrorCode::UnknownTopicId))))
            }
        }
    }
    for name in &asked.names.once {
        let Some(id) = topics.id_of(name) else {
            let error = ApiError::of(ErrorCode::UnknownTopicOrPartition);
            responses.push(result(Some(name), TopicId::ZERO, Some(error)));
            continue;
        };
        if asked.ids.twice.contains(&id) || chosen.insert(id, name.clone()).is_some() {
            asked.ids.twice.insert(id);
            chosen.remove(&id);
            let message = "The provided topic name maps to an ID that was already supplied.";
            responses.push(result(
                Some(name),
                id,
                Some(ApiError::new(ErrorCode::InvalidRequest, message)),
            ));
        }
    }
    let mut records = Vec::with_capacity(chosen.len());
    for (topic_id, name) in &chosen {
        records.push(RemoveTopicRecord { topic_id: *topic_id, ..Default::default() }.into());
        responses.push(result(Some(name), *topic_id, None));
    }
    if let Err(error) = check_size(&records) {
        return (Records::none(), refused(request, &error));
    }
    // The order must not tell absent topics from hidden ones.
    shuffle(random, &mut responses);
    (Records::atomic(records), DeleteTopicsResponse { responses, ..Default::default() })
}

fn result(name: Option<&str>, topic_id: TopicId, error: Option<ApiError>) -> TopicResult {
    let (error_code, error_message) = error.map_or((0, None), ApiError::fields);
    let name = name.map(|name| name.to_owned().into());
    TopicResult { name, topic_id, error_code, error_message, ..Default::default() }
}

/// One error for every topic of the request.
fn refused(
    request: &DeleteTopicsRequest<'static>,
    error: &ApiError,
) -> DeleteTopicsResponse<'static> {
    let error = || Some(error.clone());
    let names = request.topic_names.iter();
    let by_name = names.map(|name| result(Some(name), TopicId::ZERO, error()));
    let topics = request.topics.iter();
    let by_state = topics.map(|topic| result(topic.name.as_deref(), topic.topic_id, error()));
    DeleteTopicsResponse { responses: by_name.chain(by_state).collect(), ..Default::default() }
}

/// What was named once and what more than once.
struct Sifted<T> {
    once: BTreeSet<T>,
    twice: BTreeSet<T>,
}

impl<T: Ord + Clone> Sifted<T> {
    fn new() -> Self {
        Self { once: BTreeSet::new(), twice: BTreeSet::new() }
    }

    fn add(&mut self, item: T) {
        if self.twice.contains(&item) || !self.once.insert(item.clone()) {
            self.once.remove(&item);
            self.twice.insert(item);
        }
    }
}

struct Asked {
    names: Sifted<String>,
    ids: Sifted<TopicId>,
}

impl Asked {
    /// What a request asks for, and the answers for what it must not ask.
    fn read(request: &DeleteTopicsRequest<'static>) -> (Self, Vec<TopicResult>) {
        let mut asked = Self { names: Sifted::new(), ids: Sifted::new() };
        let mut responses = Vec::new();
        let invalid = |message: &str| Some(ApiError::new(ErrorCode::InvalidRequest, message));
        for name in &request.topic_names {
            asked.names.add(name.to_string());
        }
        for topic in &request.topics {
            let id = topic.topic_id;
            match (topic.name.as_deref(), id.is_zero()) {
                (None, true) => {
                    let error = invalid("Neither topic name nor id were specified.");
                    responses.push(result(None, TopicId::ZERO, error));
                }
                (None, false) => asked.ids.add(id),
                (Some(name), true) => asked.names.add(name.to_owned()),
                (Some(name), false) => {
                    let error = invalid("You may not specify both topic name and topic id.");
                    responses.push(result(Some(name), id, error));
                }
            }
        }
        for name in &asked.names.twice {
            responses.push(result(Some(name), TopicId::ZERO, invalid("Duplicate topic name.")));
        }
        for id in &asked.ids.twice {
            responses.push(result(None, *id, invalid("Duplicate topic id.")));
        }
        (asked, responses)
    }
}
