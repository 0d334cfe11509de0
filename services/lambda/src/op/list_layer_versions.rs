//! Lists the versions of a layer, the newest first, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListLayerVersions.html>
//! Deviations: none. A layer that does not exist has no versions.
//! Errors: InvalidParameterValueException, AccessDeniedException for a layer of another account.

use crate::api::{ListLayerVersions, ListLayerVersionsRequest, ListLayerVersionsResponse};
use crate::error::{LambdaError, ParameterError};
use crate::layer::{LayerId, LayerVersionRecord};
use crate::layers::{Filter, check_owned, listed};
use crate::marker::{after, marker, page_items};
use crate::rules::layer;
use crate::{Lambda, keys, limits};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read};

impl Operation for ListLayerVersions {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: ListLayerVersionsRequest) -> Result<ListLayerVersionsResponse, LambdaError> {
        let id = layer::resolve(&input.layer_name, &cx.call)?;
        check_owned(&id, &cx.call, "ListLayerVersions", None)?;
        let filter = Filter { runtime: input.compatible_runtime, architecture: input.compatible_architecture };
        let limit = page_items(input.max_items, limits::LIST_PAGE_MAX);
        let before = match after(input.marker.as_deref())? {
            Some(text) => Some(text.parse::<u64>().map_err(|_| ParameterError::MarkerInvalid)?),
            None => None,
        };
        let read = {
            let id = id.clone();
            move |snapshot: &mut dyn Read| fitting(snapshot, &id, before, filter, limit + 1)
        };
        let mut versions = cx.store().read(read).await?;
        let more = versions.len() > limit;
        versions.truncate(limit);
        Ok(ListLayerVersionsResponse {
            next_marker: versions.last().filter(|_| more).map(|(version, _)| marker(&version.to_string())),
            layer_versions: Some(versions.iter().map(|(version, record)| listed(&id, *version, record)).collect()),
        })
    }
}

/// How many versions one read takes.
const BATCH: usize = 100;

/// At most `limit` versions before the number `before` that fit, the newest first.
pub(super) fn fitting(
    snapshot: &mut dyn Read,
    id: &LayerId,
    before: Option<u64>,
    filter: Filter,
    limit: usize,
) -> Result<Vec<(u64, LayerVersionRecord)>, LambdaError> {
    let mut range = Range::prefix(&keys::layer_versions_of(id));
    if let Some(before) = before {
        range.end = Some(keys::layer_version(id, before));
    }
    let mut found = Vec::new();
    loop {
        let pairs = snapshot.range(&range, Order::Descending, BATCH)?;
        for (key, bytes) in &pairs {
            let record: LayerVersionRecord = keys::decode(bytes)?;
            if let Some(version) = keys::layer_version_number(key).filter(|_| filter.fits(&record)) {
                found.push((version, record));
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
        match pairs.last() {
            Some((key, _)) if pairs.len() == BATCH => range.end = Some(key.clone()),
            _ => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        Architecture, DeleteLayerVersion, DeleteLayerVersionRequest, PublishLayerVersion, PublishLayerVersionRequest,
        Runtime,
    };
    use crate::tests::{Bed, layer_request};

    async fn numbers(bed: &Bed, input: ListLayerVersionsRequest) -> (Vec<i64>, Option<String>) {
        let page = bed.run::<ListLayerVersions>(input).await.unwrap();
        (page.layer_versions.unwrap().iter().map(|item| item.version.unwrap()).collect(), page.next_marker)
    }

    fn request() -> ListLayerVersionsRequest {
        ListLayerVersionsRequest { layer_name: "l".into(), ..Default::default() }
    }

    #[tokio::test]
    async fn the_newest_come_first_in_pages() {
        let bed = Bed::new().await;
        for _ in 0..4 {
            bed.run::<PublishLayerVersion>(layer_request("l", &[("a", b"x")])).await.unwrap();
        }
        bed.run::<PublishLayerVersion>(layer_request("ll", &[("a", b"x")])).await.unwrap();
        bed.run::<DeleteLayerVersion>(DeleteLayerVersionRequest { layer_name: "l".into(), version_number: 3 })
            .await
            .unwrap();
        assert_eq!(numbers(&bed, request()).await, (vec![4, 2, 1], None));
        let (first, marker) = numbers(&bed, ListLayerVersionsRequest { max_items: Some(2), ..request() }).await;
        assert_eq!(first, [4, 2]);
        assert_eq!(numbers(&bed, ListLayerVersionsRequest { marker, ..request() }).await, (vec![1], None));
        let exact = ListLayerVersionsRequest { max_items: Some(3), ..request() };
        assert_eq!(numbers(&bed, exact).await, (vec![4, 2, 1], None));
        let missing = ListLayerVersionsRequest { layer_name: "missing".into(), ..Default::default() };
        assert_eq!(numbers(&bed, missing).await, (vec![], None));
        for marker in ["*", "YQ"] {
            let input = ListLayerVersionsRequest { marker: Some(marker.into()), ..request() };
            assert_eq!(bed.refusal::<ListLayerVersions>(input).await, "The Marker is not valid.");
        }
    }

    #[tokio::test]
    async fn filters_narrow_the_list() {
        let bed = Bed::new().await;
        for (runtimes, architectures) in [
            (Some(vec![Runtime::Python3_12]), Some(vec![Architecture::X86_64, Architecture::Arm64])),
            (Some(vec![Runtime::Python3_12, Runtime::Python3_13]), Some(vec![Architecture::X86_64])),
            (None, None),
        ] {
            let input = PublishLayerVersionRequest {
                compatible_runtimes: runtimes,
                compatible_architectures: architectures,
                ..layer_request("l", &[("a", b"x")])
            };
            bed.run::<PublishLayerVersion>(input).await.unwrap();
        }
        let of = |compatible_runtime, compatible_architecture| ListLayerVersionsRequest {
            compatible_runtime,
            compatible_architecture,
            ..request()
        };
        assert_eq!(numbers(&bed, of(Some(Runtime::Python3_12), None)).await.0, [2, 1]);
        assert_eq!(numbers(&bed, of(None, Some(Architecture::Arm64))).await.0, [1]);
        assert_eq!(numbers(&bed, of(Some(Runtime::Python3_13), Some(Architecture::Arm64))).await.0, [0i64; 0]);
        assert_eq!(numbers(&bed, of(None, None)).await.0, [3, 2, 1]);
    }
}
