//! Forgets an environment's connections, so that the next one with its address gets no packet of theirs.

use std::io;
use std::net::Ipv4Addr;

use super::netlink::{Batch, Netlink, find, refusal};

const SUBSYSTEM: u16 = 1;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_IP: u16 = 1;
const IPV4_SOURCE: u16 = 1;
const FILTER: u16 = 25;
const FILTER_ORIGINAL: u16 = 1;
const BY_IP_SOURCE: u32 = 1;

/// `struct nfgenmsg`: family, and the version from which on the kernel looks at the family.
const HEADER: [u8; 4] = [libc::AF_INET as u8, 1, 0, 0];

/// Deletes every connection that began at `source`.
pub(super) fn forget(socket: &Netlink, source: Ipv4Addr) -> io::Result<()> {
    let mut batch = Batch::new();
    batch.message("forget connections", DELETE, 0, &HEADER);
    by_source(&mut batch, source);
    // Kernels before 6.8 delete one at a time.
    socket.carry_out(&batch).or_else(|_| forget_one_by_one(socket, source))
}

fn by_source(batch: &mut Batch, source: Ipv4Addr) {
    let address = source.octets();
    batch.nest(TUPLE_ORIGINAL, |batch| batch.nest(TUPLE_IP, |batch| batch.attribute(IPV4_SOURCE, &address)));
    batch.nest(FILTER, |batch| batch.attribute(FILTER_ORIGINAL, &BY_IP_SOURCE.to_ne_bytes()));
}

fn forget_one_by_one(socket: &Netlink, source: Ipv4Addr) -> io::Result<()> {
    let mut tuples: Vec<Vec<u8>> = Vec::new();
    let request = |batch: &mut Batch| {
        batch.raw(&HEADER);
        by_source(batch, source);
    };
    socket.list("list connections", GET, request, |body| {
        let tuple = body.get(HEADER.len()..).and_then(|attributes| find(attributes, TUPLE_ORIGINAL));
        let from = tuple.and_then(|tuple| find(tuple, TUPLE_IP)).and_then(|ip| find(ip, IPV4_SOURCE));
        if from == Some(&source.octets()) {
            tuples.extend(tuple.map(<[u8]>::to_vec));
        }
    })?;
    for tuple in tuples {
        let mut batch = Batch::new();
        batch.message("forget a connection", DELETE, 0, &HEADER);
        batch.nest(TUPLE_ORIGINAL, |batch| batch.raw(&tuple));
        match socket.carry_out(&batch) {
            // It has ended since.
            Err(error) if refusal(&error) == Some(libc::ENOENT) => {}
            result => result?,
        }
    }
    Ok(())
}
