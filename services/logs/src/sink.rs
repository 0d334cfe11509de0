//! Functions' output: the `LogSink` port.

use crate::Logs;
use crate::buffer::Written;
use crate::model::GroupName;
use gust_kit::ports::{LogDestination, LogLine, LogSink};

impl LogSink for Logs {
    fn write(&self, destination: &LogDestination, lines: Vec<LogLine>) {
        let LogDestination { account, region, group, stream } = destination;
        let group = GroupName { account: account.clone(), region: region.clone(), name: group.clone() };
        let shared = &self.shared;
        let count = lines.len();
        if count == 0 {
            return;
        }
        match shared.buffer.write(&group, stream, lines, shared.platform.now_ms(), &shared.sequence) {
            // Followers hear of the first line at once and of the others with the commit, so that the topics' lock is
            // not taken for each line.
            Written::First => shared.platform.store.wake(&group.topic()),
            Written::More => {}
            Written::Refused => {
                tracing::warn!(group = %group.name, lines = count, "log lines came after the log service was closed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Settings;
    use crate::test_support::{Bench, NOW_MS, filter_request};
    use std::time::Duration;

    #[tokio::test]
    async fn group_and_stream_come_with_the_first_line_and_lines_are_readable_at_once() {
        let bench = Bench::new().await;
        bench.write("/aws/lambda/f", "stream", &[(NOW_MS, "first")]);
        bench.committed().await;
        assert_eq!(bench.messages("/aws/lambda/f").await, ["first"]);
        bench.write("/aws/lambda/f", "stream", &[(NOW_MS + 1, "second"), (NOW_MS + 1, "third")]);
        assert_eq!(bench.messages("/aws/lambda/f").await, ["first", "second", "third"], "before they are committed");
        bench.logs.close().await;
        let bench = bench.crash().await;
        assert_eq!(bench.messages("/aws/lambda/f").await, ["first", "second", "third"], "close commits");
    }

    #[tokio::test]
    async fn lines_of_one_flush_are_one_segment_and_small_segments_are_merged() {
        let bench = Bench::with(Settings { flush_ms: 50, ..Settings::default() }).await;
        for n in 0..1_000 {
            bench.write("g", if n % 2 == 0 { "a" } else { "b" }, &[(NOW_MS + n, "line")]);
        }
        bench.committed().await;
        assert!(bench.segments("g").await <= 3, "never a record per line");
        for n in 0..40 {
            bench.write("g", "a", &[(NOW_MS + n, "later")]);
            bench.committed().await;
        }
        let merged = async {
            while bench.segments("g").await > 20 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), merged).await.expect("compaction follows the writer");
        assert_eq!(bench.messages("g").await.len(), 1_040);
    }

    #[tokio::test]
    async fn a_flood_drops_the_oldest_lines_and_says_so() {
        let settings = Settings { flush_ms: 3_600_000, group_bytes_max: 100 * 1_024, ..Settings::default() };
        let bench = Bench::with(settings).await;
        bench.create_group("g").await;
        let line = "x".repeat(896);
        for n in 0..300 {
            bench.write("g", "s", &[(NOW_MS + n, &format!("{n:04}{}", &line[4..]))]);
        }
        assert_eq!(bench.messages("g").await.len(), 100, "1 KiB each with its overhead");
        bench.logs.close().await;
        let messages = bench.messages("g").await;
        assert_eq!(messages.len(), 101);
        let told = messages.iter().find(|message| message.starts_with("[gust]")).unwrap();
        assert_eq!(told, "[gust] 200 log lines were dropped: they came faster than they could be written");
        assert!(messages.last().unwrap().starts_with("0299"), "the newest are kept");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_cut_at_a_character() {
        let bench = Bench::new().await;
        bench.create_group("g").await;
        bench.write("g", "s", &[(NOW_MS, &"é".repeat(600_000))]);
        let messages = bench.messages("g").await;
        assert_eq!(messages[0].len(), (crate::limits::EVENT_BYTES_MAX - 26) / 2 * 2);
    }

    #[tokio::test]
    async fn followers_are_woken() {
        let bench = Bench::new().await;
        let call = crate::test_support::call();
        let mut follower = bench.logs.subscribe(call.account(), &call.region, "g");
        bench.write("g", "s", &[(NOW_MS, "m")]);
        tokio::time::timeout(Duration::from_secs(20), follower.woken()).await.unwrap();
    }

    #[tokio::test]
    async fn a_crash_loses_what_waits_and_nothing_else_and_its_blobs_are_collected() {
        let bench = Bench::with(Settings { flush_ms: 3_600_000, ..Settings::default() }).await.with_stream().await;
        bench.put("s", &[(NOW_MS, "kept")]).await;
        bench.write("g", "live", &[(NOW_MS, "lost")]);
        // A blob of this start whose transaction never came.
        let orphan = crate::keys::blob(bench.logs.shared.sequence.next());
        bench.blobs.put_named(&orphan, "torn").await.unwrap();
        let bench = bench.crash().await;
        assert_eq!(bench.messages("g").await, ["kept"]);
        let collected = async {
            while bench.blobs.exists(&orphan).await.unwrap() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), collected).await.expect("orphans are collected at start");
        assert_eq!(bench.messages(filter_request("g").log_group_name.as_deref().unwrap()).await, ["kept"]);
    }
}
