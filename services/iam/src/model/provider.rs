//! OpenID Connect providers: kept because templates make them; nobody signs in through them.

use super::{Named, Tagged};
use crate::error::IamError;
use crate::keys;
use gust_store::{Key, Read, Record};
use gust_types::{AccountId, Arn};
use serde::{Deserialize, Serialize};

/// An OpenID Connect provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderRecord {
    /// Its URL without `https://`.
    pub url: String,
    /// Audiences.
    pub client_ids: Vec<String>,
    /// Of certificates.
    pub thumbprints: Vec<String>,
    /// Keys and values.
    pub tags: Vec<(String, String)>,
    /// Milliseconds since the epoch.
    pub created_at_ms: i64,
}

impl Record for ProviderRecord {
    const VERSION: u8 = 1;
}

/// Requests call a provider by its ARN; its name is its URL.
impl Named for ProviderRecord {
    fn all_of(account: &AccountId) -> Key {
        keys::providers_of(account)
    }

    fn missing(arn: &str) -> IamError {
        IamError::ProviderNotFound(arn.to_owned())
    }

    fn name(&self) -> &str {
        &self.url
    }

    fn path(&self) -> &str {
        "/"
    }

    fn find<T: Read + ?Sized>(read: &mut T, account: &AccountId, arn: &str) -> Result<ProviderRecord, IamError> {
        let parsed: Option<Arn> = arn.parse().ok().filter(|arn: &Arn| arn.service == "iam");
        let url = parsed.as_ref().and_then(|arn| arn.resource.strip_prefix("oidc-provider/"));
        let url = url.ok_or_else(|| IamError::InvalidInput(format!("Invalid ARN: {arn}")))?;
        let found = ProviderRecord::load(read, &Self::key(account, url))?;
        found.filter(|provider| provider.arn(account) == arn).ok_or_else(|| Self::missing(arn))
    }
}

impl Tagged for ProviderRecord {
    fn tags(&self) -> &Vec<(String, String)> {
        &self.tags
    }

    fn tags_mut(&mut self) -> &mut Vec<(String, String)> {
        &mut self.tags
    }
}

impl ProviderRecord {
    /// Its ARN.
    pub fn arn(&self, account: &AccountId) -> String {
        Arn::global("iam", account, format!("oidc-provider/{}", self.url)).to_string()
    }
}
