//! Gives an account the name by which people know it, in place of the one it had.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccountAlias.html>
//! Deviations: none. Errors: EntityAlreadyExists.

use crate::Iam;
use crate::api::{CreateAccountAlias, CreateAccountAliasRequest};
use crate::error::IamError;
use crate::family::change;
use crate::keys;
use crate::model::AliasRecord;
use bytes::Bytes;
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};
use gust_types::AccountId;

impl Operation for CreateAccountAlias {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: CreateAccountAliasRequest) -> Result<Self::Output, IamError> {
        let alias = input.account_alias;
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            if tx.get(&keys::alias_owner(&alias))?.is_some() {
                return Err(IamError::AliasExists(alias.clone()));
            }
            if let Some(old) = AliasRecord::load(tx, &keys::alias(account))? {
                tx.delete(keys::alias_owner(&old.alias))?;
            }
            tx.put(keys::alias_owner(&alias), Bytes::copy_from_slice(account.as_str().as_bytes()))?;
            Ok(AliasRecord { alias: alias.clone() }.save(tx, keys::alias(account))?)
        };
        change(cx, create).await?;
        Ok(Self::Output::default())
    }
}

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn an_alias_belongs_to_one_account_and_an_account_has_one() {
        let bed = Bed::new();
        let create = |alias: &str| CreateAccountAliasRequest { account_alias: alias.to_owned() };
        let delete = |alias: &str| DeleteAccountAliasRequest { account_alias: alias.to_owned() };
        let aliases = async || bed.run::<ListAccountAliases>(Default::default()).await.unwrap().account_aliases;
        assert!(aliases().await.is_empty());
        bed.run::<CreateAccountAlias>(create("first")).await.unwrap();
        let error = refusal(bed.run_in::<CreateAccountAlias>("111111111111", create("first")).await);
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), "The account alias first already exists.".to_owned()));
        bed.run::<CreateAccountAlias>(create("second")).await.unwrap();
        assert_eq!(aliases().await, ["second"]);
        bed.run_in::<CreateAccountAlias>("111111111111", create("first")).await.unwrap();
        assert_eq!(refusal(bed.run::<DeleteAccountAlias>(delete("first")).await).0, "NoSuchEntity");
        bed.run::<DeleteAccountAlias>(delete("second")).await.unwrap();
        assert!(aliases().await.is_empty());
    }
}
