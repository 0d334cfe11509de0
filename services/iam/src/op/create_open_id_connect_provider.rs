//! Keeps an OpenID Connect provider. Nobody can sign in through it: AssumeRoleWithWebIdentity is not there.
//!
//! AWS: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>
//! Deviations: the provider is not connected to, so that a missing thumbprint stays missing. Errors:
//! EntityAlreadyExists, InvalidInput, LimitExceeded.

use crate::Iam;
use crate::api::{
    CreateOpenIDConnectProvider, CreateOpenIDConnectProviderRequest, CreateOpenIDConnectProviderResponse,
};
use crate::error::IamError;
use crate::family::{Quota, change, create, tags};
use crate::limits::PROVIDERS_MAX;
use crate::model::{ProviderRecord, show_tags};
use crate::rules::provider;
use gust_kit::{Cx, Operation};
use gust_store::Tx;
use gust_types::AccountId;

impl Operation for CreateOpenIDConnectProvider {
    type Service = Iam;
    type Error = IamError;

    async fn run(
        cx: &Cx<Iam>,
        input: CreateOpenIDConnectProviderRequest,
    ) -> Result<CreateOpenIDConnectProviderResponse, IamError> {
        let provider = ProviderRecord {
            url: provider::stored_url(&input.url)?,
            client_ids: provider::checked_client_ids(input.client_id_list)?,
            thumbprints: provider::checked_thumbprints(input.thumbprint_list.unwrap_or_default())?,
            tags: tags::checked(input.tags)?,
            created_at_ms: cx.now_ms(),
        };
        let tags = show_tags(&provider.tags);
        let url = input.url;
        let create = move |tx: &mut dyn Tx, account: &AccountId| {
            create(tx, account, &provider, &PROVIDERS, |_| IamError::ProviderExists(url.clone()))?;
            Ok(provider.arn(account))
        };
        let open_id_connect_provider_arn = Some(change(cx, create).await?);
        Ok(CreateOpenIDConnectProviderResponse { open_id_connect_provider_arn, tags })
    }
}

/// How many OpenID Connect providers an account has.
pub(super) const PROVIDERS: Quota =
    Quota { name: "OpenIdConnectProvidersPerAccount", max: PROVIDERS_MAX, count: |usage| &mut usage.providers };

#[cfg(test)]
mod tests {
    use crate::api::*;
    use crate::tests::{Bed, refusal};

    #[tokio::test]
    async fn a_provider_is_kept_changed_and_removed() {
        let bed = Bed::new();
        let print = "6938fd4d98bab03faadb97b34396831e3780aea1".to_owned();
        let create = CreateOpenIDConnectProviderRequest {
            url: "https://token.actions.githubusercontent.com".to_owned(),
            client_id_list: Some(vec!["sts.amazonaws.com".to_owned()]),
            thumbprint_list: Some(vec![print.clone()]),
            tags: None,
        };
        let made = bed.run::<CreateOpenIDConnectProvider>(create.clone()).await.unwrap();
        let arn = made.open_id_connect_provider_arn.unwrap();
        assert_eq!(arn, "arn:aws:iam::000000000000:oidc-provider/token.actions.githubusercontent.com");
        let error = refusal(bed.run::<CreateOpenIDConnectProvider>(create).await);
        let message = "Provider with url https://token.actions.githubusercontent.com already exists.";
        assert_eq!(error, ("EntityAlreadyExists".to_owned(), message.to_owned()));
        for _ in 0..2 {
            let add = AddClientIDToOpenIDConnectProviderRequest {
                open_id_connect_provider_arn: arn.clone(),
                client_id: "other".to_owned(),
            };
            bed.run::<AddClientIDToOpenIDConnectProvider>(add).await.unwrap();
        }
        let remove = RemoveClientIDFromOpenIDConnectProviderRequest {
            open_id_connect_provider_arn: arn.clone(),
            client_id: "sts.amazonaws.com".to_owned(),
        };
        bed.run::<RemoveClientIDFromOpenIDConnectProvider>(remove).await.unwrap();
        let update = |prints: usize| UpdateOpenIDConnectProviderThumbprintRequest {
            open_id_connect_provider_arn: arn.clone(),
            thumbprint_list: vec![print.clone(); prints],
        };
        bed.run::<UpdateOpenIDConnectProviderThumbprint>(update(5)).await.unwrap();
        let error = refusal(bed.run::<UpdateOpenIDConnectProviderThumbprint>(update(6)).await);
        assert_eq!(error.0, "InvalidInput");
        let get = GetOpenIDConnectProviderRequest { open_id_connect_provider_arn: arn.clone() };
        let shown = bed.run::<GetOpenIDConnectProvider>(get.clone()).await.unwrap();
        assert_eq!(shown.url.as_deref(), Some("token.actions.githubusercontent.com"));
        assert_eq!(shown.client_id_list, Some(vec!["other".to_owned()]));
        assert_eq!(shown.thumbprint_list.unwrap().len(), 5);
        let listed = bed.run::<ListOpenIDConnectProviders>(Default::default()).await.unwrap();
        assert_eq!(listed.open_id_connect_provider_list.unwrap()[0].arn.as_ref(), Some(&arn));
        let delete = DeleteOpenIDConnectProviderRequest { open_id_connect_provider_arn: arn.clone() };
        bed.run::<DeleteOpenIDConnectProvider>(delete).await.unwrap();
        let error = refusal(bed.run::<GetOpenIDConnectProvider>(get).await);
        assert_eq!(error, ("NoSuchEntity".to_owned(), format!("OpenIDConnect Provider not found for arn {arn}")));
    }
}
