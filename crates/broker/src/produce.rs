//! The partitions of a Produce request, and where in its frame their records lie.

use std::collections::HashSet;

use base::TopicId;
use net::Frame;
use protocol::messages::produce_request::ProduceRequest;
use records::batch::BatchHeader;
use records::validate::check_produce;
use records::{AppendFault, Batches};

/// One partition; the records are `range` of the frame.
pub struct Part {
    pub index: i32,
    pub range: Option<(usize, usize)>,
    /// The head of their one batch, or why they are not taken.
    pub checked: Result<BatchHeader, AppendFault>,
}

pub struct TopicPart {
    /// Where topics are told by name.
    pub name: Option<String>,
    pub id: TopicId,
    pub parts: Vec<Part>,
}

pub struct Parts {
    pub topics: Vec<TopicPart>,
}

impl Parts {
    /// `frame` is what the request was read from.
    pub fn of(request: ProduceRequest<'_>, version: i16, frame: &Frame) -> Self {
        let topics = request.topic_data.into_iter().map(|topic| TopicPart {
            name: (version < 13).then(|| topic.name.into_owned()),
            id: topic.topic_id,
            parts: topic
                .partition_data
                .into_iter()
                .map(|data| {
                    let records = data.records.as_ref().and_then(protocol::Records::bytes);
                    // Records are a slice of the frame: their place in it is what is kept.
                    let place = records.and_then(|records| frame.place_of(records));
                    let range = place.map(|place| (place.start, place.len()));
                    let checked = check_produce(version, records.unwrap_or_default());
                    Part { index: data.index, range, checked }
                })
                .collect(),
        });
        Self { topics: without_repetitions(topics.collect()) }
    }

    /// Whether any batch claims to be part of a transaction.
    pub fn are_transactional(&self, frame: &[u8]) -> bool {
        let mut all = self.topics.iter().flat_map(|topic| &topic.parts);
        all.any(|part| match &part.checked {
            Ok(header) => header.attributes.is_transactional(),
            // Too many of them, or old ones.
            Err(_) => {
                let mut batches = Batches::new(part.records(frame)).flatten();
                batches.any(|batch| batch.is_transactional())
            }
        })
    }
}

impl Part {
    fn records<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        self.range.and_then(|(at, len)| frame.get(at..at.checked_add(len)?)).unwrap_or_default()
    }

    /// The head of the batch, when that is part of a transaction.
    pub fn transactional_batch(&self) -> Option<&BatchHeader> {
        let header = self.checked.as_ref().ok()?;
        (header.attributes.is_transactional() && header.has_producer_id()).then_some(header)
    }
}

/// Of a partition that is named twice the last one counts, and a topic without partitions is not answered: Kafka keeps them in
/// a map by partition.
fn without_repetitions(mut topics: Vec<TopicPart>) -> Vec<TopicPart> {
    let mut seen = HashSet::new();
    let named = topics.iter().flat_map(|topic| {
        topic.parts.iter().map(|part| (topic.name.as_deref(), topic.id, part.index))
    });
    let keys: Vec<_> = named.collect();
    let mut kept: Vec<bool> = keys.into_iter().rev().map(|key| seen.insert(key)).collect();
    for topic in &mut topics {
        topic.parts.retain(|_| kept.pop().unwrap_or(true));
    }
    topics.retain(|topic| !topic.parts.is_empty());
    topics
}
