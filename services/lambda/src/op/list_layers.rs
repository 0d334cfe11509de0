//! Lists layers in the order of their names, each with its newest version that fits, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html>
//! Deviations: none. A layer without a version that fits is not listed. Errors: InvalidParameterValueException.

use super::list_layer_versions::fitting;
use crate::api::{LayersListItem, ListLayers, ListLayersRequest, ListLayersResponse};
use crate::error::LambdaError;
use crate::layer::{LayerId, LayerVersionRecord};
use crate::layers::{Filter, listed};
use crate::marker::{after, marker, page_items};
use crate::{Lambda, keys, limits};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read};
use gust_types::{AccountId, Region};

impl Operation for ListLayers {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: ListLayersRequest) -> Result<ListLayersResponse, LambdaError> {
        let filter = Filter { runtime: input.compatible_runtime, architecture: input.compatible_architecture };
        let limit = page_items(input.max_items, limits::LIST_PAGE_MAX);
        let after = after(input.marker.as_deref())?;
        let (account, region) = (cx.call.account().clone(), cx.call.region.clone());
        let read =
            move |snapshot: &mut dyn Read| page(snapshot, &account, &region, after.as_deref(), filter, limit + 1);
        let mut layers = cx.store().read(read).await?;
        let more = layers.len() > limit;
        layers.truncate(limit);
        let next_marker = layers.last().filter(|_| more).map(|(id, ..)| marker(&id.name));
        let items = layers.iter().map(|(id, version, record)| LayersListItem {
            layer_name: Some(id.name.to_string()),
            layer_arn: Some(id.arn()),
            latest_matching_version: Some(listed(id, *version, record)),
        });
        Ok(ListLayersResponse { next_marker, layers: Some(items.collect()) })
    }
}

/// How many layers one read takes.
const BATCH: usize = 100;

/// At most `limit` layers after the name `after`, each with its newest version that fits.
fn page(
    snapshot: &mut dyn Read,
    account: &AccountId,
    region: &Region,
    after: Option<&str>,
    filter: Filter,
    limit: usize,
) -> Result<Vec<(LayerId, u64, LayerVersionRecord)>, LambdaError> {
    let named = |name: &str| LayerId { account: account.clone(), region: region.clone(), name: name.into() };
    let prefix = keys::layers_of(account, region);
    let mut range = match after {
        Some(name) => Range::prefix_after(&prefix, &keys::layer(&named(name))),
        None => Range::prefix(&prefix),
    };
    let mut found = Vec::new();
    loop {
        let pairs = snapshot.range(&range, Order::Ascending, BATCH)?;
        for (key, _) in &pairs {
            let Some(id) = keys::layer_name(key).map(|name| named(&name)) else { continue };
            if let Some((version, record)) = fitting(snapshot, &id, None, filter, 1)?.pop() {
                found.push((id, version, record));
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
        match pairs.last() {
            Some((key, _)) if pairs.len() == BATCH => range = Range::prefix_after(&prefix, key),
            _ => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        DeleteLayerVersion, DeleteLayerVersionRequest, PublishLayerVersion, PublishLayerVersionRequest, Runtime,
    };
    use crate::tests::{Bed, call_in, layer_request};

    async fn names(bed: &Bed, input: ListLayersRequest) -> (Vec<(String, i64)>, Option<String>) {
        let page = bed.run::<ListLayers>(input).await.unwrap();
        let item =
            |item: LayersListItem| (item.layer_name.unwrap(), item.latest_matching_version.unwrap().version.unwrap());
        (page.layers.unwrap().into_iter().map(item).collect(), page.next_marker)
    }

    #[tokio::test]
    async fn each_is_listed_with_its_newest_version_that_fits() {
        let bed = Bed::new().await;
        let publish = async |name: &str, runtime: Option<Runtime>| {
            let compatible_runtimes = runtime.map(|runtime| vec![runtime]);
            let input = PublishLayerVersionRequest { compatible_runtimes, ..layer_request(name, &[("a", b"x")]) };
            bed.run::<PublishLayerVersion>(input).await.unwrap();
        };
        publish("b", Some(Runtime::Python3_12)).await;
        publish("b", Some(Runtime::Python3_13)).await;
        publish("a", None).await;
        publish("gone", None).await;
        bed.run::<DeleteLayerVersion>(DeleteLayerVersionRequest { layer_name: "gone".into(), version_number: 1 })
            .await
            .unwrap();
        let all = vec![("a".to_owned(), 1), ("b".to_owned(), 2)];
        assert_eq!(names(&bed, Default::default()).await, (all, None));
        let filtered = ListLayersRequest { compatible_runtime: Some(Runtime::Python3_12), ..Default::default() };
        assert_eq!(names(&bed, filtered).await, (vec![("b".to_owned(), 1)], None));
        let (first, marker) = names(&bed, ListLayersRequest { max_items: Some(1), ..Default::default() }).await;
        assert_eq!(first, [("a".to_owned(), 1)]);
        assert_eq!(
            names(&bed, ListLayersRequest { marker, ..Default::default() }).await,
            (vec![("b".to_owned(), 2)], None)
        );
        let other = bed.run_as::<ListLayers>(call_in("us-east-1", "111111111111"), Default::default()).await.unwrap();
        assert_eq!(other.layers, Some(vec![]));
        let input = ListLayersRequest { marker: Some("*".into()), ..Default::default() };
        assert_eq!(bed.refusal::<ListLayers>(input).await, "The Marker is not valid.");
    }
}
