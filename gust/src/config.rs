//! What `gust up` was asked for, checked.

use crate::cli::{self, Auth, Egress, Freeze};
use crate::failure::Failure;
use crate::folder::{self, Folder};
use gust_sandbox::NatConfig;
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
    /// How they reach it with [`gust_sandbox::Egress::Nat`].
    pub nat: NatConfig,
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
        let (egress, nat) = network(&flags, rustix::process::geteuid().is_root())?;
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
            egress,
            nat,
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

/// What resolv.conf can hold.
const NAME_SERVERS_MAX: usize = 3;

/// As on Lambda functions reach the internet unless told otherwise. Root can give each environment a network of its own
/// for that; an ordinary user's functions share the host's, as the development servers of other frameworks do.
fn network(flags: &cli::Up, is_root: bool) -> Result<(gust_sandbox::Egress, NatConfig), Failure> {
    let egress = match flags.egress {
        Some(Egress::None) => gust_sandbox::Egress::None,
        Some(Egress::Host) => gust_sandbox::Egress::Host,
        Some(Egress::Nat) if !is_root => {
            return Err(Failure::usage("--egress nat: only root may make network devices").hint(
                "use --egress host (functions share this machine's network) or --egress none, or start gust as root",
            ));
        }
        Some(Egress::Nat) => gust_sandbox::Egress::Nat,
        None if is_root => gust_sandbox::Egress::Nat,
        None => gust_sandbox::Egress::Host,
    };
    for (flag, is_given) in [("--nat-range", flags.nat_range.is_some()), ("--dns", !flags.name_servers.is_empty())] {
        if is_given && egress != gust_sandbox::Egress::Nat {
            return Err(Failure::usage(format!("{flag}: only with --egress nat")));
        }
    }
    if flags.name_servers.len() > NAME_SERVERS_MAX {
        return Err(Failure::usage(format!("--dns: at most {NAME_SERVERS_MAX} name servers")));
    }
    if let Some(server) = flags.name_servers.iter().find(|server| server.is_loopback() || server.is_unspecified()) {
        return Err(Failure::usage(format!("--dns {server}: functions cannot reach this machine's loopback"))
            .hint("name a server by the address that other machines know it by"));
    }
    let required = flags.egress.is_some();
    Ok((egress, NatConfig { range: flags.nat_range, name_servers: flags.name_servers.clone(), required }))
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

    fn network_as(is_root: bool, flags: &[&str]) -> Result<(gust_sandbox::Egress, NatConfig), Failure> {
        match cli::Arguments::try_parse_from([&["gust", "up"], flags].concat()).unwrap().command {
            cli::Command::Up(flags) => network(&flags, is_root),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_root_has_a_network_to_give_and_gives_it_unless_told_otherwise() {
        use gust_sandbox::Egress::{Host, Nat, None};
        let egress = |is_root, flags: &[&str]| network_as(is_root, flags).unwrap().0;
        assert_eq!((egress(true, &[]), egress(false, &[])), (Nat, Host));
        assert_eq!((egress(true, &["--egress", "none"]), egress(false, &["--egress", "none"])), (None, None));
        assert_eq!(egress(true, &["--egress", "nat"]), Nat);
        let refused = network_as(false, &["--egress", "nat"]).unwrap_err();
        assert!(refused.message.contains("nat") && refused.hint.unwrap().contains("--egress host"));
        assert!(!network_as(true, &[]).unwrap().1.required, "where it cannot be, functions have none");
        assert!(network_as(true, &["--egress", "nat"]).unwrap().1.required);
    }

    #[test]
    fn settings_of_nat_are_refused_where_they_mean_nothing() {
        for flags in [["--nat-range", "10.9.0.0/16"], ["--dns", "192.0.2.53"]] {
            assert!(network_as(true, &flags).is_ok());
            assert!(network_as(false, &flags).unwrap_err().message.contains(flags[0]));
            let with_none = [&flags[..], &["--egress", "none"]].concat();
            assert!(network_as(true, &with_none).unwrap_err().message.contains(flags[0]));
        }
        assert!(network_as(true, &["--dns", "127.0.0.53"]).unwrap_err().message.contains("loopback"));
        assert!(network_as(true, &["--dns", "192.0.2.1"].repeat(3)).is_ok());
        assert!(network_as(true, &["--dns", "192.0.2.1"].repeat(4)).unwrap_err().message.contains("at most 3"));
        assert!(cli::Arguments::try_parse_from(["gust", "up", "--nat-range", "8.8.0.0/16"]).is_err());
    }

    #[test]
    fn wrong_values_are_named_by_their_flag() {
        assert!(config(&["--account", "12"]).unwrap_err().message.contains("--account"));
        assert!(config(&["--region", "Mars"]).unwrap_err().message.contains("--region"));
    }
}
