//! Processes that were started ahead, in sandboxes of their own, and wait for a function.
//!
//! Nearly all of a cold start is the same for every function: namespaces, mounts, cgroups, a forked or executed
//! interpreter. A spare has all of that and has never seen a function: it is given one with its folders, limits and
//! environment, and serves that one until its end. Spares are kept for the kinds of environments that were started
//! lately, few, and only for minutes, so that an idle gust has none.

use crate::admission::MemorySource;
use crate::limits::{
    SMALL_SPARE_MB, SMALL_SPARE_REFILL_AFTER, SMALL_SPARES_OF_KIND_MAX, SPARE_BOOT_WAIT, SPARE_MB,
    SPARE_MEMORY_BYTES_MIN, SPARE_REFILL_AFTER, SPARE_UNUSED_AFTER, SPARES_MB_MAX, SPARES_OF_KIND_MAX,
};
use gust_sandbox::{Folders, Interpreter, Sandbox, Sizes, StubOrder};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// What cannot be changed any more once a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A Node.js that runs: the limit of its heap is among its arguments.
    Node { interpreter: Interpreter, sizes: Sizes },
    /// A fork of the interpreter's zygote, with the AWS SDK of this folder loaded if there is one.
    Python { interpreter: Interpreter, sdk: Option<PathBuf> },
    /// Whatever is executed in it.
    Custom,
}

impl Kind {
    fn bound(&self) -> Bound {
        match self {
            Kind::Node { .. } => Bound { count_max: SPARES_OF_KIND_MAX, memory_mb: SPARE_MB },
            Kind::Python { .. } | Kind::Custom => {
                Bound { count_max: SMALL_SPARES_OF_KIND_MAX, memory_mb: SMALL_SPARE_MB }
            }
        }
    }

    /// How long the next one waits after a use.
    fn refill_after(&self) -> Duration {
        match self {
            Kind::Node { .. } => SPARE_REFILL_AFTER,
            Kind::Python { .. } | Kind::Custom => SMALL_SPARE_REFILL_AFTER,
        }
    }
}

/// What is to be executed in a spare of [`Kind::Custom`].
pub(crate) type Executable<'a> = Option<(&'a str, &'a [String])>;

/// A process that waits for a function.
pub(crate) struct Spare {
    pub(crate) sandbox: Sandbox,
    pub(crate) channel: UnixStream,
}

/// Bytes of a frame of the private channel before its body.
const FRAME_HEAD_BYTES: usize = 5;
/// Longest reason why something could not be executed, in bytes.
const REASON_BYTES_MAX: u64 = 4_096;

impl Spare {
    /// The process of a sandbox just made, once it waits.
    ///
    /// Errors: it did not come to that.
    pub(crate) async fn when_waiting(mut sandbox: Sandbox) -> std::io::Result<Spare> {
        let channel = sandbox.channel.take().ok_or_else(|| std::io::Error::other("it has no channel"))?;
        let mut channel = UnixStream::from_std(channel)?;
        let mut frame = [0; FRAME_HEAD_BYTES];
        timeout(SPARE_BOOT_WAIT, channel.read_exact(&mut frame)).await??;
        match frame {
            [1, 0, 0, 0, b'W'] => Ok(Spare { sandbox, channel }),
            other => Err(std::io::Error::other(format!("it said {other:?}"))),
        }
    }

    /// Gives it a function: from now on it is that function's.
    ///
    /// Errors: it cannot be used.
    pub(crate) async fn adopt(
        mut self,
        folders: Folders,
        sizes: Sizes,
        variables: &[(String, String)],
        executable: Executable<'_>,
    ) -> std::io::Result<Spare> {
        self.sandbox.attach(folders, sizes).await.map_err(std::io::Error::other)?;
        let environment: BTreeMap<String, String> = variables.iter().cloned().collect();
        let Some((path, args)) = executable else {
            self.send_function(&serde_json::to_vec(&environment)?).await?;
            return Ok(self);
        };
        let order = StubOrder { path: path.to_owned(), args: args.to_vec(), environment };
        self.send_function(&serde_json::to_vec(&order)?).await?;
        // The end of the channel: it was executed.
        let mut reason = Vec::new();
        let mut told = (&mut self.channel).take(REASON_BYTES_MAX);
        timeout(SPARE_BOOT_WAIT, told.read_to_end(&mut reason)).await??;
        match reason.get(FRAME_HEAD_BYTES..) {
            None => Ok(self),
            Some(reason) => Err(std::io::Error::other(String::from_utf8_lossy(reason).into_owned())),
        }
    }

    async fn send_function(&mut self, body: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(1 + body.len()).map_err(std::io::Error::other)?;
        let mut frame = length.to_le_bytes().to_vec();
        frame.push(b'H');
        frame.extend(body);
        self.channel.write_all(&frame).await
    }
}

/// How many of a kind may wait.
#[derive(Debug, Clone, Copy)]
struct Bound {
    count_max: usize,
    /// What one takes.
    memory_mb: usize,
}

/// The spares of one kind.
#[derive(Debug)]
struct Shelf<S> {
    spares: Vec<S>,
    /// How many there should be.
    wanted: usize,
    bound: Bound,
    used_at: Instant,
}

/// What is to be done next for the spares.
#[derive(Debug, PartialEq)]
enum Step<K> {
    /// Start one of this kind.
    Boot(K),
    /// End one of this kind: another kind is wanted more.
    End(K),
    /// End all of this kind: nobody uses them.
    Retire(K),
    /// Nothing until then.
    Wait(Instant),
    /// Nothing until somebody starts something.
    Rest,
}

fn next_step<K: Clone + Eq + Hash, S>(shelves: &HashMap<K, Shelf<S>>, now: Instant) -> Step<K> {
    let Some((oldest, shelf)) = shelves.iter().min_by_key(|(_, shelf)| shelf.used_at) else { return Step::Rest };
    let retire_at = shelf.used_at + SPARE_UNUSED_AFTER;
    if now >= retire_at {
        return Step::Retire(oldest.clone());
    }
    let lacking = shelves.iter().filter(|(_, shelf)| shelf.spares.len() < shelf.wanted);
    let Some((kind, lacking)) = lacking.max_by_key(|(_, shelf)| shelf.used_at) else { return Step::Wait(retire_at) };
    let memory_mb = shelves.values().map(|shelf| shelf.spares.len() * shelf.bound.memory_mb).sum::<usize>();
    if memory_mb + lacking.bound.memory_mb <= SPARES_MB_MAX {
        return Step::Boot(kind.clone());
    }
    let older = shelves.iter().filter(|(_, shelf)| !shelf.spares.is_empty() && shelf.used_at < lacking.used_at);
    match older.min_by_key(|(_, shelf)| shelf.used_at) {
        Some((kind, _)) => Step::End(kind.clone()),
        None => Step::Wait(retire_at),
    }
}

/// Takes a spare, and learns from whether there was one. A kind that was wanted in vain gets more.
fn take<K: Eq + Hash, S>(shelves: &mut HashMap<K, Shelf<S>>, kind: K, bound: Bound, now: Instant) -> Option<S> {
    let is_new = !shelves.contains_key(&kind);
    let shelf = shelves.entry(kind).or_insert_with(|| Shelf { spares: Vec::new(), wanted: 1, bound, used_at: now });
    shelf.used_at = now;
    let spare = shelf.spares.pop();
    if spare.is_none() && !is_new {
        shelf.wanted = (shelf.wanted + 1).min(shelf.bound.count_max);
    }
    spare
}

/// All spares, and one task that keeps them while there are any.
pub(crate) struct Prebooted {
    state: Mutex<State>,
    changed: Notify,
    memory: MemorySource,
}

#[derive(Default)]
struct State {
    shelves: HashMap<Kind, Shelf<Spare>>,
    is_kept: bool,
    /// What the kind used last wants.
    refill_after: Duration,
}

impl Prebooted {
    pub(crate) fn new(memory: MemorySource) -> Arc<Prebooted> {
        Arc::new(Prebooted { state: Mutex::default(), changed: Notify::new(), memory })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of Node.js wait now, and how many others.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let (mut node, mut others) = (0, 0);
        for (kind, shelf) in &self.state().shelves {
            let count = if matches!(kind, Kind::Node { .. }) { &mut node } else { &mut others };
            *count += shelf.spares.len();
        }
        (node, others)
    }

    /// A process of this kind, if there is one; afterwards others are started with `boot`, one after the other.
    pub(crate) fn take<F, B>(self: &Arc<Prebooted>, kind: Kind, boot: F) -> Option<Spare>
    where
        F: Fn(Kind) -> B + Send + Sync + 'static,
        B: Future<Output = std::io::Result<Spare>> + Send + 'static,
    {
        let mut state = self.state();
        let now = Instant::now();
        let bound = kind.bound();
        let mut spare = take(&mut state.shelves, kind.clone(), bound, now);
        // One whose process has ended meanwhile is none.
        while spare.as_ref().is_some_and(|spare| spare.sandbox.try_wait().is_some()) {
            spare = take(&mut state.shelves, kind.clone(), bound, now);
        }
        state.refill_after = kind.refill_after();
        if !std::mem::replace(&mut state.is_kept, true) {
            tokio::spawn(self.clone().keep(boot));
        }
        self.changed.notify_one();
        spare
    }

    async fn keep<F, B>(self: Arc<Prebooted>, boot: F)
    where
        F: Fn(Kind) -> B + Send + Sync,
        B: Future<Output = std::io::Result<Spare>> + Send + 'static,
    {
        self.let_others_go_first().await;
        loop {
            let step = {
                let mut state = self.state();
                let step = next_step(&state.shelves, Instant::now());
                match &step {
                    Step::Rest => state.is_kept = false,
                    Step::End(kind) => {
                        if let Some(shelf) = state.shelves.get_mut(kind) {
                            shelf.wanted = shelf.wanted.saturating_sub(1);
                            shelf.spares.pop();
                        }
                    }
                    Step::Retire(kind) => {
                        state.shelves.remove(kind);
                    }
                    Step::Boot(_) | Step::Wait(_) => {}
                }
                step
            };
            match step {
                Step::Rest => return,
                Step::End(_) | Step::Retire(_) => {}
                Step::Boot(kind) => self.refill(kind, &boot).await,
                Step::Wait(until) => {
                    tokio::select! {
                        () = sleep_until(until) => {}
                        () = self.changed.notified() => self.let_others_go_first().await,
                    }
                }
            }
        }
    }

    /// Whoever starts now does not wait for a spare.
    async fn let_others_go_first(&self) {
        let wait = self.state().refill_after;
        sleep(wait).await;
    }

    /// Starts one more of a kind. If that cannot be, none is wanted until the kind is used again.
    async fn refill<F, B>(&self, kind: Kind, boot: &F)
    where
        F: Fn(Kind) -> B + Sync,
        B: Future<Output = std::io::Result<Spare>>,
    {
        let has_room = (self.memory)().is_none_or(|available| available >= SPARE_MEMORY_BYTES_MIN);
        let booted = if has_room { boot(kind.clone()).await } else { Err(std::io::ErrorKind::OutOfMemory.into()) };
        let mut state = self.state();
        let Some(shelf) = state.shelves.get_mut(&kind) else { return };
        match booted {
            Ok(spare) => shelf.spares.push(spare),
            Err(error) => {
                tracing::debug!(%error, ?kind, "no process is started ahead");
                shelf.wanted = shelf.spares.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three kinds of them are more than may be.
    const MAX: usize = 4;
    const BOUND: Bound = Bound { count_max: MAX, memory_mb: SPARES_MB_MAX / (2 * MAX) };

    type Shelves = HashMap<&'static str, Shelf<u32>>;

    fn boot(shelves: &mut Shelves, kind: &'static str) {
        shelves.get_mut(kind).unwrap().spares.push(0);
    }

    #[test]
    fn a_kind_gets_as_many_as_it_was_short_of() {
        let (mut shelves, now) = (Shelves::new(), Instant::now());
        assert_eq!(next_step(&shelves, now), Step::Rest);
        assert_eq!(take(&mut shelves, "a", BOUND, now), None);
        assert_eq!(next_step(&shelves, now), Step::Boot("a"));
        boot(&mut shelves, "a");
        assert_eq!(next_step(&shelves, now), Step::Wait(now + SPARE_UNUSED_AFTER));
        assert_eq!(take(&mut shelves, "a", BOUND, now), Some(0));
        assert_eq!(take(&mut shelves, "a", BOUND, now), None);
        for _ in 0..2 {
            assert_eq!(next_step(&shelves, now), Step::Boot("a"));
            boot(&mut shelves, "a");
        }
        assert_eq!(next_step(&shelves, now), Step::Wait(now + SPARE_UNUSED_AFTER));
        for _ in 0..100 {
            take(&mut shelves, "a", BOUND, now);
        }
        assert_eq!(shelves["a"].wanted, MAX);
    }

    #[test]
    fn the_most_recently_used_kind_goes_first_and_takes_the_place_of_older_ones() {
        let (mut shelves, now) = (Shelves::new(), Instant::now());
        for (number, kind) in ["a", "b", "c"].into_iter().enumerate() {
            let at = now + Duration::from_secs(number as u64);
            for _ in 0..=MAX {
                take(&mut shelves, kind, BOUND, at);
            }
            if kind == "c" {
                assert_eq!(next_step(&shelves, at), Step::End("a"), "the places are taken");
                break;
            }
            for _ in 0..MAX {
                assert_eq!(next_step(&shelves, at), Step::Boot(kind));
                boot(&mut shelves, kind);
            }
        }
    }

    #[test]
    fn what_nobody_uses_is_retired() {
        let (mut shelves, now) = (Shelves::new(), Instant::now());
        take(&mut shelves, "a", BOUND, now);
        boot(&mut shelves, "a");
        take(&mut shelves, "b", BOUND, now + Duration::from_secs(1));
        assert_eq!(next_step(&shelves, now + SPARE_UNUSED_AFTER), Step::Retire("a"));
        shelves.remove("a");
        boot(&mut shelves, "b");
        let later = now + Duration::from_secs(1) + SPARE_UNUSED_AFTER;
        assert_eq!(next_step(&shelves, now + SPARE_UNUSED_AFTER), Step::Wait(later));
        assert_eq!(next_step(&shelves, later), Step::Retire("b"));
    }
}
