//! Finds function URLs for those who serve them, and remembers what it found.
//!
//! What is remembered is never stale: every change of a URL, of a policy or of what they belong to ends in
//! [`crate::Catalog::invalidate_urls`], which forgets everything and moves a counter; what was read from the store is
//! only kept if the counter has not moved since before the read. URLs change rarely enough for that.

use crate::attached::{PolicyRecord, UrlOwner, UrlRecord};
use crate::catalog::Catalog;
use crate::error::LambdaError;
use crate::model::{FunctionId, Qualifier};
use crate::rules::{policy, url};
use crate::{keys, limits};
use async_trait::async_trait;
use gust_kit::ports::{FunctionUrl, UrlDirectory};
use gust_store::Read;
use gust_types::{AccountId, AwsError, Region};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The URLs that were found.
#[derive(Default)]
pub struct UrlCache(RwLock<Remembered>);

#[derive(Default)]
struct Remembered {
    changes: u64,
    urls: HashMap<String, FunctionUrl>,
}

impl UrlCache {
    /// Forgets everything.
    pub fn clear(&self) {
        let mut remembered = self.write();
        remembered.changes += 1;
        remembered.urls.clear();
    }

    fn read(&self) -> RwLockReadGuard<'_, Remembered> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Remembered> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a URL, unless anything has changed since `changes` was read.
    fn keep(&self, url: &FunctionUrl, changes: u64) {
        let mut remembered = self.write();
        if remembered.changes != changes {
            return;
        }
        if remembered.urls.len() >= limits::CATALOG_ENTRIES_MAX {
            remembered.urls.clear();
        }
        remembered.urls.insert(url.url_id.clone(), url.clone());
    }
}

#[async_trait]
impl UrlDirectory for Catalog {
    async fn url(&self, url_id: &str) -> Result<Option<FunctionUrl>, AwsError> {
        if !is_url_id(url_id) {
            return Ok(None);
        }
        let changes = {
            let remembered = self.urls().read();
            if let Some(url) = remembered.urls.get(url_id) {
                return Ok(Some(url.clone()));
            }
            remembered.changes
        };
        let id = url_id.to_owned();
        let read = move |snapshot: &mut dyn Read| find(snapshot, &id);
        let found = self.store().read(read).await.map_err(AwsError::from)?;
        if let Some(url) = &found {
            self.urls().keep(url, changes);
        }
        Ok(found)
    }
}

fn is_url_id(text: &str) -> bool {
    text.len() == limits::URL_ID_CHARS && text.bytes().all(|byte| url::ID_ALPHABET.contains(&byte))
}

fn find(read: &mut dyn Read, url_id: &str) -> Result<Option<FunctionUrl>, LambdaError> {
    let Some(bytes) = read.get(&keys::url_id(url_id))? else { return Ok(None) };
    let UrlOwner { account, region, function, qualifier } = keys::decode(&bytes)?;
    let (Some(account), Some(region)) = (AccountId::parse(&account), Region::parse(&region)) else { return Ok(None) };
    let id = FunctionId { account, region, name: function.as_str().into() };
    let alias = qualifier.as_deref().map(Qualifier::parse);
    let Some(bytes) = read.get(&keys::url(&id, alias.as_ref()))? else { return Ok(None) };
    let record: UrlRecord = keys::decode(&bytes)?;
    Ok(Some(FunctionUrl {
        url_id: url_id.to_owned(),
        auth: url::auth(&record),
        invoke_mode: url::invoke_mode(&record),
        cors: record.cors.as_ref().map(url::served_cors),
        resource_policy: policy_text(read, &id, alias.as_ref())?,
        account: id.account,
        region: id.region,
        function,
        qualifier,
    }))
}

/// The policy of a function, a version or an alias, as JSON; `None` if it has none.
pub fn policy_text(
    read: &mut dyn Read,
    id: &FunctionId,
    qualifier: Option<&Qualifier>,
) -> Result<Option<String>, LambdaError> {
    let Some(bytes) = read.get(&keys::policy(id, qualifier))? else { return Ok(None) };
    Ok(Some(policy::text(&keys::decode::<PolicyRecord>(&bytes)?.statements)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        AddPermission, AddPermissionRequest, CreateFunctionUrlConfig, CreateFunctionUrlConfigRequest, DeleteFunction,
        DeleteFunctionRequest, FunctionUrlAuthType, InvokeMode, RemovePermission, RemovePermissionRequest,
        UpdateFunctionUrlConfig, UpdateFunctionUrlConfigRequest,
    };
    use crate::tests::Bed;
    use gust_kit::ports::{UrlAuth, UrlInvokeMode};

    #[tokio::test]
    async fn a_url_is_found_as_it_is_now() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let input = CreateFunctionUrlConfigRequest {
            function_name: "a".into(),
            auth_type: FunctionUrlAuthType::AwsIam,
            ..Default::default()
        };
        let made = bed.run::<CreateFunctionUrlConfig>(input).await.unwrap().function_url;
        let url_id = made.split_once("://").unwrap().1.split('.').next().unwrap().to_owned();
        let catalog = bed.lambda.catalog();
        let found = async || catalog.url(&url_id).await.unwrap();
        let first = found().await.unwrap();
        assert_eq!((first.function.as_str(), first.qualifier.clone(), first.auth), ("a", None, UrlAuth::AwsIam));
        assert_eq!((first.invoke_mode, first.resource_policy.clone()), (UrlInvokeMode::Buffered, None));
        assert_eq!(found().await, Some(first));

        let update = UpdateFunctionUrlConfigRequest {
            function_name: "a".into(),
            invoke_mode: Some(InvokeMode::ResponseStream),
            ..Default::default()
        };
        bed.run::<UpdateFunctionUrlConfig>(update).await.unwrap();
        assert_eq!(found().await.unwrap().invoke_mode, UrlInvokeMode::ResponseStream);
        let permission = AddPermissionRequest {
            function_name: "a".into(),
            statement_id: "all".into(),
            action: "lambda:InvokeFunctionUrl".into(),
            principal: "*".into(),
            ..Default::default()
        };
        bed.run::<AddPermission>(permission).await.unwrap();
        assert!(found().await.unwrap().resource_policy.unwrap().contains(r#""Sid":"all""#));
        let removal =
            RemovePermissionRequest { function_name: "a".into(), statement_id: "all".into(), ..Default::default() };
        bed.run::<RemovePermission>(removal).await.unwrap();
        assert_eq!(found().await.unwrap().resource_policy, None);
        bed.run::<DeleteFunction>(DeleteFunctionRequest { function_name: "a".into(), qualifier: None }).await.unwrap();
        assert_eq!(found().await, None);
        for text in ["", "a", &"A".repeat(32), &"é".repeat(16), &"x".repeat(32)] {
            assert_eq!(catalog.url(text).await.unwrap(), None, "{text}");
        }
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept() {
        let cache = UrlCache::default();
        let url = FunctionUrl {
            url_id: "x".repeat(32),
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            function: "a".into(),
            qualifier: None,
            auth: UrlAuth::None,
            invoke_mode: UrlInvokeMode::Buffered,
            cors: None,
            resource_policy: None,
        };
        cache.clear();
        cache.keep(&url, 0);
        assert!(cache.read().urls.is_empty());
        cache.keep(&url, 1);
        assert_eq!(cache.read().urls.len(), 1);
    }
}
