//! DeleteLogGroup: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html>
//!
//! The group is gone at once; its segments are swept in the background, after a restart too.

use crate::api::{DeleteLogGroup, DeleteLogGroupRequest, DeleteLogGroupResponse};
use crate::catalog;
use crate::error::LogsError;
use crate::rules::identifier;
use crate::worker::maintenance::Task;
use crate::{Logs, keys};
use bytes::Bytes;
use gust_kit::{Cx, Operation};

impl Operation for DeleteLogGroup {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: DeleteLogGroupRequest) -> Result<DeleteLogGroupResponse, LogsError> {
        let name = identifier::by_name(&cx.call, &input.log_group_name);
        let deleted = name.clone();
        // What functions have written until now belongs to this group, also if it is not committed yet.
        let sequence = cx.service.shared.sequence.next();
        let committed = cx.store().transact(move |tx| {
            let group = catalog::load_group(tx, &deleted)?;
            if group.deletion_protected {
                // Inferred wording.
                let message = "The specified log group has deletion protection enabled and cannot be deleted.";
                return Err(LogsError::Validation(message.to_owned()));
            }
            tx.delete(keys::group(&deleted))?;
            tx.put(keys::doomed(&group.id), Bytes::new())?;
            tx.put(keys::grave(&deleted), sequence.to_be_bytes().to_vec().into())?;
            Ok(())
        });
        committed.await?;
        cx.service.shared.buffer.discard(&name);
        // If the worker's list is full, its next round finds the group.
        let _ = cx.service.shared.tasks.try_send(Task::Sweep);
        Ok(DeleteLogGroupResponse {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::test_support::{Bench, NOW_MS, code_and_message, noise};
    use std::time::Duration;

    fn request() -> DeleteLogGroupRequest {
        DeleteLogGroupRequest { log_group_name: "g".to_owned() }
    }

    #[tokio::test]
    async fn a_group_goes_with_all_it_had_and_a_new_one_is_empty() {
        let bench = Bench::new().await.with_stream().await;
        bench.put("s", &[(NOW_MS, "old")]).await;
        bench.put("s", &[(NOW_MS, &noise(1, 200_000))]).await;
        bench.write("g", "s", &[(NOW_MS, "waiting")]);
        bench.run::<DeleteLogGroup>(request()).await.unwrap();
        let expected = ("ResourceNotFoundException".to_owned(), "The specified log group does not exist.".to_owned());
        assert_eq!(code_and_message(bench.run::<DeleteLogGroup>(request()).await), expected);
        let bench = bench.with_stream().await;
        assert_eq!(bench.messages("g").await, [""; 0]);
        // Nothing of the old group is left in the stores.
        let swept = async {
            loop {
                let range = gust_store::Range::prefix(&gust_store::Table(0x0204).key());
                let bodies =
                    bench.store.read(move |read| read.range(&range, gust_store::Order::Ascending, 10)).await.unwrap();
                if bodies.is_empty() && bench.blobs.list(keys::BLOBS, None, 10).await.unwrap().is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), swept).await.unwrap();
    }

    #[tokio::test]
    async fn protection_keeps_a_group() {
        let bench = Bench::new().await.with_stream().await;
        let protect = |enabled| api::PutLogGroupDeletionProtectionRequest {
            log_group_identifier: "g".to_owned(),
            deletion_protection_enabled: enabled,
        };
        bench.run::<api::PutLogGroupDeletionProtection>(protect(true)).await.unwrap();
        assert_eq!(code_and_message(bench.run::<DeleteLogGroup>(request()).await).0, "ValidationException");
        let stream = api::DeleteLogStreamRequest { log_group_name: "g".to_owned(), log_stream_name: "s".to_owned() };
        assert_eq!(code_and_message(bench.run::<api::DeleteLogStream>(stream).await).0, "ValidationException");
        bench.run::<api::PutLogGroupDeletionProtection>(protect(false)).await.unwrap();
        bench.run::<DeleteLogGroup>(request()).await.unwrap();
    }

    #[tokio::test]
    async fn lines_that_were_under_way_do_not_make_the_group_anew() {
        let bench = Bench::new().await.with_stream().await;
        let shared = &bench.logs.shared;
        // The writer holds a line of the group when it is deleted.
        bench.write("g", "live", &[(NOW_MS, "old")]);
        let lines = vec![gust_kit::ports::LogLine { timestamp_ms: NOW_MS, message: "old".to_owned() }];
        bench.run::<DeleteLogGroup>(request()).await.unwrap();
        let grave = keys::grave(&crate::test_support::group_name("g"));
        assert!(bench.store.read(move |read| read.get(&grave)).await.unwrap().is_some());
        bench.committed().await;
        assert_eq!(code_and_message(bench.run::<DeleteLogGroup>(request()).await).0, "ResourceNotFoundException");
        // A later line makes it.
        shared.buffer.write(&crate::test_support::group_name("g"), &"live".into(), lines, NOW_MS, &shared.sequence);
        bench.committed().await;
        assert_eq!(bench.messages("g").await, ["old"]);
    }

    /// In every interleaving of writer and deletion the group stays gone.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn deletion_wins_against_the_writer() {
        let bench = Bench::with(crate::Settings { flush_ms: 0, ..crate::Settings::default() }).await;
        for n in 0..200 {
            bench.write("g", "live", &[(NOW_MS + n, "line")]);
            while bench.run::<DeleteLogGroup>(request()).await.is_err() {
                tokio::task::yield_now().await;
            }
            bench.committed().await;
            let again = bench.run::<DeleteLogGroup>(request()).await;
            assert_eq!(code_and_message(again).0, "ResourceNotFoundException", "{n}");
        }
    }
}
