//! Inline policies of roles, users and groups.

use super::{change, look};
use crate::Iam;
use crate::error::IamError;
use crate::keys;
use crate::limits::INLINE_POLICIES_READ_MAX;
use crate::model::{Holder, InlinePolicyRecord, characters, url_encoded};
use crate::rules::page::{Listed, Page};
use crate::rules::policy;
use gust_kit::Cx;
use gust_store::{Order, Range, Read, Record, StoreError, Tx};
use gust_types::AccountId;

/// A policy as it is shown: the holder's name, the policy's name, the document URL-encoded.
pub struct Shown {
    /// The holder's name.
    pub holder: String,
    /// The policy's name.
    pub name: String,
    /// URL-encoded.
    pub document: String,
}

/// Sets a policy.
pub async fn put<H: Holder>(cx: &Cx<Iam>, holder: String, name: String, document: String) -> Result<(), IamError> {
    policy::check(&document, policy::Kind::Identity)?;
    let put = move |tx: &mut dyn Tx, account: &AccountId| {
        let mut record = H::find(tx, account, &holder)?;
        record.check_modifiable()?;
        let key = keys::inline_policy(H::KIND, account, &holder, &name);
        let before = InlinePolicyRecord::load(tx, &key)?.map_or(0, |policy| characters(&policy.document));
        let entity = record.entity_mut();
        entity.inline_characters = (entity.inline_characters + characters(&document)).saturating_sub(before);
        if entity.inline_characters > H::KIND.inline_characters_max() {
            return Err(IamError::InlinePoliciesTooLong(H::KIND, holder.clone()));
        }
        InlinePolicyRecord { name: name.clone(), document: document.clone() }.save(tx, key)?;
        record.keep(tx, account)
    };
    change(cx, put).await
}

/// Shows a policy.
pub async fn get<H: Holder>(cx: &Cx<Iam>, holder: String, name: String) -> Result<Shown, IamError> {
    let get = move |read: &mut dyn Read, account: &AccountId| {
        let record = H::find(read, account, &holder)?;
        let policy = InlinePolicyRecord::load(read, &keys::inline_policy(H::KIND, account, &holder, &name))?;
        let policy = policy.ok_or(IamError::InlinePolicyNotFound(H::KIND, name))?;
        let holder = record.name().to_owned();
        Ok(Shown { holder, name: policy.name, document: url_encoded(&policy.document) })
    };
    look(cx, get).await
}

/// Removes a policy.
pub async fn delete<H: Holder>(cx: &Cx<Iam>, holder: String, name: String) -> Result<(), IamError> {
    let delete = move |tx: &mut dyn Tx, account: &AccountId| {
        let mut record = H::find(tx, account, &holder)?;
        record.check_modifiable()?;
        let key = keys::inline_policy(H::KIND, account, &holder, &name);
        let policy = InlinePolicyRecord::load(tx, &key)?;
        let policy = policy.ok_or_else(|| IamError::InlinePolicyNotFound(H::KIND, name.clone()))?;
        let entity = record.entity_mut();
        entity.inline_characters = entity.inline_characters.saturating_sub(characters(&policy.document));
        record.keep(tx, account)?;
        Ok(tx.delete(key)?)
    };
    change(cx, delete).await
}

/// Lists the names of the policies.
pub async fn list<H: Holder>(
    cx: &Cx<Iam>,
    holder: String,
    page: (Option<i32>, Option<String>),
) -> Result<Listed<String>, IamError> {
    let page = Page::new(page.0, page.1.as_deref())?;
    let list = move |read: &mut dyn Read, account: &AccountId| {
        H::find(read, account, &holder)?;
        let names = all(read, H::KIND, account, &holder)?.into_iter().map(|policy| policy.name).collect();
        Ok(page.cut(names, |name: &String| name.to_ascii_lowercase()))
    };
    look(cx, list).await
}

/// All policies of a holder, in the order of their names.
pub fn all<T: Read + ?Sized>(
    read: &mut T,
    kind: crate::model::Kind,
    account: &AccountId,
    holder: &str,
) -> Result<Vec<InlinePolicyRecord>, StoreError> {
    let range = Range::prefix(&keys::inline_policies_of(kind, account, holder));
    let pairs = read.range(&range, Order::Ascending, INLINE_POLICIES_READ_MAX)?;
    pairs.iter().map(|(_, bytes)| InlinePolicyRecord::decode(bytes)).collect()
}

/// Refuses to delete what still has policies.
pub fn check_none<H: Holder>(tx: &mut dyn Tx, account: &AccountId, record: &H) -> Result<(), IamError> {
    if !record.entity().attached.is_empty() {
        return Err(IamError::StillHas("detach all policies"));
    }
    let range = Range::prefix(&keys::inline_policies_of(H::KIND, account, record.name()));
    if tx.range(&range, Order::Ascending, 1)?.is_empty() { Ok(()) } else { Err(IamError::StillHas("delete policies")) }
}

/// Moves the policies of a holder that gets another name.
pub fn rename<H: Holder>(tx: &mut dyn Tx, account: &AccountId, from: &str, to: &str) -> Result<(), IamError> {
    let policies = all(tx, H::KIND, account, from)?;
    for policy in &policies {
        tx.delete(keys::inline_policy(H::KIND, account, from, &policy.name))?;
    }
    for policy in policies {
        policy.save(tx, keys::inline_policy(H::KIND, account, to, &policy.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::limits::{GROUP_POLICIES_CHARACTERS_MAX, USER_POLICIES_CHARACTERS_MAX};
    use crate::model::characters;
    use crate::tests::{Bed, POLICY, document_of, refusal};

    /// The same for users and groups; roles have their tests with their operations.
    #[tokio::test]
    async fn users_and_groups_have_inline_policies_of_bounded_size() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        bed.create_group("staff").await;
        let user = |name: &str, document: String| PutUserPolicyRequest {
            user_name: "ann".to_owned(),
            policy_name: name.to_owned(),
            policy_document: document,
        };
        let group = |name: &str, document: String| PutGroupPolicyRequest {
            group_name: "staff".to_owned(),
            policy_name: name.to_owned(),
            policy_document: document,
        };
        let half = characters(&document_of(USER_POLICIES_CHARACTERS_MAX / 2));
        assert_eq!(half, USER_POLICIES_CHARACTERS_MAX / 2);
        for name in ["a", "b", "a"] {
            bed.run::<PutUserPolicy>(user(name, document_of(half))).await.unwrap();
        }
        let error = refusal(bed.run::<PutUserPolicy>(user("b", document_of(half + 1))).await);
        assert_eq!(error.1, "Maximum policy size of 2048 bytes exceeded for user ann");
        bed.run::<PutGroupPolicy>(group("a", document_of(GROUP_POLICIES_CHARACTERS_MAX))).await.unwrap();
        let error = refusal(bed.run::<PutGroupPolicy>(group("b", POLICY.to_owned())).await);
        assert_eq!(
            error,
            ("LimitExceeded".to_owned(), "Maximum policy size of 5120 bytes exceeded for group staff".to_owned())
        );
    }

    #[tokio::test]
    async fn what_is_missing_is_named_by_its_kind() {
        let bed = Bed::new();
        let get = |policy: &str| GetUserPolicyRequest { user_name: "ann".to_owned(), policy_name: policy.to_owned() };
        assert_eq!(refusal(bed.run::<GetUserPolicy>(get("p")).await).1, "The user with name ann cannot be found.");
        bed.create_user("ann").await;
        let error = refusal(bed.run::<GetUserPolicy>(get("p")).await);
        assert_eq!(error, ("NoSuchEntity".to_owned(), "The user policy with name p cannot be found.".to_owned()));
        bed.create_group("staff").await;
        let delete = DeleteGroupPolicyRequest { group_name: "staff".to_owned(), policy_name: "p".to_owned() };
        let error = refusal(bed.run::<DeleteGroupPolicy>(delete).await);
        assert_eq!(error.1, "The group policy with name p cannot be found.");
    }
}
