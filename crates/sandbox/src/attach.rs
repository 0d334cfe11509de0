//! Gives a sandbox that was made ahead its function's folders and limits.
//!
//! The spawner itself enters the sandbox's mounts for as long as it takes to attach a few of them, and comes back: no
//! code of any function has run there yet, so what it sees is its own skeleton.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::cgroup::Limits;
use crate::live::Live;
use crate::mounts::{self, OwnTrees, Step};
use crate::sys;
use crate::{Folders, Sizes};

/// Where the spawner lives: its mounts and its root.
pub(crate) struct Home {
    mounts: OwnedFd,
    root: OwnedFd,
}

impl Home {
    pub(crate) fn remember() -> io::Result<Home> {
        Ok(Home { mounts: File::open("/proc/self/ns/mnt")?.into(), root: File::open("/")?.into() })
    }

    /// Runs `action` among the mounts of the process of a pidfd. Root only, and only in a single-threaded process.
    fn away<R>(&self, pidfd: impl AsFd, action: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        sys::setns(pidfd, libc::CLONE_NEWNS).step("enter the sandbox")?;
        let result = action();
        if let Err(error) = self.come_back() {
            // Whatever a spawner did in the wrong place would be worse than its end, which ends all sandboxes.
            eprintln!("gust: sandbox spawner: cannot come back from a sandbox: {error}");
            sys::exit_now(70);
        }
        result
    }

    fn come_back(&self) -> io::Result<()> {
        sys::setns(&self.mounts, libc::CLONE_NEWNS)?;
        rustix::process::fchdir(&self.root)?;
        rustix::process::chroot(".")?;
        Ok(())
    }
}

/// Mounts `folders` in the sandbox, sets its limits unless it has some, and notes that it is taken. Root only: in a
/// sandbox of an ordinary user's, nobody outside has the right to mount.
pub(crate) fn attach(home: &Home, live: &mut Live, folders: Folders, sizes: Sizes) -> io::Result<()> {
    if live.slot.is_none() || live.create.folders.is_some() {
        return Err(io::Error::other("this sandbox takes no folders"));
    }
    if live.create.sizes.is_some_and(|own| own != sizes) {
        return Err(io::Error::other("this sandbox has other limits already"));
    }
    let is_sized = live.create.sizes.is_some();
    // Also if it fails: what was mounted by then stays.
    live.create.folders = Some(folders.clone());
    live.create.sizes = Some(sizes);
    if !is_sized {
        let limits = Limits::new(sizes, live.create.pids_max, live.create.init_boost);
        live.cgroup.limit(&limits)?;
        live.watch_memory(limits.memory_bytes)?;
    }
    let trees = OwnTrees::open(&folders)?;
    let supervisor = live.supervisor.as_ref().ok_or_else(|| io::Error::other("it is being made"))?;
    home.away(&supervisor.pidfd, || {
        trees.attach()?;
        if is_sized { Ok(()) } else { mounts::resize_tmp(sizes.tmp_mb) }
    })
}
