//! The spawner's side: networks that were made ahead.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::NatConfig;
use super::keeper::{self, Answer, MESSAGE_BYTES_MAX, Order, Setup};
use crate::protocol::NetworkFacts;
use crate::sys::{self, Forked};
use crate::sys_process::{self, Epoll, Wait};

/// How many are ready while little happens.
const READY_MIN: u32 = 4;
/// How many are ready in a burst, at most. Each takes some 100 KiB of the kernel's memory.
const READY_MAX: u32 = 64;
/// What is ready beyond [`READY_MIN`] is given up when none was taken for so long.
const UNUSED_AFTER: Duration = Duration::from_secs(60);
/// A network takes about a millisecond, the first one what its keeper waits for its predecessor.
const TAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// Where no network is possible this is found out again that late at the earliest.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How many are released with one message.
const RELEASED_TOGETHER_MAX: usize = 256;
/// How long a keeper may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The network of one environment.
pub(crate) struct Network {
    pub index: u32,
    pub namespace: OwnedFd,
}

struct Keeper {
    pid: i32,
    pidfd: OwnedFd,
    socket: OwnedFd,
}

enum State {
    /// Nobody has needed a network yet, or the keeper has ended.
    Off,
    Starting,
    Standing(NetworkFacts),
    Impossible {
        cause: String,
        since: Instant,
    },
}

pub(crate) struct Pool {
    setup: Setup,
    state: State,
    keeper: Option<Keeper>,
    ready: VecDeque<Network>,
    /// Ordered and not there yet.
    ordered: u32,
    /// How many should be ready.
    wanted: u32,
    /// Of environments that have ended; told to the keeper when it has done with those before.
    ended: Vec<u32>,
    is_releasing: bool,
    taken_at: Instant,
    /// Requests to be answered when it is known whether there can be networks.
    waiting: Vec<u64>,
    /// The keeper has ended: so have the networks that it made.
    lost: bool,
}

impl Pool {
    pub(crate) fn new(data_id: String, state_dir: PathBuf, nat: NatConfig) -> Pool {
        Pool {
            setup: Setup { data_id, state_dir, nat },
            state: State::Off,
            keeper: None,
            ready: VecDeque::new(),
            ordered: 0,
            wanted: READY_MIN,
            ended: Vec::new(),
            is_releasing: false,
            taken_at: Instant::now(),
            waiting: Vec::new(),
            lost: false,
        }
    }

    /// Whether an environment must not start without a network.
    pub(crate) fn is_required(&self) -> bool {
        self.setup.nat.required
    }

    /// Starts the keeper, unless it runs; `token` is what `epoll` says of its socket.
    fn ensure(&mut self, epoll: &Epoll, token: u64) -> io::Result<()> {
        match &self.state {
            State::Starting | State::Standing(_) => return Ok(()),
            State::Impossible { cause, since } if since.elapsed() < AGAIN_AFTER => {
                return Err(io::Error::other(cause.clone()));
            }
            State::Impossible { .. } | State::Off => {}
        }
        let (here, there) = sys::seqpacket_pair()?;
        let (pid, pidfd) = match sys::fork(0)? {
            Forked::Child => keeper::run(&self.setup, &there),
            Forked::Parent { pid, pidfd } => (pid, pidfd),
        };
        epoll.add(&here, token)?;
        self.keeper = Some(Keeper { pid, pidfd, socket: here });
        self.state = State::Starting;
        self.ordered = 0;
        self.order_what_is_wanted();
        Ok(())
    }

    /// Starts the keeper ahead of the first environment; `request` comes back from [`Pool::take_settled`].
    pub(crate) fn prepare(&mut self, epoll: &Epoll, token: u64, request: u64) {
        self.waiting.push(request);
        // Why it cannot start is told with the answer.
        if let Err(error) = self.ensure(epoll, token)
            && !matches!(self.state, State::Impossible { .. })
        {
            self.state = State::Impossible { cause: error.to_string(), since: Instant::now() };
        }
    }

    /// Who waited to know whether there can be networks, and the answer.
    pub(crate) fn take_settled(&mut self) -> Vec<(u64, Result<NetworkFacts, String>)> {
        let outcome = match &self.state {
            State::Starting => return Vec::new(),
            State::Standing(facts) => Ok(facts.clone()),
            State::Impossible { cause, .. } => Err(cause.clone()),
            State::Off => Err("the keeper of networks has ended".to_owned()),
        };
        std::mem::take(&mut self.waiting).into_iter().map(|request| (request, outcome.clone())).collect()
    }

    /// A network for a new environment; waits for one if none is ready.
    pub(crate) fn take(&mut self, epoll: &Epoll, token: u64) -> io::Result<Network> {
        self.ensure(epoll, token)?;
        self.taken_at = Instant::now();
        if self.ready.is_empty() {
            self.wanted = (2 * self.wanted).min(READY_MAX);
            self.order_what_is_wanted();
        }
        let deadline = Instant::now() + TAKE_TIMEOUT;
        loop {
            if let Some(network) = self.ready.pop_front() {
                self.order_what_is_wanted();
                return Ok(network);
            }
            let Some(keeper) = &self.keeper else {
                return Err(io::Error::other(match &self.state {
                    State::Impossible { cause, .. } => cause.clone(),
                    _ => "the keeper of networks has ended".to_owned(),
                }));
            };
            if !sys_process::poll(&[&keeper.socket], Some(deadline.saturating_duration_since(Instant::now())))?[0] {
                return Err(io::Error::from(io::ErrorKind::TimedOut));
            }
            if let Some(reason) = self.receive(epoll) {
                return Err(io::Error::other(reason));
            }
        }
    }

    /// Reads one message of the keeper, whose socket is readable. The reason, if it could not make a network.
    pub(crate) fn receive(&mut self, epoll: &Epoll) -> Option<String> {
        let keeper = self.keeper.as_ref()?;
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let received = match sys::receive_message(&keeper.socket, &mut buffer) {
            Ok(Some((length, fds))) => serde_json::from_slice(&buffer[..length]).ok().map(|answer| (answer, fds)),
            Ok(None) | Err(_) => None,
        };
        match received {
            Some((Answer::Standing(facts), _)) => self.state = State::Standing(facts),
            Some((Answer::Impossible(cause), _)) => {
                self.state = State::Impossible { cause, since: Instant::now() };
                self.forget_keeper(epoll);
            }
            Some((Answer::Ready(index), fds)) => {
                self.ordered = self.ordered.saturating_sub(1);
                self.ready.extend(fds.into_iter().next().map(|namespace| Network { index, namespace }));
                self.order_what_is_wanted();
            }
            Some((Answer::Released, _)) => {
                self.is_releasing = false;
                self.release_ended();
            }
            Some((Answer::NotMade(reason), _)) => {
                self.ordered = self.ordered.saturating_sub(1);
                return Some(reason);
            }
            None => {
                self.state = State::Off;
                self.lost = true;
                self.forget_keeper(epoll);
            }
        }
        None
    }

    /// True once after the keeper has ended by itself: environments have no network any more.
    pub(crate) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// An environment has ended.
    pub(crate) fn release(&mut self, index: u32) {
        if self.keeper.is_some() {
            self.ended.push(index);
            self.release_ended();
        }
    }

    fn release_ended(&mut self) {
        if !self.is_releasing && !self.ended.is_empty() {
            let some = self.ended.split_off(self.ended.len().saturating_sub(RELEASED_TOGETHER_MAX));
            self.is_releasing = self.send(&Order::Release(some));
        }
    }

    /// When [`Pool::shrink`] has something to do.
    pub(crate) fn shrinks_in(&self) -> Option<Duration> {
        let too_many = self.ready.len() > READY_MIN as usize;
        too_many.then(|| (self.taken_at + UNUSED_AFTER).saturating_duration_since(Instant::now()))
    }

    /// Gives up what a burst has left.
    pub(crate) fn shrink(&mut self) {
        if self.shrinks_in() != Some(Duration::ZERO) {
            return;
        }
        self.wanted = READY_MIN;
        for network in self.ready.split_off(READY_MIN as usize) {
            self.release(network.index);
        }
    }

    /// Ends the keeper and waits for it: the host is as it was before.
    pub(crate) fn end(&mut self, epoll: &Epoll) {
        self.ready.clear();
        self.forget_keeper(epoll);
    }

    fn order_what_is_wanted(&mut self) {
        let missing = self.wanted.saturating_sub(self.ready.len() as u32);
        if self.ordered == 0 && missing > 0 && self.send(&Order::More(missing)) {
            self.ordered = missing;
        }
    }

    /// False: it has ended, which the loop notices.
    fn send(&self, order: &Order) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        serde_json::to_vec(order).is_ok_and(|bytes| sys::send_message(&keeper.socket, &bytes, &[]).is_ok())
    }

    fn forget_keeper(&mut self, epoll: &Epoll) {
        let Some(Keeper { pid, pidfd, socket }) = self.keeper.take() else { return };
        self.ready.clear();
        self.ended.clear();
        self.ordered = 0;
        self.is_releasing = false;
        drop(epoll.remove(socket.as_fd()));
        drop(socket);
        // It ends by itself on the closed socket; killed in case it hangs.
        if !sys_process::poll(&[&pidfd], Some(END_TIMEOUT)).is_ok_and(|ready| ready[0]) {
            drop(sys_process::kill_pidfd(&pidfd, libc::SIGKILL));
        }
        sys_process::reap(pid, Wait::Block);
    }
}
