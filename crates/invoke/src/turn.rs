//! Turns to start an environment: a burst starts no more at a time than the cores can usefully start, and functions
//! share them evenly.
//!
//! A turn that becomes free goes to the function that holds the fewest, among equals to the one that has waited for
//! longest, so that one function's flood delays another's start by one start at most. The last free turns are kept for
//! functions that hold none.

use crate::limits::{STARTS_PER_CORE_MAX, TURNS_KEPT_SHARE};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// All turns of an engine. Clones share them.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// As many free ones are for functions that hold none.
    kept: usize,
    total: usize,
    functions: HashMap<Arc<str>, Function>,
    /// The functions somebody waits for: how many turns each holds, since when it waits, its name.
    queue: BTreeSet<(usize, u64, Arc<str>)>,
    next_number: u64,
}

#[derive(Default)]
struct Function {
    held: usize,
    /// Its place in the queue, while somebody waits.
    number: u64,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The turn to start an environment, until it is dropped or its time is up.
pub(crate) struct Turn {
    turns: Turns,
    /// Taken by whoever gives the turn back.
    function: Arc<Mutex<Option<Arc<str>>>>,
    timer: Option<JoinHandle<()>>,
}

/// How many environments start at a time by default.
pub(crate) fn starts_max_default() -> usize {
    STARTS_PER_CORE_MAX * cores()
}

/// The processors of this machine. Asked once: the answer is read out of several files.
pub(crate) fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

impl State {
    /// Changes how many turns a function holds, and its place in the queue with it.
    fn set_held(&mut self, name: &Arc<str>, change: impl Fn(usize) -> usize) {
        let Some(function) = self.functions.get_mut(name) else { return };
        let before = function.held;
        function.held = change(before);
        if !function.waiting.is_empty() {
            self.queue.remove(&(before, function.number, name.clone()));
            self.queue.insert((function.held, function.number, name.clone()));
        } else if function.held == 0 {
            self.functions.remove(name);
        }
    }

    /// Whoever is next, if there is a turn for them: their function has one more from now on.
    fn next(&mut self) -> Option<(Arc<str>, oneshot::Sender<Turn>)> {
        let (held, number, name) = self.queue.first()?.clone();
        let for_all = self.free.saturating_sub(self.kept);
        if self.free == 0 || (held > 0 && for_all == 0) {
            return None;
        }
        self.queue.remove(&(held, number, name.clone()));
        let function = self.functions.get_mut(&name)?;
        let sender = function.waiting.pop_front()?;
        function.held += 1;
        self.free -= 1;
        if !function.waiting.is_empty() {
            // Behind all others that hold as many.
            self.next_number += 1;
            function.number = self.next_number;
            self.queue.insert((function.held, function.number, name.clone()));
        }
        Some((name, sender))
    }

    fn give_back(&mut self, name: &Arc<str>) {
        self.free += 1;
        self.set_held(name, |held| held.saturating_sub(1));
    }
}

impl Turns {
    pub(crate) fn new(starts_max: usize) -> Turns {
        let kept = if starts_max > 1 { (starts_max / TURNS_KEPT_SHARE).max(1) } else { 0 };
        Turns(Arc::new(Mutex::new(State {
            free: starts_max,
            kept,
            total: starts_max,
            functions: HashMap::new(),
            queue: BTreeSet::new(),
            next_number: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn for `function`, when it comes. Dropping the receiver gives the place in the queue up.
    pub(crate) fn take(&self, function: &Arc<str>) -> oneshot::Receiver<Turn> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            state.next_number += 1;
            let number = state.next_number;
            let entry = state.functions.entry(function.clone()).or_default();
            entry.waiting.push_back(sender);
            if entry.waiting.len() == 1 {
                entry.number = number;
                let held = entry.held;
                state.queue.insert((held, number, function.clone()));
            }
        }
        self.serve();
        receiver
    }

    /// How many environments are being started.
    pub(crate) fn running(&self) -> usize {
        let state = self.lock();
        state.total - state.free
    }

    /// Hands out what is free.
    fn serve(&self) {
        loop {
            let Some((name, sender)) = self.lock().next() else { return };
            let turn = Turn { turns: self.clone(), function: Arc::new(Mutex::new(Some(name.clone()))), timer: None };
            if let Err(mut unsent) = sender.send(turn) {
                // Nobody waits for it any more: on to the next one.
                unsent.disarm();
                self.lock().give_back(&name);
            }
        }
    }

    fn end(&self, function: &Mutex<Option<Arc<str>>>) {
        let name = function.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(name) = name {
            self.lock().give_back(&name);
            self.serve();
        }
    }
}

impl Turn {
    /// Gives it back after `limit`, whatever its holder does then: a start that takes that long probably sleeps.
    pub(crate) fn held_at_most(mut self, limit: Duration) -> Turn {
        let (turns, function) = (self.turns.clone(), self.function.clone());
        self.timer = Some(tokio::spawn(async move {
            sleep(limit).await;
            turns.end(&function);
        }));
        self
    }

    fn disarm(&mut self) {
        self.function.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.abort();
        }
        self.turns.end(&self.function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    fn got(receiver: &mut oneshot::Receiver<Turn>) -> Option<Turn> {
        receiver.try_recv().ok()
    }

    #[tokio::test]
    async fn a_flood_of_one_function_delays_another_by_one_start() {
        let turns = Turns::new(4);
        let (flood, quiet, other) = (name("flood"), name("quiet"), name("other"));
        let mut flooding: Vec<_> = (0..100).map(|_| turns.take(&flood)).collect();
        let mut held: Vec<Turn> = flooding.iter_mut().filter_map(got).collect();
        assert_eq!((held.len(), turns.running()), (3, 3), "the last one is kept for others");
        let kept = got(&mut turns.take(&quiet)).expect("it holds none");
        let (mut second, mut third) = (turns.take(&quiet), turns.take(&other));
        held.pop();
        let third = got(&mut third).expect("it holds none");
        assert!(got(&mut second).is_none());
        drop((kept, third));
        assert!(got(&mut second).is_some(), "it holds fewer than the flood");
        drop((held, second));
        assert_eq!(turns.running(), 3, "the flood goes on");
        drop(flooding);
        assert_eq!(turns.running(), 0);
        assert!(turns.lock().functions.is_empty() && turns.lock().queue.is_empty());
    }

    #[tokio::test]
    async fn who_gave_up_is_passed_over_and_nothing_is_lost() {
        let turns = Turns::new(1);
        let (a, b) = (name("a"), name("b"));
        let mut first = turns.take(&a);
        let held = got(&mut first).unwrap();
        let gone: Vec<_> = (0..1_000).map(|_| turns.take(&a)).collect();
        drop(gone);
        let mut last = turns.take(&b);
        drop(held);
        let held = got(&mut last).expect("the others are gone");
        // Nobody looks at what arrived.
        let unseen = turns.take(&a);
        drop(held);
        drop(unseen);
        assert!(got(&mut turns.take(&b)).is_some());
        assert_eq!(turns.running(), 0);
    }

    #[tokio::test]
    async fn a_turn_held_for_too_long_is_given_back_once() {
        let turns = Turns::new(1);
        let a = name("a");
        let turn = got(&mut turns.take(&a)).unwrap().held_at_most(Duration::from_millis(5));
        let next = turns.take(&a);
        let next = next.await.unwrap();
        drop(turn);
        assert_eq!(turns.running(), 1, "it is the next one's");
        drop(next);
        assert_eq!(turns.running(), 0);
    }

    #[tokio::test]
    async fn functions_share_evenly() {
        let turns = Turns::new(9);
        let names = ["a", "b"].map(name);
        let mut waiting: Vec<_> = (0..40).map(|n| (n / 20, turns.take(&names[n / 20]))).collect();
        let mut counts = [0_usize, 0];
        let mut held: VecDeque<Turn> = VecDeque::new();
        for _ in 0..20 {
            for (function, receiver) in &mut waiting {
                if let Some(turn) = got(receiver) {
                    counts[*function] += 1;
                    held.push_back(turn);
                }
            }
            held.pop_front();
        }
        assert!(counts[0].abs_diff(counts[1]) <= 8, "{counts:?}");
    }
}
