//! DeleteLogStream: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogStream.html>
//!
//! A tombstone hides the stream's events; compaction drops them.

use crate::api::{DeleteLogStream, DeleteLogStreamRequest, DeleteLogStreamResponse};
use crate::error::LogsError;
use crate::rules::identifier;
use crate::{Logs, catalog};
use gust_kit::{Cx, Operation};

impl Operation for DeleteLogStream {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: DeleteLogStreamRequest) -> Result<DeleteLogStreamResponse, LogsError> {
        let group_name = identifier::by_name(&cx.call, &input.log_group_name);
        let sequence = cx.service.shared.sequence.next();
        let committed = cx.store().transact(move |tx| {
            let group = catalog::load_group(tx, &group_name)?;
            if group.deletion_protected {
                // Inferred wording.
                let message =
                    "The specified log group has deletion protection enabled and its log streams cannot be deleted.";
                return Err(LogsError::Validation(message.to_owned()));
            }
            catalog::delete_stream(tx, &group.id, &input.log_stream_name, sequence)
        });
        committed.await?;
        Ok(DeleteLogStreamResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::test_support::{Bench, NOW_MS, code_and_message};

    #[tokio::test]
    async fn a_deleted_streams_events_do_not_come_back_with_a_new_one() {
        let bench = Bench::new().await.with_stream().await;
        bench.create_stream("g", "other").await;
        bench.put("s", &[(NOW_MS, "old")]).await;
        bench.put("other", &[(NOW_MS, "kept")]).await;
        let request = DeleteLogStreamRequest { log_group_name: "g".to_owned(), log_stream_name: "s".to_owned() };
        bench.run::<DeleteLogStream>(request.clone()).await.unwrap();
        let expected = ("ResourceNotFoundException".to_owned(), "The specified log stream does not exist.".to_owned());
        assert_eq!(code_and_message(bench.run::<DeleteLogStream>(request).await), expected);
        assert_eq!(bench.messages("g").await, ["kept"]);
        bench.create_stream("g", "s").await;
        bench.put("s", &[(NOW_MS, "new")]).await;
        assert_eq!(bench.messages("g").await, ["kept", "new"]);
        // Compaction of the closed window drops the hidden event and what it counted for.
        bench.clock.advance_ms(2 * crate::limits::DAY_MS);
        bench.logs.maintain().await.unwrap();
        assert_eq!(bench.segments("g").await, 1);
        assert_eq!(bench.messages("g").await, ["kept", "new"]);
        let groups = bench.run::<api::DescribeLogGroups>(Default::default()).await.unwrap().log_groups.unwrap();
        assert_eq!(groups[0].stored_bytes, Some(2 * 26 + 4 + 3));
    }
}
