//! Wake-ups: who waits for a topic hears of it once a transaction that woke it has committed.

use crate::tail::{Mailbox, Tail, Told};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The topics that somebody waits for. Its size is bounded by the living subscriptions.
#[derive(Default)]
pub(crate) struct Hub {
    topics: Mutex<HashMap<String, watch::Sender<()>>>,
    tails: Mutex<HashMap<String, Arc<Mailbox>>>,
}

impl Hub {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tails(&self) -> MutexGuard<'_, HashMap<String, Arc<Mailbox>>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands what was appended to those who tail its topic.
    pub(crate) fn tell(&self, tells: Vec<(String, Told)>) {
        if tells.is_empty() {
            return;
        }
        let tails = self.tails();
        for (topic, told) in tells {
            if let Some(mailbox) = tails.get(&topic) {
                mailbox.put(told);
            }
        }
    }

    /// Begins to tail `topic`, in the place of whoever did before.
    pub(crate) fn tail(self: &Arc<Hub>, topic: &str) -> Tail {
        let mailbox = Arc::new(Mailbox::default());
        self.tails().insert(topic.to_owned(), mailbox.clone());
        Tail::new(self.clone(), topic.to_owned(), mailbox)
    }

    /// Ends a tail, unless somebody else has taken its place.
    pub(crate) fn end_tail(&self, topic: &str, mailbox: &Arc<Mailbox>) {
        let mut tails = self.tails();
        if tails.get(topic).is_some_and(|other| Arc::ptr_eq(other, mailbox)) {
            tails.remove(topic);
        }
    }

    /// Wakes all that wait for `topic`; whoever tails it has missed something.
    pub(crate) fn wake(&self, topic: &str) {
        if let Some(mailbox) = self.tails().get(topic) {
            mailbox.miss();
        }
        if let Some(sender) = self.topics().get(topic) {
            sender.send_replace(());
        }
    }

    /// Wakes everybody, where it is unknown which topics were woken.
    pub(crate) fn wake_all(&self) {
        self.tails().values().for_each(|mailbox| mailbox.miss());
        for sender in self.topics().values() {
            sender.send_replace(());
        }
    }

    /// Begins to listen to `topic`.
    pub(crate) fn subscribe(self: &Arc<Hub>, topic: &str) -> Subscription {
        let receiver = self.topics().entry(topic.to_owned()).or_insert_with(|| watch::channel(()).0).subscribe();
        Subscription { hub: self.clone(), topic: topic.to_owned(), receiver }
    }

    #[cfg(test)]
    fn topics_count(&self) -> usize {
        self.topics().len()
    }
}

/// Hears the wake-ups of one topic; those that came since the last wait are not lost, but merged.
pub struct Subscription {
    hub: Arc<Hub>,
    topic: String,
    receiver: watch::Receiver<()>,
}

impl Subscription {
    /// Returns when the topic was woken since the last return (or since the subscription).
    ///
    /// It may also return without reason (PostgreSQL: where notifications can be lost, everybody is woken
    /// from time to time), so that the caller looks at its data and waits again.
    pub async fn woken(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The hub drops a sender only after its last receiver, so this cannot be reached by waiting.
            std::future::pending::<()>().await;
        }
    }
}

impl Subscription {
    /// Whether the topic was woken since the last [`Subscription::woken`] or [`Subscription::heard`]; never waits. For
    /// caches: what a transaction wakes is seen here before its commit is acknowledged.
    pub fn is_woken(&self) -> bool {
        self.receiver.has_changed().unwrap_or(false)
    }

    /// Takes note of all wake-ups so far.
    pub fn heard(&mut self) {
        self.receiver.mark_unchanged();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut topics = self.hub.topics();
        // This subscription's own receiver is still counted.
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn wakes_between_waits_are_merged_and_topics_are_forgotten() {
        let hub = Arc::new(Hub::default());
        let mut first = hub.subscribe("a");
        let mut other = hub.subscribe("b");
        assert!(first.woken().now_or_never().is_none(), "nothing was woken yet");
        hub.wake("a");
        hub.wake("a");
        assert!(first.is_woken() && first.is_woken() && !other.is_woken());
        first.woken().await;
        assert!(!first.is_woken());
        hub.wake("a");
        first.heard();
        assert!(!first.is_woken());
        assert!(first.woken().now_or_never().is_none(), "two wakes are one");
        assert!(other.woken().now_or_never().is_none(), "another topic");
        hub.wake_all();
        other.woken().await;
        let second = hub.subscribe("a");
        drop(first);
        assert_eq!(hub.topics_count(), 2, "the second subscription keeps its topic");
        drop((second, other));
        assert_eq!(hub.topics_count(), 0);
    }
}
