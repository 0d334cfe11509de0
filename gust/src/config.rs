//! What `gust up` was asked for, checked.

use crate::cli::{self, Auth, Egress, Freeze};
use crate::failure::Failure;
use crate::folder::{self, Folder};
use gust_types::{AccountId, Region};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub address: SocketAddr,
    /// Region of requests that name none.
    pub region: Region,
    /// Account of keys that name none.
    pub account: AccountId,
    /// Whose requests are served.
    pub auth: Auth,
    /// Further host names that requests may be addressed to.
    pub allowed_hosts: Vec<String>,
    /// The folder of the AWS SDK for Python, if the user has one.
    pub sdk: Option<PathBuf>,
    /// The folder of the AWS SDK for JavaScript, if the user has one.
    pub sdk_node: Option<PathBuf>,
    /// Exact interpreter versions only.
    pub strict_runtimes: bool,
    /// What functions may reach.
    pub egress: gust_sandbox::Egress,
    /// When idle environments are frozen.
    pub freeze: gust_invoke::FreezePolicy,
    /// Concurrent executions.
    pub concurrency: u32,
    /// How long the first signal waits.
    pub drain: Duration,
    /// Added to every sync of the store, for experiments.
    pub sync_delay: Duration,
    /// Whether the end of standard input ends gust.
    pub end_with_stdin: bool,
    /// Where everything is kept; `None`: nowhere.
    pub data: Option<PathBuf>,
}

impl Config {
    /// Checks the flags.
    ///
    /// Errors: a value that cannot be, each by the name of its flag.
    pub fn new(flags: cli::Up) -> Result<Config, Failure> {
        check_address(&flags)?;
        let account = AccountId::parse(&flags.account)
            .ok_or_else(|| Failure::usage(format!("--account {:?}: an account id has 12 digits", flags.account)))?;
        let region = Region::parse(&flags.region)
            .ok_or_else(|| Failure::usage(format!("--region {:?}: write it like us-east-1", flags.region)))?;
        let data = match (flags.ephemeral, flags.data) {
            (true, _) => None,
            (false, Some(path)) => Some(path),
            (false, None) => Some(folder::default_path()?),
        };
        Ok(Config {
            address: SocketAddr::new(flags.host, flags.port),
            region,
            account,
            auth: flags.auth,
            allowed_hosts: flags.allowed_hosts,
            sdk: flags.sdk,
            sdk_node: flags.sdk_node,
            strict_runtimes: flags.strict_runtimes,
            egress: egress(flags.egress),
            freeze: match flags.freeze {
                Freeze::Lazy => gust_invoke::FreezePolicy::Lazy100ms,
                Freeze::Immediate => gust_invoke::FreezePolicy::Immediate,
            },
            concurrency: flags.concurrency,
            sync_delay: Duration::from_millis(flags.sync_delay_ms),
            end_with_stdin: flags.end_with_stdin,
            drain: Duration::from_secs(flags.drain),
            data,
        })
    }

    /// Takes the data folder, or a temporary one.
    pub fn open_folder(&self) -> Result<Folder, Failure> {
        match &self.data {
            Some(path) => Folder::open(path, false),
            None => Folder::ephemeral(),
        }
    }

    /// Whether everything is forgotten at the end.
    pub fn is_ephemeral(&self) -> bool {
        self.data.is_none()
    }
}

fn check_address(flags: &cli::Up) -> Result<(), Failure> {
    let is_loopback = match flags.host {
        IpAddr::V4(host) => host.is_loopback(),
        IpAddr::V6(host) => host.is_loopback(),
    };
    if is_loopback || flags.auth == Auth::Strict || flags.let_the_whole_network_run_code_on_this_machine {
        return Ok(());
    }
    let message = format!("--host {}: with --auth open, whoever reaches gust can run code here", flags.host);
    Err(Failure::usage(message).hint(
        "add --auth strict; or, if an open door is what you want, --let-the-whole-network-run-code-on-this-machine",
    ))
}

/// Root can give each environment a network of its own; an ordinary user's functions share the host's, as the
/// development servers of other frameworks do.
fn egress(asked: Option<Egress>) -> gust_sandbox::Egress {
    match asked {
        Some(Egress::None) => gust_sandbox::Egress::None,
        Some(Egress::Host) => gust_sandbox::Egress::Host,
        None if rustix::process::geteuid().is_root() => gust_sandbox::Egress::None,
        None => gust_sandbox::Egress::Host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn config(flags: &[&str]) -> Result<Config, Failure> {
        let arguments = [&["gust", "up", "--ephemeral"], flags].concat();
        match cli::Arguments::try_parse_from(arguments).unwrap().command {
            cli::Command::Up(flags) => Config::new(flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn beyond_loopback_needs_strict_callers_or_the_ugly_flag() {
        for host in ["0.0.0.0", "::", "192.168.1.2"] {
            let refused = config(&["--host", host]).unwrap_err();
            assert!(refused.hint.unwrap().contains("--let-the-whole-network"), "{host}");
            assert!(config(&["--host", host, "--let-the-whole-network-run-code-on-this-machine"]).is_ok());
            assert!(config(&["--host", host, "--auth", "strict"]).is_ok(), "{host}");
        }
        for host in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert!(config(&["--host", host]).is_ok(), "{host}");
        }
    }

    #[test]
    fn wrong_values_are_named_by_their_flag() {
        assert!(config(&["--account", "12"]).unwrap_err().message.contains("--account"));
        assert!(config(&["--region", "Mars"]).unwrap_err().message.contains("--region"));
    }
}
