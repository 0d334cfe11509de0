//! The only place that builds STS's storage keys.
//!
//! Tables 0x0380 to 0x03ff belong to this service, 0x0300 to 0x037f to IAM. A number, once given, is never used for
//! anything else. Key ids are unique in a whole gust: no key here has an account or a region before them.

use gust_store::{Key, Table};
use gust_types::AccountId;

/// access key id -> [`crate::model::KeyRecord`].
const KEYS: Table = Table(0x0380);
/// end in milliseconds / access key id -> nothing: which sessions end when.
const ENDS: Table = Table(0x0381);
/// account -> [`crate::model::RootKeyRecord`].
const ROOT_KEYS: Table = Table(0x0382);

/// Where a key is stored.
pub fn key(access_key_id: &str) -> Key {
    KEYS.key().text(access_key_id)
}

/// The note that a session ends.
pub fn end(expires_at_ms: i64, access_key_id: &str) -> Key {
    ends_before(expires_at_ms).text(access_key_id)
}

/// The first key of what ends at `at_ms` or later.
pub fn ends_before(at_ms: i64) -> Key {
    all_ends().number(u64::try_from(at_ms).unwrap_or(0))
}

/// The prefix of all ends.
pub fn all_ends() -> Key {
    ENDS.key()
}

/// The access key id in a key of [`end`]; `None` for any other key.
pub fn ended(key: &Key) -> Option<String> {
    let mut parts = key.parts();
    parts.number()?;
    parts.text()
}

/// Which key is an account's root key.
pub fn root_key(account: &AccountId) -> Key {
    ROOT_KEYS.key().text(account.as_str())
}
