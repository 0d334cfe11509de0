//! Lists an account's OpenID Connect providers.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListOpenIDConnectProviders.html>
//! Deviations: none. Errors: none of its own.

use crate::Iam;
use crate::api::{
    ListOpenIDConnectProviders, ListOpenIDConnectProvidersRequest, ListOpenIDConnectProvidersResponse,
    OpenIDConnectProviderListEntry,
};
use crate::error::IamError;
use crate::family::{list, look};
use crate::model::ProviderRecord;
use gust_kit::{Cx, Operation};
use gust_store::Read;
use gust_types::AccountId;

impl Operation for ListOpenIDConnectProviders {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        _: ListOpenIDConnectProvidersRequest,
    ) -> Result<ListOpenIDConnectProvidersResponse, IamError> {
        let list = |read: &mut dyn Read, account: &AccountId| {
            let providers: Vec<ProviderRecord> = list::all(read, account)?;
            let show = |provider: &ProviderRecord| OpenIDConnectProviderListEntry { arn: Some(provider.arn(account)) };
            Ok(providers.iter().map(show).collect())
        };
        Ok(ListOpenIDConnectProvidersResponse { open_id_connect_provider_list: Some(look(cx, list).await?) })
    }
}
