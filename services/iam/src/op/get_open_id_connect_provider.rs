//! Shows an OpenID Connect provider.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{GetOpenIDConnectProvider, GetOpenIDConnectProviderRequest, GetOpenIDConnectProviderResponse};
use crate::error::IamError;
use crate::family::look;
use crate::model::{Named, ProviderRecord, show_tags, whole_seconds};
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for GetOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: GetOpenIDConnectProviderRequest,
    ) -> Result<GetOpenIDConnectProviderResponse, IamError> {
        let find = move |read: &mut dyn Read, account: &AccountId| {
            ProviderRecord::find(read, account, &input.open_id_connect_provider_arn)
        };
        let provider = look(cx, find).await?;
        Ok(GetOpenIDConnectProviderResponse {
            url: Some(provider.url),
            client_id_list: Some(provider.client_ids),
            thumbprint_list: Some(provider.thumbprints),
            create_date: Some(whole_seconds(provider.created_at_ms)),
            tags: show_tags(&provider.tags),
        })
    }
}
