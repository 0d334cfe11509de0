//! Lists a function's event invoke configs, that of the function first, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionEventInvokeConfigs.html>
//! Deviations: none. Errors: ResourceNotFoundException, InvalidParameterValueException.

use crate::api::{
    ListFunctionEventInvokeConfigs, ListFunctionEventInvokeConfigsRequest, ListFunctionEventInvokeConfigsResponse,
};
use crate::attached::EventConfigRecord;
use crate::error::{AttachedError, LambdaError};
use crate::event_configs::shown;
use crate::marker::{after, marker, page_items};
use crate::model::Qualifier;
use crate::rules::name;
use crate::{Lambda, keys, limits};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Pair, Range, Read};

impl Operation for ListFunctionEventInvokeConfigs {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: ListFunctionEventInvokeConfigsRequest,
    ) -> Result<ListFunctionEventInvokeConfigsResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, None, &cx.call, "ListFunctionEventInvokeConfigs")?;
        let limit = page_items(input.max_items, limits::LIST_PAGE_MAX);
        let after = after(input.marker.as_deref())?;
        let id = reference.id.clone();
        let read = move |snapshot: &mut dyn Read| -> Result<Vec<Pair>, LambdaError> {
            snapshot.get(&keys::function(&id))?.ok_or(AttachedError::NoFunction)?;
            let prefix = keys::event_configs_of(&id);
            let range = match after {
                Some(ref text) => Range::prefix_after(&prefix, &keys::event_config(&id, Some(&Qualifier::parse(text)))),
                None => Range::prefix(&prefix),
            };
            Ok(snapshot.range(&range, Order::Ascending, limit + 1)?)
        };
        let mut pairs = cx.store().read(read).await?;
        let more = pairs.len() > limit;
        pairs.truncate(limit);
        let mut configs = Vec::with_capacity(pairs.len());
        for (key, bytes) in &pairs {
            let record: EventConfigRecord = keys::decode(bytes)?;
            configs.push(shown(&reference.id, keys::attached_qualifier(key).as_ref(), &record));
        }
        let last = pairs.last().filter(|_| more).map(|(key, _)| keys::attached_qualifier(key));
        let next_marker = last.map(|last| marker(&last.unwrap_or(Qualifier::Latest).to_string()));
        Ok(ListFunctionEventInvokeConfigsResponse { function_event_invoke_configs: Some(configs), next_marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{PutFunctionEventInvokeConfig, PutFunctionEventInvokeConfigRequest};
    use crate::tests::Bed;

    #[tokio::test]
    async fn those_of_the_function_are_listed() {
        let bed = Bed::new().await;
        let list = || ListFunctionEventInvokeConfigsRequest { function_name: "a".into(), ..Default::default() };
        assert_eq!(bed.refusal::<ListFunctionEventInvokeConfigs>(list()).await, "The function doesn't exist.");
        for name in ["a", "ab"] {
            bed.create_active(name).await;
            let put = PutFunctionEventInvokeConfigRequest {
                function_name: name.into(),
                maximum_retry_attempts: Some(2),
                ..Default::default()
            };
            bed.run::<PutFunctionEventInvokeConfig>(put).await.unwrap();
        }
        let listed = bed.run::<ListFunctionEventInvokeConfigs>(list()).await.unwrap();
        let arns: Vec<_> =
            listed.function_event_invoke_configs.unwrap().into_iter().map(|it| it.function_arn.unwrap()).collect();
        assert_eq!(arns, ["arn:aws:lambda:us-east-1:000000000000:function:a:$LATEST"]);
        assert_eq!(listed.next_marker, None);
        let marker = ListFunctionEventInvokeConfigsRequest { marker: Some("*".into()), ..list() };
        assert_eq!(bed.refusal::<ListFunctionEventInvokeConfigs>(marker).await, "The Marker is not valid.");
    }
}
