//! Lists a function's URLs: its own first, then those of its aliases, at most 50 a page.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionUrlConfigs.html>
//! Deviations: those of CreateFunctionUrlConfig. Errors: ResourceNotFoundException, InvalidParameterValueException.

use super::get_function_url_config::shown;
use crate::api::{ListFunctionUrlConfigs, ListFunctionUrlConfigsRequest, ListFunctionUrlConfigsResponse};
use crate::error::{AttachedError, LambdaError};
use crate::marker::{after, marker, page_items};
use crate::model::Qualifier;
use crate::rules::name;
use crate::{Lambda, keys, limits};
use gust_kit::{Cx, Operation};
use gust_store::{Order, Pair, Range, Read};

impl Operation for ListFunctionUrlConfigs {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(
        cx: &Cx<Lambda>,
        input: ListFunctionUrlConfigsRequest,
    ) -> Result<ListFunctionUrlConfigsResponse, LambdaError> {
        let reference = name::resolve(&input.function_name, None, &cx.call, "ListFunctionUrlConfigs")?;
        let limit = page_items(input.max_items, limits::LIST_PAGE_MAX);
        let after = after(input.marker.as_deref())?;
        let id = reference.id.clone();
        let read = move |snapshot: &mut dyn Read| -> Result<Vec<Pair>, LambdaError> {
            snapshot.get(&keys::function(&id))?.ok_or(AttachedError::NoFunctionForUrl)?;
            let prefix = keys::urls_of(&id);
            let range = match after {
                Some(ref text) => Range::prefix_after(&prefix, &keys::url(&id, Some(&Qualifier::parse(text)))),
                None => Range::prefix(&prefix),
            };
            Ok(snapshot.range(&range, Order::Ascending, limit + 1)?)
        };
        let mut pairs = cx.store().read(read).await?;
        let more = pairs.len() > limit;
        pairs.truncate(limit);
        let mut configs = Vec::with_capacity(pairs.len());
        for (key, bytes) in &pairs {
            let qualifier = keys::attached_qualifier(key);
            configs.push(shown(&reference.id, qualifier.as_ref(), &keys::decode(bytes)?, &cx.call.origin));
        }
        let last = pairs.last().filter(|_| more).map(|(key, _)| keys::attached_qualifier(key));
        let next_marker = last.map(|last| marker(&last.unwrap_or(Qualifier::Latest).to_string()));
        Ok(ListFunctionUrlConfigsResponse { function_url_configs: configs, next_marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{CreateFunctionUrlConfig, CreateFunctionUrlConfigRequest, FunctionUrlAuthType};
    use crate::tests::Bed;

    #[tokio::test]
    async fn those_of_the_function_are_listed() {
        let bed = Bed::new().await;
        let list = || ListFunctionUrlConfigsRequest { function_name: "a".into(), ..Default::default() };
        assert_eq!(bed.refusal::<ListFunctionUrlConfigs>(list()).await, "Function does not exist");
        for name in ["a", "ab"] {
            bed.create_active(name).await;
        }
        assert_eq!(bed.run::<ListFunctionUrlConfigs>(list()).await.unwrap().function_url_configs, []);
        for name in ["a", "ab"] {
            let input = CreateFunctionUrlConfigRequest {
                function_name: name.into(),
                auth_type: FunctionUrlAuthType::None,
                ..Default::default()
            };
            bed.run::<CreateFunctionUrlConfig>(input).await.unwrap();
        }
        let listed = bed.run::<ListFunctionUrlConfigs>(list()).await.unwrap();
        assert_eq!((listed.function_url_configs.len(), listed.next_marker), (1, None));
        assert!(listed.function_url_configs[0].function_arn.ends_with(":function:a"));
    }
}
