//! Metadata transactions (KIP-868): records between Begin and End count together or, after Abort, not at all.

/// A marker in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    #[error("a metadata transaction begins inside another one")]
    AlreadyOpen,
    #[error("a metadata transaction ends or aborts, but none was begun")]
    NotOpen,
}

/// Holds the state before an open transaction; the state must be cheap to clone.
#[derive(Clone, Debug)]
pub struct Transaction<S> {
    saved: Option<S>,
}

impl<S> Default for Transaction<S> {
    fn default() -> Self {
        Self { saved: None }
    }
}

impl<S> Transaction<S> {
    /// One that began after `before`.
    pub fn opened(before: S) -> Self {
        Self { saved: Some(before) }
    }

    pub fn is_open(&self) -> bool {
        self.saved.is_some()
    }

    /// The state before the open transaction.
    pub fn saved(&self) -> Option<&S> {
        self.saved.as_ref()
    }

    pub fn saved_mut(&mut self) -> Option<&mut S> {
        self.saved.as_mut()
    }

    pub fn begin(&mut self, before: S) -> Result<(), TransactionError> {
        if self.is_open() {
            return Err(TransactionError::AlreadyOpen);
        }
        self.saved = Some(before);
        Ok(())
    }

    /// Ends or aborts; the state before the transaction comes back, to be dropped or restored.
    pub fn finish(&mut self) -> Result<S, TransactionError> {
        self.saved.take().ok_or(TransactionError::NotOpen)
    }
}
