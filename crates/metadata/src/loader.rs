//! From committed records to published images, with transactions held back until they end.

use base::{Offset, TopicId};
use protocol::metadata_records::MetadataRecord;

use crate::delta::Delta;
use crate::image::{Image, Provenance};
use crate::topics::Topic;
use crate::transaction::Transaction;
use crate::{MetadataVersion, ReplayError, TransactionError};

/// A step from one published image to the next.
#[derive(Clone, Debug)]
pub struct Update {
    pub before: Image,
    pub after: Image,
    pub delta: Delta,
}

impl Update {
    /// Topics that are gone, as they were.
    pub fn deleted_topics(&self) -> impl Iterator<Item = &Topic> {
        let touched = self.delta.topics.keys();
        touched
            .filter(|id| self.after.topics.by_id(**id).is_none())
            .filter_map(|id| self.before.topics.by_id(*id))
    }

    /// Topics that are new.
    pub fn created_topics(&self) -> impl Iterator<Item = &Topic> {
        let touched = self.delta.topics.keys();
        touched
            .filter(|id| self.before.topics.by_id(**id).is_none())
            .filter_map(|id| self.after.topics.by_id(*id))
    }

    /// Whether a topic existed before and does not now, even if another took its name.
    pub fn was_deleted(&self, id: TopicId) -> bool {
        self.before.topics.by_id(id).is_some() && self.after.topics.by_id(id).is_none()
    }

    /// The new `metadata.version` when it changed.
    pub fn metadata_version_change(&self) -> Option<MetadataVersion> {
        let (before, after) = (&self.before.features, &self.after.features);
        after.metadata_version.filter(|version| before.metadata_version != Some(*version))
    }
}

/// Everything that is committed, the records of a transaction that is still open included.
#[derive(Clone, Debug)]
pub struct Committed {
    pub image: Image,
    /// What an abort of the open transaction leads back to.
    pub before_transaction: Option<Image>,
}

impl From<Image> for Committed {
    fn from(image: Image) -> Self {
        Self { image, before_transaction: None }
    }
}

/// Told of every update, in log order; publishers are called one after the other in a fixed order.
pub trait Publisher: Send {
    /// For log lines.
    fn name(&self) -> &'static str;
    fn publish(&mut self, update: &Update);
}

/// Replays committed records and says what may be published.
#[derive(Debug, Default)]
pub struct Loader {
    published: Image,
    working: Image,
    delta: Delta,
    transaction: Transaction<(Image, Delta)>,
}

impl Loader {
    /// Starts from an image, which counts as published.
    pub fn new(image: Image) -> Self {
        Self { published: image.clone(), working: image, ..Self::default() }
    }

    /// The last published image.
    pub fn image(&self) -> &Image {
        &self.published
    }

    /// All that was replayed, up to the record at `offset`; unlike the published image not without an open
    /// transaction.
    pub fn committed(&self, offset: Offset) -> Committed {
        let mut image = self.working.clone();
        image.provenance = Provenance { offset, ..self.published.provenance };
        let before_transaction = self.transaction.saved().map(|(before, _)| before.clone());
        Committed { image, before_transaction }
    }

    pub fn in_transaction(&self) -> bool {
        self.transaction.is_open()
    }

    /// Takes in the next committed record. After an error everything is as before.
    pub fn replay(&mut self, record: &MetadataRecord<'_>) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::BeginTransaction(_) if self.transaction.is_open() => {
                return Err(TransactionError::AlreadyOpen.into());
            }
            MetadataRecord::BeginTransaction(_) => {
                let before = (self.working.clone(), std::mem::take(&mut self.delta));
                self.transaction.begin(before)?;
            }
            MetadataRecord::EndTransaction(_) => {
                let (_, mut before) = self.transaction.finish()?;
                before.merge(std::mem::take(&mut self.delta));
                self.delta = before;
            }
            MetadataRecord::AbortTransaction(_) => {
                (self.working, self.delta) = self.transaction.finish()?;
            }
            record => self.working.replay(record, &mut self.delta)?,
        }
        Ok(())
    }

    /// The step to publish after the records up to `provenance`; inside a transaction only what came before it, and
    /// `None` if that is nothing.
    pub fn publish(&mut self, provenance: Provenance) -> Option<Update> {
        let (mut after, delta) = match self.transaction.saved_mut() {
            Some((_, delta)) if delta.is_empty() => return None,
            Some((image, delta)) => (image.clone(), std::mem::take(delta)),
            None => (self.working.clone(), std::mem::take(&mut self.delta)),
        };
        after.provenance = provenance;
        let before = std::mem::replace(&mut self.published, after.clone());
        Some(Update { before, after, delta })
    }

    /// Replaces everything by the content of a snapshot.
    pub fn load_snapshot<'a, E: From<ReplayError>>(
        &mut self,
        provenance: Provenance,
        records: impl IntoIterator<Item = Result<MetadataRecord<'a>, E>>,
    ) -> Result<Update, E> {
        let image = Image { provenance, ..Self::image_of(records)? };
        Ok(self.replace(image))
    }

    /// What the records of a snapshot say, without its provenance.
    pub fn image_of<'a, E: From<ReplayError>>(
        records: impl IntoIterator<Item = Result<MetadataRecord<'a>, E>>,
    ) -> Result<Image, E> {
        let mut image = Image::default();
        let mut touched = Delta::default();
        for record in records {
            image.replay(&record?, &mut touched)?;
        }
        Ok(image)
    }

    /// Replaces everything by this image.
    pub fn replace(&mut self, image: Image) -> Update {
        let delta = Delta::between(&self.published, &image);
        let before = std::mem::replace(self, Self::new(image.clone())).published;
        Update { before, after: image, delta }
    }
}
