//! The range of addresses that environments get theirs from.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::SandboxError;

/// Addresses at the start of a range that are no environment's: the network itself, the host's end of gust's device, the
/// router's, and the end of that small network.
const RESERVED: u32 = 4;
/// The last one is nobody's (broadcast).
const RESERVED_AT_END: u32 = 1;

/// Ranges that private networks may use: RFC 1918, RFC 6598 (shared address space), RFC 2544 (measurements).
const PRIVATE: &[NatRange] = &[
    NatRange::of([10, 0, 0, 0], 8),
    NatRange::of([172, 16, 0, 0], 12),
    NatRange::of([192, 168, 0, 0], 16),
    NatRange::of([100, 64, 0, 0], 10),
    NatRange::of([198, 18, 0, 0], 15),
];

/// What is tried in this order, 16 bits of hosts each: blocks that few networks use.
const CANDIDATES: &[(NatRange, u8)] = &[
    (NatRange::of([10, 200, 0, 0], 13), 16),
    (NatRange::of([172, 24, 0, 0], 13), 16),
    (NatRange::of([100, 96, 0, 0], 11), 16),
    (NatRange::of([198, 18, 0, 0], 15), 16),
];

/// A range of IPv4 addresses, written like `10.200.0.0/16`: private, with 8 to 28 bits of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NatRange {
    base: u32,
    prefix: u8,
}

impl NatRange {
    const fn of(base: [u8; 4], prefix: u8) -> NatRange {
        NatRange { base: u32::from_be_bytes(base), prefix }
    }

    /// Where a default route leads.
    pub(super) const fn everything() -> NatRange {
        NatRange { base: 0, prefix: 0 }
    }

    /// Any network, as it stands in a route.
    pub(super) fn network(base: Ipv4Addr, prefix: u8) -> NatRange {
        let range = NatRange { base: u32::from(base), prefix: prefix.min(32) };
        NatRange { base: range.base & range.mask(), ..range }
    }

    fn mask(self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0)
    }

    pub(super) fn base(self) -> Ipv4Addr {
        self.base.into()
    }

    pub(super) fn netmask(self) -> Ipv4Addr {
        self.mask().into()
    }

    pub(super) fn prefix(self) -> u8 {
        self.prefix
    }

    pub(super) fn overlaps(self, other: NatRange) -> bool {
        let mask = self.mask() & other.mask();
        self.base & mask == other.base & mask
    }

    fn contains(self, other: NatRange) -> bool {
        other.prefix >= self.prefix && self.overlaps(other)
    }

    /// The host's end of the device between host and router.
    pub(super) fn host(self) -> Ipv4Addr {
        (self.base + 1).into()
    }

    /// The router's end of it, and every environment's way out.
    pub(super) fn router(self) -> Ipv4Addr {
        (self.base + 2).into()
    }

    /// How many environments have an address.
    pub(super) fn capacity(self) -> u32 {
        !self.mask() - RESERVED - RESERVED_AT_END + 1
    }

    /// The address of the environment `index`, counted from 0.
    pub(super) fn environment(self, index: u32) -> Ipv4Addr {
        (self.base + RESERVED + index).into()
    }

    /// The first candidate that touches nothing of `taken`.
    pub(super) fn choose(taken: &[NatRange]) -> Option<NatRange> {
        CANDIDATES
            .iter()
            .flat_map(|(block, prefix)| block.split(*prefix))
            .find(|range| !taken.iter().any(|other| other.overlaps(*range)))
    }

    fn split(self, prefix: u8) -> impl Iterator<Item = NatRange> {
        let count = 1_u32 << (prefix - self.prefix);
        (0..count).map(move |number| NatRange { base: self.base + (number << (32 - prefix)), prefix })
    }
}

impl FromStr for NatRange {
    type Err = SandboxError;

    fn from_str(text: &str) -> Result<NatRange, SandboxError> {
        let invalid = |why: &str| SandboxError::InvalidSpec(format!("{text:?} is no range of addresses: {why}"));
        let (base, prefix) = text.split_once('/').ok_or_else(|| invalid("write it like 10.200.0.0/16"))?;
        let base: Ipv4Addr = base.parse().map_err(|_| invalid("write it like 10.200.0.0/16"))?;
        let prefix: u8 = prefix.parse().map_err(|_| invalid("write it like 10.200.0.0/16"))?;
        if !(8..=28).contains(&prefix) {
            return Err(invalid("a prefix of 8 to 28 bits"));
        }
        let range = NatRange::network(base, prefix);
        if range.base() != base {
            return Err(invalid(&format!("its first address is {}", range.base())));
        }
        if !PRIVATE.iter().any(|private| private.contains(range)) {
            return Err(invalid("it is not private (10/8, 172.16/12, 192.168/16, 100.64/10, 198.18/15)"));
        }
        Ok(range)
    }
}

impl TryFrom<String> for NatRange {
    type Error = SandboxError;

    fn try_from(text: String) -> Result<NatRange, SandboxError> {
        text.parse()
    }
}

impl From<NatRange> for String {
    fn from(range: NatRange) -> String {
        range.to_string()
    }
}

impl fmt::Display for NatRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.base(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> NatRange {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_counted_from_the_start() {
        let smallest = range("192.168.7.16/28");
        assert_eq!(smallest.capacity(), 11);
        assert_eq!(smallest.host(), Ipv4Addr::new(192, 168, 7, 17));
        assert_eq!(smallest.router(), Ipv4Addr::new(192, 168, 7, 18));
        assert_eq!(smallest.environment(0), Ipv4Addr::new(192, 168, 7, 20));
        assert_eq!(smallest.environment(10), Ipv4Addr::new(192, 168, 7, 30));
        assert_eq!(range("10.0.0.0/8").capacity(), (1 << 24) - 5);
        assert_eq!(smallest.to_string(), "192.168.7.16/28");
    }

    #[test]
    fn what_is_no_private_range_is_refused_with_the_reason() {
        for (text, why) in [
            ("10.0.0.0", "write it like"),
            ("10.0.0/16", "write it like"),
            ("10.0.0.0/x", "write it like"),
            ("10.0.0.0/7", "8 to 28"),
            ("10.0.0.0/29", "8 to 28"),
            ("10.0.0.1/16", "first address is 10.0.0.0"),
            ("8.8.0.0/16", "not private"),
            ("172.0.0.0/8", "not private"),
            ("127.0.0.0/8", "not private"),
        ] {
            let error = text.parse::<NatRange>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_range_that_the_host_uses_is_not_chosen() {
        assert_eq!(NatRange::choose(&[]), Some(range("10.200.0.0/16")));
        let taken = [NatRange::network(Ipv4Addr::new(10, 200, 3, 0), 24)];
        assert_eq!(NatRange::choose(&taken), Some(range("10.201.0.0/16")));
        assert_eq!(NatRange::choose(&[range("10.0.0.0/8")]), Some(range("172.24.0.0/16")));
        assert_eq!(NatRange::choose(&PRIVATE[..3]), Some(range("100.96.0.0/16")));
        assert_eq!(NatRange::choose(PRIVATE), None);
        assert!(CANDIDATES.iter().all(|(block, _)| PRIVATE.iter().any(|private| private.contains(*block))));
    }
}
