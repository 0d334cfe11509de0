//! The slow worker: compaction when the writer asks for it, and an hourly round over all groups.

use super::{compact, sweep};
use crate::Shared;
use crate::error::LogsError;
use crate::keys;
use crate::limits::{SWEEP_ROWS_MAX, WINDOW_MS};
use crate::model::{GroupRecord, window_of};
use gust_store::{CLOCK_MOVED_TOPIC, Order, Range, Record};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

/// How long after its end a window counts as closed, in milliseconds.
const CLOSED_AFTER_MS: i64 = 3_600_000;

/// What the worker is asked to do before its next round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Merge the small segments of a window.
    Compact { group_id: String, window: u64 },
    /// A group was deleted.
    Sweep,
}

/// Runs until it is aborted: its transactions are whole, so that it may stop anywhere.
pub(crate) async fn run(shared: Arc<Shared>, mut tasks: mpsc::Receiver<Task>) {
    note(sweep::graves(&shared).await, "the names of deleted log groups could not be forgotten");
    note(sweep::orphans(&shared).await, "orphaned log segments could not be deleted");
    let period = Duration::from_millis(shared.settings.maintenance_ms.max(1));
    let mut rounds = tokio::time::interval_at(Instant::now(), period);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clock_moved = shared.platform.store.subscribe(CLOCK_MOVED_TOPIC);
    loop {
        tokio::select! {
            task = tasks.recv() => match task {
                Some(Task::Compact { group_id, window }) => {
                    note(compact::window(&shared, &group_id, window, false).await, "log segments could not be merged");
                    continue;
                }
                Some(Task::Sweep) => {
                    note(doomed(&shared).await, "a deleted log group could not be swept");
                    continue;
                }
                None => return,
            },
            _ = rounds.tick() => {}
            () = clock_moved.woken() => {}
        }
        note(round(&shared).await, "the log maintenance could not be finished");
    }
}

fn note(outcome: Result<(), LogsError>, message: &str) {
    if let Err(error) = outcome {
        tracing::warn!(cause = %error, "{message}");
    }
}

/// Deleted groups, retention, and compaction of windows that get no more events.
pub(crate) async fn round(shared: &Shared) -> Result<(), LogsError> {
    doomed(shared).await?;
    let now_ms = shared.platform.now_ms();
    let prefix = keys::all_groups();
    let mut range = Range::prefix(&prefix);
    loop {
        let page = range.clone();
        let found = shared.platform.store.read(move |read| read.range(&page, Order::Ascending, SWEEP_ROWS_MAX)).await?;
        for (_, value) in &found {
            let group = GroupRecord::decode(value)?;
            sweep::expired(shared, &group.id, group.expiry_ms(now_ms)).await?;
            windows(shared, &group.id, now_ms).await?;
        }
        match found.last() {
            Some((last, _)) if found.len() == SWEEP_ROWS_MAX => range = Range::prefix_after(&prefix, last),
            _ => return Ok(()),
        }
    }
}

/// Sweeps deleted groups.
async fn doomed(shared: &Shared) -> Result<(), LogsError> {
    loop {
        let range = Range::prefix(&keys::all_doomed());
        let found =
            shared.platform.store.read(move |read| read.range(&range, Order::Ascending, SWEEP_ROWS_MAX)).await?;
        if found.is_empty() {
            return Ok(());
        }
        for (key, _) in found {
            if let Some(group_id) = keys::doomed_id(&key) {
                sweep::group(shared, &group_id).await?;
            }
        }
    }
}

/// Compacts the windows of a group.
async fn windows(shared: &Shared, group_id: &str, now_ms: i64) -> Result<(), LogsError> {
    let mut from = 0;
    let open_from = window_of(now_ms - CLOSED_AFTER_MS);
    loop {
        let range = Range { start: keys::window(group_id, from), end: Range::prefix(&keys::segments(group_id)).end };
        let found = shared.platform.store.read(move |read| read.range(&range, Order::Ascending, 1)).await?;
        let Some((window, _)) = found.first().and_then(|(key, _)| keys::segment_parts(key)) else { return Ok(()) };
        compact::window(shared, group_id, window, window < open_from).await?;
        from = window + 1;
    }
}

/// A window is a whole number of days, so that retention deletes whole windows.
const _: () = assert!(WINDOW_MS % crate::limits::DAY_MS == 0);
