//! Devices, addresses and routes, over rtnetlink.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};

use super::netlink::{Batch, NEW, Netlink, find, number};
use super::range::NatRange;

/// The device inside of an environment, and its index there: clear of the tunnel devices that some kernels put into
/// every namespace.
const INSIDE: &str = "eth0";
const INSIDE_INDEX: u32 = 100;
/// The router's device towards the host.
pub(super) const UPLINK: &str = "up";
const UPLINK_INDEX: u32 = 100;
/// The router's end of the first environment's device; the others follow.
const FIRST_INDEX: u32 = 1000;
/// Loopback is the first device of every namespace.
const LOOPBACK_INDEX: u32 = 1;
/// Bits of network between host and router.
const UPLINK_PREFIX: u8 = 30;

const VETH_INFO_PEER: u16 = 1;
const MTU_DEFAULT: u32 = 1500;

/// Makes the device between host and router, both ends up and with their routes.
pub(super) fn make_uplink(
    host: &Netlink,
    host_namespace: impl AsFd,
    router: &Netlink,
    name: &str,
    range: NatRange,
    mtu: u32,
) -> io::Result<()> {
    let mut batch = Batch::new();
    // From the router's side: the kernel chooses the index of the other end, which the host may have in use.
    let peer = Peer { name, index: 0, namespace: host_namespace.as_fd().as_raw_fd() };
    veth(&mut batch, "make gust's network device", UPLINK, UPLINK_INDEX, &peer, mtu);
    router.carry_out(&batch)?;
    let index = index_of(host, name)?;
    let mut batch = Batch::new();
    up(&mut batch, "bring gust's network device up", index);
    address(&mut batch, "give gust's network device its address", index, range.host(), UPLINK_PREFIX);
    let to_range = Route { step: "make the route to the environments", to: range, via: Some(range.router()), index };
    to_range.add(&mut batch, 0);
    host.carry_out(&batch)?;
    let mut batch = Batch::new();
    address(&mut batch, "give the router its address", UPLINK_INDEX, range.router(), UPLINK_PREFIX);
    let out = Route { step: "make the router's route", to: EVERYTHING, via: Some(range.host()), index: UPLINK_INDEX };
    out.add(&mut batch, 0);
    // Addresses that no environment has: without this the host would send them back.
    unreachable(&mut batch, "make the route to nobody", range);
    router.carry_out(&batch)
}

/// Makes the device of an environment in the namespace of `inside`, both ends up and with their routes.
pub(super) fn make_environment(
    inside: &Netlink,
    router: &Netlink,
    router_namespace: impl AsFd,
    range: NatRange,
    index: u32,
    mtu: u32,
) -> io::Result<()> {
    let name = device_of(index);
    let router_index = FIRST_INDEX + index;
    let mut batch = Batch::new();
    let peer = Peer { name: &name, index: router_index, namespace: router_namespace.as_fd().as_raw_fd() };
    veth(&mut batch, "make an environment's network device", INSIDE, INSIDE_INDEX, &peer, mtu);
    up(&mut batch, "bring loopback up", LOOPBACK_INDEX);
    address(&mut batch, "give an environment its address", INSIDE_INDEX, range.environment(index), 32);
    let out =
        Route { step: "make an environment's route", to: EVERYTHING, via: Some(range.router()), index: INSIDE_INDEX };
    out.add(&mut batch, RTNH_F_ONLINK);
    inside.carry_out(&batch)?;
    let mut batch = Batch::new();
    up(&mut batch, "bring an environment's network device up", router_index);
    let to = NatRange::network(range.environment(index), 32);
    Route { step: "make the route to an environment", to, via: None, index: router_index }.add(&mut batch, 0);
    router.carry_out(&batch)
}

/// Removes gust's device on the host.
pub(super) fn remove_uplink(host: &Netlink, name: &str) -> io::Result<()> {
    let mut batch = Batch::new();
    batch.message("remove gust's network device", libc::RTM_DELLINK, 0, &link(index_of(host, name)?, 0));
    host.carry_out(&batch)
}

/// What this host can reach, as far as it has a route of its own for it, and the MTU of the way to everything else.
pub(super) struct Routes {
    pub(super) taken: Vec<NatRange>,
    pub(super) mtu: u32,
}

impl Routes {
    pub(super) fn read(host: &Netlink) -> io::Result<Routes> {
        let mut taken = Vec::new();
        let mut ways_out = Vec::new();
        let header = [libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        host.list(
            "list routes",
            libc::RTM_GETROUTE,
            |batch| batch.raw(&header),
            |body| {
                let (Some(prefix), Some(attributes)) = (body.get(1).copied(), body.get(header.len()..)) else { return };
                let destination = find(attributes, libc::RTA_DST).and_then(ipv4);
                match destination {
                    Some(destination) if prefix > 0 => taken.push(NatRange::network(destination, prefix)),
                    _ => ways_out.extend(find(attributes, libc::RTA_OIF).and_then(number)),
                }
            },
        )?;
        let mut mtu = None;
        host.list(
            "list links",
            libc::RTM_GETLINK,
            |batch| batch.raw(&[0; LINK_BYTES]),
            |body| {
                let Some(attributes) = body.get(LINK_BYTES..) else { return };
                let index = body.get(4..8).and_then(number).unwrap_or(0);
                let device_mtu = find(attributes, libc::IFLA_MTU).and_then(number);
                if ways_out.contains(&index) {
                    mtu = mtu.into_iter().chain(device_mtu).min();
                }
            },
        )?;
        Ok(Routes { taken, mtu: mtu.unwrap_or(MTU_DEFAULT).min(MTU_DEFAULT) })
    }
}

const EVERYTHING: NatRange = NatRange::everything();
const LINK_BYTES: usize = 16;
const RTNH_F_ONLINK: u32 = 4;

fn device_of(index: u32) -> String {
    format!("e{index}")
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    Some(<[u8; 4]>::try_from(value).ok()?.into())
}

/// `struct ifinfomsg`: family, type, index, flags, which flags.
fn link(index: u32, flags: u32) -> [u8; LINK_BYTES] {
    let mut header = [0; LINK_BYTES];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&flags.to_ne_bytes());
    header
}

struct Peer<'a> {
    name: &'a str,
    index: u32,
    namespace: i32,
}

/// A pair of devices, the first of them up (the kernel refuses the other one's as long as there is no pair), with one queue each (as many as processors is the kernel's default, and far more memory).
fn veth(batch: &mut Batch, step: &'static str, name: &str, index: u32, peer: &Peer<'_>, mtu: u32) {
    let up = libc::IFF_UP as u32;
    let common = |batch: &mut Batch, name: &str| {
        batch.text(libc::IFLA_IFNAME, name);
        batch.attribute(libc::IFLA_MTU, &mtu.to_ne_bytes());
        batch.attribute(libc::IFLA_NUM_TX_QUEUES, &1_u32.to_ne_bytes());
        batch.attribute(libc::IFLA_NUM_RX_QUEUES, &1_u32.to_ne_bytes());
    };
    batch.message(step, libc::RTM_NEWLINK, NEW, &link(index, up));
    common(batch, name);
    batch.nest(libc::IFLA_LINKINFO, |batch| {
        batch.text(libc::IFLA_INFO_KIND, "veth");
        batch.nest(libc::IFLA_INFO_DATA, |batch| {
            batch.nest(VETH_INFO_PEER, |batch| {
                batch.raw(&link(peer.index, 0));
                common(batch, peer.name);
                batch.attribute(libc::IFLA_NET_NS_FD, &peer.namespace.to_ne_bytes());
            });
        });
    });
}

fn up(batch: &mut Batch, step: &'static str, index: u32) {
    batch.message(step, libc::RTM_NEWLINK, 0, &link(index, libc::IFF_UP as u32));
}

/// `struct ifaddrmsg`: family, prefix, flags, scope, index.
fn address(batch: &mut Batch, step: &'static str, index: u32, address: Ipv4Addr, prefix: u8) {
    let mut header = [libc::AF_INET as u8, prefix, 0, libc::RT_SCOPE_UNIVERSE, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    batch.message(step, libc::RTM_NEWADDR, NEW, &header);
    batch.attribute(libc::IFA_LOCAL, &address.octets());
    batch.attribute(libc::IFA_ADDRESS, &address.octets());
}

struct Route {
    step: &'static str,
    to: NatRange,
    via: Option<Ipv4Addr>,
    index: u32,
}

impl Route {
    fn add(&self, batch: &mut Batch, flags: u32) {
        let scope = if self.via.is_some() { libc::RT_SCOPE_UNIVERSE } else { libc::RT_SCOPE_LINK };
        batch.message(self.step, libc::RTM_NEWROUTE, NEW, &route(self.to.prefix(), scope, libc::RTN_UNICAST, flags));
        if self.to.prefix() > 0 {
            batch.attribute(libc::RTA_DST, &self.to.base().octets());
        }
        batch.attribute(libc::RTA_OIF, &self.index.to_ne_bytes());
        if let Some(via) = self.via {
            batch.attribute(libc::RTA_GATEWAY, &via.octets());
        }
    }
}

fn unreachable(batch: &mut Batch, step: &'static str, range: NatRange) {
    let header = route(range.prefix(), libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE, 0);
    batch.message(step, libc::RTM_NEWROUTE, NEW, &header);
    batch.attribute(libc::RTA_DST, &range.base().octets());
}

/// `struct rtmsg`: family, prefixes of destination and source, type of service, table, protocol, scope, type, flags.
fn route(prefix: u8, scope: u8, kind: u8, flags: u32) -> [u8; 12] {
    let mut header =
        [libc::AF_INET as u8, prefix, 0, 0, libc::RT_TABLE_MAIN, libc::RTPROT_BOOT, scope, kind, 0, 0, 0, 0];
    header[8..].copy_from_slice(&flags.to_ne_bytes());
    header
}

fn index_of(socket: &Netlink, name: &str) -> io::Result<u32> {
    let mut index = None;
    socket.list(
        "list links",
        libc::RTM_GETLINK,
        |batch| batch.raw(&[0; LINK_BYTES]),
        |body| {
            let found = body.get(LINK_BYTES..).and_then(|attributes| find(attributes, libc::IFLA_IFNAME));
            if found.is_some_and(|found| found.strip_suffix(&[0]) == Some(name.as_bytes())) {
                index = body.get(4..8).and_then(number);
            }
        },
    )?;
    index.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no network device {name}")))
}
