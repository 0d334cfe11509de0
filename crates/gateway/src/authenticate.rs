//! Who calls: the second stage, in two halves around the reading of the body.
//!
//! [`Authenticator::identify`] needs only the head, so that a stranger cannot make gust read megabytes;
//! [`Identity::prove`] checks the signature over the body (`--auth strict`).

use crate::access::Hosts;
use crate::serve::ConnectionOrigin;
use gust_auth::{Claim, Head, Payload, Refusal};
use gust_kit::Principal;
use gust_kit::ports::{CredentialError, CredentialSource, KeyOwner};
use gust_types::{AccountId, AwsError, Region};
use std::sync::Arc;

/// How much a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Development: a request must name a key, and may come only from this machine, but is not verified. A
    /// key id of twelve digits is the account, a session's key its role, any other the default account.
    Open,
    /// Signatures are verified against the keys that gust keeps.
    Strict,
}

/// Decides who calls.
pub(crate) struct Authenticator {
    pub policy: AuthPolicy,
    pub credentials: Arc<dyn CredentialSource>,
    pub hosts: Hosts,
    pub default_account: AccountId,
}

/// Why a request goes no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Spelled by the caller's protocol.
    Refused(Refusal),
    /// Already in its final form.
    Error(AwsError),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

impl From<AwsError> for Stop {
    fn from(error: AwsError) -> Stop {
        Stop::Error(error)
    }
}

/// Who a request says it is from, and what is still to be proven.
#[derive(Debug)]
pub(crate) struct Identity {
    principal: Principal,
    pub region: Region,
    /// The secret that must have made the signature; `None` where signatures are not verified.
    secret: Option<String>,
}

impl Authenticator {
    /// Reads who calls from the head of a request whose service has one of the signing names `services`.
    pub async fn identify(
        &self,
        head: &Head<'_>,
        claim: Option<&Claim<'_>>,
        services: &[&str],
        origin: &ConnectionOrigin,
        now_ms: i64,
    ) -> Result<Identity, Stop> {
        if self.policy == AuthPolicy::Open {
            self.check_access(head)?;
        }
        self.recognise(claim, services, origin, now_ms).await
    }

    /// The same for a request that pages of other sites may send, too (a function URL's).
    pub async fn recognise(
        &self,
        claim: Option<&Claim<'_>>,
        services: &[&str],
        origin: &ConnectionOrigin,
        now_ms: i64,
    ) -> Result<Identity, Stop> {
        let claim = claim.ok_or(Refusal::MissingToken)?;
        match self.policy {
            AuthPolicy::Open => self.presume(claim, origin).await,
            AuthPolicy::Strict => self.look_up(claim, services, now_ms).await,
        }
    }

    /// Refuses what a web page could have sent.
    pub fn check_access(&self, head: &Head<'_>) -> Result<(), AwsError> {
        if !self.hosts.allows(head.host) {
            let message = format!(
                "gust does not answer to the host '{}': use 127.0.0.1 or localhost, or configure the name.",
                head.host
            );
            return Err(AwsError::sender("AccessDeniedException", 403, message));
        }
        if !self.hosts.allows_page(head.headers) {
            let message = "gust does not answer to pages of other sites (Origin, Referer, Sec-Fetch-Site).";
            return Err(AwsError::sender("AccessDeniedException", 403, message));
        }
        Ok(())
    }

    async fn presume(&self, claim: &Claim<'_>, origin: &ConnectionOrigin) -> Result<Identity, Stop> {
        let scope = claim.scope().ok_or_else(|| claim.malformed_credential())?;
        let region = region(scope.region)?;
        let key = scope.access_key_id;
        let principal = if let Some(account) = AccountId::parse(key) {
            Principal::root(account, Some(key.to_owned()))
        } else {
            match self.session_owner(key).await? {
                Some(owner) => owner.principal,
                None => match origin {
                    ConnectionOrigin::Public => Principal::root(self.default_account.clone(), Some(key.to_owned())),
                    ConnectionOrigin::Environment(principal) => principal.clone(),
                },
            }
        };
        Ok(Identity { principal, region, secret: None })
    }

    /// The owner of a session's key; gust's long-lived keys all stand for the default account anyway.
    async fn session_owner(&self, key: &str) -> Result<Option<KeyOwner>, Stop> {
        if key.starts_with("ASIA") { self.owner(key).await } else { Ok(None) }
    }

    async fn look_up(&self, claim: &Claim<'_>, services: &[&str], now_ms: i64) -> Result<Identity, Stop> {
        let checked = claim.check(now_ms, services)?;
        let owner = self.owner(checked.scope.access_key_id).await?.ok_or(Refusal::UnknownKey)?;
        checked.check_token(owner.credentials.session_token.as_deref())?;
        if owner.credentials.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms) {
            return Err(Refusal::ExpiredToken.into());
        }
        let region = region(checked.scope.region)?;
        Ok(Identity { principal: owner.principal, region, secret: Some(owner.credentials.secret_access_key) })
    }

    async fn owner(&self, key: &str) -> Result<Option<KeyOwner>, Stop> {
        self.credentials.owner(key).await.map_err(|error| {
            Stop::Error(match error {
                CredentialError::Store(error) => gust_kit::CommonError::Store(error).into(),
                other => gust_kit::CommonError::Internal(other.to_string()).into(),
            })
        })
    }
}

impl Identity {
    /// Checks the signature over the whole request.
    pub fn prove(
        self,
        head: &Head<'_>,
        claim: Option<&Claim<'_>>,
        services: &[&str],
        body: &[u8],
        now_ms: i64,
    ) -> Result<Principal, Stop> {
        let (Some(secret), Some(claim)) = (&self.secret, claim) else {
            return Ok(self.principal);
        };
        match claim.check(now_ms, services)?.verify(head, body, secret)? {
            Payload::Signed | Payload::Unsigned => Ok(self.principal),
            // Only S3 reads bodies in signed chunks, and it has its own way in.
            Payload::Streaming(_) => {
                Err(Refusal::DoesNotMatch("Chunked signatures are not accepted here.".to_owned()).into())
            }
        }
    }
}

fn region(text: &str) -> Result<Region, Refusal> {
    let message = || format!("Credential should be scoped to a valid region, not '{text}'.");
    Region::parse(text).ok_or_else(|| Refusal::DoesNotMatch(message()))
}
