//! Events that wait to be committed. Readers see them at once.

use crate::Settings;
use crate::error::LogsError;
use crate::limits::{DROPPED_STREAMS_MAX, EVENT_BYTES_MAX, EVENT_OVERHEAD_BYTES};
use crate::model::{Event, GroupName};
use crate::sequence::Sequence;
use gust_kit::ports::LogLine;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};
use tokio::time::Instant;

/// Tells a PutLogEvents that its events are on disk.
type Waiter = oneshot::Sender<Result<(), LogsError>>;

/// How long functions' lines wait after a failure.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How many bytes one permit of the PutLogEvents bound stands for.
const PERMIT_BYTES: usize = 1_024;

/// Into how many parts the groups are divided, so that functions seldom share a lock.
const SHARDS: usize = 64;

/// The waiting events of all groups.
pub(crate) struct Buffer {
    shards: Vec<Mutex<Shard>>,
    /// How much of functions' output waits.
    sink_bytes: AtomicUsize,
    changed: Notify,
    puts: Semaphore,
    put_permits: u32,
    flush: Duration,
    flush_bytes: usize,
    sink_bytes_max: usize,
    group_bytes_max: usize,
}

/// Some of the groups.
#[derive(Default)]
struct Shard {
    groups: HashMap<GroupName, Pending>,
    /// What the writer is committing. Still read from here until it is committed.
    in_flight: HashMap<GroupName, Arc<Batch>>,
    closing: bool,
}

struct Pending {
    /// Functions' output, which gives way when there is too much.
    sink: VecDeque<Arc<Event>>,
    sink_bytes: usize,
    /// Events that a PutLogEvents waits for.
    puts: Vec<Arc<Event>>,
    put_bytes: usize,
    waiters: Vec<Waiter>,
    since: Instant,
    /// After a failure: when functions' lines are tried again.
    retry_at: Option<Instant>,
    /// By stream: how many lines gave way, and when the last of them came.
    dropped: BTreeMap<Arc<str>, (u64, i64)>,
}

/// Events of one group on their way to a segment.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Functions' output.
    pub sink: Vec<Arc<Event>>,
    /// From PutLogEvents.
    pub puts: Vec<Arc<Event>>,
}

impl Batch {
    /// All events.
    pub fn events(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.sink.iter().chain(&self.puts)
    }
}

/// What the writer took.
pub(crate) struct Taken {
    pub group: GroupName,
    pub batch: Arc<Batch>,
    pub waiters: Vec<Waiter>,
}

/// What became of a function's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// They are the first that wait in their group.
    First,
    /// Others waited already.
    More,
    /// The buffer is closed.
    Refused,
}

/// When the writer has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Instant),
    Idle,
    /// Closed, and nothing waits.
    Done,
}

/// An event before it has its place.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub timestamp_ms: i64,
    pub message: String,
}

impl Buffer {
    pub fn new(settings: &Settings) -> Buffer {
        let put_permits = u32::try_from(settings.put_bytes_max / PERMIT_BYTES).unwrap_or(u32::MAX).clamp(1, 1 << 24);
        Buffer {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            sink_bytes: AtomicUsize::new(0),
            changed: Notify::new(),
            puts: Semaphore::new(put_permits as usize),
            put_permits,
            flush: Duration::from_millis(settings.flush_ms),
            flush_bytes: settings.flush_bytes,
            sink_bytes_max: settings.buffer_bytes_max,
            group_bytes_max: settings.group_bytes_max,
        }
    }

    fn shard(&self, group: &GroupName) -> MutexGuard<'_, Shard> {
        let mut hasher = DefaultHasher::new();
        group.name.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % SHARDS as u64).unwrap_or(0);
        lock(&self.shards[index])
    }

    /// The shards one after the other, each locked by itself.
    fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(lock)
    }

    /// Takes a function's lines without waiting.
    pub fn write(
        &self,
        group: &GroupName,
        stream: &Arc<str>,
        lines: Vec<LogLine>,
        now_ms: i64,
        sequence: &Sequence,
    ) -> Written {
        let mut shard = self.shard(group);
        if shard.closing {
            return Written::Refused;
        }
        let state = &mut *shard;
        let first = !state.groups.contains_key(group);
        let pending = state.groups.entry(group.clone()).or_insert_with(Pending::new);
        for line in lines {
            let event = Event {
                timestamp_ms: line.timestamp_ms.max(0),
                sequence: sequence.next(),
                ingested_at_ms: now_ms,
                stream: stream.clone(),
                message: cut(line.message),
            };
            self.sink_bytes.fetch_add(pending.push(event), Relaxed);
            while self.is_over(pending.sink_bytes) {
                match pending.drop_oldest() {
                    Some(bytes) => self.sink_bytes.fetch_sub(bytes, Relaxed),
                    None => break,
                };
            }
        }
        let full = pending.bytes() >= self.flush_bytes;
        drop(shard);
        if first || full {
            self.changed.notify_one();
        }
        if first { Written::First } else { Written::More }
    }

    fn is_over(&self, group_bytes: usize) -> bool {
        group_bytes > self.group_bytes_max || self.sink_bytes.load(Relaxed) > self.sink_bytes_max
    }

    /// Takes the events of a PutLogEvents; the receiver hears when they are on disk. Waits while too much of
    /// them is waiting already; hold the permit until then.
    ///
    /// Errors: [`LogsError::Unavailable`] once closed.
    pub async fn put(
        &self,
        group: &GroupName,
        stream: Arc<str>,
        events: Vec<NewEvent>,
        now_ms: i64,
        sequence: &Sequence,
    ) -> Result<(oneshot::Receiver<Result<(), LogsError>>, SemaphorePermit<'_>), LogsError> {
        let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
        let permits = u32::try_from(bytes / PERMIT_BYTES + 1).map_err(|_| LogsError::Unavailable)?;
        // A batch that is larger than the bound goes alone.
        let permits = permits.min(self.put_permits);
        let permit = self.puts.acquire_many(permits).await.map_err(|_| LogsError::Unavailable)?;
        let (waiter, done) = oneshot::channel();
        {
            let mut shard = self.shard(group);
            if shard.closing {
                return Err(LogsError::Unavailable);
            }
            let pending = shard.groups.entry(group.clone()).or_insert_with(Pending::new);
            for NewEvent { timestamp_ms, message } in events {
                let sequence = sequence.next();
                let event = Event { timestamp_ms, sequence, ingested_at_ms: now_ms, stream: stream.clone(), message };
                pending.put_bytes += event.waiting_bytes();
                pending.puts.push(Arc::new(event));
            }
            pending.waiters.push(waiter);
        }
        self.changed.notify_one();
        Ok((done, permit))
    }

    /// When the writer has something to do.
    pub fn due(&self) -> Due {
        let now = Instant::now();
        let mut first: Option<Instant> = None;
        let mut closing = true;
        for shard in self.shards() {
            closing &= shard.closing;
            for pending in shard.groups.values() {
                if self.is_due(pending, now, shard.closing) {
                    return Due::Now;
                }
                let at = self.due_at(pending);
                first = Some(first.map_or(at, |first| first.min(at)));
            }
        }
        match first {
            Some(at) => Due::At(at),
            None if closing => Due::Done,
            None => Due::Idle,
        }
    }

    fn is_due(&self, pending: &Pending, now: Instant, closing: bool) -> bool {
        if closing || !pending.waiters.is_empty() {
            return true;
        }
        let full = pending.retry_at.is_none() && pending.bytes() >= self.flush_bytes;
        full || now >= self.due_at(pending)
    }

    fn due_at(&self, pending: &Pending) -> Instant {
        pending.retry_at.unwrap_or(pending.since + self.flush)
    }

    /// Returns when [`Buffer::due`] may have changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes the groups that are due; they are read from the batches until [`Buffer::finish`].
    pub fn take_due(&self, sequence: &Sequence) -> Vec<Taken> {
        let now = Instant::now();
        let mut taken = Vec::new();
        for mut shard in self.shards() {
            let closing = shard.closing;
            let due: Vec<(GroupName, Pending)> =
                shard.groups.extract_if(|_, pending| self.is_due(pending, now, closing)).collect();
            for (group, mut pending) in due {
                self.sink_bytes.fetch_sub(pending.sink_bytes, Relaxed);
                pending.tell_of_dropped(sequence);
                let batch = Arc::new(Batch { sink: pending.sink.into(), puts: pending.puts });
                shard.in_flight.insert(group.clone(), batch.clone());
                taken.push(Taken { group, batch, waiters: pending.waiters });
            }
        }
        taken
    }

    /// Whether the writer holds something.
    #[cfg(test)]
    pub fn is_committing(&self) -> bool {
        self.shards().any(|shard| !shard.in_flight.is_empty())
    }

    /// The group's batch is committed.
    pub fn finish(&self, group: &GroupName) {
        self.shard(group).in_flight.remove(group);
    }

    /// The group's batch could not be committed: functions' lines wait again, before those that came since.
    /// Events of PutLogEvents are gone, and their callers know. `false` if it was closed meanwhile.
    pub fn restore(&self, group: &GroupName) -> bool {
        let mut shard = self.shard(group);
        let state = &mut *shard;
        let Some(batch) = state.in_flight.remove(group) else { return true };
        if state.closing || batch.sink.is_empty() {
            return batch.sink.is_empty();
        }
        let pending = state.groups.entry(group.clone()).or_insert_with(Pending::new);
        pending.retry_at = Some(Instant::now() + RETRY_PAUSE);
        for event in batch.sink.iter().rev() {
            let bytes = event.waiting_bytes();
            if self.is_over(pending.sink_bytes + bytes) {
                pending.count_dropped(event);
                continue;
            }
            pending.sink_bytes += bytes;
            self.sink_bytes.fetch_add(bytes, Relaxed);
            pending.sink.push_front(event.clone());
        }
        true
    }

    /// All events of a group that are not committed, in no order.
    pub fn snapshot(&self, group: &GroupName) -> Vec<Arc<Event>> {
        let shard = self.shard(group);
        let in_flight = shard.in_flight.get(group).into_iter().flat_map(|batch| batch.events());
        let pending = shard.groups.get(group).into_iter().flat_map(|pending| pending.sink.iter().chain(&pending.puts));
        in_flight.chain(pending).cloned().collect()
    }

    /// Forgets the lines of a group that is deleted. Events of PutLogEvents stay for the sake of their callers;
    /// the writer does not find their group.
    pub fn discard(&self, group: &GroupName) {
        let mut shard = self.shard(group);
        let Some(pending) = shard.groups.get_mut(group) else { return };
        self.sink_bytes.fetch_sub(pending.sink_bytes, Relaxed);
        pending.sink_bytes = 0;
        pending.sink.clear();
        pending.dropped.clear();
        if pending.waiters.is_empty() {
            shard.groups.remove(group);
        }
    }

    /// Refuses what comes from now on and lets the writer finish.
    pub fn close(&self) {
        self.shards().for_each(|mut shard| shard.closing = true);
        self.puts.close();
        self.changed.notify_one();
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A function's line can be longer than AWS takes: it is cut, at a character's border.
fn cut(mut message: String) -> String {
    let most = EVENT_BYTES_MAX - EVENT_OVERHEAD_BYTES;
    if message.len() > most {
        let end = (0..=most).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
    }
    message
}

impl Pending {
    fn new() -> Pending {
        Pending {
            sink: VecDeque::new(),
            sink_bytes: 0,
            puts: Vec::new(),
            put_bytes: 0,
            waiters: Vec::new(),
            since: Instant::now(),
            retry_at: None,
            dropped: BTreeMap::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.sink_bytes + self.put_bytes
    }

    fn push(&mut self, event: Event) -> usize {
        let bytes = event.waiting_bytes();
        self.sink_bytes += bytes;
        self.sink.push_back(Arc::new(event));
        bytes
    }

    /// How many bytes became free; `None` if there was no line.
    fn drop_oldest(&mut self) -> Option<usize> {
        let event = self.sink.pop_front()?;
        self.sink_bytes -= event.waiting_bytes();
        self.count_dropped(&event);
        Some(event.waiting_bytes())
    }

    fn count_dropped(&mut self, event: &Event) {
        let known = self.dropped.contains_key(&event.stream) || self.dropped.len() < DROPPED_STREAMS_MAX;
        let entry = if known {
            Some(self.dropped.entry(event.stream.clone()).or_default())
        } else {
            self.dropped.values_mut().next()
        };
        if let Some((count, last_ms)) = entry {
            *count += 1;
            *last_ms = event.timestamp_ms.max(*last_ms);
        }
    }

    /// Puts a line into each stream that lost some.
    fn tell_of_dropped(&mut self, sequence: &Sequence) {
        for (stream, (count, timestamp_ms)) in std::mem::take(&mut self.dropped) {
            let ingested_at_ms = timestamp_ms;
            let message = format!("[gust] {count} log lines were dropped: they came faster than they could be written");
            self.sink.push_back(Arc::new(Event {
                timestamp_ms,
                sequence: sequence.next(),
                ingested_at_ms,
                stream,
                message,
            }));
        }
    }
}
