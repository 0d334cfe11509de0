//! Shows an account's limits and what it uses of them.
//!
//! AWS: <https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html>
//! Deviations: none. Errors: none of its own.

use crate::Lambda;
use crate::api::{
    AccountLimit, AccountUsage, GetAccountSettings, GetAccountSettingsRequest, GetAccountSettingsResponse,
};
use crate::error::LambdaError;
use crate::model::Usage;
use crate::{keys, limits};
use gust_kit::{Cx, Operation};

impl Operation for GetAccountSettings {
    type Service = Lambda;
    type Error = LambdaError;

    async fn run(cx: &Cx<Lambda>, _: GetAccountSettingsRequest) -> Result<GetAccountSettingsResponse, LambdaError> {
        let key = keys::usage(cx.call.account(), &cx.call.region);
        let read = move |snapshot: &mut dyn gust_store::Read| -> Result<Usage, LambdaError> {
            Ok(snapshot.get(&key)?.map_or(Ok(Usage::default()), |bytes| keys::decode(&bytes))?)
        };
        let usage = cx.store().read(read).await?;
        let number = |value: u64| Some(i64::try_from(value).unwrap_or(i64::MAX));
        let concurrency = cx.service.settings.concurrent_executions;
        // As AWS does it, what is provisioned beside reservations is not unreserved either.
        let reserved = i32::try_from(usage.reserved + usage.provisioned).unwrap_or(i32::MAX);
        Ok(GetAccountSettingsResponse {
            account_limit: Some(AccountLimit {
                total_code_size: number(limits::CODE_STORAGE_BYTES_MAX),
                code_size_unzipped: number(limits::UNZIPPED_BYTES_MAX),
                code_size_zipped: number(limits::ZIP_BYTES_MAX as u64),
                concurrent_executions: Some(concurrency),
                // Less than nothing if the account's limit was lowered after that much had been reserved.
                unreserved_concurrent_executions: Some(concurrency.saturating_sub(reserved).max(0)),
            }),
            account_usage: Some(AccountUsage {
                total_code_size: number(usage.code_bytes),
                function_count: number(usage.functions),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bed;

    #[tokio::test]
    async fn limits_are_those_of_aws_and_usage_is_real() {
        let bed = Bed::new().await;
        let settings = bed.run::<GetAccountSettings>(Default::default()).await.unwrap();
        let limit = settings.account_limit.unwrap();
        assert_eq!(limit.total_code_size, Some(80_530_636_800));
        assert_eq!((limit.code_size_unzipped, limit.code_size_zipped), (Some(262_144_000), Some(52_428_800)));
        assert_eq!((limit.concurrent_executions, limit.unreserved_concurrent_executions), (Some(1_000), Some(1_000)));
        let nothing = AccountUsage { total_code_size: Some(0), function_count: Some(0) };
        assert_eq!(settings.account_usage, Some(nothing));

        bed.create_active("a").await;
        bed.create_active("b").await;
        let usage = bed.run::<GetAccountSettings>(Default::default()).await.unwrap().account_usage.unwrap();
        let each = crate::tests::create_request("a").code.zip_file.unwrap().len() as i64;
        assert_eq!((usage.function_count, usage.total_code_size), (Some(2), Some(2 * each)));
    }
}
