//! Signing keys: four HMACs from a secret, and a small cache of them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::HashMap;

use crate::TERMINATOR;

/// Most keys that one thread remembers; a thread that meets more starts afresh.
const CACHE_KEYS_MAX: usize = 256;

/// A key that signs for one day, region and service.
pub(crate) type SigningKey = [u8; 32];

/// What a signing key is derived from, in an order that is the cache's identity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Derivation<'a> {
    pub secret: &'a str,
    /// `20150830`
    pub date: &'a str,
    pub region: &'a str,
    pub service: &'a str,
}

thread_local! {
    /// A cache per thread, so that requests share no lock. Its keys are digests: no secret is kept.
    static CACHE: RefCell<HashMap<[u8; 32], SigningKey>> = RefCell::new(HashMap::new());
}

/// The signing key, from the cache if this thread has derived it before.
pub(crate) fn signing_key(derivation: Derivation<'_>) -> SigningKey {
    let identity = identity(derivation);
    CACHE.with_borrow_mut(|cache| {
        if let Some(key) = cache.get(&identity) {
            return *key;
        }
        if cache.len() >= CACHE_KEYS_MAX {
            cache.clear();
        }
        let key = derive(derivation);
        cache.insert(identity, key);
        key
    })
}

fn identity(derivation: Derivation<'_>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [derivation.date, derivation.region, derivation.service, derivation.secret] {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

fn derive(derivation: Derivation<'_>) -> SigningKey {
    let seed = format!("AWS4{}", derivation.secret);
    let parts = [derivation.date, derivation.region, derivation.service, TERMINATOR];
    let first = hmac(seed.as_bytes(), parts[0].as_bytes());
    parts[1..].iter().fold(first, |key, part| hmac(&key, part.as_bytes()))
}

/// HMAC-SHA256.
pub(crate) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    mac(key, message).finalize().into_bytes().into()
}

/// Compares in a time that does not depend on where the two differ.
pub(crate) fn hmac_matches(key: &[u8], message: &[u8], signature: &[u8; 32]) -> bool {
    mac(key, message).verify_slice(signature).is_ok()
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Reads 64 hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0u8; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    // documented: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    #[test]
    fn the_published_key_is_derived() {
        let derivation = Derivation { secret: SECRET, date: "20150830", region: "us-east-1", service: "iam" };
        let expected = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
        assert_eq!(hex(&signing_key(derivation)), expected);
        assert_eq!(hex(&signing_key(derivation)), expected, "from the cache");
    }

    #[test]
    fn the_cache_keeps_derivations_apart_and_is_bounded() {
        let of = |date: &str, region: &str| signing_key(Derivation { secret: SECRET, date, region, service: "iam" });
        assert_ne!(of("20150830", "us-east-1"), of("20150830u", "s-east-1"));
        for number in 0..CACHE_KEYS_MAX * 2 {
            of(&format!("{number}"), "us-east-1");
        }
        assert!(CACHE.with_borrow(HashMap::len) <= CACHE_KEYS_MAX);
    }

    #[test]
    fn hexadecimal_round_trips_and_refuses() {
        let bytes = [0xa5u8; 32];
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        assert_eq!(unhex(&hex(&bytes).to_uppercase()), Some(bytes));
        assert_eq!(unhex("a5"), None);
        assert_eq!(unhex(&"zz".repeat(32)), None);
        assert_eq!(unhex(&"é".repeat(32)), None);
    }
}
