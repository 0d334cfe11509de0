//! The AWS SDK that Lambda's runtimes bring along: provisioned by the binary, mounted at `/var/runtime`.

use std::path::PathBuf;
use tokio::sync::watch;

/// Where one runtime's SDK is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdkState {
    /// It is being fetched: starts wait for it.
    Provisioning,
    /// It is in this folder.
    Ready(PathBuf),
    /// There will be none.
    Absent,
}

/// Knows the SDK of each runtime.
pub trait SdkFolders: Send + Sync + 'static {
    /// The state of the SDK for `runtime` (`python3.12`), which may change; `None` if it never has one.
    /// Asking may begin the provisioning.
    fn watch(&self, runtime: &str) -> Option<watch::Receiver<SdkState>>;
}

/// No SDK for any runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSdk;

impl SdkFolders for NoSdk {
    fn watch(&self, _runtime: &str) -> Option<watch::Receiver<SdkState>> {
        None
    }
}
