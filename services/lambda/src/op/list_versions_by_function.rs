//! Lists a function's versions: `$LATEST`, then the published ones in the order of their numbers, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::api::{ListVersionsByFunction, ListVersionsByFunctionRequest, ListVersionsByFunctionResponse};
use crate::error::{LambdaError, ParameterError};
use crate::model::{FunctionId, FunctionRecord, Qualifier, Version, VersionRecord};
use crate::output::{View, configuration};
use crate::rules::name;
use crate::{Lambda, keys, limits, lookup, marker};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read};

impl Operation for ListVersionsByFunction {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: ListVersionsByFunctionRequest,
    ) -> Result<ListVersionsByFunctionResponse, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "ListVersionsByFunction")?;
        let limit = marker::page_items(input.max_items, limits::LIST_PAGE_MAX);
        let after = match marker::after(input.marker.as_deref())? {
            None => None,
            Some(text) => Some(version_of(&text)?),
        };
        let read = {
            let id = id.clone();
            move |snapshot: &mut dyn Read| -> Result<Vec<(Version, FunctionRecord)>, LambdaError> {
                let latest = lookup::latest(snapshot, &id, None)?;
                versions(snapshot, &id, latest, after, limit + 1)
            }
        };
        let mut page = cx.store().read(read).await?;
        let more = page.len() > limit;
        page.truncate(limit);
        let next_marker = page.last().filter(|_| more).map(|(version, _)| marker::marker(&version.to_string()));
        let show = |(version, record): &(Version, FunctionRecord)| {
            configuration(&id, *version, record, Some(&Qualifier::from(*version)), View::Listed)
        };
        Ok(ListVersionsByFunctionResponse { next_marker, versions: Some(page.iter().map(show).collect()) })
    }
}

/// The version in a marker.
pub fn version_of(text: &str) -> Result<Version, LambdaError> {
    match Qualifier::parse(text) {
        Qualifier::Latest => Ok(Version::Latest),
        Qualifier::Number(number) => Ok(Version::Number(number)),
        Qualifier::Alias(_) | Qualifier::Other(_) => Err(ParameterError::MarkerInvalid.into()),
    }
}

/// At most `limit` versions of a function, those behind `after`.
pub fn versions(
    read: &mut dyn Read,
    id: &FunctionId,
    latest: FunctionRecord,
    after: Option<Version>,
    limit: usize,
) -> Result<Vec<(Version, FunctionRecord)>, LambdaError> {
    let mut versions = Vec::new();
    let number = match after {
        None => {
            versions.push((Version::Latest, latest));
            0
        }
        Some(Version::Latest) => 0,
        Some(Version::Number(number)) => number,
    };
    let range = Range::prefix_after(&keys::versions_of(id), &keys::version(id, number));
    for (key, bytes) in read.range(&range, Order::Ascending, limit.saturating_sub(versions.len()))? {
        if let Some(number) = keys::version_number(&key) {
            versions.push((Version::Number(number), keys::decode::<VersionRecord>(&bytes)?.function));
        }
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    async fn page(bed: &Bed, marker: Option<String>, max_items: i32) -> (Vec<String>, Option<String>) {
        let max_items = Some(max_items);
        let input = ListVersionsByFunctionRequest { function_name: "a".into(), marker, max_items };
        let page = bed.run::<ListVersionsByFunction>(input).await.unwrap();
        let versions = page.versions.unwrap();
        for version in &versions {
            let arn = format!(
                "arn:aws:lambda:us-east-1:000000000000:function:a:{}",
                version.version.as_deref().unwrap_or_default()
            );
            assert_eq!(version.function_arn.as_deref(), Some(arn.as_str()));
            assert_eq!((version.state, version.last_update_status), (None, None));
        }
        (versions.into_iter().filter_map(|version| version.version).collect(), page.next_marker)
    }

    #[tokio::test]
    async fn pages_follow_each_other() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.create_active("ab").await;
        bed.publish("ab").await;
        assert_eq!(page(&bed, None, 1).await, (vec!["$LATEST".to_owned()], None));
        for number in 1..=11 {
            bed.update_code("a", number.to_string().as_bytes()).await;
            bed.publish("a").await;
        }
        let (mut all, mut marker) = page(&bed, None, 1).await;
        assert_eq!(all, ["$LATEST"]);
        while marker.is_some() {
            let (next, after) = page(&bed, marker, 4).await;
            all.extend(next);
            marker = after;
        }
        assert_eq!(all[1..], (1..=11).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(page(&bed, None, 12).await.1, None);
    }

    #[tokio::test]
    async fn refusals() {
        let bed = Bed::new().await;
        let request = |name: &str, marker: Option<&str>| ListVersionsByFunctionRequest {
            function_name: name.into(),
            marker: marker.map(str::to_owned),
            max_items: None,
        };
        assert!(bed.refusal::<ListVersionsByFunction>(request("a", None)).await.starts_with("Function not found: "));
        bed.create_active("a").await;
        for marker in ["*", &marker::marker("prod"), &marker::marker("0")] {
            let refusal = bed.refusal::<ListVersionsByFunction>(request("a", Some(marker))).await;
            assert_eq!(refusal, "The Marker is not valid.");
        }
    }
}
