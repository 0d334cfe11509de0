//! Events that an operation goes on with after it has returned.

use crate::Doc;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A stream of events: each a [`Doc::Map`] with one entry, the event's member name and its value.
///
/// Clones share the stream, and only the first who takes it gets it: that lets it stand among plain values.
#[derive(Clone, Default)]
pub struct EventStream(Arc<Mutex<Option<BoxStream<'static, Doc>>>>);

impl EventStream {
    /// A stream of `events`.
    pub fn new(events: impl Stream<Item = Doc> + Send + 'static) -> EventStream {
        EventStream(Arc::new(Mutex::new(Some(Box::pin(events)))))
    }

    /// The events; `None` if they were taken before.
    pub fn take(&self) -> Option<BoxStream<'static, Doc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl PartialEq for EventStream {
    /// Whether they are the same stream.
    fn eq(&self, other: &EventStream) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventStream")
    }
}
