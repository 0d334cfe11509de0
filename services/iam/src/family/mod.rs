//! What many operations have in common: the same thing done to roles, users and groups, or to all that has tags. An
//! operation's file then says only on what it is done.

pub mod attachment;
pub mod boundary;
pub mod details;
pub mod inline;
pub mod list;
pub mod rename;
pub mod tags;

use crate::Iam;
use crate::error::IamError;
use crate::keys;
use crate::model::{Entity, Named, UsageRecord, fresh_id};
use crate::policies::CHANGES_TOPIC;
use gust_kit::{Cx, PrincipalKind};
use gust_store::{Read, Record, Tx};
use gust_types::AccountId;

/// Commits a change in the caller's account. Whoever keeps policies in memory hears of it before it is acknowledged.
pub async fn change<R: Send + 'static>(
    cx: &Cx<Iam>,
    change: impl Fn(&mut dyn Tx, &AccountId) -> Result<R, IamError> + Send + Sync + 'static,
) -> Result<R, IamError> {
    let account = cx.call.account().clone();
    let change = move |tx: &mut dyn Tx| {
        let result = change(tx, &account)?;
        tx.wake(CHANGES_TOPIC);
        Ok(result)
    };
    cx.store().transact(change).await.map(|committed| committed.value)
}

/// Reads at one point in time in the caller's account.
pub async fn look<R: Send + 'static>(
    cx: &Cx<Iam>,
    look: impl FnOnce(&mut dyn Read, &AccountId) -> Result<R, IamError> + Send + 'static,
) -> Result<R, IamError> {
    let account = cx.call.account().clone();
    cx.store().read(move |read: &mut dyn Read| look(read, &account)).await
}

/// Changes the thing of this name.
pub async fn edit<N: Named>(
    cx: &Cx<Iam>,
    name: String,
    edit: impl Fn(&mut N) -> Result<(), IamError> + Send + Sync + 'static,
) -> Result<(), IamError> {
    let edit = move |tx: &mut dyn Tx, account: &AccountId| {
        let mut thing = N::find(tx, account, &name)?;
        edit(&mut thing)?;
        thing.keep(tx, account)
    };
    change(cx, edit).await
}

/// A number of [`UsageRecord`], with AWS's name of its quota and the most there may be.
pub struct Quota {
    /// AWS's name.
    pub name: &'static str,
    /// The most.
    pub max: usize,
    /// Where it is counted.
    pub count: fn(&mut UsageRecord) -> &mut usize,
}

impl Quota {
    /// Counts one more.
    pub fn take(&self, tx: &mut dyn Tx, account: &AccountId) -> Result<(), IamError> {
        let mut usage = UsageRecord::load(tx, &keys::usage(account))?.unwrap_or_default();
        let count = (self.count)(&mut usage);
        if *count >= self.max {
            return Err(IamError::Quota { quota: self.name, max: self.max });
        }
        *count += 1;
        Ok(usage.save(tx, keys::usage(account))?)
    }

    /// Counts one less.
    pub fn give_back(&self, tx: &mut dyn Tx, account: &AccountId) -> Result<(), IamError> {
        let mut usage = UsageRecord::load(tx, &keys::usage(account))?.unwrap_or_default();
        let count = (self.count)(&mut usage);
        *count = count.saturating_sub(1);
        Ok(usage.save(tx, keys::usage(account))?)
    }
}

/// Stores a new thing under a name that nothing has.
pub fn create<T: Named>(
    tx: &mut dyn Tx,
    account: &AccountId,
    thing: &T,
    quota: &Quota,
    taken: impl Fn(String) -> IamError,
) -> Result<(), IamError> {
    if tx.get(&T::key(account, thing.name()))?.is_some() {
        return Err(taken(thing.name().to_owned()));
    }
    quota.take(tx, account)?;
    thing.keep(tx, account)
}

/// A new role, user or group without policies.
pub fn new_entity(cx: &Cx<Iam>, id_prefix: &str, name: String, path: Option<String>) -> Entity {
    Entity {
        name,
        path: path.unwrap_or_else(|| "/".to_owned()),
        id: fresh_id(id_prefix, &*cx.platform().ids),
        created_at_ms: cx.now_ms(),
        ..Entity::default()
    }
}

/// The user that a request without a user's name is about: the caller.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListAccessKeys.html>
pub fn user_or_caller(cx: &Cx<Iam>, user_name: Option<String>) -> Result<String, IamError> {
    let principal = &cx.call.principal;
    match user_name {
        Some(name) => Ok(name),
        None if principal.kind == PrincipalKind::User => {
            Ok(principal.arn.rsplit('/').next().unwrap_or_default().to_owned())
        }
        None => Err(IamError::Validation("Must specify userName when calling with non-User credentials".to_owned())),
    }
}
