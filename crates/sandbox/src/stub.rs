//! The process of a custom runtime before it is known which: in its cgroups, without any privilege, ready to execute.
//!
//! It says `W` on its channel, then takes one order there, frame `H`: what to execute with which environment. The
//! channel closes when that succeeded; otherwise the reason comes in a frame `F`.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use serde::{Deserialize, Serialize};

use crate::mounts::Step;
use crate::supervisor::{self, ABOVE_ALL_TARGETS, Addresses, Plan, Process};
use crate::sys::{self, Forked};
use crate::sys_process;

/// Largest order in bytes: the largest environment, every byte of it escaped.
const ORDER_BYTES_MAX: u32 = 6 * 256 * 1024;

/// What the stub is told: the body of the frame `H`.
#[derive(Debug, Serialize, Deserialize)]
pub struct StubOrder {
    /// Absolute path inside the sandbox.
    pub path: String,
    /// Arguments after `argv[0]`, which is the path.
    pub args: Vec<String>,
    /// The function's whole environment; the addresses of gust's listeners are added.
    pub environment: BTreeMap<String, String>,
}

/// Forks the stub.
pub(crate) fn start(plan: &Plan<'_>, addresses: &Addresses) -> io::Result<Process> {
    match sys::fork(0)? {
        Forked::Child => {
            let error = wait_and_become(plan, addresses).err();
            // Set-up failed: the reason belongs into the function's log, as there is nowhere else.
            if let Some(error) = error
                && let Ok(output) = plan.output.try_clone()
            {
                drop(File::from(output).write_all(format!("gust: sandbox set-up failed: {error}\n").as_bytes()));
            }
            sys::exit_now(126)
        }
        Forked::Parent { pid, pidfd } => Ok(Process { pid, pidfd }),
    }
}

fn wait_and_become(plan: &Plan<'_>, addresses: &Addresses) -> io::Result<()> {
    let channel = plan.channel.ok_or_else(|| io::Error::other("a stub without a channel"))?;
    supervisor::join_cgroups(plan)?;
    sys::new_session()?;
    let channel = sys::duplicate_above(channel, ABOVE_ALL_TARGETS)?;
    supervisor::place_standard_descriptors(plan.output)?;
    sys::close_all_except(&[0, 1, 2, channel.as_raw_fd()])?;
    supervisor::confine(plan)?;
    // The channel is the daemon's end of a non-blocking pair; this end blocks.
    let mut channel = File::from(channel);
    channel.write_all(&frame(b'W', b""))?;
    let Some(order) = read_order(&mut channel)? else { return Ok(()) };
    let error = execute(order, addresses);
    // If nobody reads it any more, nobody needs it.
    drop(channel.write_all(&frame(b'F', error.to_string().as_bytes())));
    Ok(())
}

/// `None`: it will never get one.
fn read_order(channel: &mut File) -> io::Result<Option<StubOrder>> {
    let mut head = [0_u8; 5];
    match channel.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    if head[4] != b'H' || length == 0 || length > ORDER_BYTES_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut body = vec![0; length as usize - 1];
    channel.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// Returns only on failure.
fn execute(order: StubOrder, addresses: &Addresses) -> io::Error {
    let prepared = || -> io::Result<_> {
        std::env::set_current_dir("/var/task").step("enter the working directory")?;
        let variable = |(name, value): (&String, &String)| supervisor::c_string(&format!("{name}={value}"));
        let mut environment: Vec<CString> = order.environment.iter().map(variable).collect::<io::Result<_>>()?;
        addresses.add_to(&mut environment)?;
        let path = supervisor::c_string(&order.path)?;
        let args = order.args.iter().map(|text| supervisor::c_string(text));
        let argv: Vec<CString> = std::iter::once(Ok(path.clone())).chain(args).collect::<io::Result<_>>()?;
        Ok((path, argv, environment))
    };
    match prepared() {
        Ok((path, argv, environment)) => sys_process::exec(&path, &argv, &environment),
        Err(error) => error,
    }
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 1).to_le_bytes().to_vec();
    frame.push(kind);
    frame.extend(body);
    frame
}
