//! What the engines of one machine share: running closures against a snapshot and judging their commits.

use crate::engine::{Attempt, Failure, Flow, View, Work};
use crate::sequencer::{Group, Sequencer, SnapshotHold, Snapshots};
use crate::transaction::{Overlaid, ReadSet, Transaction, WriteSet};
use crate::{Key, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A closure that took at most this long, in milliseconds, is run again by the committer itself when it
/// conflicts, so that all updates of a hot key go into one group. Slower ones go back to the pool.
const RERUN_AT_ONCE_MS_MAX: u64 = 2;

/// From this attempt on a transaction runs alone, in the committer: it cannot conflict any more, so
/// that a hot key costs speed but never starves anybody.
pub(crate) const ALONE_FROM_ATTEMPT: u32 = 3;

/// Data on one machine.
pub(crate) trait Base: Send + Sync + 'static {
    /// The data as commit `at` left it, or a later one.
    fn view(&self, at: u64) -> Box<dyn View + '_>;

    /// The next stamp of `log`, if it was ever appended to.
    fn counter(&self, log: &Key) -> Result<Option<u64>, StoreError>;

    /// The next stamp of every log.
    fn counters(&self) -> Result<Vec<(Key, u64)>, StoreError>;

    /// Whether writes of about `bytes` are allowed now.
    fn check_space(&self, bytes: usize) -> Result<(), StoreError>;

    /// Writes `group`, atomically; on return it is durable. No snapshot before `oldest` is in use.
    ///
    /// An error is final: the base must not be used any more.
    fn write(&self, group: &Group, oldest: u64) -> Result<(), String>;
}

/// A commit that is to be judged.
pub(crate) enum Proposal {
    /// A closure has run against a snapshot.
    Ran { run: Run, hold: SnapshotHold, reads: ReadSet, writes: WriteSet, took: Duration },
    /// The closure is to run now, against everything before it.
    Alone(Run),
}

/// A closure, and how long it may take.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) work: Work,
    pub(crate) time: Duration,
}

/// What became of running a closure.
pub(crate) enum Ran {
    /// There is nothing to write.
    Done(Attempt, Vec<String>),
    /// It has to be judged.
    Proposed(Proposal),
}

/// Runs a closure against a new snapshot of `base`.
pub(crate) fn run(base: &dyn Base, snapshots: &Arc<Snapshots>, run: Run) -> Result<Ran, StoreError> {
    let begun = Instant::now();
    let hold = snapshots.hold();
    let mut view = base.view(hold.at);
    let mut transaction = Transaction::new(&mut *view, run.time);
    let flow = (run.work)(&mut transaction);
    let finished = transaction.finish();
    drop(view);
    Ok(match (finished, flow) {
        (Err(Failure::Conflict), _) => Ran::Done(Attempt::Conflict, Vec::new()),
        (Err(Failure::Error(error)), Flow::Commit) => return Err(error),
        // The closure has its own way to say what went wrong.
        (Err(Failure::Error(_)) | Ok(_), Flow::Abandon) => Ran::Done(Attempt::Abandoned, Vec::new()),
        // A snapshot lies between two commits, so that what only reads is in order.
        (Ok((_, writes)), Flow::Commit) if writes.is_empty() => Ran::Done(Attempt::Committed(vec![]), writes.wakes),
        (Ok((reads, writes)), Flow::Commit) => {
            Ran::Proposed(Proposal::Ran { run, hold, reads, writes, took: begun.elapsed() })
        }
    })
}

/// Judges `proposal`; if it may commit, it is part of `group` afterwards.
pub(crate) fn judge(
    base: &dyn Base,
    snapshots: &Arc<Snapshots>,
    sequencer: &mut Sequencer,
    group: &mut Group,
    proposal: Proposal,
) -> Result<Attempt, StoreError> {
    let writes = match proposal {
        Proposal::Ran { hold, reads, writes, .. } if sequencer.is_current(hold.at, &reads) => writes,
        Proposal::Ran { took, .. } if took > Duration::from_millis(RERUN_AT_ONCE_MS_MAX) => {
            return Ok(Attempt::Conflict);
        }
        Proposal::Ran { run, .. } | Proposal::Alone(run) => {
            let hold = snapshots.hold();
            let mut view = base.view(hold.at);
            let mut overlaid = Overlaid { view: &mut *view, changes: &group.changes };
            let mut transaction = Transaction::new(&mut overlaid, run.time);
            let flow = (run.work)(&mut transaction);
            let finished = transaction.finish();
            match (finished, flow) {
                (Err(Failure::Conflict), _) => return Ok(Attempt::Conflict),
                (Err(Failure::Error(error)), Flow::Commit) => return Err(error),
                (_, Flow::Abandon) => return Ok(Attempt::Abandoned),
                (Ok((_, writes)), Flow::Commit) => writes,
            }
        }
    };
    if writes.is_empty() {
        group.wakes.extend(writes.wakes);
        return Ok(Attempt::Committed(Vec::new()));
    }
    let stamps = sequencer.admit(group, writes, &|log| base.counter(log))?;
    Ok(Attempt::Committed(stamps))
}
