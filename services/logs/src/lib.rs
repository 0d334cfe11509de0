//! CloudWatch Logs: groups, streams and events, and the place where functions' output goes.
//!
//! Events wait in memory ([`buffer`]) until the writer ([`worker::writer`]) commits them as segments; readers
//! ([`reader`]) merge both. No operation writes a record per line.
#![allow(rustdoc::private_intra_doc_links)]

mod access;
mod buffer;
mod catalog;
mod error;
mod keys;
mod limits;
mod model;
mod op;
mod reader;
mod rules;
mod segment;
mod sequence;
mod sink;
#[cfg(test)]
mod test_support;
mod worker;

pub use error::LogsError;

use buffer::Buffer;
use gust_blob::Blobs;
use gust_kit::{Call, Need, Op, Platform, Service};
use gust_store::{StoreError, Subscription};
use gust_types::{AccountId, AwsError, Doc, Region};
use gust_wire::{OperationModel, ServiceModel};
use sequence::Sequence;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use worker::maintenance::Task;

/// Types, operations, errors and tables, from `api.json`.
pub mod api {
    #![allow(missing_docs, non_upper_case_globals, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

/// How the service buffers and writes; [`Settings::default`] is right for one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// A function's lines are committed at most this long after they came, in milliseconds.
    pub flush_ms: u64,
    /// A group with this much waiting is committed at once, in bytes.
    pub flush_bytes: usize,
    /// How much of functions' output waits at most, in bytes. Above it the oldest lines give way. What is
    /// being committed at the moment comes on top.
    pub buffer_bytes_max: usize,
    /// The same for one group.
    pub group_bytes_max: usize,
    /// How much of PutLogEvents waits at most, in bytes. Above it callers wait.
    pub put_bytes_max: usize,
    /// How often retention and compaction are looked after, in milliseconds.
    pub maintenance_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            flush_ms: 200,
            flush_bytes: 1_048_576,
            buffer_bytes_max: 32 * 1_048_576,
            group_bytes_max: 8 * 1_048_576,
            put_bytes_max: 32 * 1_048_576,
            maintenance_ms: 3_600_000,
        }
    }
}

/// The service. It also is the [`gust_kit::ports::LogSink`] of functions' output.
pub struct Logs {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    maintenance: JoinHandle<()>,
}

/// What operations and workers share.
pub(crate) struct Shared {
    pub platform: Platform,
    pub blobs: Blobs,
    pub settings: Settings,
    pub sequence: Sequence,
    pub buffer: Buffer,
    /// What the slow worker is asked to do before its next round.
    pub tasks: mpsc::Sender<Task>,
}

impl Logs {
    /// Starts the service on `platform` with segments in `blobs`, and its workers on the current runtime.
    ///
    /// Errors: the store failed.
    pub async fn open(platform: Platform, blobs: Blobs, settings: Settings) -> Result<Arc<Logs>, StoreError> {
        let sequence = Sequence::start(&platform.store).await?;
        let (tasks, asked) = mpsc::channel(limits::TASKS_MAX);
        let buffer = Buffer::new(&settings);
        let shared = Arc::new(Shared { platform, blobs, settings, sequence, buffer, tasks });
        let writer = tokio::spawn(worker::writer::run(shared.clone()));
        let maintenance = tokio::spawn(worker::maintenance::run(shared.clone(), asked));
        Ok(Arc::new(Logs { shared, writer: Mutex::new(Some(writer)), maintenance }))
    }

    /// Commits all that waits and stops the workers. Lines and events that come later are refused.
    pub async fn close(&self) {
        self.shared.buffer.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(cause = %error, "the log writer has failed");
        }
        self.maintenance.abort();
    }

    /// Hears when a group gets events (they are readable then), for those who follow it.
    pub fn subscribe(&self, account: &AccountId, region: &Region, group: &str) -> Subscription {
        let name = model::GroupName { account: account.clone(), region: region.clone(), name: group.into() };
        self.shared.platform.store.subscribe(&name.topic())
    }

    /// Looks after deleted groups, retention and compaction now, as happens every hour and when a test moves
    /// the clock.
    ///
    /// Errors: the store or the blob store failed; the rest is done the next time.
    pub async fn maintain(&self) -> Result<(), LogsError> {
        worker::maintenance::round(&self.shared).await
    }
}

/// Without [`Logs::close`] what waits is lost, as in a crash.
impl Drop for Logs {
    fn drop(&mut self) {
        self.maintenance.abort();
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            writer.abort();
        }
    }
}

impl Service for Logs {
    const MODEL: &'static ServiceModel = &api::MODEL;
    const OPERATIONS: &'static [Op<Logs>] = &[
        Op::of::<api::CreateLogGroup>(),
        Op::of::<api::CreateLogStream>(),
        Op::of::<api::DeleteLogGroup>(),
        Op::of::<api::DeleteLogStream>(),
        Op::of::<api::DeleteRetentionPolicy>(),
        Op::of::<api::DescribeLogGroups>(),
        Op::of::<api::DescribeLogStreams>(),
        Op::of::<api::FilterLogEvents>(),
        Op::of::<api::GetLogEvents>(),
        Op::of::<api::ListTagsForResource>(),
        Op::of::<api::PutLogEvents>(),
        Op::of::<api::PutLogGroupDeletionProtection>(),
        Op::of::<api::PutRetentionPolicy>(),
        Op::of::<api::TagResource>(),
        Op::of::<api::UntagResource>(),
    ];

    fn platform(&self) -> &Platform {
        &self.shared.platform
    }

    async fn needs(&self, operation: &'static OperationModel, input: &Doc, call: &Call) -> Result<Vec<Need>, AwsError> {
        Ok(access::needs(operation.route.name, input, call))
    }
}
