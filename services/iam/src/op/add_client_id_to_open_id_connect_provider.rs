//! Adds an audience to an OpenID Connect provider; once more changes nothing.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_AddClientIDToOpenIDConnectProvider.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{AddClientIDToOpenIDConnectProvider, AddClientIDToOpenIDConnectProviderRequest};
use crate::error::IamError;
use crate::family::edit;
use crate::model::ProviderRecord;
use crate::rules::provider::check_client_ids;
use gust_kit::{Cx, Operation};

impl Operation for AddClientIDToOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: AddClientIDToOpenIDConnectProviderRequest) -> Result<Self::Output, IamError> {
        let client_id = input.client_id;
        let add = move |provider: &mut ProviderRecord| {
            if provider.client_ids.contains(&client_id) {
                return Ok(());
            }
            provider.client_ids.push(client_id.clone());
            check_client_ids(&provider.client_ids)
        };
        edit(cx, input.open_id_connect_provider_arn, add).await?;
        Ok(Self::Output::default())
    }
}
