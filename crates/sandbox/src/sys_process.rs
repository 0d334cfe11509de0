//! System calls about processes, signals and waiting. Second and last file with `unsafe`; see `sys.rs`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libc::{c_char, c_int};

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(i32),
    Signalled(i32),
}

impl Ended {
    /// Reads a raw wait status, of a child that ended.
    pub(crate) fn from_raw(status: c_int) -> Ended {
        if libc::WIFSIGNALED(status) {
            Ended::Signalled(libc::WTERMSIG(status))
        } else {
            Ended::Exited(libc::WEXITSTATUS(status))
        }
    }
}

/// Whether [`reap`] may block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    Block,
    Poll,
}

/// Reaps a child (`-1`: any). `None`: none has ended yet, or there is no child.
pub(crate) fn reap(pid: i32, wait: Wait) -> Option<(i32, Ended)> {
    let mut status = 0;
    let flags = if wait == Wait::Poll { libc::WNOHANG } else { 0 };
    loop {
        // SAFETY: `status` outlives the call.
        let pid = unsafe { libc::waitpid(pid, &raw mut status, flags | libc::__WALL) };
        if pid > 0 {
            return Some((pid, Ended::from_raw(status)));
        }
        if pid == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// Sends a signal to a process id (negative: a group; -1: all that may be signalled).
pub(crate) fn kill(pid: i32, signal: c_int) -> io::Result<()> {
    // SAFETY: plain values.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// A descriptor of the process `pid` of this pid namespace.
pub(crate) fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain values.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as c_int)?;
    // SAFETY: the descriptor is new and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process of a pidfd.
pub(crate) fn kill_pidfd(pidfd: impl AsFd, signal: c_int) -> io::Result<()> {
    // SAFETY: plain values and a null siginfo.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    check(result as c_int).map(drop)
}

/// Replaces this process. Returns only on failure.
pub(crate) fn exec(path: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| {
        let mut list: Vec<*const c_char> = strings.iter().map(|text| text.as_ptr()).collect();
        list.push(std::ptr::null());
        list
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end with null, and their strings outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Sets every signal to its default action and unblocks all, as a new program expects.
pub(crate) fn reset_signals() {
    /// The kernel's own structure: glibc's function refuses the two signals it keeps for itself, which a parent may
    /// have left ignored all the same.
    #[repr(C)]
    struct KernelAction {
        handler: usize,
        flags: libc::c_ulong,
        restorer: usize,
        mask: u64,
    }
    let default = KernelAction { handler: libc::SIG_DFL, flags: 0, restorer: 0, mask: 0 };
    for signal in 1..=64 {
        // SAFETY: the structure outlives the call and its mask has the size given; for SIGKILL and SIGSTOP, which
        // cannot be changed, the call fails and changes nothing.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const default,
                std::ptr::null_mut::<KernelAction>(),
                size_of::<u64>(),
            )
        };
    }
    // SAFETY: the set is initialised before use and outlives the calls.
    unsafe {
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
}

/// Ignores a signal.
pub(crate) fn ignore_signal(signal: c_int) {
    // SAFETY: SIG_IGN is always a valid action.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Blocks SIGCHLD and returns a descriptor that is readable while one is pending.
pub(crate) fn child_signal_fd() -> io::Result<OwnedFd> {
    // SAFETY: the set is initialised before use and outlives the calls; the descriptor is new and ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Reads and forgets what an eventfd or signalfd holds.
pub(crate) fn drain(fd: impl AsFd) {
    let mut buffer = [0_u8; 512];
    // SAFETY: the buffer outlives the call; the descriptor is non-blocking, so "nothing there" is an answer.
    unsafe { libc::read(fd.as_fd().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
}

/// Waits until one of the descriptors is readable or hung up; `true` at its index. `None`: for ever.
pub(crate) fn poll(fds: &[&OwnedFd], timeout: Option<Duration>) -> io::Result<Vec<bool>> {
    let mut list: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let timeout_ms = timeout.map_or(-1, |wait| c_int::try_from(wait.as_millis()).unwrap_or(c_int::MAX));
    // SAFETY: the list and its length outlive the call.
    let result = unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, timeout_ms) };
    match check(result) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(list.iter().map(|entry| entry.revents != 0).collect())
}

/// Readiness of many descriptors, each known by a number.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: plain value; the descriptor is new and ours.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: as above.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the event outlives the call.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), &raw mut event)
        })
        .map(drop)
    }

    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        // SAFETY: EPOLL_CTL_DEL takes no event.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_fd().as_raw_fd(), std::ptr::null_mut())
        })
        .map(drop)
    }

    /// The tokens of ready descriptors, at most 64 at a time.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<u64>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let timeout_ms = timeout.map_or(-1, |wait| c_int::try_from(wait.as_millis().max(1)).unwrap_or(c_int::MAX));
        // SAFETY: the array and its length outlive the call.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 64, timeout_ms) };
        match check(count) {
            Ok(count) => Ok(events[..count as usize].iter().map(|event| event.u64).collect()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}
