//! Keeps web pages out: a browser on the machine must not be a way into gust.
//!
//! A page can make its name resolve to 127.0.0.1 (DNS rebinding), so the Host must be one that no page can
//! own; and a page can send requests without seeing the answers (a form, an image whose address is a presigned
//! `Action=DeleteRole`), so whatever a browser marks as coming from a foreign page is refused.

use http::header::{ORIGIN, REFERER};
use http::{HeaderMap, HeaderValue};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The host names under which gust may be addressed, besides loopback addresses and `localhost`.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    configured: Vec<String>,
}

impl Hosts {
    /// The usual names and `configured` ones: `gust.example.com`, or `*.example.com` for all names below.
    pub fn new(configured: impl IntoIterator<Item = String>) -> Hosts {
        Hosts { configured: configured.into_iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    /// Whether a `Host` header (or `:authority`), with or without a port, names this machine or is configured.
    pub fn allows(&self, host: &str) -> bool {
        let name = without_port(host);
        is_local(name) || self.configured.iter().any(|pattern| matches_pattern(pattern, name))
    }

    /// Whether a request comes from no page, or from one of an allowed host.
    ///
    /// Browsers send `Origin` with all but plain reads, `Sec-Fetch-Site` with every request to this machine (no
    /// page can suppress it), and older ones at least a `Referer`.
    pub fn allows_page(&self, headers: &HeaderMap) -> bool {
        let from_allowed = |value: &HeaderValue| {
            let rest = value.to_str().ok().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
            rest.and_then(|rest| rest.split('/').next()).is_some_and(|host| self.allows(host))
        };
        let pages = headers.get_all(ORIGIN).iter().chain(headers.get_all(REFERER));
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let same_site = site.is_none_or(|site| [&b"same-origin"[..], b"same-site", b"none"].contains(&site));
        same_site && pages.into_iter().all(from_allowed)
    }
}

/// Whether a `Host` header names this machine.
pub fn is_loopback(host: &str) -> bool {
    is_local(without_port(host))
}

fn is_local(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return address.is_loopback();
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let local = ["localhost", "localhost.localstack.cloud"];
    local.iter().any(|suffix| name.eq_ignore_ascii_case(suffix) || is_below(name, suffix))
}

fn matches_pattern(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => is_below(name, suffix),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

/// Whether `name` is a name below `suffix`; upper and lower case are one.
fn is_below(name: &str, suffix: &str) -> bool {
    let Some(at) = name.len().checked_sub(suffix.len()).filter(|at| *at >= 2) else {
        return false;
    };
    let (head, tail) = name.as_bytes().split_at(at);
    tail.eq_ignore_ascii_case(suffix.as_bytes()) && head.ends_with(b".")
}

/// A `Host` header without its port.
pub(crate) fn without_port(host: &str) -> &str {
    let host = host.trim();
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_allowed() {
        let hosts = Hosts::default();
        for host in [
            "127.0.0.1",
            "127.0.0.1:4566",
            "127.9.9.9:1",
            "[::1]:4566",
            "[::1]",
            "localhost",
            "LOCALHOST:4566",
            "localhost.",
            "bucket.localhost:4566",
            "s3.us-east-1.localhost.localstack.cloud:4566",
            "localhost.localstack.cloud",
        ] {
            assert!(hosts.allows(host), "{host}");
            assert!(is_loopback(host), "{host}");
        }
    }

    #[test]
    fn names_that_a_page_can_own_are_refused() {
        let hosts = Hosts::default();
        for host in [
            "",
            "evil.example",
            "evil.example:4566",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            ".localhost",
            "2130706433",
            "127.1",
            "0.0.0.0",
            "[::2]",
            "[::ffff:127.0.0.1]",
            "::1",
            "localhost.localstack.cloud.evil.example",
            "evillocalhost.localstack.cloud",
            "ü.example",
        ] {
            assert!(!hosts.allows(host), "{host}");
        }
    }

    #[test]
    fn configured_names_are_allowed() {
        let hosts = Hosts::new(["gust.Example.com".to_owned(), "*.inner.example".to_owned(), "10.0.0.5".to_owned()]);
        for host in
            ["gust.example.com", "GUST.example.com:80", "a.inner.example", "a.b.inner.example:1", "10.0.0.5:4566"]
        {
            assert!(hosts.allows(host), "{host}");
            assert!(!is_loopback(host), "{host}");
        }
        for host in ["a.gust.example.com", "inner.example", ".inner.example", "10.0.0.6"] {
            assert!(!hosts.allows(host), "{host}");
        }
    }

    #[test]
    fn foreign_pages_are_refused() {
        let hosts = Hosts::default();
        assert!(hosts.allows_page(&HeaderMap::new()));
        for (name, value, expected) in [
            ("origin", "http://localhost:3000", true),
            ("origin", "http://127.0.0.1:4566", true),
            ("origin", "https://evil.example", false),
            ("origin", "null", false),
            ("origin", "file://", false),
            ("origin", "http://localhost@evil.example", false),
            ("referer", "http://localhost:3000/page?x=http://a", true),
            ("referer", "https://evil.example/http://localhost/", false),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "same-site", true),
            ("sec-fetch-site", "none", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(hosts.allows_page(&headers), expected, "{name}: {value}");
        }
    }
}
