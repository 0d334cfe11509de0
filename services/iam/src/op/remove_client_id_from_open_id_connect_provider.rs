//! Removes an audience of an OpenID Connect provider; one that is not there does not matter.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_RemoveClientIDFromOpenIDConnectProvider.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{RemoveClientIDFromOpenIDConnectProvider, RemoveClientIDFromOpenIDConnectProviderRequest};
use crate::error::IamError;
use crate::family::edit;
use crate::model::ProviderRecord;
use gust_kit::{Cx, Operation};

impl Operation for RemoveClientIDFromOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: RemoveClientIDFromOpenIDConnectProviderRequest,
    ) -> Result<Self::Output, IamError> {
        let client_id = input.client_id;
        let remove = move |provider: &mut ProviderRecord| {
            provider.client_ids.retain(|kept| *kept != client_id);
            Ok(())
        };
        edit(cx, input.open_id_connect_provider_arn, remove).await?;
        Ok(Self::Output::default())
    }
}
