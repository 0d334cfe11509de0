//! Who calls, for which account and region, under which request id.

use gust_types::{AccountId, Region, RequestId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The kind of identity behind a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself (its root key, or any key in `--auth open`).
    Root,
    /// An IAM user.
    User,
    /// A session of a role.
    AssumedRole,
    /// A session that a user lends to somebody under another name (GetFederationToken).
    FederatedUser,
    /// gust itself, acting inside the account.
    Internal,
}

/// An authenticated identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its kind.
    pub kind: PrincipalKind,
    /// Its account.
    pub account: AccountId,
    /// Its ARN, for example `arn:aws:sts::000000000000:assumed-role/name/session`.
    pub arn: String,
    /// Its unique id, as STS GetCallerIdentity shows it in `UserId`.
    pub user_id: String,
    /// The access key it signed with.
    pub access_key_id: Option<String>,
    /// What is known of its session, if it signed with temporary credentials.
    pub session: Option<Arc<Session>>,
}

/// What temporary credentials carry besides their keys.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The ARN of the role or user that it is a session of (`sts:RoleArn`); the account's root has its own.
    pub issuer_arn: String,
    /// When it was made, in milliseconds since the epoch (`aws:TokenIssueTime`).
    pub issued_at_ms: i64,
    /// Who is behind it, as it was told to AssumeRole; every session that it makes inherits it.
    #[serde(default)]
    pub source_identity: Option<String>,
    /// The inline session policy, as JSON.
    #[serde(default)]
    pub policy: Option<String>,
    /// The ARNs of managed policies that are session policies.
    #[serde(default)]
    pub policy_arns: Vec<String>,
    /// The session's tags, inherited ones included; they come before those of the role or user.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
    /// The keys of those tags that every session inherits that this one makes.
    #[serde(default)]
    pub transitive_tag_keys: Vec<String>,
}

impl Session {
    /// Whether session policies narrow what it may do. (A federated user's session is always narrowed, to nothing
    /// if it has no policy.)
    pub fn is_narrowed(&self) -> bool {
        self.policy.is_some() || !self.policy_arns.is_empty()
    }
}

impl Principal {
    /// The root of `account`.
    pub fn root(account: AccountId, access_key_id: Option<String>) -> Principal {
        Principal {
            kind: PrincipalKind::Root,
            arn: format!("arn:aws:iam::{account}:root"),
            user_id: account.as_str().to_owned(),
            account,
            access_key_id,
            session: None,
        }
    }

    /// gust itself inside `account`.
    pub fn internal(account: AccountId) -> Principal {
        Principal { kind: PrincipalKind::Internal, ..Principal::root(account, None) }
    }
}

/// One call of an operation.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub principal: Principal,
    /// The region it is addressed to.
    pub region: Region,
    /// The other account whose resource this call may touch: its policies and the principal's own allow it. `None` for
    /// a call inside the principal's account, and wherever policies are not evaluated.
    pub granted_account: Option<AccountId>,
    /// Its id, in the response and in every log line about it.
    pub request_id: RequestId,
    /// When it arrived, in milliseconds since the epoch.
    pub received_at_ms: i64,
    /// The trace that the caller is part of (`X-Amzn-Trace-Id`), to be passed on.
    pub trace_header: Option<String>,
    /// `http://host:port` by which the caller reached gust, for links in responses.
    pub origin: String,
}

impl Call {
    /// The account it is addressed to: the principal's own.
    pub fn account(&self) -> &AccountId {
        &self.principal.account
    }

    /// Whether it may touch what belongs to `account`: the principal's own, or one whose policies let it in.
    pub fn reaches(&self, account: &AccountId) -> bool {
        *account == self.principal.account || self.granted_account.as_ref() == Some(account)
    }
}
