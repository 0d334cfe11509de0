//! Lists a function's aliases in the order of their names, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListAliases.html>
//! Deviations: FunctionVersion selects by the aliases' own version; whether AWS also looks at the other one that they
//! route to is not documented. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::Lambda;
use crate::api::{ListAliases, ListAliasesRequest, ListAliasesResponse};
use crate::error::LambdaError;
use crate::model::{AliasRecord, FunctionId};
use crate::rules::{aliases, name};
use crate::{keys, limits, lookup, marker, output};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Range, Read};

impl Operation for ListAliases {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, input: ListAliasesRequest) -> Result<ListAliasesResponse, LambdaError> {
        let id = name::resolve_unqualified(&input.function_name, &cx.call, "ListAliases")?;
        let limit = marker::page_items(input.max_items, limits::LIST_PAGE_MAX);
        let after = marker::after(input.marker.as_deref())?;
        let version = input.function_version.as_deref().map(|text| aliases::version(&id, text)).transpose()?;
        let read = {
            let id = id.clone();
            move |snapshot: &mut dyn Read| -> Result<Vec<(String, AliasRecord)>, LambdaError> {
                lookup::latest(snapshot, &id, None)?;
                let wanted = |alias: &AliasRecord| version.is_none_or(|number| alias.number == number);
                page(snapshot, &id, after.clone(), limit + 1, wanted)
            }
        };
        let mut page = cx.store().read(read).await?;
        let more = page.len() > limit;
        page.truncate(limit);
        let next_marker = page.last().filter(|_| more).map(|(name, _)| marker::marker(name));
        let aliases = page.iter().map(|(name, alias)| output::alias(&id, name, alias)).collect();
        Ok(ListAliasesResponse { next_marker, aliases: Some(aliases) })
    }
}

/// At most `limit` aliases that are wanted, those behind the one called `after`.
fn page(
    read: &mut dyn Read,
    id: &FunctionId,
    mut after: Option<String>,
    limit: usize,
    wanted: impl Fn(&AliasRecord) -> bool,
) -> Result<Vec<(String, AliasRecord)>, LambdaError> {
    let prefix = keys::aliases_of(id);
    let mut found = Vec::new();
    loop {
        let range = match &after {
            None => Range::prefix(&prefix),
            Some(name) => Range::prefix_after(&prefix, &keys::alias(id, name)),
        };
        let pairs = read.range(&range, Order::Ascending, limits::READ_BATCH)?;
        let is_last = pairs.len() < limits::READ_BATCH;
        for (key, bytes) in pairs {
            let Some(name) = keys::alias_name(&key) else { continue };
            let alias = keys::decode::<AliasRecord>(&bytes)?;
            after = Some(name.clone());
            if wanted(&alias) {
                found.push((name, alias));
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn pages_follow_each_other_and_versions_select() {
        let bed = Bed::new().await;
        bed.create_active("a").await;
        bed.publish("a").await;
        for (name, version) in [("c", "1"), ("a", "$LATEST"), ("d", "1"), ("b", "1")] {
            bed.create_alias("a", name, version, None).await;
        }
        let request = |marker, max_items, version: Option<&str>| ListAliasesRequest {
            function_name: "a".into(),
            function_version: version.map(str::to_owned),
            marker,
            max_items,
        };
        let names = |page: &ListAliasesResponse| -> Vec<String> {
            page.aliases.iter().flatten().filter_map(|alias| alias.name.clone()).collect()
        };
        let all = bed.run::<ListAliases>(request(None, None, None)).await.unwrap();
        assert_eq!((names(&all), all.next_marker), (["a", "b", "c", "d"].map(str::to_owned).to_vec(), None));
        let first = bed.run::<ListAliases>(request(None, Some(2), Some("1"))).await.unwrap();
        assert_eq!(names(&first), ["b", "c"]);
        let second = bed.run::<ListAliases>(request(first.next_marker, Some(2), Some("1"))).await.unwrap();
        assert_eq!((names(&second), second.next_marker), (vec!["d".to_owned()], None));
        let latest = bed.run::<ListAliases>(request(None, None, Some("$LATEST"))).await.unwrap();
        assert_eq!(names(&latest), ["a"]);
        let refusal = bed.refusal::<ListAliases>(request(Some("*".into()), None, None)).await;
        assert_eq!(refusal, "The Marker is not valid.");
        let missing = ListAliasesRequest { function_name: "b".into(), ..Default::default() };
        assert!(bed.refusal::<ListAliases>(missing).await.starts_with("Function not found: "));
    }
}
