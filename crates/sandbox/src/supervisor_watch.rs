//! What PID 1 does once everything runs: reap, obey the spawner, watch memory, and end.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use crate::ExtensionEnd;
use crate::extension_processes::ExtensionProcess;
use crate::memory_watch::{MemoryWatch, Verdict};
use crate::protocol::Report;
use crate::supervisor::{CONTINUE, SOCKET, START, STOP, WATCH, report};
use crate::sys;
use crate::sys_process::{self, Ended, Wait};

/// All that PID 1 still holds.
pub(crate) struct Watch<'a> {
    pub status: &'a OwnedFd,
    pub child_signals: OwnedFd,
    pub memory: MemoryWatch,
    pub main_pid: Option<i32>,
    pub extensions: Vec<ExtensionProcess>,
    /// A byte of it lets the main program start.
    pub gate: Option<OwnedFd>,
}

impl Watch<'_> {
    /// Goes on until the main process (of a sandbox without extensions) or the spawner ends, or memory is exceeded.
    /// Returning ends PID 1, and with it all that is inside.
    pub(crate) fn run(mut self) -> io::Result<()> {
        self.report_failed_starts();
        loop {
            let mut fds = vec![self.status, &self.child_signals];
            fds.extend(self.memory.event.as_ref());
            let ready = sys_process::poll(&fds, self.memory.interval())?;
            let idle = !ready.contains(&true);
            if ready[1] && !self.reap_children() {
                return Ok(());
            }
            if ready[0] && !self.obey()? {
                return Ok(());
            }
            if (ready.get(2) == Some(&true) || idle) && self.memory.check()? == Verdict::Exceeded {
                report(self.status, &Report::OverMemory, &[]);
                return Ok(());
            }
        }
    }

    fn report_failed_starts(&self) {
        for (index, extension) in self.extensions.iter().enumerate() {
            if let Err(end) = extension {
                report(self.status, &Report::ExtensionEnded { index, end: end.clone() }, &[]);
            }
        }
    }

    /// False: nothing is left to wait for.
    fn reap_children(&mut self) -> bool {
        sys_process::drain(&self.child_signals);
        while let Some((pid, ended)) = sys_process::reap(-1, Wait::Poll) {
            if Some(pid) == self.main_pid {
                let (code, signal) = match ended {
                    Ended::Exited(code) => (Some(code), None),
                    Ended::Signalled(signal) => (None, Some(signal)),
                };
                self.main_pid = None;
                report(self.status, &Report::Ended { code, signal }, &[]);
                // Extensions are told of it by the daemon, and have their time to end.
                if self.extensions.is_empty() {
                    return false;
                }
            } else if let Some(index) = self.extensions.iter().position(|extension| *extension == Ok(pid)) {
                let end = match ended {
                    Ended::Exited(code) => ExtensionEnd::Exited(code),
                    Ended::Signalled(signal) => ExtensionEnd::Signalled(signal),
                };
                self.extensions[index] = Err(end.clone());
                report(self.status, &Report::ExtensionEnded { index, end }, &[]);
            }
        }
        true
    }

    /// Takes one message of the spawner. False: it is gone.
    fn obey(&mut self) -> io::Result<bool> {
        let mut buffer = [0_u8; 16];
        let Some((length, _)) = sys::receive_message(self.status, &mut buffer)? else {
            return Ok(false);
        };
        match &buffer[..length] {
            [kind, bytes @ ..] if [*kind] == *WATCH => {
                let bytes = bytes.try_into().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                self.memory.limit(u64::from_le_bytes(bytes))?;
            }
            STOP => self.signal_all(libc::SIGSTOP),
            CONTINUE => self.signal_all(libc::SIGCONT),
            START => {
                // Fails only if the process that waits has ended, which is reported anyway.
                drop(self.gate.take().map(|gate| File::from(gate).write_all(b"R")));
            }
            SOCKET => {
                let socket = sys::tcp_socket()?;
                report(self.status, &Report::Socket, &[socket.as_fd()]);
            }
            _ => {}
        }
        Ok(true)
    }

    fn signal_all(&mut self, signal: i32) {
        self.memory.paused = signal == libc::SIGSTOP;
        if self.memory.signals_processes() {
            // Fails only if nothing is there to be signalled.
            drop(sys_process::kill(-1, signal));
        }
    }
}
