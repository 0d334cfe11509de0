//! The process that makes networks, keeps what they share, and takes it all away at its end.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::firewall::{self, Firewall};
use super::forwarding::{DEVICE_PREFIX, Forwarding};
use super::links::{self, Routes};
use super::netlink::{Netlink, refusal};
use super::range::NatRange;
use super::resolver::Resolver;
use super::{NatConfig, conntrack, forwarding_file, resolver_file};
use crate::mounts::Step;
use crate::protocol::NetworkFacts;
use crate::sys;
use crate::sys_process;

/// Largest message between keeper and spawner, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;
/// How long the keeper before this one may take to end.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_secs(5);
const PREDECESSOR_INTERVAL: Duration = Duration::from_millis(10);
/// Addresses that are tried for one environment.
const ATTEMPTS_MAX: usize = 16;

/// Spawner to keeper. One of each kind is on its way at a time, so that neither side can wait for the other to read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Make so many more.
    More(u32),
    /// The environments with these networks have ended.
    Release(Vec<u32>),
}

/// Keeper to spawner.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// What environments share is there.
    Standing(NetworkFacts),
    /// It cannot be; the keeper ends.
    Impossible(String),
    /// One network more, with its namespace.
    Ready(u32),
    /// One of those ordered could not be made.
    NotMade(String),
    /// What [`Order::Release`] named is gone.
    Released,
}

/// What a keeper has to know.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) data_id: String,
    pub(super) state_dir: PathBuf,
    pub(super) nat: NatConfig,
}

/// Serves the spawner in a process just forked, until its socket ends.
pub(super) fn run(setup: &Setup, socket: &OwnedFd) -> ! {
    let outcome = std::panic::catch_unwind(|| {
        sys::close_all_except(&[0, 1, 2, socket.as_raw_fd()])?;
        sys::set_process_name(c"gust-network")?;
        match Keeper::build(setup) {
            Ok(mut keeper) => {
                let served =
                    answer(socket, &Answer::Standing(keeper.facts()), None).and_then(|()| keeper.serve(socket));
                keeper.end();
                served
            }
            Err(error) => {
                answer(socket, &Answer::Impossible(error.to_string()), None)?;
                // Orders that nobody reads would take the answer's place.
                let mut buffer = [0; MESSAGE_BYTES_MAX];
                while let Ok(Some(_)) = sys::receive_message(socket, &mut buffer) {}
                Ok(())
            }
        }
    });
    // Whatever it was, nobody is left to be told.
    sys::exit_now(i32::from(!matches!(outcome, Ok(Ok(())))))
}

fn answer(socket: &OwnedFd, answer: &Answer, namespace: Option<&OwnedFd>) -> io::Result<()> {
    let namespace: Vec<_> = namespace.iter().map(|fd| fd.as_fd()).collect();
    sys::send_message(socket, &serde_json::to_vec(answer)?, &namespace)
}

struct Keeper {
    range: NatRange,
    mtu: u32,
    device: String,
    host: Host,
    router: Router,
    firewall: Firewall,
    forwarding: Forwarding,
    resolver: Resolver,
    nat: NatConfig,
    resolver_file: PathBuf,
    indices: Indices,
}

/// The host's network namespace, and what works in it.
struct Host {
    namespace: OwnedFd,
    route: Netlink,
    netfilter: Netlink,
    news: Netlink,
}

/// The router's.
struct Router {
    namespace: OwnedFd,
    route: Netlink,
}

impl Keeper {
    fn build(setup: &Setup) -> io::Result<Keeper> {
        let host = Host {
            namespace: current_namespace()?,
            route: Netlink::route()?,
            netfilter: Netlink::netfilter()?,
            news: Netlink::address_news()?,
        };
        let routes = Routes::read(&host.route)?;
        let range = match setup.nat.range {
            None => NatRange::choose(&routes.taken).ok_or_else(|| {
                io::Error::other("every private range has a route on this machine: name one that may be used")
            })?,
            Some(range) => match routes.taken.iter().find(|taken| taken.overlaps(range)) {
                Some(taken) => {
                    return Err(io::Error::other(format!("{range} overlaps this machine's route to {taken}")));
                }
                None => range,
            },
        };
        let router = Router::build(&host.namespace)?;
        let device = device_name(&setup.data_id);
        let firewall = once_the_last_has_ended(|| Firewall::build(&setup.data_id, &device, range))?;
        once_the_last_has_ended(|| {
            links::make_uplink(&host.route, &host.namespace, &router.route, &device, range, routes.mtu)
        })?;
        let forwarding = Forwarding::new(device.clone(), forwarding_file(&setup.state_dir));
        let mut keeper = Keeper {
            range,
            mtu: routes.mtu,
            device,
            host,
            router,
            firewall,
            forwarding,
            resolver: Resolver::default(),
            nat: setup.nat.clone(),
            resolver_file: resolver_file(&setup.state_dir),
            indices: Indices::new(range.capacity()),
        };
        let prepared = keeper.resolver.write(&keeper.resolver_file).and_then(|()| keeper.look_at_the_host());
        match prepared {
            Ok(()) => Ok(keeper),
            Err(error) => {
                keeper.end();
                Err(error)
            }
        }
    }

    fn facts(&self) -> NetworkFacts {
        // A kernel that does not say it has no such chains.
        let dropping_chains = firewall::dropping_chains(&self.host.netfilter).unwrap_or_default();
        NetworkFacts { range: self.range, name_servers: self.resolver.servers.clone(), dropping_chains }
    }

    fn serve(&mut self, socket: &OwnedFd) -> io::Result<()> {
        let mut buffer = vec![0; MESSAGE_BYTES_MAX];
        loop {
            let ready = sys_process::poll(&[socket, self.host.news.fd()], None)?;
            if ready[1] {
                self.host.news.forget_news();
                if let Err(error) = self.update_forwarding() {
                    eprintln!("gust: answers to functions may be lost at a new network device: {error}");
                }
            }
            if !ready[0] {
                continue;
            }
            let Some((length, _)) = sys::receive_message(socket, &mut buffer)? else { return Ok(()) };
            match serde_json::from_slice(&buffer[..length])? {
                Order::More(count) => {
                    for _ in 0..count {
                        match self.make() {
                            Ok((index, namespace)) => answer(socket, &Answer::Ready(index), Some(&namespace))?,
                            Err(error) => answer(socket, &Answer::NotMade(error.to_string()), None)?,
                        }
                    }
                }
                Order::Release(indices) => {
                    for index in indices {
                        self.release(index);
                    }
                    answer(socket, &Answer::Released, None)?;
                }
            }
        }
    }

    /// A network for one environment.
    fn make(&mut self) -> io::Result<(u32, OwnedFd)> {
        self.update_resolver()?;
        for _ in 0..ATTEMPTS_MAX {
            let index = self.indices.take().ok_or_else(|| io::Error::other("every address of the range is in use"))?;
            sys::unshare(libc::CLONE_NEWNET).step("make a network namespace")?;
            let made = self.furnish(index);
            sys::setns(&self.host.namespace, libc::CLONE_NEWNET).step("return to the host's network")?;
            match made {
                Ok(namespace) => return Ok((index, namespace)),
                // Something still holds the namespace that had this address before.
                Err(error) if refusal(&error) == Some(libc::EEXIST) => self.indices.give_back(index),
                Err(error) => {
                    self.indices.give_back(index);
                    return Err(error);
                }
            }
        }
        Err(io::Error::other("the addresses of ended environments are still in use"))
    }

    fn furnish(&self, index: u32) -> io::Result<OwnedFd> {
        without_ipv6(&["default"])?;
        let inside = Netlink::route()?;
        let router = &self.router;
        links::make_environment(&inside, &router.route, &router.namespace, self.range, index, self.mtu)?;
        current_namespace()
    }

    /// Forgets an environment whose processes have ended. Its device goes with its namespace: the kernel removes many of
    /// those together at little more than the price of one, each for itself would hold this process up for milliseconds.
    fn release(&mut self, index: u32) {
        if let Err(error) = conntrack::forget(&self.host.netfilter, self.range.environment(index)) {
            eprintln!("gust: connections of an environment that ended are still known: {error}");
        }
        self.indices.give_back(index);
    }

    fn look_at_the_host(&mut self) -> io::Result<()> {
        self.update_forwarding()?;
        self.update_resolver()
    }

    fn update_forwarding(&mut self) -> io::Result<()> {
        if self.forwarding.update().step("let the host's devices forward")? {
            self.firewall.set_guarded(&self.forwarding.turned_on)?;
        }
        Ok(())
    }

    /// The host may have moved to another network since.
    fn update_resolver(&mut self) -> io::Result<()> {
        let resolver = Resolver::of_host(&self.nat.name_servers);
        if resolver != self.resolver {
            self.firewall.set_resolvers(&resolver.servers)?;
            resolver.write(&self.resolver_file).step("write resolv.conf")?;
            self.resolver = resolver;
        }
        Ok(())
    }

    /// Puts the host back. What is left goes with this process.
    fn end(&self) {
        self.forwarding.put_back();
        if let Err(error) = links::remove_uplink(&self.host.route, &self.device) {
            eprintln!("gust: {} was not removed: {error}", self.device);
        }
        drop(fs::remove_file(&self.resolver_file));
    }
}

impl Router {
    /// Makes the router; this process is back on the host afterwards.
    fn build(host: &OwnedFd) -> io::Result<Router> {
        sys::unshare(libc::CLONE_NEWNET).step("make a network namespace")?;
        let built = Router::furnish();
        sys::setns(host, libc::CLONE_NEWNET).step("return to the host's network")?;
        built
    }

    fn furnish() -> io::Result<Router> {
        without_ipv6(&["default", "all"])?;
        let set = |name: &str, value: &str| {
            fs::write(Path::new("/proc/sys/net/ipv4").join(name), value).step("set up the router")
        };
        // A source that is not the sender's own goes nowhere.
        set("conf/all/rp_filter", "1")?;
        set("ip_forward", "1")?;
        firewall::build_router()?;
        Ok(Router { namespace: current_namespace()?, route: Netlink::route()? })
    }
}

fn current_namespace() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net").step("open a network namespace")?.into())
}

/// In the network namespace that this process is in. There is no IPv6 beyond an environment's own loopback, as on Lambda
/// without a dual-stack VPC: programs see that at once and use IPv4.
fn without_ipv6(which: &[&str]) -> io::Result<()> {
    for name in which {
        match fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1") {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.step("switch IPv6 off")?,
        }
    }
    Ok(())
}

/// The name of the device on the host: of a data folder's own, and short enough.
fn device_name(data_id: &str) -> String {
    // FNV-1a, 32 bits.
    let hash = data_id.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{DEVICE_PREFIX}{hash:08x}")
}

/// Tries again while names are taken: the keeper of a spawner that was just killed may not be gone yet.
fn once_the_last_has_ended<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + PREDECESSOR_TIMEOUT;
    loop {
        match attempt() {
            // EPERM: a table of another's.
            Err(error)
                if matches!(refusal(&error), Some(libc::EEXIST | libc::EBUSY | libc::EPERM))
                    && Instant::now() < deadline =>
            {
                std::thread::sleep(PREDECESSOR_INTERVAL);
            }
            result => return result,
        }
    }
}

/// The numbers of environments; one that is given back is used again last.
struct Indices {
    next: u32,
    count: u32,
    free: VecDeque<u32>,
}

impl Indices {
    fn new(count: u32) -> Indices {
        Indices { next: 0, count, free: VecDeque::new() }
    }

    fn take(&mut self) -> Option<u32> {
        if self.next < self.count {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.free.pop_front()
    }

    fn give_back(&mut self, index: u32) {
        self.free.push_back(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_used_again_as_late_as_can_be() {
        let mut indices = Indices::new(3);
        assert_eq!((indices.take(), indices.take()), (Some(0), Some(1)));
        indices.give_back(0);
        assert_eq!((indices.take(), indices.take(), indices.take()), (Some(2), Some(0), None));
    }

    #[test]
    fn names_of_devices_fit_the_kernel() {
        assert_eq!(device_name("822552919b40").len(), 13);
        assert_ne!(device_name("a"), device_name("b"));
    }
}
