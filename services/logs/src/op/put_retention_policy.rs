//! PutRetentionPolicy: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
//!
//! Expired events are invisible at once; whole days of them are deleted by the hourly maintenance.

use crate::api::{PutRetentionPolicy, PutRetentionPolicyRequest, PutRetentionPolicyResponse};
use crate::error::LogsError;
use crate::limits::RETENTION_DAYS;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for PutRetentionPolicy {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: PutRetentionPolicyRequest) -> Result<PutRetentionPolicyResponse, LogsError> {
        let days = input.retention_in_days;
        if !RETENTION_DAYS.contains(&days) {
            let message = format!(
                "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: \
                 Member must satisfy enum value set: {RETENTION_DAYS:?}"
            );
            return Err(LogsError::InvalidParameter(message));
        }
        let name = identifier::by_name(&cx.call, &input.log_group_name);
        catalog::update_group(cx.store(), &name, move |group| {
            group.retention_days = Some(days);
            Ok(())
        })
        .await?;
        Ok(PutRetentionPolicyResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::limits::DAY_MS;
    use crate::test_support::{Bench, NOW_MS, code_and_message};

    fn request(days: i32) -> PutRetentionPolicyRequest {
        PutRetentionPolicyRequest { log_group_name: "g".to_owned(), retention_in_days: days }
    }

    #[tokio::test]
    async fn retention_hides_at_once_and_deletes_whole_days() {
        let bench = Bench::new().await.with_stream().await;
        bench.put("s", &[(NOW_MS - 5 * DAY_MS, "five days old")]).await;
        bench.put("s", &[(NOW_MS - 2 * DAY_MS, "two days old")]).await;
        bench.put("s", &[(NOW_MS, "new")]).await;
        assert_eq!(bench.segments("g").await, 3);
        bench.run::<PutRetentionPolicy>(request(3)).await.unwrap();
        assert_eq!(bench.messages("g").await, ["two days old", "new"]);
        bench.logs.maintain().await.unwrap();
        assert_eq!(bench.segments("g").await, 2);
        bench.clock.advance_ms(4 * DAY_MS);
        assert_eq!(bench.messages("g").await, [""; 0]);
        bench.logs.maintain().await.unwrap();
        assert_eq!(bench.segments("g").await, 0);
        let groups = bench.run::<api::DescribeLogGroups>(Default::default()).await.unwrap().log_groups.unwrap();
        assert_eq!((groups[0].stored_bytes, groups[0].retention_in_days), (Some(0), Some(3)));
        let delete = api::DeleteRetentionPolicyRequest { log_group_name: "g".to_owned() };
        bench.run::<api::DeleteRetentionPolicy>(delete).await.unwrap();
        let groups = bench.run::<api::DescribeLogGroups>(Default::default()).await.unwrap().log_groups.unwrap();
        assert_eq!(groups[0].retention_in_days, None);
    }

    #[tokio::test]
    async fn other_periods_and_absent_groups_are_refused() {
        let bench = Bench::new().await;
        for days in [-1, 0, 2, 3_654] {
            assert_eq!(
                code_and_message(bench.run::<PutRetentionPolicy>(request(days)).await).0,
                "InvalidParameterException"
            );
        }
        assert_eq!(code_and_message(bench.run::<PutRetentionPolicy>(request(3)).await).0, "ResourceNotFoundException");
    }
}
