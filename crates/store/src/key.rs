//! Keys: a table number, then parts in an encoding that keeps their order.

use std::borrow::Borrow;

/// A table number. Every service owns a block of them and never reuses one.
///
/// 0x00xx store and platform, 0x01xx lambda and invocations, 0x02xx logs, 0x03xx iam and sts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table(pub u16);

/// An encoded key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    /// A key from bytes that a read returned.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Key {
        Key(bytes.into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes a key of `table` apart.
    pub fn parts(&self) -> KeyParts<'_> {
        KeyParts { rest: self.0.get(2..).unwrap_or_default() }
    }
}

/// Keys are ordered by their bytes, so that a map of keys can be searched with bytes.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Table {
    /// The key that is this table's prefix; extend it with [`Key::text`] and [`Key::number`].
    pub fn key(self) -> Key {
        Key(self.0.to_be_bytes().to_vec())
    }
}

impl Key {
    /// Appends a text part. Order is that of its bytes, and no text is a prefix of another's encoding.
    pub fn text(mut self, text: &str) -> Key {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 1]);
        self
    }

    /// Appends an unsigned number, in numeric order.
    pub fn number(mut self, number: u64) -> Key {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Appends raw bytes as they are (the last part only, or of fixed length).
    pub fn bytes(mut self, bytes: &[u8]) -> Key {
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Reads the parts of a key in the order in which they were appended.
#[derive(Debug)]
pub struct KeyParts<'a> {
    rest: &'a [u8],
}

impl KeyParts<'_> {
    /// The next text part; `None` if the key ends or is no text here.
    pub fn text(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let mut at = 0;
        loop {
            match (self.rest.get(at)?, self.rest.get(at + 1)) {
                (0, Some(1)) => break,
                (0, Some(0xff)) => {
                    text.push(0);
                    at += 2;
                }
                (0, _) => return None,
                (byte, _) => {
                    text.push(*byte);
                    at += 1;
                }
            }
        }
        self.rest = &self.rest[at + 2..];
        String::from_utf8(text).ok()
    }

    /// The next number.
    pub fn number(&mut self) -> Option<u64> {
        let (head, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_order_and_round_trip() {
        let texts = ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "aa", "b", "é"];
        let keys: Vec<Key> = texts.iter().map(|text| Table(7).key().text(text).number(5)).collect();
        assert!(keys.is_sorted());
        for (key, text) in keys.iter().zip(texts) {
            let mut parts = key.parts();
            assert_eq!(parts.text().as_deref(), Some(text));
            assert_eq!(parts.number(), Some(5));
            assert_eq!(parts.number(), None);
        }
    }
}
