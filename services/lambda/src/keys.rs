//! The only place that builds Lambda's storage keys, and the encoding of its records.
//!
//! Tables 0x0100 to 0x017f belong to this service, 0x0180 to 0x01ff to the queue of invocations. A number,
//! once given, is never used for anything else. Every value begins with a version byte.

mod attached;

pub use attached::*;

use crate::model::{AliasRecord, FunctionId, FunctionRecord, Usage, Version, VersionRecord};
use bytes::Bytes;
use gust_store::{Key, KeyParts, StoreError, Table};
use gust_types::{AccountId, Region};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// account / region / name -> [`FunctionRecord`].
const FUNCTIONS: Table = Table(0x0100);
/// account / region / name -> nothing: functions that the worker has yet to settle.
const PENDING: Table = Table(0x0101);
/// package / account / region / name [/ number] -> nothing: which version uses a package.
const PACKAGE_USERS: Table = Table(0x0102);
/// account / region -> [`Usage`].
const USAGE: Table = Table(0x0103);
/// name -> bytes: keys that gust made for itself.
const SECRETS: Table = Table(0x0104);
/// account / region / name / number -> [`VersionRecord`].
const VERSIONS: Table = Table(0x0105);
/// account / region / name / alias -> [`AliasRecord`].
const ALIASES: Table = Table(0x0106);
/// account / region / name -> [`Reservation`]: functions with reserved concurrency.
const RESERVATIONS: Table = Table(0x0107);
/// account / region / name -> [`LastVersion`]: outlives its function, because numbers are never given again.
const LAST_VERSIONS: Table = Table(0x0108);

/// The version that this gust writes, and the newest it reads.
const RECORD_VERSION: u8 = 1;

/// Where a function is stored.
pub fn function(id: &FunctionId) -> Key {
    owned(FUNCTIONS, id)
}

/// The prefix of all functions of an account in a region, in the order of their names.
pub fn functions_of(account: &AccountId, region: &Region) -> Key {
    FUNCTIONS.key().text(account.as_str()).text(region.as_str())
}

/// The note that a function has to be settled.
pub fn pending(id: &FunctionId) -> Key {
    owned(PENDING, id)
}

/// The prefix of all such notes.
pub fn all_pending() -> Key {
    PENDING.key()
}

/// The note that a version of a function uses a package.
pub fn package_user(package: &str, id: &FunctionId, version: Version) -> Key {
    let key = users_of(package).text(id.account.as_str()).text(id.region.as_str()).text(&id.name);
    match version {
        Version::Latest => key,
        Version::Number(number) => key.number(number),
    }
}

/// Where a published version is stored.
pub fn version(id: &FunctionId, number: u64) -> Key {
    versions_of(id).number(number)
}

/// The prefix of all published versions of a function, in the order of their numbers.
pub fn versions_of(id: &FunctionId) -> Key {
    owned(VERSIONS, id)
}

/// The number of a version that a key of [`version`] belongs to; `None` for any other key.
pub fn version_number(key: &Key) -> Option<u64> {
    last_part(key, |parts| parts.number())
}

/// Where an alias is stored.
pub fn alias(id: &FunctionId, name: &str) -> Key {
    aliases_of(id).text(name)
}

/// The prefix of all aliases of a function, in the order of their names.
pub fn aliases_of(id: &FunctionId) -> Key {
    owned(ALIASES, id)
}

/// The name of an alias that a key of [`alias`] belongs to; `None` for any other key.
pub fn alias_name(key: &Key) -> Option<String> {
    last_part(key, |parts| parts.text())
}

/// Where a function's reserved concurrency is stored.
pub fn reservation(id: &FunctionId) -> Key {
    owned(RESERVATIONS, id)
}

/// The prefix of all reservations.
pub fn all_reservations() -> Key {
    RESERVATIONS.key()
}

/// Where the number of a function's last version is stored.
pub fn last_version(id: &FunctionId) -> Key {
    owned(LAST_VERSIONS, id)
}

/// The prefix of all users of a package.
pub fn users_of(package: &str) -> Key {
    PACKAGE_USERS.key().text(package)
}

/// What an account uses in a region.
pub fn usage(account: &AccountId, region: &Region) -> Key {
    USAGE.key().text(account.as_str()).text(region.as_str())
}

/// The key that links in `Code.Location` are signed with.
pub fn link_secret() -> Key {
    SECRETS.key().text("code-link")
}

fn owned(table: Table, id: &FunctionId) -> Key {
    table.key().text(id.account.as_str()).text(id.region.as_str()).text(&id.name)
}

fn last_part<T>(key: &Key, read: impl Fn(&mut KeyParts<'_>) -> Option<T>) -> Option<T> {
    let mut parts = key.parts();
    for _ in ["account", "region", "name"] {
        parts.text()?;
    }
    read(&mut parts)
}

/// The function that a key of [`function`], [`pending`] or [`reservation`] belongs to; `None` for any other key.
pub fn function_id(key: &Key) -> Option<FunctionId> {
    let mut parts = key.parts();
    Some(FunctionId {
        account: AccountId::parse(&parts.text()?)?,
        region: Region::parse(&parts.text()?)?,
        name: parts.text()?.into(),
    })
}

/// A record's bytes.
pub fn encode<T: Record>(record: &T) -> Bytes {
    let mut bytes = vec![RECORD_VERSION];
    serde_json::to_writer(&mut bytes, record).expect("records have string keys and no failing serializer");
    bytes.into()
}

/// Reads a record.
///
/// Errors: [`StoreError::RecordTooNew`] for one of a newer gust, [`StoreError::RecordDamaged`].
pub fn decode<T: Record>(bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&RECORD_VERSION, body)) => {
            serde_json::from_slice(body).map_err(|error| StoreError::RecordDamaged(format!("{}: {error}", T::NAME)))
        }
        Some((&found, _)) if found > RECORD_VERSION => Err(StoreError::RecordTooNew { found, known: RECORD_VERSION }),
        _ => Err(StoreError::RecordDamaged(format!("{} has no version", T::NAME))),
    }
}

/// A value of one of the tables.
pub trait Record: Serialize + DeserializeOwned {
    /// What it is called in messages.
    const NAME: &'static str;
}

impl Record for FunctionRecord {
    const NAME: &'static str = "a function's record";
}

impl Record for VersionRecord {
    const NAME: &'static str = "a version's record";
}

impl Record for AliasRecord {
    const NAME: &'static str = "an alias's record";
}

/// Concurrency reserved for a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many executions.
    pub executions: u32,
}

impl Record for Reservation {
    const NAME: &'static str = "a reservation";
}

/// How far a function's versions have been counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastVersion {
    /// The number of the last one, 0 if there was none.
    pub number: u64,
}

impl Record for LastVersion {
    const NAME: &'static str = "a count of versions";
}

impl Record for Usage {
    const NAME: &'static str = "an account's usage";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> FunctionId {
        FunctionId {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            name: name.into(),
        }
    }

    #[test]
    fn keys_lead_back_to_their_function() {
        for key in [function(&id("a")), pending(&id("a")), reservation(&id("a"))] {
            assert_eq!(function_id(&key), Some(id("a")));
        }
        assert_eq!(function_id(&link_secret()), None);
        assert_eq!(version_number(&version(&id("a"), 7)), Some(7));
        assert_eq!(version_number(&function(&id("a"))), None);
        assert_eq!(alias_name(&alias(&id("a"), "prod")).as_deref(), Some("prod"));
    }

    #[test]
    fn functions_are_ordered_by_name() {
        let keys = ["a", "a-b", "aa", "b"].map(|name| function(&id(name)));
        assert!(keys.is_sorted());
        let prefix = functions_of(&id("a").account, &id("a").region);
        assert!(keys.iter().all(|key| key.as_bytes().starts_with(prefix.as_bytes())));
    }

    #[test]
    fn versions_are_ordered_by_number_and_belong_to_one_function() {
        let keys = [1, 2, 10, 255, 256, u64::MAX].map(|number| version(&id("a"), number));
        assert!(keys.is_sorted());
        assert!(keys.iter().all(|key| key.as_bytes().starts_with(versions_of(&id("a")).as_bytes())));
        assert!(!version(&id("ab"), 1).as_bytes().starts_with(versions_of(&id("a")).as_bytes()));
        let users = users_of("p");
        let (latest, first) = (Version::Latest, Version::Number(1));
        assert_ne!(package_user("p", &id("a"), latest), package_user("p", &id("a"), first));
        assert!(package_user("p", &id("a"), first).as_bytes().starts_with(users.as_bytes()));
    }

    /// The first version's bytes as they lie in data folders.
    #[test]
    fn version_1_is_read() {
        let bytes = b"\x01{\"code_bytes\":7,\"functions\":2}";
        assert_eq!(decode::<Usage>(bytes).unwrap(), Usage { code_bytes: 7, functions: 2, reserved: 0, provisioned: 0 });
        assert_eq!(encode(&Usage { code_bytes: 7, functions: 2, reserved: 0, provisioned: 0 }).as_ref(), bytes);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(matches!(decode::<Usage>(b"\x02{}"), Err(StoreError::RecordTooNew { found: 2, known: 1 })));
        for bytes in [&b""[..], b"\x00{}", b"\x01{", b"\x01{}"] {
            assert!(matches!(decode::<Usage>(bytes), Err(StoreError::RecordDamaged(_))), "{bytes:?}");
        }
    }
}
