//! Tails: whoever works off a log gets what is appended to it straight from the commit.
//!
//! A tail is a short cut and never the truth. It holds so many appends and so many bytes at most; beyond that it
//! says that something was missed, and the log has to be read. On PostgreSQL, where other nodes append as well, it
//! only says so.

use crate::Key;
use crate::wake::Hub;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Appends that wait to be taken from a tail.
const TAIL_APPENDS_MAX: usize = 8_192;
/// Bytes of values that wait to be taken from a tail; appends beyond are told without their values.
const TAIL_BYTES_MAX: usize = 8 << 20;

/// An append that has been committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The log.
    pub log: Key,
    /// Its stamp.
    pub stamp: u64,
    /// What was appended; `None` if the tail had no room for it.
    pub value: Option<Bytes>,
}

/// What a tail brought.
#[derive(Debug, Default)]
pub struct News {
    /// Appends, those of one log in their order and without a gap unless `has_missed`.
    pub told: VecDeque<Told>,
    /// Whether more was appended than is told: the logs have to be read.
    pub has_missed: bool,
}

/// Where the news of a tail gather.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    news: News,
    bytes: usize,
}

impl Mailbox {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, mut told: Told) {
        let mut waiting = self.waiting();
        if waiting.news.told.len() >= TAIL_APPENDS_MAX {
            waiting.news.has_missed = true;
            return;
        }
        let bytes = told.value.as_ref().map_or(0, Bytes::len);
        if waiting.bytes + bytes > TAIL_BYTES_MAX {
            told.value = None;
        } else {
            waiting.bytes += bytes;
        }
        waiting.news.told.push_back(told);
        drop(waiting);
        self.filled.notify_one();
    }

    pub(crate) fn miss(&self) {
        self.waiting().news.has_missed = true;
        self.filled.notify_one();
    }
}

/// Takes what is told to a topic ([`crate::Tx::tell`]).
pub struct Tail {
    hub: Arc<Hub>,
    topic: String,
    mailbox: Arc<Mailbox>,
}

impl Tail {
    pub(crate) fn new(hub: Arc<Hub>, topic: String, mailbox: Arc<Mailbox>) -> Tail {
        Tail { hub, topic, mailbox }
    }

    /// Waits for news. Nothing is lost if the wait is given up.
    pub async fn news(&mut self) -> News {
        loop {
            // A filling between here and the wait is kept: it leaves a permit.
            let news = self.take();
            if news.has_missed || !news.told.is_empty() {
                return news;
            }
            self.mailbox.filled.notified().await;
        }
    }

    /// The news so far.
    pub fn take(&mut self) -> News {
        std::mem::take(&mut *self.mailbox.waiting()).news
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.hub.end_tail(&self.topic, &self.mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreError, Table};
    use futures_util::FutureExt;

    fn log() -> Key {
        Table(1).key().number(7)
    }

    async fn append(store: &Store, value: Bytes) {
        let appended = store.transact(move |tx| {
            let appended = tx.append(&log(), value.clone())?;
            tx.tell("t", appended)
        });
        appended.await.unwrap();
    }

    #[tokio::test]
    async fn appends_come_in_their_order_and_once() {
        let store = Store::memory();
        append(&store, Bytes::from_static(b"before")).await;
        let mut tail = store.tail("t");
        assert!(tail.news().now_or_never().is_none(), "nothing was appended since");
        for value in [&b"a"[..], b"b"] {
            append(&store, Bytes::from_static(value)).await;
        }
        let abandoned = store.transact(|tx| {
            let appended = tx.append(&log(), Bytes::new())?;
            tx.tell("t", appended)?;
            Err::<(), _>(StoreError::KeyEmpty)
        });
        abandoned.await.unwrap_err();
        let news = tail.news().await;
        let told: Vec<_> = news.told.iter().map(|told| (told.stamp, told.value.clone().unwrap())).collect();
        assert_eq!(told, [(2, Bytes::from_static(b"a")), (3, Bytes::from_static(b"b"))]);
        assert!(!news.has_missed && news.told[0].log == log());
        assert!(tail.news().now_or_never().is_none());
    }

    #[tokio::test]
    async fn what_has_no_room_is_told_without_its_value_or_missed() {
        let mailbox = Mailbox::default();
        let value = Bytes::from(vec![0; TAIL_BYTES_MAX / 2 + 1]);
        let told = |stamp| Told { log: log(), stamp, value: Some(value.clone()) };
        (0..TAIL_APPENDS_MAX as u64).for_each(|stamp| mailbox.put(told(stamp)));
        assert!(!mailbox.waiting().news.has_missed);
        mailbox.put(told(0));
        let waiting = mailbox.waiting();
        assert!(waiting.news.has_missed && waiting.bytes == value.len());
        assert_eq!(waiting.news.told.iter().filter(|told| told.value.is_some()).count(), 1);
        assert_eq!(waiting.news.told.len(), TAIL_APPENDS_MAX);
    }

    #[tokio::test]
    async fn a_wake_says_that_something_was_missed_and_a_later_tail_takes_over() {
        let store = Store::memory();
        let mut first = store.tail("t");
        let mut second = store.tail("t");
        store.wake("t");
        assert!(second.news().await.has_missed);
        drop(second);
        append(&store, Bytes::new()).await;
        assert!(first.news().now_or_never().is_none(), "it was replaced");
        let mut third = store.tail("t");
        drop(first);
        append(&store, Bytes::new()).await;
        assert_eq!(third.news().await.told.len(), 1);
    }
}
