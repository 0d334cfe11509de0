//! Removes an OpenID Connect provider.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteOpenIDConnectProvider.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use super::create_open_id_connect_provider::PROVIDERS;
use crate::Iam;
use crate::api::{DeleteOpenIDConnectProvider, DeleteOpenIDConnectProviderRequest};
use crate::error::IamError;
use crate::family::change;
use crate::model::{Named, ProviderRecord};
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for DeleteOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: DeleteOpenIDConnectProviderRequest) -> Result<Self::Output, IamError> {
        let delete = move |tx: &mut dyn Tx, account: &AccountId| {
            let provider = ProviderRecord::find(tx, account, &input.open_id_connect_provider_arn)?;
            PROVIDERS.give_back(tx, account)?;
            Ok(tx.delete(ProviderRecord::key(account, provider.name()))?)
        };
        change(cx, delete).await?;
        Ok(Self::Output::default())
    }
}
