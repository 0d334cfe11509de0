//! What this machine offers: kind of isolation, free space.

use crate::failure::{Context, Failure};
use gust_sandbox::{Capabilities, Enforcement, Guarantee, Mode, NatConfig, Spawner, SpawnerConfig};
use serde_json::{Value, json};
use std::path::Path;

/// First host uid of all ranges that sandboxes run as.
const UID_BASE: u32 = 2_000_000_000;
/// Host uids in a range; each living sandbox takes two.
pub const UID_COUNT: u32 = 65_536;
/// How many ranges there are; the last ends below 2^31, which is where some programs' uids end.
const UID_RANGES: u32 = 2_048;

/// First host uid of one data folder's range, so that two gusts on one machine hardly ever share one.
pub fn uid_base(data_id: &str) -> u32 {
    let sum = data_id.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    UID_BASE + sum % UID_RANGES * UID_COUNT
}

/// Starts a spawner just to learn what it can do here.
pub async fn probe() -> Result<Capabilities, Failure> {
    let folder =
        tempfile::Builder::new().prefix("gust-doctor-").tempdir().context("cannot create a temporary folder")?;
    let data_id = format!("doctor-{}", std::process::id());
    let config = SpawnerConfig {
        state_dir: folder.path().join("run"),
        uid_base: uid_base(&data_id),
        data_id,
        uid_count: UID_COUNT,
        nat: NatConfig::default(),
        executable: None,
    };
    let spawner = Spawner::start(config).await.context("cannot start the sandbox spawner")?;
    let capabilities = spawner.capabilities().clone();
    spawner.shutdown().await.context("cannot stop the sandbox spawner")?;
    Ok(capabilities)
}

/// The mode in a reader's words.
pub fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::RootV1 => "root with cgroup v1",
        Mode::RootV2 => "root with cgroup v2",
        Mode::UserDelegatedV2 => "ordinary user with a delegated cgroup v2",
        Mode::User => "ordinary user without cgroups (limits are watched, not enforced)",
    }
}

/// How a guarantee is kept, in a reader's words.
pub fn enforcement_text(enforcement: Enforcement) -> &'static str {
    match enforcement {
        Enforcement::Kernel => "kernel",
        Enforcement::Watched => "watched",
        Enforcement::Partial => "partly",
        Enforcement::None => "no",
    }
}

/// The table of guarantees for programs.
pub fn guarantees_json(guarantees: &[Guarantee]) -> Vec<Value> {
    let row = |guarantee: &Guarantee| json!({"guarantee": guarantee.name, "kept": enforcement_text(guarantee.enforcement), "how": guarantee.how});
    guarantees.iter().map(row).collect()
}

/// What an ordinary user may still write to the file system of `path`, in bytes.
pub fn free_bytes(path: &Path) -> Result<u64, rustix::io::Errno> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_of_uids_is_an_ordinary_one() {
        for id in ["", "a", "822552919b40", "doctor-1"] {
            let first = uid_base(id);
            assert!(
                first >= UID_BASE && first.checked_add(UID_COUNT).is_some_and(|end| end <= 1 << 31),
                "{id}: {first}"
            );
        }
        assert_ne!(uid_base("a"), uid_base("b"));
    }
}
