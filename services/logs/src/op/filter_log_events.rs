//! FilterLogEvents: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html>
//!
//! Streams are always interleaved. A page that took too much searching ends early, perhaps empty, with a token, as
//! AWS's do.

use crate::api::{FilterLogEvents, FilterLogEventsRequest, FilterLogEventsResponse, FilteredLogEvent};
use crate::error::LogsError;
use crate::limits::{BACKWARD_START_MS_MIN, PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use crate::model::{GroupRecord, Position};
use crate::reader::{Query, StreamFilter, scan};
use crate::rules::token::{Direction, FilterToken};
use crate::rules::{event_id, identifier};
use crate::{Logs, catalog, keys};
use gust_filter_pattern::Pattern;
use gust_kit::{Cx, Operation};

impl Operation for FilterLogEvents {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: FilterLogEventsRequest) -> Result<FilterLogEventsResponse, LogsError> {
        let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group_name = identifier::one_of(&cx.call, name, identifier)?;
        let pattern = input.filter_pattern.as_deref().map_or(Ok(Pattern::everything()), Pattern::parse)?;
        let streams = stream_filter(&input)?;
        let (wanted, named) = (group_name.clone(), streams.clone());
        let group = cx.store().read(move |read| {
            let group = catalog::load_group(read, &wanted)?;
            if let StreamFilter::Names(names) = &named {
                let keys: Vec<_> = names.iter().map(|name| keys::stream(&group.id, name)).collect();
                if read.get_many(&keys)?.iter().any(Option::is_none) {
                    return Err(LogsError::StreamNotFound);
                }
            }
            Ok(group)
        });
        let group: GroupRecord = group.await?;
        let now_ms = cx.now_ms();
        let fingerprint = event_id::fingerprint(&group.id, None);
        let token =
            input.next_token.as_deref().map(|text| FilterToken::parse(text, fingerprint, now_ms)).transpose()?;
        let direction = direction(&input, token.as_ref())?;
        let start_ms = input.start_time.unwrap_or(0).max(group.expiry_ms(now_ms));
        let mut after = Position::before(start_ms);
        // Events at endTime are included.
        let mut before = input.end_time.map_or(Position::after(i64::MAX), Position::after);
        if let Some(token) = &token {
            let place = Position { timestamp_ms: token.timestamp_ms, sequence: token.sequence };
            match direction {
                Direction::Forward => after = after.max(place),
                Direction::Backward => before = before.min(place),
            }
        }
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_EVENTS_MAX);
        let (events_max, group_id) = (limit.min(PAGE_EVENTS_MAX), group.id);
        let query = Query {
            group: group_name,
            group_id,
            first_sequence: group.first_sequence,
            after,
            before,
            streams,
            direction,
            events_max,
            bytes_max: PAGE_BYTES_MAX,
            pattern,
        };
        let page = scan(&cx.service.shared, &query).await?;
        let events = page.events.iter().map(|event| FilteredLogEvent {
            log_stream_name: Some(event.stream.to_string()),
            timestamp: Some(event.timestamp_ms),
            message: Some(event.message.clone()),
            ingestion_time: Some(event.ingested_at_ms),
            event_id: Some(event_id::event_id(&query.group_id, event)),
        });
        let token = |place: Position| {
            let Position { timestamp_ms, sequence } = place;
            FilterToken { issued_at_ms: now_ms, fingerprint, direction, timestamp_ms, sequence }.encode()
        };
        Ok(FilterLogEventsResponse {
            events: Some(events.collect()),
            searched_log_streams: Some(Vec::new()),
            next_token: page.next.map(token),
        })
    }
}

fn stream_filter(input: &FilterLogEventsRequest) -> Result<StreamFilter, LogsError> {
    match (&input.log_stream_names, &input.log_stream_name_prefix) {
        (Some(_), Some(_)) => {
            // Inferred wording.
            Err(LogsError::InvalidParameter(
                "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.".to_owned(),
            ))
        }
        (Some(names), None) => Ok(StreamFilter::Names(names.iter().cloned().collect())),
        (None, Some(prefix)) => Ok(StreamFilter::Prefix(prefix.clone())),
        (None, None) => Ok(StreamFilter::All),
    }
}

fn direction(input: &FilterLogEventsRequest, token: Option<&FilterToken>) -> Result<Direction, LogsError> {
    match (token, input.start_from_head) {
        (Some(token), _) => Ok(token.direction),
        (None, Some(false)) if input.start_time.unwrap_or(0) < BACKWARD_START_MS_MIN => {
            // Inferred wording.
            let message = "startFromHead can be false only if startTime is on or after Jan 1, 2024 00:00:00 UTC.";
            Err(LogsError::InvalidParameter(message.to_owned()))
        }
        (None, Some(false)) => Ok(Direction::Backward),
        (None, _) => Ok(Direction::Forward),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{DAY_MS, TOKEN_AGE_MS_MAX};
    use crate::test_support::{Bench, NOW_MS, code_and_message, filter_request};

    async fn bench() -> Bench {
        let bench = Bench::new().await.with_stream().await;
        bench.create_stream("g", "s2").await;
        bench.put("s", &[(NOW_MS, "a INFO"), (NOW_MS + 2, "c ERROR"), (NOW_MS + 4, "e INFO")]).await;
        bench.put("s2", &[(NOW_MS + 1, "b ERROR"), (NOW_MS + 2, "d INFO"), (NOW_MS + 5, "f ERROR")]).await;
        bench
    }

    #[tokio::test]
    async fn streams_are_interleaved_by_time_then_ingestion() {
        let bench = bench().await;
        assert_eq!(bench.messages("g").await, ["a INFO", "b ERROR", "c ERROR", "d INFO", "e INFO", "f ERROR"]);
        let output = bench.run::<FilterLogEvents>(filter_request("g")).await.unwrap();
        assert_eq!(output.searched_log_streams, Some(Vec::new()));
        assert_eq!(output.next_token, None);
        let events = output.events.unwrap();
        let first = &events[0];
        assert_eq!(first.log_stream_name.as_deref(), Some("s"));
        assert_eq!((first.timestamp, first.ingestion_time), (Some(NOW_MS), Some(NOW_MS)));
        let ids: Vec<String> = events.into_iter().map(|event| event.event_id.unwrap()).collect();
        assert!(
            ids.iter().all(|id| id.len() == 56) && ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1])
        );
        let again = bench.crash().await.run::<FilterLogEvents>(filter_request("g")).await.unwrap();
        assert_eq!(again.events.unwrap()[0].event_id.as_ref(), Some(&ids[0]), "ids are stable");
    }

    #[tokio::test]
    async fn pages_follow_each_other_and_the_last_has_no_token() {
        let bench = bench().await;
        let mut input =
            FilterLogEventsRequest { limit: Some(2), filter_pattern: Some("ERROR".to_owned()), ..filter_request("g") };
        let (page, token) = bench.filter(input.clone()).await;
        assert_eq!(page, ["b ERROR", "c ERROR"]);
        input.next_token = token;
        let (page, token) = bench.filter(input.clone()).await;
        assert_eq!((page, token), (vec!["f ERROR".to_owned()], None));
        let exact = FilterLogEventsRequest { limit: Some(3), next_token: None, ..input };
        assert_eq!(bench.filter(exact).await.1, None, "there is no more, and it is known");
    }

    #[tokio::test]
    async fn times_streams_and_prefixes_select() {
        let bench = bench().await;
        let times =
            FilterLogEventsRequest { start_time: Some(NOW_MS + 1), end_time: Some(NOW_MS + 4), ..filter_request("g") };
        assert_eq!(bench.filter(times).await.0, ["b ERROR", "c ERROR", "d INFO", "e INFO"]);
        let names = FilterLogEventsRequest { log_stream_names: Some(vec!["s2".to_owned()]), ..filter_request("g") };
        assert_eq!(bench.filter(names).await.0, ["b ERROR", "d INFO", "f ERROR"]);
        let prefix = |prefix: &str| FilterLogEventsRequest {
            log_stream_name_prefix: Some(prefix.to_owned()),
            ..filter_request("g")
        };
        assert_eq!(bench.filter(prefix("s")).await.0.len(), 6);
        assert_eq!(bench.filter(prefix("s2")).await.0.len(), 3);
        assert_eq!(bench.filter(prefix("x")).await.0.len(), 0);
    }

    #[tokio::test]
    async fn backwards_the_latest_come_first() {
        let bench = Bench::new().await.with_stream().await;
        bench.clock.advance_ms(BACKWARD_START_MS_MIN - NOW_MS + DAY_MS);
        let now_ms = BACKWARD_START_MS_MIN + DAY_MS;
        for n in 0..5 {
            bench.put("s", &[(now_ms + n, &n.to_string())]).await;
        }
        let mut input = FilterLogEventsRequest {
            start_from_head: Some(false),
            start_time: Some(BACKWARD_START_MS_MIN),
            limit: Some(3),
            ..filter_request("g")
        };
        let (page, token) = bench.filter(input.clone()).await;
        assert_eq!(page, ["4", "3", "2"]);
        input.next_token = token;
        input.start_from_head = None;
        assert_eq!(bench.filter(input.clone()).await, (vec!["1".to_owned(), "0".to_owned()], None));
        let early = FilterLogEventsRequest {
            start_from_head: Some(false),
            start_time: Some(BACKWARD_START_MS_MIN - 1),
            next_token: None,
            ..input
        };
        assert_eq!(code_and_message(bench.run::<FilterLogEvents>(early).await).0, "InvalidParameterException");
    }

    #[tokio::test]
    async fn what_is_wrong_is_refused() {
        let bench = bench().await;
        let refused = async |input: FilterLogEventsRequest| code_and_message(bench.run::<FilterLogEvents>(input).await);
        let pattern = FilterLogEventsRequest { filter_pattern: Some("{ $.a }".to_owned()), ..filter_request("g") };
        assert_eq!(
            refused(pattern).await,
            ("InvalidParameterException".to_owned(), "Invalid filter pattern".to_owned())
        );
        let both = FilterLogEventsRequest {
            log_stream_names: Some(vec!["s".to_owned()]),
            log_stream_name_prefix: Some("s".to_owned()),
            ..filter_request("g")
        };
        assert_eq!(refused(both).await.0, "InvalidParameterException");
        let absent = FilterLogEventsRequest {
            log_stream_names: Some(vec!["s".to_owned(), "x".to_owned()]),
            ..filter_request("g")
        };
        assert_eq!(refused(absent).await.1, "The specified log stream does not exist.");
        assert_eq!(refused(filter_request("x")).await.1, "The specified log group does not exist.");
        let token = bench.filter(FilterLogEventsRequest { limit: Some(1), ..filter_request("g") }).await.1.unwrap();
        bench.clock.advance_ms(TOKEN_AGE_MS_MAX + 1);
        let old = FilterLogEventsRequest { next_token: Some(token), ..filter_request("g") };
        assert_eq!(refused(old).await.1, "The specified nextToken is invalid.");
    }
}
