//! IAM's roles for those who let somebody act in one (the port `RoleDirectory`).

use crate::model::{Holder, Named, RoleRecord};
use async_trait::async_trait;
use gust_kit::ports::{RoleDirectory, RoleSummary};
use gust_store::{Read, Record, Store, StoreError};
use gust_types::{AccountId, Arn};

/// The roles in a store.
#[derive(Clone)]
pub struct Roles {
    store: Store,
}

impl Roles {
    /// The roles in `store`.
    pub fn new(store: Store) -> Roles {
        Roles { store }
    }
}

#[async_trait]
impl RoleDirectory for Roles {
    async fn role(&self, role_arn: &str) -> Result<Option<RoleSummary>, StoreError> {
        let Some((account, name)) = parts(role_arn) else { return Ok(None) };
        let wanted = role_arn.to_owned();
        let find = move |read: &mut dyn Read| -> Result<Option<RoleSummary>, StoreError> {
            let role = RoleRecord::load(read, &RoleRecord::key(&account, &name))?;
            Ok(role.filter(|role| role.arn(&account) == wanted).map(|role| RoleSummary {
                arn: wanted.clone(),
                role_id: role.entity.id,
                max_session_duration_s: role.max_session_duration_s,
                trust_policy: role.trust_policy,
                tags: role.entity.tags,
            }))
        };
        self.store.read(find).await
    }
}

/// Account and name of a role's ARN.
fn parts(role_arn: &str) -> Option<(AccountId, String)> {
    let arn: Arn = role_arn.parse().ok()?;
    let name = arn.resource.strip_prefix("role/")?.rsplit('/').next()?;
    let is_role = arn.service == "iam" && arn.region.is_empty() && !name.is_empty();
    is_role.then_some((AccountId::parse(&arn.account)?, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn roles_are_found_by_their_whole_arn() {
        let bed = Bed::new();
        bed.create_role_at("/team/", "worker").await;
        let roles = Roles::new(bed.store());
        let found = roles.role("arn:aws:iam::000000000000:role/team/worker").await.unwrap().unwrap();
        assert!(found.role_id.starts_with("AROA"));
        assert_eq!(found.max_session_duration_s, 3_600);
        for arn in [
            "arn:aws:iam::000000000000:role/worker",
            "arn:aws:iam::000000000000:role/team/other",
            "arn:aws:iam::111111111111:role/team/worker",
            "arn:aws:iam::000000000000:user/worker",
            "arn:aws:sts::000000000000:role/team/worker",
            "worker",
            "",
        ] {
            assert_eq!(roles.role(arn).await.unwrap(), None, "{arn}");
        }
    }
}
