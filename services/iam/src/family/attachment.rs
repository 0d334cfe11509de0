//! Managed policies attached to roles, users and groups.

use super::{change, list, look};
use crate::Iam;
use crate::api::AttachedPolicy;
use crate::error::IamError;
use crate::limits::ATTACHED_POLICIES_MAX;
use crate::model::{GroupRecord, Holder, PolicyRecord, RoleRecord, UserRecord, Uses};
use crate::rules::managed;
use crate::rules::page::{Listed, Page};
use gust_kit::Cx;
use gust_store::{Read, StoreError, Tx};
use gust_types::AccountId;
use std::collections::HashMap;

/// Attaches a policy; once more changes nothing.
pub async fn attach<H: Holder>(cx: &Cx<Iam>, holder: String, arn: String) -> Result<(), IamError> {
    let attach = move |tx: &mut dyn Tx, account: &AccountId| {
        let owner = managed::owner(&arn)?;
        let mut record = H::find(tx, account, &holder)?;
        record.check_modifiable()?;
        let exists = match owner.as_str() {
            "aws" => managed::is_attachable(&arn)?,
            _ => PolicyRecord::existing(tx, account, &arn)?.is_some(),
        };
        if !exists {
            return Err(IamError::PolicyDoesNotExist(arn.clone()));
        }
        let attached = &mut record.entity_mut().attached;
        if attached.contains(&arn) {
            return Ok(());
        }
        if attached.len() >= ATTACHED_POLICIES_MAX {
            return Err(IamError::Quota { quota: H::KIND.attached_quota(), max: ATTACHED_POLICIES_MAX });
        }
        attached.push(arn.clone());
        record.keep(tx, account)
    };
    change(cx, attach).await
}

/// Detaches a policy.
pub async fn detach<H: Holder>(cx: &Cx<Iam>, holder: String, arn: String) -> Result<(), IamError> {
    let detach = move |tx: &mut dyn Tx, account: &AccountId| {
        managed::owner(&arn)?;
        let mut record = H::find(tx, account, &holder)?;
        record.check_modifiable()?;
        let attached = &mut record.entity_mut().attached;
        let at = attached.iter().position(|attached| *attached == arn);
        attached.remove(at.ok_or_else(|| IamError::PolicyNotFound(arn.clone()))?);
        record.keep(tx, account)
    };
    change(cx, detach).await
}

/// Lists the attached policies whose path begins with `path`.
pub async fn list<H: Holder>(
    cx: &Cx<Iam>,
    holder: String,
    path: Option<String>,
    page: (Option<i32>, Option<String>),
) -> Result<Listed<AttachedPolicy>, IamError> {
    let page = Page::new(page.0, page.1.as_deref())?;
    let list = move |read: &mut dyn Read, account: &AccountId| {
        let mut arns = H::find(read, account, &holder)?.entity().attached.clone();
        arns.sort_unstable();
        arns.retain(|arn| managed::path_and_name(arn).0.starts_with(path.as_deref().unwrap_or("/")));
        Ok(page.cut(arns, String::clone).map(|arn| show(&arn)))
    };
    look(cx, list).await
}

/// An attached policy as responses show it.
pub fn show(arn: &str) -> AttachedPolicy {
    AttachedPolicy { policy_name: Some(managed::path_and_name(arn).1.to_owned()), policy_arn: Some(arn.to_owned()) }
}

/// How often each managed policy is used in an account. Nothing else keeps count, so that no count can be wrong.
pub fn uses<T: Read + ?Sized>(read: &mut T, account: &AccountId) -> Result<HashMap<String, Uses>, StoreError> {
    let mut uses = HashMap::new();
    count::<RoleRecord, T>(read, account, &mut uses)?;
    count::<UserRecord, T>(read, account, &mut uses)?;
    count::<GroupRecord, T>(read, account, &mut uses)?;
    Ok(uses)
}

fn count<H: Holder, T: Read + ?Sized>(
    read: &mut T,
    account: &AccountId,
    uses: &mut HashMap<String, Uses>,
) -> Result<(), StoreError> {
    for record in list::all::<H, T>(read, account)? {
        let entity = record.entity();
        for arn in &entity.attached {
            uses.entry(arn.clone()).or_default().attached += 1;
        }
        if let Some(arn) = &entity.permissions_boundary {
            uses.entry(arn.clone()).or_default().boundaries += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn own_policies_are_attached_to_users_and_groups() {
        let bed = Bed::new();
        bed.create_user("ann").await;
        bed.create_group("staff").await;
        let arn = bed.create_policy("mine").await.arn.unwrap();
        let user = AttachUserPolicyRequest { user_name: "ann".to_owned(), policy_arn: arn.clone() };
        let group = AttachGroupPolicyRequest { group_name: "staff".to_owned(), policy_arn: arn.clone() };
        for _ in 0..2 {
            bed.run::<AttachUserPolicy>(user.clone()).await.unwrap();
            bed.run::<AttachGroupPolicy>(group.clone()).await.unwrap();
        }
        let get = GetPolicyRequest { policy_arn: arn.clone() };
        let policy = bed.run::<GetPolicy>(get).await.unwrap().policy.unwrap();
        assert_eq!((policy.attachment_count, policy.permissions_boundary_usage_count), (Some(2), Some(0)));
        let list = ListAttachedUserPoliciesRequest { user_name: "ann".to_owned(), ..Default::default() };
        let listed = bed.run::<ListAttachedUserPolicies>(list).await.unwrap().attached_policies.unwrap();
        assert_eq!((listed.len(), listed[0].policy_arn.as_ref()), (1, Some(&arn)));
        let detach = DetachUserPolicyRequest { user_name: "ann".to_owned(), policy_arn: arn.clone() };
        bed.run::<DetachUserPolicy>(detach.clone()).await.unwrap();
        assert_eq!(refusal(bed.run::<DetachUserPolicy>(detach).await).0, "NoSuchEntity");
        let detach = DetachGroupPolicyRequest { group_name: "staff".to_owned(), policy_arn: arn.clone() };
        bed.run::<DetachGroupPolicy>(detach).await.unwrap();
        bed.run::<DeletePolicy>(DeletePolicyRequest { policy_arn: arn }).await.unwrap();
        let error = refusal(bed.run::<AttachUserPolicy>(user).await);
        assert!(error.1.ends_with("does not exist or is not attachable."), "{}", error.1);
    }
}
