//! Replaces the thumbprints of an OpenID Connect provider.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateOpenIDConnectProviderThumbprint.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{UpdateOpenIDConnectProviderThumbprint, UpdateOpenIDConnectProviderThumbprintRequest};
use crate::error::IamError;
use crate::family::edit;
use crate::model::ProviderRecord;
use crate::rules::provider::checked_thumbprints;
use gust_kit::{Cx, Operation};

impl Operation for UpdateOpenIDConnectProviderThumbprint {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UpdateOpenIDConnectProviderThumbprintRequest) -> Result<Self::Output, IamError> {
        let thumbprints = checked_thumbprints(input.thumbprint_list)?;
        let update = move |provider: &mut ProviderRecord| {
            provider.thumbprints.clone_from(&thumbprints);
            Ok(())
        };
        edit(cx, input.open_id_connect_provider_arn, update).await?;
        Ok(Self::Output::default())
    }
}
