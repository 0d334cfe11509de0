//! What STS remembers.

use gust_kit::ports::{Credentials, KeyOwner};
use gust_kit::{Principal, PrincipalKind, Session};
use gust_store::{Record, StoreError};
use gust_types::{AccountId, Arn, Ids};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The letters of access key ids.
const KEY_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// The letters of secrets and tokens.
const SECRET_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A key and whose it is.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// `AKIA...` or `ASIA...`
    pub access_key_id: String,
    /// 40 characters.
    pub secret_access_key: String,
    /// The session's token.
    pub session_token: Option<String>,
    /// Milliseconds since the epoch.
    pub expires_at_ms: Option<i64>,
    /// What kind of identity it belongs to.
    pub owner: Owner,
    /// The account.
    pub account: String,
    /// The identity's ARN.
    pub arn: String,
    /// The identity's unique id.
    pub user_id: String,
    /// Who is behind a session, in records of a gust that had no [`KeyRecord::session`] yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// What else is known of a session.
    #[serde(default)]
    pub session: Option<Session>,
    /// Whether its signatures count.
    #[serde(default = "active")]
    pub is_active: bool,
}

fn active() -> bool {
    true
}

/// The kinds of identity that own keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// The account itself.
    Root,
    /// An IAM user.
    User,
    /// A session of a role.
    AssumedRole,
    /// A session that a user lends to somebody under another name.
    FederatedUser,
}

impl Record for KeyRecord {
    const VERSION: u8 = 1;
}

/// Which key is an account's root key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootKeyRecord {
    /// The access key id.
    pub access_key_id: String,
}

impl Record for RootKeyRecord {
    const VERSION: u8 = 1;
}

/// Secrets stay out of logs.
impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl KeyRecord {
    /// The key with its owner.
    ///
    /// Errors: [`StoreError::RecordDamaged`] if the account is none.
    pub fn owner(self) -> Result<KeyOwner, StoreError> {
        let damaged = || StoreError::RecordDamaged(format!("the key {} has no account", self.access_key_id));
        let account = AccountId::parse(&self.account).ok_or_else(damaged)?;
        let kind = match self.owner {
            Owner::Root => PrincipalKind::Root,
            Owner::User => PrincipalKind::User,
            Owner::AssumedRole => PrincipalKind::AssumedRole,
            Owner::FederatedUser => PrincipalKind::FederatedUser,
        };
        let access_key_id = Some(self.access_key_id.clone());
        let session = match self.session {
            Some(session) => Some(session),
            None if self.owner == Owner::AssumedRole => Some(session_of_old(&account, &self.arn, self.source_identity)),
            None => None,
        };
        let session = session.map(Arc::new);
        let principal = Principal { kind, account, arn: self.arn, user_id: self.user_id, access_key_id, session };
        let credentials = Credentials {
            access_key_id: self.access_key_id,
            secret_access_key: self.secret_access_key,
            session_token: self.session_token,
            expires_at_ms: self.expires_at_ms,
        };
        Ok(KeyOwner { credentials, principal })
    }
}

/// The session of a record that does not hold it: its role is known by name only, and when it began is not.
fn session_of_old(account: &AccountId, arn: &str, source_identity: Option<String>) -> Session {
    let role = arn.split('/').nth(1).unwrap_or_default();
    Session { issuer_arn: format!("arn:aws:iam::{account}:role/{role}"), source_identity, ..Session::default() }
}

/// New access keys: `AKIA` or `ASIA` and 16 letters, a secret of 40.
pub fn fresh_key(prefix: &str, ids: &dyn Ids) -> (String, String) {
    (format!("{prefix}{}", ids.text(KEY_LETTERS, 16)), ids.text(SECRET_LETTERS, 40))
}

/// A new session token.
pub fn fresh_token(ids: &dyn Ids) -> String {
    ids.text(SECRET_LETTERS, crate::limits::TOKEN_CHARACTERS)
}

/// A role's ARN taken apart, as far as sessions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleName {
    /// Its account.
    pub account: AccountId,
    /// Its partition.
    pub partition: String,
    /// Its name without the path.
    pub name: String,
}

impl RoleName {
    /// Reads `arn:aws:iam::000000000000:role/path/name`.
    pub fn parse(role_arn: &str) -> Option<RoleName> {
        let arn: Arn = role_arn.parse().ok()?;
        let name = arn.resource.strip_prefix("role/")?.rsplit('/').next()?;
        let is_role = arn.service == "iam" && arn.region.is_empty() && !name.is_empty();
        is_role.then_some(RoleName {
            account: AccountId::parse(&arn.account)?,
            partition: arn.partition,
            name: name.to_owned(),
        })
    }

    /// The ARN of a session.
    pub fn session_arn(&self, session_name: &str) -> String {
        let RoleName { account, partition, name } = self;
        format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session_name}")
    }

    /// The unique id that stands for a role that does not exist: always the same for the same role.
    pub fn invented_id(&self) -> String {
        let seed = format!("{}/{}", self.account, self.name);
        let letter = |round: u8| {
            // FNV-1a, for it need not be more than stable and well spread.
            let start = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(round);
            let hash = seed
                .bytes()
                .chain([round])
                .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
            char::from(KEY_LETTERS[(hash >> 40) as usize % KEY_LETTERS.len()])
        };
        std::iter::once("AROA".to_owned()).chain((0..17).map(|round| letter(round).to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_types::SeededIds;

    #[test]
    fn keys_look_like_those_of_aws() {
        let (key, secret) = fresh_key("ASIA", &SeededIds::new(1));
        assert!(key.len() == 20 && key[4..].bytes().all(|byte| KEY_LETTERS.contains(&byte)), "{key}");
        assert!(secret.len() == 40 && secret.bytes().all(|byte| SECRET_LETTERS.contains(&byte)));
    }

    #[test]
    fn roles_are_taken_apart() {
        let role = RoleName::parse("arn:aws:iam::000000000000:role/service-role/worker").unwrap();
        assert_eq!(role.session_arn("s"), "arn:aws:sts::000000000000:assumed-role/worker/s");
        assert_eq!(role.invented_id().len(), 21);
        assert_eq!(role.invented_id(), role.clone().invented_id());
        let other = RoleName { name: "worker2".to_owned(), ..role.clone() };
        assert_ne!(role.invented_id(), other.invented_id());
        for arn in [
            "",
            "worker",
            "arn:aws:iam::000000000000:role/",
            "arn:aws:iam::0:role/a",
            "arn:aws:iam::000000000000:user/a",
        ] {
            assert_eq!(RoleName::parse(arn), None, "{arn}");
        }
    }

    /// The first version's bytes as they lie in data folders.
    #[test]
    fn version_1_is_read() {
        let bytes = b"\x01{\"access_key_id\":\"ASIAX\",\"secret_access_key\":\"s\",\"session_token\":\"t\",\"expires_at_ms\":7,\
            \"owner\":\"AssumedRole\",\"account\":\"000000000000\",\"arn\":\"arn:aws:sts::000000000000:assumed-role/r/s\",\"user_id\":\"u\"}";
        let owner = KeyRecord::decode(bytes).unwrap().owner().unwrap();
        assert_eq!((owner.principal.kind, owner.credentials.expires_at_ms), (PrincipalKind::AssumedRole, Some(7)));
        let session = owner.principal.session.unwrap();
        assert_eq!((session.issuer_arn.as_str(), session.is_narrowed()), ("arn:aws:iam::000000000000:role/r", false));
        assert!(KeyRecord::decode(bytes).unwrap().is_active);
        assert!(!format!("{:?}", KeyRecord::decode(bytes).unwrap()).contains("secret_access_key"));
    }
}
