//! Shows a function's folders in a sandbox that was made before the function was known.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use crate::Folders;
use crate::live::Live;
use crate::mounts::{OwnTrees, Step};
use crate::sys::{self, Forked};
use crate::sys_process::{self, Wait};

/// Mounting takes well below a millisecond; more than this shows that the kernel hangs.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// Mounts `folders` in the sandbox, and notes that it has some. A process of its own does it, because whoever enters a mount namespace does not come
/// back. Root only: in a sandbox of an ordinary user's, nobody outside has the right to mount.
pub(crate) fn attach(live: &mut Live, folders: Folders) -> io::Result<()> {
    if live.slot.is_none() || live.create.folders.is_some() {
        return Err(io::Error::other("this sandbox takes no folders"));
    }
    let (answer, writer) = io::pipe()?;
    match sys::fork(0)? {
        Forked::Child => {
            let text = enter_and_attach(live, &folders).map_or_else(|error| error.to_string(), |()| String::new());
            // The first byte says that there is an answer, however short.
            let sent = File::from(std::os::fd::OwnedFd::from(writer)).write_all(format!("={text}").as_bytes());
            sys::exit_now(i32::from(sent.is_err()))
        }
        Forked::Parent { pid, pidfd } => {
            drop(writer);
            let answer = std::os::fd::OwnedFd::from(answer);
            let result = read_answer(&answer);
            // It has ended, unless it hangs.
            drop(sys_process::kill_pidfd(&pidfd, libc::SIGKILL));
            sys_process::reap(pid, Wait::Block);
            // Also if it failed: what was mounted by then stays.
            live.create.folders = Some(folders);
            result
        }
    }
}

fn enter_and_attach(live: &Live, folders: &Folders) -> io::Result<()> {
    let trees = OwnTrees::open(folders)?;
    sys::setns(&live.pidfd, libc::CLONE_NEWNS).step("enter the sandbox")?;
    trees.attach()
}

fn read_answer(answer: &std::os::fd::OwnedFd) -> io::Result<()> {
    if !sys_process::poll(&[answer], Some(ATTACH_TIMEOUT))?[0] {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let mut text = String::new();
    File::from(answer.try_clone()?).read_to_string(&mut text)?;
    match text.strip_prefix('=') {
        Some("") => Ok(()),
        Some(reason) => Err(io::Error::other(reason.to_owned())),
        None => Err(io::Error::other("the process that mounts ended early")),
    }
}
