//! GetLogEvents: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html>
//!
//! A page is always in the order of time. A token says a place and a direction, which is stronger than
//! `startFromHead`; at either end a token is given back as it came.

use crate::api::{GetLogEvents, GetLogEventsRequest, GetLogEventsResponse, OutputLogEvent};
use crate::error::LogsError;
use crate::limits::{PAGE_BYTES_MAX, PAGE_EVENTS_MAX};
use crate::model::Position;
use crate::reader::{Query, StreamFilter, scan};
use crate::rules::token::{Direction, parse_stream_token, stream_token};
use crate::rules::{event_id, identifier};
use crate::{Logs, catalog, keys};
use gust_filter_pattern::Pattern;
use gust_kit::{Cx, Operation};

impl Operation for GetLogEvents {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: GetLogEventsRequest) -> Result<GetLogEventsResponse, LogsError> {
        let shared = &cx.service.shared;
        let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group_name = identifier::one_of(&cx.call, name, identifier)?;
        let (wanted, stream) = (group_name.clone(), input.log_stream_name.clone());
        let group = cx.store().read(move |read| {
            let group = catalog::load_group(read, &wanted)?;
            let exists = read.get(&keys::stream(&group.id, &stream))?.is_some();
            if exists { Ok(group) } else { Err(LogsError::StreamNotFound) }
        });
        let group = group.await?;
        let fingerprint = event_id::fingerprint(&group.id, Some(&input.log_stream_name));
        let token = input.next_token.as_deref().map(|text| parse_stream_token(text, fingerprint)).transpose()?;
        let mut direction = if input.start_from_head == Some(true) { Direction::Forward } else { Direction::Backward };
        let start_ms = input.start_time.unwrap_or(0).max(group.expiry_ms(cx.now_ms()));
        let mut after = Position::before(start_ms);
        // Events at endTime are not included.
        let mut before = input.end_time.map_or(Position::after(i64::MAX), Position::before);
        if let Some((towards, place)) = token {
            direction = towards;
            match towards {
                Direction::Forward => after = after.max(place),
                Direction::Backward => before = before.min(place),
            }
        }
        let events_max = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_EVENTS_MAX);
        let query = Query {
            group: group_name,
            group_id: group.id,
            first_sequence: group.first_sequence,
            after,
            before,
            streams: StreamFilter::Names([input.log_stream_name].into()),
            direction,
            events_max: events_max.min(PAGE_EVENTS_MAX),
            bytes_max: PAGE_BYTES_MAX,
            pattern: Pattern::everything(),
        };
        let mut page = scan(shared, &query).await?;
        if direction == Direction::Backward {
            page.events.reverse();
        }
        let (backward, forward) = match (page.events.first(), page.events.last()) {
            (Some(first), Some(last)) => (first.position(), last.position()),
            _ => ends_of_nothing(&query, page.next),
        };
        let events = page.events.iter().map(|event| OutputLogEvent {
            timestamp: Some(event.timestamp_ms),
            message: Some(event.message.clone()),
            ingestion_time: Some(event.ingested_at_ms),
        });
        Ok(GetLogEventsResponse {
            events: Some(events.collect()),
            next_forward_token: Some(stream_token(Direction::Forward, forward, fingerprint)),
            next_backward_token: Some(stream_token(Direction::Backward, backward, fingerprint)),
        })
    }
}

/// The places for both tokens of an empty page: the one of the direction stays where it was (or moves to where the
/// search was broken off), the other turns round there.
fn ends_of_nothing(query: &Query, next: Option<Position>) -> (Position, Position) {
    match query.direction {
        Direction::Forward => {
            let place = next.unwrap_or(query.after);
            (Position { sequence: place.sequence.saturating_add(1), ..place }, place)
        }
        Direction::Backward => {
            // Without a bound the search began at the end: what comes later follows where it ended.
            let unbounded = query.before.timestamp_ms == i64::MAX;
            let place = next.unwrap_or(if unbounded { query.after } else { query.before });
            (place, Position { sequence: place.sequence.saturating_sub(1), ..place })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api;
    use crate::test_support::{Bench, NOW_MS, code_and_message, get_request, put_request};

    async fn ten() -> Bench {
        let bench = Bench::new().await.with_stream().await;
        for n in 0..10 {
            bench.put("s", &[(NOW_MS + n / 2, &n.to_string())]).await;
        }
        bench
    }

    fn request(limit: i32, from_head: bool, token: Option<String>) -> GetLogEventsRequest {
        GetLogEventsRequest {
            limit: Some(limit),
            start_from_head: Some(from_head),
            next_token: token,
            ..get_request("s")
        }
    }

    #[tokio::test]
    async fn forward_pages_end_with_the_same_token_and_go_on_from_there() {
        let bench = ten().await;
        let (first, forward, backward) = bench.get(request(4, true, None)).await;
        assert_eq!(first, ["0", "1", "2", "3"]);
        let (before, same, _) = bench.get(request(4, true, Some(backward.clone()))).await;
        assert_eq!(before, [""; 0]);
        assert_eq!(bench.get(request(4, true, Some(same))).await.0, ["0", "1", "2", "3"], "it turns round where it is");
        let (second, forward, _) = bench.get(request(4, true, Some(forward))).await;
        assert_eq!(second, ["4", "5", "6", "7"]);
        let (third, forward, backward) = bench.get(request(4, true, Some(forward))).await;
        assert_eq!(third, ["8", "9"]);
        assert_eq!(bench.get(request(3, true, Some(backward))).await.0, ["5", "6", "7"]);
        let (none, end, back) = bench.get(request(4, true, Some(forward.clone()))).await;
        assert_eq!((none, &end), (Vec::new(), &forward));
        assert_eq!(bench.get(request(2, true, Some(back))).await.0, ["8", "9"]);
        bench.put("s", &[(NOW_MS + 60, "new")]).await;
        assert_eq!(bench.get(request(4, true, Some(end))).await.0, ["new"]);
    }

    #[tokio::test]
    async fn without_start_from_head_the_latest_come_first_in_the_order_of_time() {
        let bench = ten().await;
        let (latest, _, backward) = bench.get(request(3, false, None)).await;
        assert_eq!(latest, ["7", "8", "9"]);
        let (earlier, forward, backward) = bench.get(request(3, false, Some(backward))).await;
        assert_eq!(earlier, ["4", "5", "6"]);
        assert_eq!(bench.get(request(9, false, Some(forward))).await.0, ["7", "8", "9"]);
        let (first, _, backward) = bench.get(request(9, false, Some(backward))).await;
        assert_eq!(first, ["0", "1", "2", "3"]);
        let (none, forward, same) = bench.get(request(9, false, Some(backward.clone()))).await;
        assert_eq!((none, same), (Vec::new(), backward));
        assert_eq!(bench.get(request(1, false, Some(forward))).await.0, ["0"]);
    }

    #[tokio::test]
    async fn an_empty_streams_tokens_find_what_comes_later() {
        let bench = Bench::new().await.with_stream().await;
        for from_head in [true, false] {
            let (none, forward, backward) = bench.get(request(5, from_head, None)).await;
            assert_eq!(none, [""; 0]);
            let (none, same, _) = bench.get(request(5, from_head, Some(forward.clone()))).await;
            assert_eq!((none, &same), (Vec::new(), &forward));
            let (none, _, same) = bench.get(request(5, from_head, Some(backward.clone()))).await;
            assert_eq!((none, same), (Vec::new(), backward));
        }
        let (_, forward, _) = bench.get(request(5, false, None)).await;
        bench.put("s", &[(NOW_MS, "m")]).await;
        assert_eq!(bench.get(request(5, false, Some(forward))).await.0, ["m"]);
    }

    #[tokio::test]
    async fn start_is_inclusive_and_end_exclusive() {
        let bench = ten().await;
        let input =
            GetLogEventsRequest { start_time: Some(NOW_MS + 1), end_time: Some(NOW_MS + 3), ..request(10, true, None) };
        assert_eq!(bench.get(input).await.0, ["2", "3", "4", "5"]);
    }

    #[tokio::test]
    async fn a_page_has_at_most_one_mebibyte() {
        let bench = Bench::new().await.with_stream().await;
        let half = "x".repeat(524_288 - 26);
        for n in 0..3 {
            bench.put("s", &[(NOW_MS + n, &half)]).await;
        }
        let (page, forward, _) =
            bench.get(GetLogEventsRequest { start_from_head: Some(true), ..get_request("s") }).await;
        assert_eq!(page.len(), 2);
        assert_eq!(bench.get(GetLogEventsRequest { next_token: Some(forward), ..get_request("s") }).await.0.len(), 1);
    }

    #[tokio::test]
    async fn bad_tokens_and_absent_things_are_refused() {
        let bench = ten().await;
        bench.create_stream("g", "other").await;
        bench.run::<api::PutLogEvents>(put_request("other", &[(NOW_MS, "m")])).await.unwrap();
        let (_, forward, _) = bench.get(get_request("other")).await;
        for token in ["x".to_owned(), "f/1/s".to_owned(), forward] {
            let (code, message) = code_and_message(bench.run::<GetLogEvents>(request(1, true, Some(token))).await);
            assert_eq!(
                (code.as_str(), message.as_str()),
                ("InvalidParameterException", "The specified nextToken is invalid.")
            );
        }
        let absent = bench.run::<GetLogEvents>(get_request("absent")).await;
        assert_eq!(code_and_message(absent).1, "The specified log stream does not exist.");
        let absent = bench
            .run::<GetLogEvents>(GetLogEventsRequest { log_group_name: Some("x".to_owned()), ..get_request("s") })
            .await;
        assert_eq!(code_and_message(absent).1, "The specified log group does not exist.");
    }
}
