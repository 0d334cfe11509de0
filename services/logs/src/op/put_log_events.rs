//! PutLogEvents: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>
//!
//! Answers when the events are on disk; batches that come together share a commit.

use crate::api::{PutLogEvents, PutLogEventsRequest, PutLogEventsResponse};
use crate::buffer::NewEvent;
use crate::error::LogsError;
use crate::model::{GroupRecord, Position};
use crate::rules::{batch, event_id, identifier};
use crate::{Logs, catalog, keys};
use gust_kit::{Cx, Operation};

impl Operation for PutLogEvents {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, mut input: PutLogEventsRequest) -> Result<PutLogEventsResponse, LogsError> {
        let shared = &cx.service.shared;
        let group_name = identifier::by_name(&cx.call, &input.log_group_name);
        let (wanted, stream) = (group_name.clone(), input.log_stream_name.clone());
        let found = cx.store().read(move |read| {
            let group = catalog::load_group(read, &wanted)?;
            let stream = read.get(&keys::stream(&group.id, &stream))?;
            Ok::<(GroupRecord, bool), LogsError>((group, stream.is_some()))
        });
        let (group, stream_exists) = found.await?;
        let now_ms = cx.now_ms();
        let verdict = batch::judge(&input.log_events, now_ms, group.expiry_ms(now_ms))?;
        if !stream_exists {
            return Err(LogsError::StreamNotFound);
        }
        let fingerprint = event_id::fingerprint(&group.id, Some(&input.log_stream_name));
        let accepted = input.log_events.drain(verdict.accepted);
        let events: Vec<NewEvent> =
            accepted.map(|event| NewEvent { timestamp_ms: event.timestamp, message: event.message }).collect();
        if !events.is_empty() {
            let stream = input.log_stream_name.into();
            let (done, permit) = shared.buffer.put(&group_name, stream, events, now_ms, &shared.sequence).await?;
            // The writer answers everybody; it has only gone away when gust stops.
            done.await.map_err(|_| LogsError::Unavailable)??;
            drop(permit);
        }
        let place = Position { timestamp_ms: now_ms, sequence: shared.sequence.next() };
        Ok(PutLogEventsResponse {
            next_sequence_token: Some(event_id::digits(place, fingerprint)),
            rejected_log_events_info: verdict.rejected,
            rejected_entity_info: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::EVENT_FUTURE_MS_MAX;
    use crate::test_support::{Bench, NOW_MS, code_and_message, get_request, put_request};

    #[tokio::test]
    async fn acknowledged_events_survive_a_crash() {
        let bench = Bench::new().await.with_stream().await;
        for n in 0..20 {
            let message = format!("event {n}");
            let output = bench.put("s", &[(NOW_MS + n, &message)]).await;
            assert_eq!(output.next_sequence_token.unwrap().len(), 56);
            assert_eq!(output.rejected_log_events_info, None);
        }
        let bench = bench.crash().await;
        let expected: Vec<String> = (0..20).map(|n| format!("event {n}")).collect();
        assert_eq!(bench.messages("g").await, expected);
        // Sequences go on where they were, so that order and ids stay unique.
        bench.put("s", &[(NOW_MS + 19, "after")]).await;
        assert_eq!(bench.messages("g").await.last().unwrap(), "after");
    }

    #[tokio::test]
    async fn rejected_events_are_told_of_and_the_rest_is_stored() {
        let bench = Bench::new().await.with_stream().await;
        let output = bench.put("s", &[(0, "old"), (NOW_MS, "now"), (NOW_MS + EVENT_FUTURE_MS_MAX + 1, "future")]).await;
        let rejected = output.rejected_log_events_info.unwrap();
        assert_eq!((rejected.too_old_log_event_end_index, rejected.too_new_log_event_start_index), (Some(1), Some(2)));
        assert_eq!(bench.messages("g").await, ["now"]);
        let output = bench.put("s", &[(0, "old")]).await;
        assert!(output.rejected_log_events_info.is_some());
        assert_eq!(bench.messages("g").await, ["now"]);
    }

    #[tokio::test]
    async fn group_and_stream_must_be_there() {
        let bench = Bench::new().await;
        let put = || bench.run::<PutLogEvents>(put_request("s", &[(NOW_MS, "m")]));
        let expected = ("ResourceNotFoundException".to_owned(), "The specified log group does not exist.".to_owned());
        assert_eq!(code_and_message(put().await), expected);
        bench.create_group("g").await;
        let expected = ("ResourceNotFoundException".to_owned(), "The specified log stream does not exist.".to_owned());
        assert_eq!(code_and_message(put().await), expected);
        bench.create_stream("g", "s").await;
        put().await.unwrap();
    }

    #[tokio::test]
    async fn any_sequence_token_is_taken() {
        let bench = Bench::new().await.with_stream().await;
        let mut request = put_request("s", &[(NOW_MS, "m")]);
        request.sequence_token = Some("nonsense".to_owned());
        bench.run::<PutLogEvents>(request.clone()).await.unwrap();
        bench.run::<PutLogEvents>(request).await.unwrap();
        assert_eq!(bench.messages("g").await, ["m", "m"]);
    }

    #[tokio::test]
    async fn a_full_disk_is_a_503_and_what_fits_is_still_taken() {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::with_full_disk(folder.path(), crate::Settings::default()).await.with_stream().await;
        let large = crate::test_support::noise(1, 200_000);
        let refused = bench.run::<PutLogEvents>(put_request("s", &[(NOW_MS, &large)])).await;
        assert_eq!(code_and_message(refused).0, "ServiceUnavailableException");
        assert_eq!(bench.messages("g").await, [""; 0], "what was refused is not there");
        bench.write("f", "s", &[(NOW_MS, &large)]);
        bench.put("s", &[(NOW_MS, "small")]).await;
        assert_eq!(bench.messages("g").await, ["small"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_writers_at_once_lose_nothing() {
        let bench = std::sync::Arc::new(Bench::new().await.with_stream().await);
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let bench = bench.clone();
                tokio::spawn(async move {
                    for n in 0..25 {
                        let message = format!("{writer}/{n}");
                        bench.put("s", &[(NOW_MS + n, &message)]).await;
                        // What was acknowledged is there at once.
                        let (messages, ..) = bench.get(get_request("s")).await;
                        assert!(messages.contains(&message), "{message}");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let mut found = bench.messages("g").await;
        assert_eq!(found.len(), 200);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 200);
    }

    #[tokio::test]
    async fn after_close_nothing_is_taken() {
        let bench = Bench::new().await.with_stream().await;
        bench.logs.close().await;
        let refused = bench.run::<PutLogEvents>(put_request("s", &[(NOW_MS, "m")])).await;
        assert_eq!(code_and_message(refused).0, "ServiceUnavailableException");
    }
}
