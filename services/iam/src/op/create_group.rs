//! Makes a group.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html>
//! Deviations: none. Errors: EntityAlreadyExists, LimitExceeded.

use crate::Iam;
use crate::api::{CreateGroup, CreateGroupRequest, CreateGroupResponse};
use crate::error::IamError;
use crate::family::{Quota, change, create, new_entity};
use crate::limits::GROUPS_MAX;
use crate::model::{GroupRecord, Kind};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateGroup {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreateGroupRequest) -> Result<CreateGroupResponse, IamError> {
        let group = GroupRecord { entity: new_entity(cx, "AGPA", input.group_name, input.path) };
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            create(tx, account, &group, &GROUPS, |name| IamError::Exists(Kind::Group, name))?;
            Ok(group.show(account))
        };
        Ok(CreateGroupResponse { group: change(cx, create).await? })
    }
}

/// How many groups an account has.
pub(super) const GROUPS: Quota = Quota { name: "GroupsPerAccount", max: GROUPS_MAX, count: |usage| &mut usage.groups };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn an_account_has_a_bounded_number_of_groups() {
        let bed = Bed::new();
        for number in 0..GROUPS_MAX {
            bed.create_group(&format!("g{number}")).await;
        }
        let request = |name: &str| CreateGroupRequest { group_name: name.to_owned(), path: None };
        let error = refusal(bed.run::<CreateGroup>(request("more")).await);
        assert_eq!(error, ("LimitExceeded".to_owned(), "Cannot exceed quota for GroupsPerAccount: 300".to_owned()));
        let error = refusal(bed.run::<CreateGroup>(request("G1")).await);
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), "Group with name G1 already exists.".to_owned()));
        bed.delete_group("g1").await.unwrap();
        bed.run::<CreateGroup>(request("more")).await.unwrap();
    }
}
