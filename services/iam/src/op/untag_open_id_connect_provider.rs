//! Takes tags of an OpenID Connect provider away.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagOpenIDConnectProvider.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput.

use crate::Iam;
use crate::api::{UntagOpenIDConnectProvider, UntagOpenIDConnectProviderRequest};
use crate::error::IamError;
use crate::family::tags;
use crate::model::ProviderRecord;
use gust_kit::{Cx, Operation};

impl Operation for UntagOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(cx: &Cx<Iam>, input: UntagOpenIDConnectProviderRequest) -> Result<Self::Output, IamError> {
        tags::untag::<ProviderRecord>(cx, input.open_id_connect_provider_arn, input.tag_keys).await?;
        Ok(Self::Output::default())
    }
}
