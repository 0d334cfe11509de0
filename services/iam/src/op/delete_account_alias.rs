//! Takes an account's alias away.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccountAlias.html>
//! Deviations: none. Errors: NoSuchEntity.

use crate::Iam;
use crate::api::{DeleteAccountAlias, DeleteAccountAliasRequest};
use crate::error::IamError;
use crate::family::change;
use crate::keys;
use crate::model::AliasRecord;
use gust_kit::{Cx, Operation};
use gust_store::{Record, Tx};
use gust_types::AccountId;

impl Operation for DeleteAccountAlias {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteAccountAliasRequest) -> Result<Self::Output, IamError> {
        let alias = input.account_alias;
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let own = AliasRecord::load(tx, &keys::alias(account))?;
            if own.is_none_or(|own| own.alias != alias) {
                return Err(IamError::AliasNotFound(alias.clone()));
            }
            tx.delete(keys::alias_owner(&alias))?;
            Ok(tx.delete(keys::alias(account))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
