//! Which policies apply to whoever calls: the question that an [`crate::ports::Authorizer`] asks of the iam service.

use crate::Principal;
use async_trait::async_trait;
use gust_store::StoreError;
use std::sync::Arc;

/// All policies that apply to a principal, but for those of the resource. The texts are JSON as they were given.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrincipalPolicies {
    /// Changes with the policies: one number never stands for two different answers while gust runs, so that what
    /// was made of the texts can be kept under it.
    pub version: u64,
    /// Inline policies, attached managed ones, and those of a user's groups. Each allows or denies for itself.
    pub identity: Vec<Arc<str>>,
    /// The permissions boundary.
    pub boundary: Boundary,
    /// Session policies: `None` if the session is not narrowed (or there is none); a narrowed one may do only what
    /// one of these allows.
    pub session: Option<Vec<Arc<str>>>,
    /// The principal's tags (`aws:PrincipalTag/...`), those of the session before those of the role or user.
    pub tags: Vec<(String, String)>,
    /// `aws:username` of a user (also of its GetSessionToken sessions).
    pub user_name: Option<String>,
}

/// A permissions boundary.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Boundary {
    /// There is none.
    #[default]
    None,
    /// Only what this document allows.
    Document(Arc<str>),
    /// There is one whose content gust does not know: it allows nothing.
    Unknown,
}

/// Knows the policies of principals. Implemented by the iam service.
#[async_trait]
pub trait PolicySource: Send + Sync + 'static {
    /// The policies of `principal`; none for one whose role or user is gone (or was made anew under the same name), none
    /// for an account's root and for gust itself, whom no identity policy limits. Asked on every request: answered from
    /// memory until something changes.
    async fn policies(&self, principal: &Principal) -> Result<Arc<PrincipalPolicies>, StoreError>;
}
