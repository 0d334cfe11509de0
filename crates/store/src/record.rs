//! Versioned records: values that a newer gust can still read and an older one refuses.
//!
//! A record is one version byte, then its JSON. JSON rather than a compact encoding: fields can be added
//! with `#[serde(default)]` without a new version, a person can read a store in trouble, and what it costs
//! is far below a sync. Bulk data (packages, log text) is not kept in records.

use crate::{Key, Read, StoreError, Tx};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A type that is stored. Each older version stays as a type of its own, and the chain goes through them:
///
/// ```
/// use gust_store::{Record, StoreError};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct QueueV1 { name: String }
/// impl Record for QueueV1 { const VERSION: u8 = 1; }
///
/// #[derive(Serialize, Deserialize)]
/// struct Queue { name: String, delay_ms: u64 }
/// impl Record for Queue {
///     const VERSION: u8 = 2;
///     fn migrate(version: u8, body: &[u8]) -> Result<Queue, StoreError> {
///         let QueueV1 { name } = QueueV1::from_version(version, body)?;
///         Ok(Queue { name, delay_ms: 0 })
///     }
/// }
/// let old = QueueV1 { name: "jobs".to_owned() }.encode().unwrap();
/// assert_eq!(Queue::decode(&old).unwrap().name, "jobs");
/// ```
pub trait Record: Serialize + DeserializeOwned {
    /// The version that is written.
    const VERSION: u8;

    /// Makes one of these from the body of an older version, through the previous version's type.
    ///
    /// Without older versions the default holds: it refuses.
    fn migrate(version: u8, body: &[u8]) -> Result<Self, StoreError> {
        let _ = body;
        Err(StoreError::RecordDamaged(format!("nothing leads from version {version} to {}", Self::VERSION)))
    }

    /// The bytes to store.
    ///
    /// Errors: [`StoreError::RecordDamaged`] if the type has no JSON form (a map with keys that are no text).
    fn encode(&self) -> Result<Bytes, StoreError> {
        let mut bytes = vec![Self::VERSION];
        serde_json::to_writer(&mut bytes, self).map_err(|error| StoreError::RecordDamaged(error.to_string()))?;
        Ok(bytes.into())
    }

    /// Reads what [`Record::encode`] of this or an older version wrote.
    ///
    /// Errors: [`StoreError::RecordTooNew`], [`StoreError::RecordDamaged`].
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes.split_first() {
            Some((version, body)) => Self::from_version(*version, body),
            None => Err(StoreError::RecordDamaged("it is empty".to_owned())),
        }
    }

    /// Reads a body of `version`.
    ///
    /// Errors: as [`Record::decode`].
    fn from_version(version: u8, body: &[u8]) -> Result<Self, StoreError> {
        match version {
            version if version > Self::VERSION => {
                Err(StoreError::RecordTooNew { found: version, known: Self::VERSION })
            }
            version if version < Self::VERSION => Self::migrate(version, body),
            _ => serde_json::from_slice(body).map_err(|error| StoreError::RecordDamaged(error.to_string())),
        }
    }

    /// Reads the record under `key`.
    fn load<T: Read + ?Sized>(tx: &mut T, key: &Key) -> Result<Option<Self>, StoreError> {
        tx.get(key)?.map(|bytes| Self::decode(&bytes)).transpose()
    }

    /// Writes it under `key`.
    fn save<T: Tx + ?Sized>(&self, tx: &mut T, key: Key) -> Result<(), StoreError> {
        tx.put(key, self.encode()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct First {
        name: String,
    }
    impl Record for First {
        const VERSION: u8 = 1;
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Second {
        names: Vec<String>,
    }
    impl Record for Second {
        const VERSION: u8 = 2;
        fn migrate(version: u8, body: &[u8]) -> Result<Second, StoreError> {
            First::from_version(version, body).map(|first| Second { names: vec![first.name] })
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Third {
        names: Vec<String>,
        count: usize,
    }
    impl Record for Third {
        const VERSION: u8 = 3;
        fn migrate(version: u8, body: &[u8]) -> Result<Third, StoreError> {
            Second::from_version(version, body).map(|second| Third { count: second.names.len(), names: second.names })
        }
    }

    #[test]
    fn every_older_version_comes_through_the_chain() {
        let third = Third { names: vec!["a".to_owned()], count: 1 };
        assert_eq!(Third::decode(b"\x01{\"name\":\"a\"}").unwrap(), third);
        assert_eq!(Third::decode(b"\x02{\"names\":[\"a\"]}").unwrap(), third);
        assert_eq!(Third::decode(&third.encode().unwrap()).unwrap(), third);
    }

    #[test]
    fn newer_unknown_and_damaged_records_are_refused() {
        let newer = Second::decode(b"\x03{}").unwrap_err();
        assert!(matches!(newer, StoreError::RecordTooNew { found: 3, known: 2 }), "{newer}");
        for damaged in [&b""[..], b"\x00{}", b"\x02", b"\x02{\"names\":1}", b"\x01{}"] {
            assert!(matches!(Second::decode(damaged), Err(StoreError::RecordDamaged(_))), "{damaged:?}");
        }
    }
}
