//! Who calls, for which account and region, under which request id.

use gust_types::{AccountId, Region, RequestId};

/// The kind of identity behind a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// The account itself (its root key, or any key in `--auth open`).
    Root,
    /// An IAM user.
    User,
    /// A session of a role.
    AssumedRole,
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
