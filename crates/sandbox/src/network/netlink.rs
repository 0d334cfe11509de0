//! Netlink: messages as bytes, a socket that sends a batch of them and reads the answers.
//!
//! The kernel answers before `sendmsg` returns, so nothing here waits. Of the crates none speaks nf_tables without a C
//! library or the `nft` program, and what is needed of the rest is this file.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

const HEADER_BYTES: usize = 16;
/// Largest datagram that the kernel makes for a reader, in bytes.
const RECEIVE_BYTES: usize = 64 * 1024;
/// Datagrams of one answer, at most: a listing of a million entries is larger than this machine's tables.
const DATAGRAMS_MAX: usize = 100_000;

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACKNOWLEDGE: u16 = libc::NLM_F_ACK as u16;
/// Make something that is not there yet.
pub(super) const NEW: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
/// List everything.
const LIST: u16 = libc::NLM_F_DUMP as u16;
const NESTED: u16 = 1 << 15;

/// Messages that are sent together, in order.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where the last message begins.
    last: usize,
    count: u32,
    /// What each message is about, for errors.
    steps: Vec<&'static str>,
    acknowledged: usize,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch::default()
    }

    /// Begins a message that is acknowledged. `step` names it in errors.
    pub(super) fn message(&mut self, step: &'static str, kind: u16, flags: u16, header: &[u8]) {
        self.acknowledged += 1;
        self.begin(step, kind, flags | ACKNOWLEDGE, header);
    }

    /// Begins a message that is answered only if it fails.
    pub(super) fn silent(&mut self, step: &'static str, kind: u16, header: &[u8]) {
        self.begin(step, kind, 0, header);
    }

    fn begin(&mut self, step: &'static str, kind: u16, flags: u16, header: &[u8]) {
        self.last = self.bytes.len();
        self.count += 1;
        self.steps.push(step);
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(header);
        self.end_of(self.last);
    }

    /// Adds an attribute to the last message.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let start = self.bytes.len();
        let length = u16::try_from(4 + value.len()).expect("attributes are small");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(start + usize::from(length).next_multiple_of(4), 0);
        self.end_of(self.last);
    }

    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat());
    }

    /// Adds an attribute that consists of what `fill` adds.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Batch)) {
        let start = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - start).expect("attributes are small");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Bytes that are no attribute, inside of one.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.end_of(self.last);
    }

    /// The length of the message that began at `start`.
    fn end_of(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn step(&self, sequence: u32) -> &'static str {
        self.steps.get((sequence as usize).wrapping_sub(1)).copied().unwrap_or("answer")
    }
}

/// A socket of the network namespace in which it was made, wherever its process goes later.
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// For devices, addresses and routes.
    pub(super) fn route() -> io::Result<Netlink> {
        Netlink::open(None, 0)
    }

    /// For nf_tables and connection tracking.
    pub(super) fn netfilter() -> io::Result<Netlink> {
        Netlink::open(Some(netlink::NETFILTER), 0)
    }

    /// Told of changes of the addresses of devices; see [`Netlink::forget_news`].
    pub(super) fn address_news() -> io::Result<Netlink> {
        Netlink::open(None, libc::RTMGRP_IPV4_IFADDR as u32)
    }

    fn open(protocol: Option<rustix::net::Protocol>, groups: u32) -> io::Result<Netlink> {
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, groups))?;
        Ok(Netlink(socket))
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.0
    }

    /// Sends the batch; an error names the first step that failed. All others have been carried out, unless they belong
    /// to one transaction of nf_tables.
    pub(super) fn carry_out(&self, batch: &Batch) -> io::Result<()> {
        self.send(batch)?;
        let mut acknowledged = 0;
        let mut failed = None;
        self.receive(RecvFlags::DONTWAIT, |kind, sequence, body| {
            if kind == libc::NLMSG_ERROR as u16 {
                match error_of(body) {
                    None => acknowledged += 1,
                    Some(code) => {
                        failed.get_or_insert_with(|| refused(batch.step(sequence), code));
                    }
                }
            }
            Ok(true)
        })?;
        match failed {
            Some(error) => Err(error),
            None if acknowledged == batch.acknowledged => Ok(()),
            None => Err(io::Error::other("the kernel did not answer a netlink request")),
        }
    }

    /// Sends one request for a list; `each` gets the body of every entry.
    pub(super) fn list(
        &self,
        step: &'static str,
        kind: u16,
        fill: impl FnOnce(&mut Batch),
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut batch = Batch::new();
        batch.begin(step, kind, LIST, &[]);
        fill(&mut batch);
        self.send(&batch)?;
        self.receive(RecvFlags::empty(), |kind, _, body| {
            if kind == libc::NLMSG_DONE as u16 {
                return Ok(false);
            }
            if kind == libc::NLMSG_ERROR as u16 {
                return error_of(body).map_or(Ok(false), |code| Err(refused(step, code)));
            }
            each(body);
            Ok(true)
        })
    }

    fn send(&self, batch: &Batch) -> io::Result<()> {
        let sent = rustix::net::send(&self.0, &batch.bytes, SendFlags::empty())?;
        if sent == batch.bytes.len() { Ok(()) } else { Err(io::Error::other("a netlink request was cut off")) }
    }

    /// Hands messages to `each` until it says that this was the last, or there is none.
    fn receive(&self, flags: RecvFlags, mut each: impl FnMut(u16, u32, &[u8]) -> io::Result<bool>) -> io::Result<()> {
        let mut buffer = vec![0; RECEIVE_BYTES];
        for _ in 0..DATAGRAMS_MAX {
            let length = match rustix::net::recv(&self.0, &mut buffer[..], flags) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for (kind, sequence, body) in Messages(&buffer[..length]) {
                if !each(kind, sequence, body)? {
                    return Ok(());
                }
            }
        }
        Err(io::Error::other("a netlink answer without an end"))
    }

    /// Reads and forgets what there is to be read.
    pub(super) fn forget_news(&self) {
        // An overrun is news, too, and forgotten like them.
        drop(self.receive(RecvFlags::DONTWAIT, |_, _, _| Ok(true)));
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The kernel refused a step.
#[derive(Debug)]
struct Refused {
    step: &'static str,
    code: i32,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.step, io::Error::from_raw_os_error(self.code))
    }
}

impl std::error::Error for Refused {}

fn refused(step: &'static str, code: i32) -> io::Error {
    io::Error::other(Refused { step, code })
}

/// The kernel's number for why it refused, if it did.
pub(super) fn refusal(error: &io::Error) -> Option<i32> {
    error.get_ref()?.downcast_ref::<Refused>().map(|refused| refused.code)
}

/// What an acknowledgement says; `None`: it worked.
fn error_of(body: &[u8]) -> Option<i32> {
    let code = body.get(..4).map_or(-libc::EIO, |bytes| i32::from_ne_bytes(bytes.try_into().expect("four bytes")));
    (code != 0).then_some(-code)
}

/// The messages of a datagram: kind, sequence number, body.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.get(..HEADER_BYTES)?;
        let word = |at: usize| u32::from_ne_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let length = word(0) as usize;
        let body = self.0.get(HEADER_BYTES..length)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, word(8), body))
    }
}

/// The attributes of a body behind its fixed header: kind, value.
pub(super) struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The value of the attribute `kind`.
pub(super) fn find(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(attributes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// An attribute that is a number.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_attributes_come_apart_again() {
        let mut batch = Batch::new();
        batch.message("one", 16, NEW, &[1, 2, 3, 4]);
        batch.text(3, "ab");
        batch.nest(18, |batch| batch.attribute(1, b"veth"));
        batch.silent("two", 17, &[]);
        let messages: Vec<_> = Messages(&batch.bytes).collect();
        assert_eq!(messages.len(), 2);
        let (kind, sequence, body) = messages[0];
        assert_eq!((kind, sequence, &body[..4]), (16, 1, &[1, 2, 3, 4][..]));
        let attributes: Vec<_> = Attributes(&body[4..]).collect();
        assert_eq!(attributes[0], (3, &b"ab\0"[..]));
        assert_eq!(attributes[1].0, 18);
        assert_eq!(find(attributes[1].1, 1), Some(&b"veth"[..]));
        assert_eq!(messages[1], (17, 2, &[][..]));
        assert_eq!((batch.step(1), batch.step(2), batch.step(9)), ("one", "two", "answer"));
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        assert_eq!(Messages(&[40, 0, 0, 0, 1]).count(), 0);
        let mut long = [0; 16];
        long[0] = 40;
        assert_eq!(Messages(&long).count(), 0);
        let short = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Messages(&short).count(), 0, "a length below the header's");
        assert_eq!(Attributes(&[9, 0, 1, 0, 7]).count(), 0);
        assert_eq!(Attributes(&[2, 0, 1, 0]).count(), 0);
    }

    #[test]
    fn the_kernel_lists_routes_and_names_what_it_refuses() {
        let socket = Netlink::route().unwrap();
        let mut count = 0;
        socket.list("list links", libc::RTM_GETLINK, |batch| batch.raw(&[0; 16]), |_| count += 1).unwrap();
        assert!(count >= 1, "there is a loopback device");
        let mut batch = Batch::new();
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        batch.message("delete what is not there", libc::RTM_DELLINK, 0, &header);
        let error = socket.carry_out(&batch).unwrap_err();
        // Without the right to delete anything that is what is missing first.
        assert!([libc::ENODEV, libc::EPERM].contains(&refusal(&error).unwrap()), "{error}");
        assert!(error.to_string().starts_with("delete what is not there: "), "{error}");
    }
}
