//! The rules for what environments send and get, over nf_tables.
//!
//! On the host one table, `gust-<data id>`. It belongs to the keeper's socket: nobody else can change it, and it goes
//! with the socket. `nft list ruleset` shows it. In the router one chain, which keeps environments apart.

use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;

use super::links::UPLINK;
use super::netlink::{Batch, NEW, Netlink, find};
use super::range::NatRange;

/// What no environment reaches, because it would speak for the machine: the metadata services of clouds.
///
/// Link-local (AWS, Azure, Google Cloud, Oracle, DigitalOcean, and AWS's for containers), Alibaba, Azure's host agent,
/// Oracle's former one.
const BLOCKED: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(100, 100, 100, 200), 32),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(192, 0, 0, 192), 32),
];

/// Connections of one environment at a time, those that have just ended included, so that it cannot fill the host's table
/// of connections. A process has 1,024 descriptors; an ended connection counts for two minutes.
pub(super) const CONNECTIONS_MAX: u32 = 8192;

const DNS_PORT: u16 = 53;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const APPEND: u16 = (libc::NLM_F_CREATE | libc::NLM_F_APPEND) as u16;

const TABLE_OWNED: u32 = 2;
const NAME_BYTES: usize = 16;

/// Where in the kernel's path a chain is asked, and in which order.
#[derive(Clone, Copy)]
enum Hook {
    LocalIn = 1,
    Forward = 2,
    LocalOut = 3,
    PostRouting = 4,
}

const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SOURCE_NAT: i32 = 100;

const RESOLVERS: &str = "resolvers";
const GUARDED: &str = "guarded";
const CONNECTIONS: &str = "connections";

/// The host's table.
pub(super) struct Firewall {
    socket: Netlink,
    table: String,
}

impl Firewall {
    /// Makes the table, in the network namespace that this process is in.
    pub(super) fn build(data_id: &str, device: &str, range: NatRange) -> io::Result<Firewall> {
        let socket = Netlink::netfilter()?;
        let table = format!("gust-{data_id}");
        let mut rules = Rules::begin(&table);
        rules.table(TABLE_OWNED);
        rules.set(RESOLVERS, SetKind::Addresses);
        rules.set(GUARDED, SetKind::Devices);
        rules.set(CONNECTIONS, SetKind::Counted(range.capacity()));
        host_input(&mut rules, device);
        host_forward(&mut rules, device);
        // Nobody on the host connects into an environment.
        rules.chain("output", "filter", Hook::LocalOut, PRIORITY_FILTER, Verdict::Accept);
        rules.rule("output", |rule| rule.leaves_by(device).known_connection().verdict(Verdict::Accept));
        rules.refuse("output", |rule| rule.leaves_by(device));
        rules.chain("postrouting", "nat", Hook::PostRouting, PRIORITY_SOURCE_NAT, Verdict::Accept);
        rules.rule("postrouting", |rule| rule.source(range).leaves_not_by(device).masquerade());
        socket.carry_out(&rules.end())?;
        Ok(Firewall { socket, table })
    }

    /// The name servers: reached on their port wherever they are.
    pub(super) fn set_resolvers(&self, servers: &[Ipv4Addr]) -> io::Result<()> {
        let servers: BTreeSet<_> = servers.iter().map(|server| server.octets().to_vec()).collect();
        self.fill(RESOLVERS, servers)
    }

    /// Devices between which nothing is forwarded.
    pub(super) fn set_guarded(&self, devices: &BTreeSet<String>) -> io::Result<()> {
        self.fill(GUARDED, devices.iter().map(|name| padded(name).to_vec()).collect())
    }

    fn fill(&self, set: &str, elements: BTreeSet<Vec<u8>>) -> io::Result<()> {
        let mut rules = Rules::begin(&self.table);
        rules.replace_elements(set, &elements);
        self.socket.carry_out(&rules.end())
    }
}

/// Chains of others' that drop what the host forwards unless they allow it, as `ip filter FORWARD`: with Docker, or with a
/// firewall on the host. What gust accepts they drop all the same.
pub(super) fn dropping_chains(socket: &Netlink) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let request = |batch: &mut Batch| batch.raw(&header(libc::AF_UNSPEC, 0));
    socket.list("list chains of rules", GET_CHAIN, request, |body| found.extend(dropping_chain(body)))?;
    Ok(found)
}

fn dropping_chain(body: &[u8]) -> Option<String> {
    const INET: u8 = 1;
    let family = match *body.first()? {
        INET => "inet",
        family if i32::from(family) == libc::AF_INET => "ip",
        _ => return None,
    };
    let attributes = body.get(4..)?;
    let is = |value: Option<&[u8]>, number: u32| value == Some(&number.to_be_bytes());
    let forwards = is(find(find(attributes, 4)?, 1), Hook::Forward as u32);
    let drops = is(find(attributes, 5), Verdict::Drop as u32);
    let text = |kind: u16| Some(String::from_utf8_lossy(find(attributes, kind)?.strip_suffix(&[0])?).into_owned());
    (forwards && drops).then(|| Some(format!("{family} {} {}", text(1)?, text(3)?))).flatten()
}

/// An environment reaches nothing on the host but a name server that runs there.
fn host_input(rules: &mut Rules<'_>, device: &str) {
    rules.chain("input", "filter", Hook::LocalIn, PRIORITY_FILTER, Verdict::Accept);
    for protocol in [libc::IPPROTO_UDP, libc::IPPROTO_TCP] {
        let to_resolver = |rule: &mut Rule<'_>| {
            rule.arrives_at(device).destination_in(RESOLVERS).port(protocol, DNS_PORT).verdict(Verdict::Accept);
        };
        rules.rule("input", to_resolver);
    }
    rules.refuse("input", |rule| rule.arrives_at(device));
}

fn host_forward(rules: &mut Rules<'_>, device: &str) {
    rules.chain("forward", "filter", Hook::Forward, PRIORITY_FILTER, Verdict::Accept);
    rules.rule("forward", |rule| {
        rule.arrives_at(device).new_connection().more_than(CONNECTIONS_MAX, CONNECTIONS).port_unreachable();
    });
    for protocol in [libc::IPPROTO_UDP, libc::IPPROTO_TCP] {
        let to_resolver = |rule: &mut Rule<'_>| {
            rule.arrives_at(device).destination_in(RESOLVERS).port(protocol, DNS_PORT).verdict(Verdict::Accept);
        };
        rules.rule("forward", to_resolver);
    }
    for (base, prefix) in BLOCKED {
        let blocked = NatRange::network(*base, *prefix);
        rules.refuse("forward", |rule| rule.arrives_at(device).destination(blocked));
    }
    rules.refuse("forward", |rule| rule.arrives_at(device).leaves_by(device));
    rules.rule("forward", |rule| rule.arrives_at(device).verdict(Verdict::Accept));
    rules.rule("forward", |rule| rule.leaves_by(device).known_connection().verdict(Verdict::Accept));
    rules.rule("forward", |rule| rule.leaves_by(device).verdict(Verdict::Drop));
    let between_guarded = |rule: &mut Rule<'_>| {
        rule.device_in(Meta::FromDevice, GUARDED).device_in(Meta::ToDevice, GUARDED).verdict(Verdict::Drop);
    };
    rules.rule("forward", between_guarded);
}

/// The router's rules, in the namespace that this process is in: up and down, never across.
pub(super) fn build_router() -> io::Result<()> {
    let socket = Netlink::netfilter()?;
    let mut rules = Rules::begin("gust-router");
    rules.table(0);
    rules.chain("forward", "filter", Hook::Forward, PRIORITY_FILTER, Verdict::Drop);
    rules.rule("forward", |rule| rule.arrives_at(UPLINK).verdict(Verdict::Accept));
    rules.rule("forward", |rule| rule.leaves_by(UPLINK).verdict(Verdict::Accept));
    rules.refuse("forward", |rule| rule);
    socket.carry_out(&rules.end())
}

fn padded(name: &str) -> [u8; NAME_BYTES] {
    let mut bytes = [0; NAME_BYTES];
    // Names of devices have at most 15 bytes.
    let length = name.len().min(NAME_BYTES - 1);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}

enum SetKind {
    Addresses,
    Devices,
    /// Addresses, each with a count of its connections; at most so many.
    Counted(u32),
}

#[derive(Clone, Copy)]
enum Verdict {
    Drop = 0,
    Accept = 1,
}

/// One transaction on one table of the family `ip`.
struct Rules<'a> {
    batch: Batch,
    table: &'a str,
    sets: u32,
}

/// `struct nfgenmsg`: family, version, and for a batch its subsystem.
fn header(family: i32, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family as u8, 0, resource[0], resource[1]]
}

impl Rules<'_> {
    fn begin(table: &str) -> Rules<'_> {
        let mut batch = Batch::new();
        batch.silent("begin the rules", BATCH_BEGIN, &header(libc::AF_UNSPEC, SUBSYSTEM));
        Rules { batch, table, sets: 0 }
    }

    fn end(mut self) -> Batch {
        self.batch.silent("end the rules", BATCH_END, &header(libc::AF_UNSPEC, SUBSYSTEM));
        self.batch
    }

    fn add(&mut self, step: &'static str, kind: u16, flags: u16) -> &mut Batch {
        self.batch.message(step, kind, flags, &header(libc::AF_INET, 0));
        self.batch.text(1, self.table);
        &mut self.batch
    }

    fn table(&mut self, flags: u32) {
        self.add("make the table of rules", NEW_TABLE, NEW).attribute(2, &flags.to_be_bytes());
    }

    fn chain(&mut self, name: &str, kind: &str, hook: Hook, priority: i32, policy: Verdict) {
        let batch = self.add("make a chain of rules", NEW_CHAIN, NEW);
        batch.text(3, name);
        batch.nest(4, |batch| {
            batch.attribute(1, &(hook as u32).to_be_bytes());
            batch.attribute(2, &priority.to_be_bytes());
        });
        batch.attribute(5, &(policy as u32).to_be_bytes());
        batch.text(7, kind);
    }

    fn set(&mut self, name: &str, kind: SetKind) {
        const EVALUATED: u32 = 0x20;
        // How `nft` shows the keys.
        const TYPE_IPV4: u32 = 7;
        const TYPE_DEVICE: u32 = 41;
        self.sets += 1;
        let number = self.sets;
        let (flags, key_type, key_bytes, size) = match kind {
            SetKind::Addresses => (0, TYPE_IPV4, 4, None),
            SetKind::Devices => (0, TYPE_DEVICE, NAME_BYTES as u32, None),
            SetKind::Counted(size) => (EVALUATED, TYPE_IPV4, 4, Some(size)),
        };
        let batch = self.add("make a set", NEW_SET, NEW);
        batch.text(2, name);
        batch.attribute(3, &flags.to_be_bytes());
        batch.attribute(4, &key_type.to_be_bytes());
        batch.attribute(5, &u32::to_be_bytes(key_bytes));
        batch.attribute(10, &number.to_be_bytes());
        if let Some(size) = size {
            batch.nest(9, |batch| batch.attribute(1, &size.to_be_bytes()));
        }
    }

    fn replace_elements(&mut self, set: &str, elements: &BTreeSet<Vec<u8>>) {
        self.add("empty a set", DELETE_ELEMENT, 0).text(2, set);
        if elements.is_empty() {
            return;
        }
        let batch = self.add("fill a set", NEW_ELEMENT, libc::NLM_F_CREATE as u16);
        batch.text(2, set);
        batch.nest(3, |batch| {
            for element in elements {
                batch.nest(1, |batch| batch.nest(1, |batch| batch.attribute(1, element)));
            }
        });
    }

    /// Tells the sender of what meets these conditions that there is nobody, so that it does not wait.
    fn refuse(&mut self, chain: &str, conditions: impl for<'r, 'b> Fn(&'r mut Rule<'b>) -> &'r mut Rule<'b>) {
        // The kernel sends few ICMP errors a second to one address, but every reset.
        self.rule(chain, |rule| conditions(rule).protocol(libc::IPPROTO_TCP).reset());
        self.rule(chain, |rule| conditions(rule).port_unreachable());
    }

    fn rule(&mut self, chain: &str, build: impl FnOnce(&mut Rule<'_>)) {
        let batch = self.add("make a rule", NEW_RULE, APPEND);
        batch.text(2, chain);
        batch.nest(4, |batch| build(&mut Rule(batch)));
    }
}

/// What the kernel knows of a packet besides its bytes.
#[derive(Clone, Copy)]
enum Meta {
    FromDevice = 6,
    ToDevice = 7,
    Protocol = 16,
}

const REGISTER: u32 = 1;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

/// A rule under construction: conditions, then what becomes of a packet that meets them all.
struct Rule<'a>(&'a mut Batch);

impl Rule<'_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Batch)) -> &mut Self {
        self.0.nest(1, |batch| {
            batch.text(1, name);
            batch.nest(2, fill);
        });
        self
    }

    fn meta(&mut self, key: Meta) -> &mut Self {
        self.expression("meta", |batch| {
            batch.attribute(1, &REGISTER.to_be_bytes());
            batch.attribute(2, &(key as u32).to_be_bytes());
        })
    }

    fn compare(&mut self, operator: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |batch| {
            batch.attribute(1, &REGISTER.to_be_bytes());
            batch.attribute(2, &operator.to_be_bytes());
            batch.nest(3, |batch| batch.attribute(1, value));
        })
    }

    /// Of what was loaded last only these bits.
    fn mask(&mut self, mask: &[u8; 4]) -> &mut Self {
        self.expression("bitwise", |batch| {
            batch.attribute(1, &REGISTER.to_be_bytes());
            batch.attribute(2, &REGISTER.to_be_bytes());
            batch.attribute(3, &4_u32.to_be_bytes());
            batch.nest(4, |batch| batch.attribute(1, mask));
            batch.nest(5, |batch| batch.attribute(1, &[0; 4]));
        })
    }

    fn load(&mut self, base: u32, offset: u32, length: u32) -> &mut Self {
        self.expression("payload", |batch| {
            for (kind, value) in [(1, REGISTER), (2, base), (3, offset), (4, length)] {
                batch.attribute(kind, &value.to_be_bytes());
            }
        })
    }

    fn load_source(&mut self) -> &mut Self {
        self.load(1, 12, 4)
    }

    fn load_destination(&mut self) -> &mut Self {
        self.load(1, 16, 4)
    }

    fn lookup(&mut self, set: &str) -> &mut Self {
        self.expression("lookup", |batch| {
            batch.text(1, set);
            batch.attribute(2, &REGISTER.to_be_bytes());
        })
    }

    fn arrives_at(&mut self, name: &str) -> &mut Self {
        self.meta(Meta::FromDevice).compare(EQUAL, &padded(name))
    }

    fn leaves_by(&mut self, name: &str) -> &mut Self {
        self.meta(Meta::ToDevice).compare(EQUAL, &padded(name))
    }

    fn leaves_not_by(&mut self, name: &str) -> &mut Self {
        self.meta(Meta::ToDevice).compare(NOT_EQUAL, &padded(name))
    }

    fn device_in(&mut self, which: Meta, set: &str) -> &mut Self {
        self.meta(which).lookup(set)
    }

    fn source(&mut self, range: NatRange) -> &mut Self {
        self.load_source().mask(&range.netmask().octets()).compare(EQUAL, &range.base().octets())
    }

    fn destination(&mut self, range: NatRange) -> &mut Self {
        self.load_destination().mask(&range.netmask().octets()).compare(EQUAL, &range.base().octets())
    }

    fn destination_in(&mut self, set: &str) -> &mut Self {
        self.load_destination().lookup(set)
    }

    fn port(&mut self, protocol: i32, port: u16) -> &mut Self {
        self.protocol(protocol).load(2, 2, 2).compare(EQUAL, &port.to_be_bytes())
    }

    fn protocol(&mut self, protocol: i32) -> &mut Self {
        self.meta(Meta::Protocol).compare(EQUAL, &[protocol as u8])
    }

    /// Connection tracking's state: one of these bits.
    fn state(&mut self, bits: u32) -> &mut Self {
        self.expression("ct", |batch| {
            batch.attribute(1, &REGISTER.to_be_bytes());
            batch.attribute(2, &0_u32.to_be_bytes());
        });
        self.mask(&bits.to_ne_bytes()).compare(NOT_EQUAL, &[0; 4])
    }

    fn known_connection(&mut self) -> &mut Self {
        const ESTABLISHED: u32 = 2;
        const RELATED: u32 = 4;
        self.state(ESTABLISHED | RELATED)
    }

    fn new_connection(&mut self) -> &mut Self {
        const NEW: u32 = 8;
        self.state(NEW)
    }

    /// The source has more than `count` connections.
    fn more_than(&mut self, count: u32, set: &str) -> &mut Self {
        const OVER: u32 = 1;
        self.load_source().expression("dynset", |batch| {
            batch.text(1, set);
            batch.attribute(3, &0_u32.to_be_bytes());
            batch.attribute(4, &REGISTER.to_be_bytes());
            batch.nest(7, |batch| {
                batch.text(1, "connlimit");
                batch.nest(2, |batch| {
                    batch.attribute(1, &count.to_be_bytes());
                    batch.attribute(2, &OVER.to_be_bytes());
                });
            });
        })
    }

    fn masquerade(&mut self) {
        self.expression("masq", |_| {});
    }

    fn reset(&mut self) {
        const TCP_RESET: u32 = 1;
        self.expression("reject", |batch| {
            batch.attribute(1, &TCP_RESET.to_be_bytes());
            batch.attribute(2, &[0]);
        });
    }

    fn port_unreachable(&mut self) {
        const ICMP_UNREACHABLE: u32 = 0;
        const PORT_UNREACHABLE: u8 = 3;
        self.expression("reject", |batch| {
            batch.attribute(1, &ICMP_UNREACHABLE.to_be_bytes());
            batch.attribute(2, &[PORT_UNREACHABLE]);
        });
    }

    fn verdict(&mut self, verdict: Verdict) {
        self.expression("immediate", |batch| {
            batch.attribute(1, &0_u32.to_be_bytes());
            batch.nest(2, |batch| {
                batch.nest(2, |batch| batch.attribute(1, &(verdict as u32).to_be_bytes()));
            });
        });
    }
}
