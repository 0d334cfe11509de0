//! Sets tags of an OpenID Connect provider.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagOpenIDConnectProvider.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{TagOpenIDConnectProvider, TagOpenIDConnectProviderRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::ProviderRecord;
use gust_kit::{Cx, Operation};

impl Operation for TagOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: TagOpenIDConnectProviderRequest) -> Result<Self::Output, IamError> {
        tags::tag::<ProviderRecord>(cx, input.open_id_connect_provider_arn, input.tags).await?;
        Ok(Self::Output::default())
    }
}
