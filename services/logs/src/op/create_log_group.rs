//! CreateLogGroup: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>
//!
//! The quota of 1,000,000 log groups is not enforced.

use crate::api::{CreateLogGroup, CreateLogGroupRequest, CreateLogGroupResponse};
use crate::error::LogsError;
use crate::model::GroupRecord;
use crate::rules::identifier;
use crate::{Logs, keys};
use gust_kit::{Cx, Operation};
use gust_store::Record;

impl Operation for CreateLogGroup {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: CreateLogGroupRequest) -> Result<CreateLogGroupResponse, LogsError> {
        let name = identifier::by_name(&cx.call, &input.log_group_name);
        if name.name.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("aws/")) {
            return Err(LogsError::InvalidParameter("Log groups starting with AWS/ are reserved for AWS.".to_owned()));
        }
        let id = gust_types::Ids::hex(&*cx.platform().ids, 32);
        let mut record = GroupRecord::new(id, cx.now_ms(), cx.service.shared.sequence.next());
        if let Some(class) = input.log_group_class {
            record.class = class.as_str().to_owned();
        }
        record.kms_key_id = input.kms_key_id;
        record.tags = input.tags.unwrap_or_default();
        record.deletion_protected = input.deletion_protection_enabled.unwrap_or(false);
        let committed = cx.store().transact(move |tx| {
            let key = keys::group(&name);
            if tx.get(&key)?.is_some() {
                return Err(LogsError::GroupExists);
            }
            record.save(tx, key)?;
            tx.delete(keys::grave(&name))?;
            Ok(())
        });
        committed.await?;
        Ok(CreateLogGroupResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Bench, code_and_message};

    fn request(name: &str) -> CreateLogGroupRequest {
        CreateLogGroupRequest { log_group_name: name.to_owned(), ..Default::default() }
    }

    #[tokio::test]
    async fn a_group_is_made_once() {
        let bench = Bench::new().await;
        bench.run::<CreateLogGroup>(request("/aws/lambda/a")).await.unwrap();
        let again = bench.run::<CreateLogGroup>(request("/aws/lambda/a")).await;
        let expected =
            ("ResourceAlreadyExistsException".to_owned(), "The specified log group already exists".to_owned());
        assert_eq!(code_and_message(again), expected);
    }

    #[tokio::test]
    async fn reserved_names_are_refused() {
        let bench = Bench::new().await;
        for name in ["aws/a", "AWS/a"] {
            let (code, _) = code_and_message(bench.run::<CreateLogGroup>(request(name)).await);
            assert_eq!(code, "InvalidParameterException");
        }
        bench.run::<CreateLogGroup>(request("aws")).await.unwrap();
    }
}
