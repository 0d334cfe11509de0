//! Lists functions in the order of their names, with all their versions if asked to, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>
//! Deviations: MasterRegion (Lambda@Edge) is refused. Errors: InvalidParameterValueException.

use crate::api::{FunctionVersion, ListFunctions, ListFunctionsRequest, ListFunctionsResponse};
use crate::error::{LambdaError, ParameterError};
use crate::model::{FunctionId, FunctionRecord, Qualifier, Version};
use crate::op::list_versions_by_function::{version_of, versions};
use crate::output::{View, configuration};
use crate::{Lambda, keys, limits, lookup, marker};
use gust_kit::{Cx, Operation};
use gust_store::{Key, Order, Range, Read};

impl Operation for ListFunctions {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: ListFunctionsRequest) -> Result<ListFunctionsResponse, LambdaError> {
        if input.master_region.is_some() {
            let reason = "functions are not replicated to the edge.".to_owned();
            return Err(ParameterError::Unsupported { member: "MasterRegion", reason }.into());
        }
        let limit = marker::page_items(input.max_items, limits::LIST_PAGE_MAX);
        let with_versions = input.function_version == Some(FunctionVersion::All);
        let prefix = keys::functions_of(cx.call.account(), &cx.call.region);
        let after = last_of_page_before(cx, input.marker.as_deref())?;
        let read = move |snapshot: &mut dyn Read| match with_versions {
            true => page_with_versions(snapshot, &prefix, after.clone(), limit + 1),
            false => page(snapshot, &prefix, after.as_ref().map(|(id, _)| id), limit + 1),
        };
        let mut page = cx.store().read(read).await?;
        let more = page.len() > limit;
        page.truncate(limit);
        let next_marker = page.last().filter(|_| more).map(|item| {
            let (name, version) = (&item.id.name, item.version);
            marker::marker(&if with_versions { format!("{name}:{version}") } else { name.to_string() })
        });
        let show = |item: &Item| {
            let qualifier = with_versions.then(|| Qualifier::from(item.version));
            configuration(&item.id, item.version, &item.record, qualifier.as_ref(), View::Listed)
        };
        Ok(ListFunctionsResponse { next_marker, functions: Some(page.iter().map(show).collect()) })
    }
}

/// One line of the list.
struct Item {
    id: FunctionId,
    version: Version,
    record: FunctionRecord,
}

/// The function, and the version if all are listed, that a marker names.
fn last_of_page_before(cx: &Cx<Lambda>, marker: Option<&str>) -> Result<Option<(FunctionId, Version)>, LambdaError> {
    let Some(text) = marker::after(marker)? else { return Ok(None) };
    let (name, version) = text.split_once(':').unwrap_or((&text, crate::model::LATEST));
    if name.is_empty() || name.len() > limits::FUNCTION_NAME_CHARS_MAX {
        return Err(ParameterError::MarkerInvalid.into());
    }
    let id = FunctionId { account: cx.call.account().clone(), region: cx.call.region.clone(), name: name.into() };
    Ok(Some((id, version_of(version)?)))
}

/// At most `limit` functions, those behind `after`.
fn page(
    snapshot: &mut dyn Read,
    prefix: &Key,
    after: Option<&FunctionId>,
    limit: usize,
) -> Result<Vec<Item>, LambdaError> {
    let range = match after {
        None => Range::prefix(prefix),
        Some(id) => Range::prefix_after(prefix, &keys::function(id)),
    };
    let pairs = snapshot.range(&range, Order::Ascending, limit)?;
    let mut items = Vec::with_capacity(pairs.len());
    for (key, bytes) in pairs {
        if let Some(id) = keys::function_id(&key) {
            items.push(Item { id, version: Version::Latest, record: keys::decode(&bytes)? });
        }
    }
    Ok(items)
}

/// At most `limit` versions of all functions, those behind `after`.
fn page_with_versions(
    snapshot: &mut dyn Read,
    prefix: &Key,
    after: Option<(FunctionId, Version)>,
    limit: usize,
) -> Result<Vec<Item>, LambdaError> {
    let mut items = Vec::new();
    let add = |items: &mut Vec<Item>, snapshot: &mut dyn Read, id: &FunctionId, latest, after| {
        let found = versions(snapshot, id, latest, after, limit - items.len())?;
        items.extend(found.into_iter().map(|(version, record)| Item { id: id.clone(), version, record }));
        Ok::<(), LambdaError>(())
    };
    // The rest of the function that the page before ended in, unless it was deleted meanwhile.
    if let Some((id, version)) = &after
        && let Some(latest) = lookup::record(snapshot, id, Version::Latest)?
    {
        add(&mut items, snapshot, id, latest, Some(*version))?;
    }
    for item in page(snapshot, prefix, after.as_ref().map(|(id, _)| id), limit)? {
        if items.len() >= limit {
            break;
        }
        add(&mut items, snapshot, &item.id, item.record, None)?;
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    async fn names(bed: &Bed, input: ListFunctionsRequest) -> (Vec<String>, Option<String>) {
        let page = bed.run::<ListFunctions>(input).await.unwrap();
        (
            page.functions.unwrap().into_iter().map(|function| function.function_name.unwrap()).collect(),
            page.next_marker,
        )
    }

    #[tokio::test]
    async fn pages_follow_each_other() {
        let bed = Bed::new().await;
        for name in ["c", "a", "b"] {
            bed.create_active(name).await;
        }
        assert_eq!(names(&bed, Default::default()).await, (vec!["a".to_owned(), "b".into(), "c".into()], None));
        let (first, marker) = names(&bed, ListFunctionsRequest { max_items: Some(2), ..Default::default() }).await;
        assert_eq!(first, ["a", "b"]);
        let (second, end) =
            names(&bed, ListFunctionsRequest { max_items: Some(2), marker, ..Default::default() }).await;
        assert_eq!((second, end), (vec!["c".to_owned()], None));
        let (exact, end) = names(&bed, ListFunctionsRequest { max_items: Some(3), ..Default::default() }).await;
        assert_eq!((exact.len(), end), (3, None));
    }

    #[tokio::test]
    async fn fifty_are_the_most() {
        let bed = Bed::new().await;
        for n in 0..51 {
            bed.create_pending(&format!("f{n:02}")).await;
        }
        let (page, marker) = names(&bed, ListFunctionsRequest { max_items: Some(10_000), ..Default::default() }).await;
        assert_eq!(page.len(), 50);
        assert_eq!(names(&bed, ListFunctionsRequest { marker, ..Default::default() }).await.0, ["f50"]);
    }

    #[tokio::test]
    async fn listed_functions_show_no_state_and_all_versions_show_theirs() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        let plain = bed.run::<ListFunctions>(Default::default()).await.unwrap().functions.unwrap().remove(0);
        assert_eq!((plain.state, plain.last_update_status, plain.runtime_version_config), (None, None, None));
        assert_eq!(plain.function_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:function:a"));
        assert!(plain.code_sha256.is_some() && plain.logging_config.is_some());
        let all = ListFunctionsRequest { function_version: Some(FunctionVersion::All), ..Default::default() };
        let all = bed.run::<ListFunctions>(all).await.unwrap().functions.unwrap().remove(0);
        assert_eq!(all.function_arn.as_deref(), Some("arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST"));
        assert_eq!(all.version.as_deref(), Some("$LATEST"));
    }

    #[tokio::test]
    async fn all_versions_of_all_functions_are_listed_over_pages() {
        let bed = Bed::new().await;
        for name in ["b", "a", "c"] {
            bed.create_active(name).await;
        }
        for content in [&b"1"[..], b"2", b"3"] {
            bed.update_code("a", content).await;
            bed.publish("a").await;
        }
        bed.publish("c").await;
        let all = ["a:$LATEST", "a:1", "a:2", "a:3", "b:$LATEST", "c:$LATEST", "c:1"];
        for size in 1..=8 {
            let (mut listed, mut marker) = (Vec::new(), None);
            loop {
                let input = ListFunctionsRequest {
                    function_version: Some(FunctionVersion::All),
                    max_items: Some(size),
                    marker,
                    ..Default::default()
                };
                let page = bed.run::<ListFunctions>(input).await.unwrap();
                let arns = page.functions.unwrap().into_iter().filter_map(|function| function.function_arn);
                listed.extend(arns.map(|arn| arn.rsplit_once("function:").unwrap().1.to_owned()));
                marker = page.next_marker;
                if marker.is_none() {
                    break;
                }
            }
            assert_eq!(listed, all, "pages of {size}");
        }
    }

    #[tokio::test]
    async fn other_regions_and_accounts_are_not_listed() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        for call in
            [crate::tests::call_in("eu-west-1", "000000000000"), crate::tests::call_in("us-east-1", "111111111111")]
        {
            let page = bed.run_as::<ListFunctions>(call, Default::default()).await.unwrap();
            assert_eq!(page.functions, Some(vec![]));
        }
    }

    #[tokio::test]
    async fn a_foreign_marker_is_refused() {
        let bed = Bed::new().await;
        for marker in ["*", "/w==", &"A".repeat(200)] {
            let input = ListFunctionsRequest { marker: Some(marker.into()), ..Default::default() };
            assert_eq!(bed.refusal::<ListFunctions>(input).await, "The Marker is not valid.");
        }
        let input = ListFunctionsRequest { master_region: Some("ALL".into()), ..Default::default() };
        assert!(bed.refusal::<ListFunctions>(input).await.contains("MasterRegion"));
    }
}
