//! Lists what is kept ready of a function's versions and aliases, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListProvisionedConcurrencyConfigs.html>
//! Deviations: those of GetProvisionedConcurrencyConfig. Errors: ResourceNotFoundException,
//! InvalidParameterValueException.

use crate::api::{
    ListProvisionedConcurrencyConfigs, ListProvisionedConcurrencyConfigsRequest,
    ListProvisionedConcurrencyConfigsResponse, ProvisionedConcurrencyConfigListItem,
};
use crate::attached::ProvisionedRecord;
use crate::error::LambdaError;
use crate::marker::{after, marker, page_items};
use crate::model::{AliasRecord, Qualifier};
use crate::op::get_provisioned_concurrency_config::{number, status};
use crate::rules::name;
use crate::{Lambda, limits, lookup, output, provisioned};
use gust_kit::{Cx, Operation};
use gust_store::Read;

impl Operation for ListProvisionedConcurrencyConfigs {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: ListProvisionedConcurrencyConfigsRequest,
    ) -> Result<ListProvisionedConcurrencyConfigsResponse, LambdaError> {
        let action = "ListProvisionedConcurrencyConfigs";
        let id = name::resolve(&input.function_name, None, &cx.call, action)?.id;
        let limit = page_items(input.max_items, limits::LIST_PAGE_MAX);
        let after = after(input.marker.as_deref())?;
        type Row = (Qualifier, Option<AliasRecord>, ProvisionedRecord);
        let read = {
            let id = id.clone();
            move |snapshot: &mut dyn Read| -> Result<Vec<Row>, LambdaError> {
                lookup::latest(snapshot, &id, None)?;
                let configs = provisioned::configs_of(snapshot, &id)?;
                let rest = configs
                    .into_iter()
                    .filter(|(qualifier, _)| after.as_ref().is_none_or(|after| qualifier.to_string() > *after));
                let page: Vec<_> = rest.take(limit + 1).collect();
                let with_alias = |(qualifier, config): (Qualifier, ProvisionedRecord)| -> Result<Row, LambdaError> {
                    let alias = match &qualifier {
                        Qualifier::Alias(name) => lookup::alias(snapshot, &id, name)?,
                        _ => None,
                    };
                    Ok((qualifier, alias, config))
                };
                page.into_iter().map(with_alias).collect()
            }
        };
        let mut rows = cx.store().read(read).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_marker = rows.last().filter(|_| more).map(|(qualifier, ..)| marker(&qualifier.to_string()));
        let item = |(qualifier, alias, config): &Row| {
            let progress = cx.service.progress(&id, qualifier, alias.as_ref(), config);
            let (status, status_reason) = status(&progress);
            ProvisionedConcurrencyConfigListItem {
                function_arn: Some(id.qualified_arn(Some(qualifier))),
                requested_provisioned_concurrent_executions: number(config.executions),
                available_provisioned_concurrent_executions: number(progress.ready),
                allocated_provisioned_concurrent_executions: number(progress.ready),
                status: Some(status),
                status_reason,
                last_modified: Some(output::date_of_seconds(config.modified_at_ms)),
            }
        };
        let configs = rows.iter().map(item).collect();
        Ok(ListProvisionedConcurrencyConfigsResponse { provisioned_concurrency_configs: Some(configs), next_marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PutProvisionedConcurrencyConfig, PutProvisionedConcurrencyConfigRequest};
    use crate::tests::Bed;

    #[tokio::test]
    async fn those_of_the_function_are_listed_in_pages() {
        let bed = Bed::new().await;
        let list = |max_items: Option<i32>, marker: Option<String>| ListProvisionedConcurrencyConfigsRequest {
            function_name: "a".into(),
            max_items,
            marker,
        };
        let missing = bed.refusal::<ListProvisionedConcurrencyConfigs>(list(None, None)).await;
        assert_eq!(missing, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a");
        for name in ["a", "ab"] {
            bed.create_active(name).await;
            bed.publish(name).await;
        }
        let none = bed.run::<ListProvisionedConcurrencyConfigs>(list(None, None)).await.unwrap();
        assert_eq!(none.provisioned_concurrency_configs, Some(Vec::new()));
        bed.update_code("a", b"two").await;
        bed.publish("a").await;
        bed.create_alias("a", "prod", "2", None).await;
        for (name, qualifier) in [("a", "prod"), ("a", "1"), ("ab", "1")] {
            let put = PutProvisionedConcurrencyConfigRequest {
                function_name: name.into(),
                qualifier: qualifier.into(),
                provisioned_concurrent_executions: 1,
            };
            bed.run::<PutProvisionedConcurrencyConfig>(put).await.unwrap();
        }
        let (mut seen, mut marker) = (Vec::new(), None);
        loop {
            let page = bed.run::<ListProvisionedConcurrencyConfigs>(list(Some(1), marker)).await.unwrap();
            let arns = page.provisioned_concurrency_configs.unwrap().into_iter().map(|it| it.function_arn.unwrap());
            seen.extend(arns.map(|arn| arn.rsplit(':').next().unwrap().to_owned()));
            marker = page.next_marker;
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["1", "prod"]);
        let bad = bed.refusal::<ListProvisionedConcurrencyConfigs>(list(None, Some("*".into()))).await;
        assert_eq!(bad, "The Marker is not valid.");
    }
}
