//! Lists the tags of an OpenID Connect provider, in the order of their keys.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListOpenIDConnectProviderTags.html>
//! Deviations: none. Errors: NoSuchEntity, InvalidInput (marker).

use crate::Iam;
use crate::api::{
    ListOpenIDConnectProviderTags, ListOpenIDConnectProviderTagsRequest, ListOpenIDConnectProviderTagsResponse,
};
use crate::error::IamError;
use crate::family::tags;
use crate::model::ProviderRecord;
use gust_kit::{Cx, Operation};

impl Operation for ListOpenIDConnectProviderTags {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: ListOpenIDConnectProviderTagsRequest,
    ) -> Result<ListOpenIDConnectProviderTagsResponse, IamError> {
        let listed =
            tags::list::<ProviderRecord>(cx, input.open_id_connect_provider_arn, (input.max_items, input.marker))
                .await?;
        Ok(ListOpenIDConnectProviderTagsResponse {
            is_truncated: listed.is_truncated(),
            tags: listed.items,
            marker: listed.marker,
        })
    }
}
