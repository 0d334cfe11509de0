//! Long-lived keys of users: the iam service decides about them, whoever verifies signatures keeps them.

use gust_store::{Read, StoreError, Tx};
use gust_types::{AccountId, Ids};

/// A user's new key.
#[derive(Clone)]
pub struct UserKey {
    /// `AKIA...`
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The user's account.
    pub account: AccountId,
    /// The user's ARN.
    pub user_arn: String,
    /// The user's unique id: `AIDA...`.
    pub user_id: String,
}

/// Keeps the keys of users. Implemented by STS. Each call is part of the transaction of an operation of IAM.
pub trait UserKeys: Send + Sync + 'static {
    /// A new access key id and its secret.
    fn fresh(&self, ids: &dyn Ids) -> (String, String);

    /// Keeps a key; it is active.
    fn add(&self, tx: &mut dyn Tx, key: &UserKey) -> Result<(), StoreError>;

    /// Lets signatures of a key count, or no more.
    fn set_active(&self, tx: &mut dyn Tx, access_key_id: &str, is_active: bool) -> Result<(), StoreError>;

    /// The key's user has another name or path now.
    fn rename(&self, tx: &mut dyn Tx, access_key_id: &str, user_arn: &str) -> Result<(), StoreError>;

    /// Forgets a key.
    fn remove(&self, tx: &mut dyn Tx, access_key_id: &str) -> Result<(), StoreError>;

    /// The ARN of a key's user; `None` if it is no user's.
    fn user_arn(&self, read: &mut dyn Read, access_key_id: &str) -> Result<Option<String>, StoreError>;
}
