//! Lists functions in the order of their names, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>
//! Deviations: MasterRegion (Lambda@Edge) is refused. Errors: InvalidParameterValueException.

use crate::api::{FunctionVersion, ListFunctions, ListFunctionsRequest, ListFunctionsResponse};
use crate::error::{LambdaError, ParameterError};
use crate::model::{FunctionId, FunctionRecord, Qualifier};
use crate::output::{View, configuration};
use crate::{Lambda, keys, limits};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read};

impl Operation for ListFunctions {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: ListFunctionsRequest) -> Result<ListFunctionsResponse, LambdaError> {
        if input.master_region.is_some() {
            let reason = "functions are not replicated to the edge.".to_owned();
            return Err(ParameterError::Unsupported { member: "MasterRegion", reason }.into());
        }
        let limit = input.max_items.unwrap_or(limits::LIST_PAGE_MAX).clamp(1, limits::LIST_PAGE_MAX);
        let limit = usize::try_from(limit).expect("it was just clamped to positive numbers");
        let range = range_after(cx, input.marker.as_deref())?;
        let read = move |snapshot: &mut dyn Read| page(snapshot, &range, limit);
        let (functions, more) = cx.store().read(read).await?;
        let next_marker = functions.last().filter(|_| more).map(|(id, _)| URL_SAFE_NO_PAD.encode(id.name.as_bytes()));
        // There are no published versions yet: all versions of a function are its $LATEST.
        let qualifier = (input.function_version == Some(FunctionVersion::All)).then_some(Qualifier::Latest);
        let show =
            |(id, record): &(FunctionId, FunctionRecord)| configuration(id, record, qualifier.as_ref(), View::Listed);
        Ok(ListFunctionsResponse { next_marker, functions: Some(functions.iter().map(show).collect()) })
    }
}

fn range_after(cx: &Cx<Lambda>, marker: Option<&str>) -> Result<Range, LambdaError> {
    let prefix = keys::functions_of(cx.call.account(), &cx.call.region);
    let Some(marker) = marker else { return Ok(Range::prefix(&prefix)) };
    let name = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let name =
        name.filter(|name| name.len() <= limits::FUNCTION_NAME_CHARS_MAX).ok_or(ParameterError::MarkerInvalid)?;
    let last = FunctionId { account: cx.call.account().clone(), region: cx.call.region.clone(), name: name.into() };
    Ok(Range::prefix_after(&prefix, &keys::function(&last)))
}

/// At most `limit` functions, and whether there are more.
fn page(
    snapshot: &mut dyn Read,
    range: &Range,
    limit: usize,
) -> Result<(Vec<(FunctionId, FunctionRecord)>, bool), LambdaError> {
    let mut pairs = snapshot.range(range, Order::Ascending, limit + 1)?;
    let more = pairs.len() > limit;
    pairs.truncate(limit);
    let mut functions = Vec::with_capacity(pairs.len());
    for (key, bytes) in pairs {
        if let Some(id) = keys::function_id(&key) {
            functions.push((id, keys::decode(&bytes)?));
        }
    }
    Ok((functions, more))
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
