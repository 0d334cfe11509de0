//! Name servers that work from inside: an environment cannot reach the host's loopback, where many hosts have theirs.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Where a host says its name servers; the later ones hold those behind a local one (systemd-resolved, NetworkManager).
const SOURCES: &[&str] =
    &["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"];
/// Largest file that is read, in bytes.
const SOURCE_BYTES_MAX: u64 = 64 * 1024;
/// More are not asked, says resolv.conf(5).
const SERVERS_MAX: usize = 3;

/// What stands in an environment's /etc/resolv.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Resolver {
    pub(super) servers: Vec<Ipv4Addr>,
    /// `search` and `options` of the host.
    settings: Vec<String>,
}

impl Resolver {
    /// As the host has it now; without servers if none can be reached from inside. `named`: what the user wants instead.
    pub(super) fn of_host(named: &[Ipv4Addr]) -> Resolver {
        let texts: Vec<String> = SOURCES.iter().filter_map(|source| read(Path::new(source))).collect();
        Resolver::choose(&texts, named)
    }

    fn choose(texts: &[String], named: &[Ipv4Addr]) -> Resolver {
        let settings = texts.first().map_or_else(Vec::new, |text| settings(text));
        let servers = match named {
            [] => texts.iter().map(|text| servers(text)).find(|servers| !servers.is_empty()).unwrap_or_default(),
            named => named.iter().copied().take(SERVERS_MAX).collect(),
        };
        Resolver { servers, settings }
    }

    fn text(&self) -> String {
        let servers = self.servers.iter().map(|server| format!("nameserver {server}\n"));
        servers.chain(self.settings.iter().map(|line| format!("{line}\n"))).collect()
    }

    /// Writes it over what is there: environments that run see it, too.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let file = fs::File::options().write(true).create(true).truncate(false).mode(0o644).open(path)?;
        // Whatever the umask: functions are other users.
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        let text = self.text();
        file.write_all_at(text.as_bytes(), 0)?;
        file.set_len(text.len() as u64)
    }
}

fn read(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    (metadata.is_file() && metadata.len() <= SOURCE_BYTES_MAX).then(|| fs::read_to_string(path).ok()).flatten()
}

/// The name servers that can be reached from an environment: not on loopback, and by IPv4.
fn servers(text: &str) -> Vec<Ipv4Addr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "nameserver").then(|| words.next()?.parse::<IpAddr>().ok()).flatten()
    });
    let reachable = named.filter_map(|address| match address {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    });
    reachable.take(SERVERS_MAX).collect()
}

fn settings(text: &str) -> Vec<String> {
    let kept = |line: &&str| ["search", "domain", "options"].contains(&line.split_whitespace().next().unwrap_or(""));
    text.lines().filter(kept).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(texts: &[&str]) -> Resolver {
        Resolver::choose(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), &[])
    }

    #[test]
    fn servers_of_the_host_are_taken_unless_they_are_on_loopback() {
        let direct = choose(&["# a\nnameserver 192.0.2.53\nnameserver 2001:db8::1\nsearch a.example b.example\n"]);
        assert_eq!(direct.text(), "nameserver 192.0.2.53\nsearch a.example b.example\n");
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch home\n";
        let behind = choose(&[stub, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch other\n"]);
        assert_eq!(behind.text(), "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions edns0 trust-ad\nsearch home\n");
    }

    #[test]
    fn a_host_whose_servers_are_all_on_loopback_has_none() {
        assert!(choose(&["nameserver 127.0.0.1\n", "nameserver 127.0.0.53\nnameserver ::1\n"]).servers.is_empty());
        assert!(choose(&[]).servers.is_empty());
        assert!(choose(&["nameserver\nnameserver x\nnameserver 0.0.0.0\n"]).servers.is_empty());
    }

    #[test]
    fn at_most_three_and_the_users_own_first() {
        let many = "nameserver 192.0.2.1\n".repeat(9);
        assert_eq!(choose(&[&many]).servers.len(), SERVERS_MAX);
        let own = [Ipv4Addr::new(198, 51, 100, 1)];
        assert_eq!(Resolver::choose(&[many], &own).servers, own);
    }

    #[test]
    fn writing_replaces_all_and_is_readable_by_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        choose(&["nameserver 192.0.2.101\nnameserver 192.0.2.102\n"]).write(&path).unwrap();
        choose(&["nameserver 192.0.2.1\n"]).write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "nameserver 192.0.2.1\n");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o644);
    }
}
