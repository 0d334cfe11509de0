//! What this machine offers: kind of isolation, free space.

use crate::failure::{Context, Failure};
use gust_sandbox::{Capabilities, Enforcement, Guarantee, Mode, Spawner, SpawnerConfig};
use serde_json::{Value, json};
use std::path::Path;

/// First host uid of the range that sandboxes run as.
pub const UID_BASE: u32 = 2_000_000_000;
/// Host uids in the range; each living sandbox takes two.
pub const UID_COUNT: u32 = 65_536;

/// Starts a spawner just to learn what it can do here.
pub async fn probe() -> Result<Capabilities, Failure> {
    let folder =
        tempfile::Builder::new().prefix("gust-doctor-").tempdir().context("cannot create a temporary folder")?;
    let config = SpawnerConfig {
        state_dir: folder.path().join("run"),
        data_id: format!("doctor-{}", std::process::id()),
        uid_base: UID_BASE,
        uid_count: UID_COUNT,
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
