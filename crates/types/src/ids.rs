//! Randomness as a capability, so that tests and simulations can seed it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where random identifiers come from. Services ask this and never the system.
pub trait Ids: Send + Sync + 'static {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// A random version 4 UUID in its usual spelling.
    fn uuid(&self) -> String {
        let mut bytes = [0u8; 16];
        self.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let hex = hex_of(&bytes);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// `count` random lower-case hexadecimal digits.
    fn hex(&self, count: usize) -> String {
        let mut bytes = vec![0u8; count.div_ceil(2)];
        self.fill(&mut bytes);
        let mut text = hex_of(&bytes);
        text.truncate(count);
        text
    }

    /// `count` random characters out of `alphabet` (which must have 1 to 256 of them).
    fn text(&self, alphabet: &[u8], count: usize) -> String {
        let mut bytes = vec![0u8; count];
        self.fill(&mut bytes);
        bytes.iter().map(|byte| alphabet[usize::from(*byte) % alphabet.len()] as char).collect()
    }
}

fn hex_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |index: u8| char::from(DIGITS[usize::from(index)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]));
    text
}

/// A source of ids that is passed around.
pub type SharedIds = Arc<dyn Ids>;

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    fn fill(&self, buffer: &mut [u8]) {
        getrandom::fill(buffer).expect("the kernel's random source does not fail once it is up");
    }
}

/// A reproducible sequence for tests and simulations; never for secrets.
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

impl SeededIds {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> SeededIds {
        SeededIds(AtomicU64::new(seed))
    }
}

impl Ids for SeededIds {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            // SplitMix64: one atomic add a step, so that threads never share a value.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst).wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The id of one request, as `x-amzn-RequestId` carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// A new random id.
    pub fn new(ids: &dyn Ids) -> RequestId {
        RequestId(ids.uuid())
    }

    /// An id that came from elsewhere (a durable record).
    pub fn from_text(text: impl Into<String>) -> RequestId {
        RequestId(text.into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_and_variant() {
        let uuid = SeededIds::new(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]));
    }

    #[test]
    fn seeded_ids_repeat_and_differ_within_a_sequence() {
        let (a, b) = (SeededIds::new(7), SeededIds::new(7));
        assert_eq!(a.hex(9), b.hex(9));
        assert_ne!(a.hex(9), a.hex(9));
    }
}
