//! New names and paths of users and groups.

use super::inline;
use crate::error::IamError;
use crate::model::Holder;
use gust_store::Tx;
use gust_types::AccountId;

/// Gives `old` another name or path and stores it; its inline policies come along. What else knows its name is the
/// operation's own matter.
pub fn rename<H: Holder>(
    tx: &mut dyn Tx,
    account: &AccountId,
    old: &H,
    name: Option<&str>,
    path: Option<&str>,
) -> Result<H, IamError> {
    let mut new = old.clone();
    let entity = new.entity_mut();
    if let Some(path) = path {
        path.clone_into(&mut entity.path);
    }
    if let Some(name) = name {
        name.clone_into(&mut entity.name);
    }
    if !new.name().eq_ignore_ascii_case(old.name()) {
        if tx.get(&H::key(account, new.name()))?.is_some() {
            return Err(IamError::Exists(H::KIND, new.name().to_owned()));
        }
        inline::rename::<H>(tx, account, old.name(), new.name())?;
        tx.delete(H::key(account, old.name()))?;
    }
    new.keep(tx, account)?;
    Ok(new)
}
