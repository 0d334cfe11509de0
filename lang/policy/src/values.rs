//! Dates, numbers and addresses as conditions compare them.

use jiff::Timestamp;
use std::net::IpAddr;

/// A number. What is none compares with nothing.
pub fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// A moment in milliseconds since the epoch: ISO 8601 with a time or without, or seconds since the epoch.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Date>
pub fn moment_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    // A year alone is no date here: it would read as seconds.
    if let Some(seconds) = number(text) {
        let ms = seconds * 1000.0;
        return (ms.abs() < 9.0e15).then_some(ms as i64);
    }
    let full = match text.len() {
        7 => format!("{text}-01"),
        _ => text.to_owned(),
    };
    let midnight = (full.len() == 10).then(|| format!("{full}T00:00:00Z"))?;
    midnight.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// `true` or `false`, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") { Some(true) } else { text.eq_ignore_ascii_case("false").then_some(false) }
}

/// Addresses with one beginning: `203.0.113.0/24`, `2001:db8::/32`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    bits: u128,
    prefix: u32,
    is_v6: bool,
}

impl Network {
    /// Reads CIDR notation.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (bits, longest) = bits(address);
        let prefix = prefix.unwrap_or(longest);
        (prefix <= longest).then_some(Network { bits, prefix, is_v6: address.is_ipv6() })
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, longest) = bits(address);
        let shift = longest - self.prefix;
        let head = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
        self.is_v6 == address.is_ipv6() && head(bits) == head(self.bits)
    }
}

fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_read_in_every_form() {
        for (text, expected) in [
            ("2020-04-01T00:00:00Z", Some(1_585_699_200_000)),
            ("2020-04-01T02:00:00+02:00", Some(1_585_699_200_000)),
            ("2020-04-01T00:00:00.500Z", Some(1_585_699_200_500)),
            ("2020-04-01", Some(1_585_699_200_000)),
            ("2020-04", Some(1_585_699_200_000)),
            ("1585699200", Some(1_585_699_200_000)),
            ("1e300", None),
            ("yesterday", None),
            ("2020-13-01", None),
            ("", None),
        ] {
            assert_eq!(moment_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn networks_contain_their_addresses() {
        for (network, address, expected) in [
            ("203.0.113.0/24", "203.0.113.255", true),
            ("203.0.113.0/24", "203.0.114.0", false),
            ("203.0.113.7", "203.0.113.7", true),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::/0", "2001:db8::1", true),
            ("::1/128", "::2", false),
        ] {
            let (network, address) = (Network::parse(network).unwrap(), address.parse().unwrap());
            assert_eq!(network.contains(address), expected, "{network:?} {address}");
        }
        for text in ["", "a", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3/8", "1.2.3.4/-1"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>(), digits in "[0-9eE+./:-]{0,30}") {
            for text in [&text, &digits] {
                let _ = (moment_ms(text), number(text), boolean(text), Network::parse(text));
            }
        }
    }
}
