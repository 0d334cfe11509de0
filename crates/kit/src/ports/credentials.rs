//! Keys: what the gateway verifies against and what functions are given.

use crate::Principal;
use async_trait::async_trait;
use gust_types::AccountId;

/// Credentials that a client can sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AKIA...` (long-lived) or `ASIA...` (a session).
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The session's token.
    pub session_token: Option<String>,
    /// When they end, in milliseconds since the epoch.
    pub expires_at_ms: Option<i64>,
}

/// A key that gust knows, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    /// The key, with secret and token.
    pub credentials: Credentials,
    /// Its owner.
    pub principal: Principal,
}

/// A session of a role to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSession {
    /// The account.
    pub account: AccountId,
    /// The role's ARN.
    pub role_arn: String,
    /// The session's name, for example the function's name.
    pub session_name: String,
    /// How long it lasts, in seconds.
    pub duration_s: u32,
}

/// Why no credentials could be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialError {
    /// The role's ARN cannot be read.
    #[error("{0} is not a role's ARN")]
    MalformedRole(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] gust_store::StoreError),
}

/// Issues and looks up keys. Implemented by STS over IAM's records.
#[async_trait]
pub trait CredentialSource: Send + Sync + 'static {
    /// The owner of `access_key_id`; `None` if gust does not know the key.
    async fn owner(&self, access_key_id: &str) -> Result<Option<KeyOwner>, CredentialError>;

    /// Makes a session of a role, for a function's environment. The role need not exist while keys
    /// are not verified (`--auth open`).
    async fn session(&self, session: RoleSession) -> Result<Credentials, CredentialError>;
}
