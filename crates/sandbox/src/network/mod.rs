//! Addresses beyond gust for environments (`--egress nat`, root only).
//!
//! ```text
//! environment: eth0 --veth-- router: a namespace of gust's own --veth-- host: gust-xxxxxxxx -> masqueraded by nf_tables
//! ```
//!
//! A **keeper**, a process of its own, makes all of it ahead of need, so that neither a start nor the spawner ever waits
//! for the kernel's one lock on network devices. Each environment has a network namespace with one device, and one
//! address of a private range. The other ends are not on the host but in the **router**, so that the host (its udev, its
//! NetworkManager) sees one device of gust's however many environments there are.
//!
//! Nothing outlives the keeper, even if it is killed: the devices go with the router's namespace, which nobody else
//! holds, and the host's table goes with the socket that owns it (`NFT_TABLE_F_OWNER`). Only the forwarding of the
//! host's devices has to be put back ([`forwarding`]); what a killed keeper left of that the next start puts back.
//!
//! Netlink is spoken here, not with `ip` or `nft`, which a machine may lack.

mod conntrack;
mod firewall;
mod forwarding;
mod keeper;
mod links;
mod netlink;
mod pool;
mod range;
mod resolver;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use range::NatRange;

pub(crate) use pool::{Network, Pool};

/// How environments with [`crate::Egress::Nat`] reach the network.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NatConfig {
    /// The environments' addresses. `None`: a range that no route of the host touches.
    pub range: Option<NatRange>,
    /// Name servers. Empty: the host's.
    pub name_servers: Vec<Ipv4Addr>,
    /// Whether an environment must not start where there can be no network (no nf_tables, no right to make devices).
    /// Otherwise it starts without one.
    pub required: bool,
}

/// The file that environments see as /etc/resolv.conf.
pub(crate) fn resolver_file(state_dir: &Path) -> PathBuf {
    state_dir.join("resolv.conf")
}

/// Which devices forward only because gust made them.
fn forwarding_file(state_dir: &Path) -> PathBuf {
    state_dir.join("forwarding")
}

/// Puts back what a killed keeper has left.
pub(crate) fn sweep(state_dir: &Path) {
    forwarding::Forwarding::put_back_what_is_left(&forwarding_file(state_dir));
}
