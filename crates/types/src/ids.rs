//! Randomness as a capability, so that tests and simulations can seed it.

use std::cell::RefCell;
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
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            push_hex(&mut text, *byte);
        }
        text
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
    let mut text = String::with_capacity(bytes.len() * 2);
    bytes.iter().for_each(|byte| push_hex(&mut text, *byte));
    text
}

fn push_hex(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 0xf)]));
}

/// A source of ids that is passed around.
pub type SharedIds = Arc<dyn Ids>;

/// The operating system's random numbers, fetched some at a time by each thread: a request takes two of them, and a system
/// call for each costs more than everything else about an id.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

/// Bytes that are fetched at a time. Up to 256 come without interruption (getrandom(2)).
const FETCHED_BYTES: usize = 256;

struct Fetched {
    bytes: [u8; FETCHED_BYTES],
    used: usize,
}

thread_local! {
    static FETCHED: RefCell<Fetched> = const { RefCell::new(Fetched { bytes: [0; FETCHED_BYTES], used: FETCHED_BYTES }) };
}

fn fetch(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the kernel's random source does not fail once it is up");
}

impl Ids for SystemIds {
    fn fill(&self, buffer: &mut [u8]) {
        if buffer.len() > FETCHED_BYTES / 4 {
            return fetch(buffer);
        }
        FETCHED.with_borrow_mut(|fetched| {
            if fetched.bytes.len() - fetched.used < buffer.len() {
                fetch(&mut fetched.bytes);
                fetched.used = 0;
            }
            let taken = &mut fetched.bytes[fetched.used..fetched.used + buffer.len()];
            buffer.copy_from_slice(taken);
            // What was handed out may be a secret and is kept nowhere else.
            taken.fill(0);
            fetched.used += buffer.len();
        });
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
    fn random_bytes_are_handed_out_once() {
        let mut seen = std::collections::HashSet::new();
        for size in (8..=100).cycle().take(2_000) {
            let mut buffer = vec![0; size];
            SystemIds.fill(&mut buffer);
            assert!(seen.insert(buffer[..8].to_vec()) && buffer[size - 8..] != [0; 8]);
        }
    }

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
