//! Keys of blobs, and where they lie in the folder.

use crate::BlobError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Greatest size of a key in bytes.
pub const BLOB_KEY_BYTES_MAX: usize = 1_024;
/// Greatest size of one part of a key in bytes: what file systems take, less the suffix.
const PART_BYTES_MAX: usize = 250;
/// Greatest number of parts.
const PARTS_MAX: usize = 16;
/// What content-addressed blobs' keys begin with.
pub(crate) const CONTENT: &str = "sha256/";
/// Ends a blob's file name, so that `a` and `a/b` can both be keys. It may not occur in a key.
const FILE_SUFFIX: char = '~';

/// The id of a blob that is known by its content: its SHA-256, as 64 lower-case hexadecimal digits.
///
/// It also is a key, `sha256/<digits>`: give it to every method that takes a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobId(String);

impl BlobId {
    /// The id of `digest`.
    pub(crate) fn of_digest(digest: &[u8]) -> BlobId {
        let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        BlobId(format!("{CONTENT}{digits}"))
    }

    /// An id from its digits.
    ///
    /// Errors: [`BlobError::InvalidKey`].
    pub fn parse(digits: &str) -> Result<BlobId, BlobError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if digits.len() == 64 && digits.bytes().all(is_digit) {
            return Ok(BlobId(format!("{CONTENT}{digits}")));
        }
        Err(BlobError::InvalidKey { key: digits.to_owned(), reason: "it is no SHA-256 in hexadecimal" })
    }

    /// The 64 digits.
    pub fn digits(&self) -> &str {
        &self.0[CONTENT.len()..]
    }
}

impl AsRef<str> for BlobId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits())
    }
}

impl TryFrom<String> for BlobId {
    type Error = BlobError;

    fn try_from(digits: String) -> Result<BlobId, BlobError> {
        BlobId::parse(&digits)
    }
}

impl From<BlobId> for String {
    fn from(id: BlobId) -> String {
        id.digits().to_owned()
    }
}

/// Checks a key that somebody chose.
pub(crate) fn check_named(key: &str) -> Result<(), BlobError> {
    if key.starts_with(CONTENT) {
        return Err(BlobError::InvalidKey { key: key.to_owned(), reason: "its name is kept for content" });
    }
    check(key)
}

fn check(key: &str) -> Result<(), BlobError> {
    let invalid = |reason| Err(BlobError::InvalidKey { key: key.to_owned(), reason });
    if key.len() > BLOB_KEY_BYTES_MAX {
        return invalid("it is too long");
    }
    if key.split('/').count() > PARTS_MAX {
        return invalid("it has too many parts");
    }
    for part in key.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return invalid("a part is empty or relative");
        }
        if part.len() > PART_BYTES_MAX {
            return invalid("a part is too long");
        }
        if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._=+@,:-".contains(&byte)) {
            return invalid("a part has a character that is not allowed");
        }
    }
    Ok(())
}

/// Where the blob `key` lies below `root`.
pub(crate) fn path(root: &Path, key: &str) -> Result<PathBuf, BlobError> {
    check(key)?;
    match key.strip_prefix(CONTENT) {
        Some(digits) => {
            BlobId::parse(digits)?;
            Ok(root.join("sha256").join(&digits[..2]).join(format!("{digits}{FILE_SUFFIX}")))
        }
        None => Ok(root.join("named").join(format!("{key}{FILE_SUFFIX}"))),
    }
}

/// The key's last part, of a file's name; `None` if the file is no blob.
pub(crate) fn part_of_file_name(name: &str) -> Option<&str> {
    name.strip_suffix(FILE_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_the_folder() {
        for bad in
            ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/./b", "a b", "a\0", "ä", "a~", "a\\b", "sha256/ab"]
        {
            assert!(check_named(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "logs/0/eu-1/seg-1.zst", "a..b", "...", "x/@=+,:"] {
            check_named(good).unwrap();
            assert!(path(Path::new("/r"), good).unwrap().starts_with("/r/named"));
        }
        assert!(path(Path::new("/r"), "sha256/../../etc").is_err());
    }

    #[test]
    fn keys_have_bounds() {
        let part = "p".repeat(PART_BYTES_MAX);
        check_named(&part).unwrap();
        assert!(check_named(&format!("{part}p")).is_err());
        assert!(check_named(&["p"; PARTS_MAX].join("/")).is_ok());
        assert!(check_named(&["p"; PARTS_MAX + 1].join("/")).is_err());
        let long = [part.as_str(); 4].join("/");
        let longest = format!("{long}/{}", "q".repeat(BLOB_KEY_BYTES_MAX - long.len() - 1));
        check_named(&longest).unwrap();
        assert!(check_named(&format!("{longest}q")).is_err());
    }

    #[test]
    fn ids_round_trip_as_json_text() {
        let id = BlobId::of_digest(&[0xab; 32]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{}\"", "ab".repeat(32)));
        assert_eq!(serde_json::from_str::<BlobId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<BlobId>("\"AB\"").is_err());
    }
}
