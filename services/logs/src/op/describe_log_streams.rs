//! DescribeLogStreams: <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html>

use crate::api::{DescribeLogStreams, DescribeLogStreamsRequest, DescribeLogStreamsResponse, LogStream, OrderBy};
use crate::error::LogsError;
use crate::limits::PAGE_ITEMS_MAX;
use crate::model::{GroupName, Position, StreamRecord};
use crate::rules::token::{opaque, parse_opaque};
use crate::rules::{event_id, identifier};
use crate::{Logs, catalog, keys};
use gust_kit::{Cx, Operation};
use gust_store::{Key, Order, Range, Read, Record};
use serde::{Deserialize, Serialize};

/// Where the last page ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    /// The last stream.
    name: String,
    /// Its place in the order of time, if that is the order.
    last_ms: Option<i64>,
}

impl Operation for DescribeLogStreams {
    type Service = Logs;
    type Error = LogsError;

    async fn run(cx: &Cx<Logs>, input: DescribeLogStreamsRequest) -> Result<DescribeLogStreamsResponse, LogsError> {
        let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
        let group = identifier::one_of(&cx.call, name, identifier)?;
        let by_time = input.order_by == Some(OrderBy::LastEventTime);
        if by_time && input.log_stream_name_prefix.is_some() {
            return Err(LogsError::InvalidParameter(
                "Cannot order by LastEventTime with a logStreamNamePrefix.".to_owned(),
            ));
        }
        let token: Option<Token> = input.next_token.as_deref().map(parse_opaque).transpose()?;
        if token.as_ref().is_some_and(|token| token.last_ms.is_some() != by_time) {
            return Err(LogsError::invalid_token());
        }
        let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE_ITEMS_MAX);
        let listing = Listing {
            group,
            prefix: input.log_stream_name_prefix.unwrap_or_default(),
            order: if input.descending == Some(true) { Order::Descending } else { Order::Ascending },
            token,
            limit: limit.min(PAGE_ITEMS_MAX),
        };
        let read = cx.store().read(move |read| if by_time { listing.by_time(read) } else { listing.by_name(read) });
        read.await
    }
}

struct Listing {
    group: GroupName,
    prefix: String,
    order: Order,
    token: Option<Token>,
    limit: usize,
}

impl Listing {
    fn by_name(self, read: &mut dyn Read) -> Result<DescribeLogStreamsResponse, LogsError> {
        let id = catalog::load_group(read, &self.group)?.id;
        let range = keys::streams_with_prefix(&id, &self.prefix);
        let last = self.token.as_ref().map(|token| keys::stream(&id, &token.name));
        let mut range = self.beyond(range, last);
        let mut records = Vec::new();
        // A long prefix stands in keys by its head only, so that a page may take several steps.
        loop {
            let found = read.range(&range, self.order, self.limit + 1)?;
            for (_, value) in &found {
                let record = StreamRecord::decode(value)?;
                if record.name.starts_with(&self.prefix) {
                    records.push(record);
                }
            }
            match found.last() {
                Some((last, _)) if found.len() > self.limit && records.len() <= self.limit => {
                    range = self.beyond(range, Some(last.clone()));
                }
                _ => return Ok(self.page(records, |record| Token { name: record.name.clone(), last_ms: None })),
            }
        }
    }

    fn by_time(self, read: &mut dyn Read) -> Result<DescribeLogStreamsResponse, LogsError> {
        let id = catalog::load_group(read, &self.group)?.id;
        let token = self.token.as_ref();
        let last = token.map(|token| keys::stream_by_time(&id, token.last_ms.unwrap_or(0), &token.name));
        let range = self.beyond(Range::prefix(&keys::streams_by_time(&id)), last);
        let found = read.range(&range, self.order, self.limit + 1)?;
        let streams: Vec<Key> = found.iter().filter_map(|(key, _)| keys::stream_of_time(&id, key)).collect();
        let mut records = Vec::new();
        for value in read.get_many(&streams)?.into_iter().flatten() {
            records.push(StreamRecord::decode(&value)?);
        }
        Ok(self.page(records, |record| Token { name: record.name.clone(), last_ms: Some(last_ms(record)) }))
    }

    /// What of `range` comes after `last` in the order of the listing.
    fn beyond(&self, mut range: Range, last: Option<Key>) -> Range {
        match (last, self.order) {
            (None, _) => {}
            (Some(last), Order::Ascending) => range.start = range.start.max(Range::prefix_after(&last, &last).start),
            (Some(last), Order::Descending) => {
                range.end = Some(range.end.map_or(last.clone(), |end| end.min(last)));
            }
        }
        range
    }

    fn page(
        &self,
        mut records: Vec<StreamRecord>,
        token: impl Fn(&StreamRecord) -> Token,
    ) -> DescribeLogStreamsResponse {
        let more = records.len() > self.limit;
        records.truncate(self.limit);
        let next_token = records.last().filter(|_| more).map(|last| opaque(&token(last)));
        let streams = records.into_iter().map(|record| self.show(record)).collect();
        DescribeLogStreamsResponse { log_streams: Some(streams), next_token }
    }

    fn show(&self, record: StreamRecord) -> LogStream {
        // Nobody needs the token any more, but AWS still shows one.
        let place = Position { timestamp_ms: last_ms(&record).max(record.created_at_ms), sequence: 0 };
        LogStream {
            arn: Some(format!("{}:log-stream:{}", self.group.arn(), record.name)),
            creation_time: Some(record.created_at_ms),
            first_event_timestamp: record.events.map(|events| events.first_ms),
            last_event_timestamp: record.events.map(|events| events.last_ms),
            last_ingestion_time: record.events.map(|events| events.last_ingested_ms),
            upload_sequence_token: Some(event_id::digits(place, event_id::fingerprint(&record.name, None))),
            // Always zero since 2019.
            stored_bytes: Some(0),
            log_stream_name: Some(record.name),
        }
    }
}

fn last_ms(record: &StreamRecord) -> i64 {
    record.events.map_or(0, |events| events.last_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{Bench, NOW_MS, code_and_message};

    fn request() -> DescribeLogStreamsRequest {
        DescribeLogStreamsRequest { log_group_name: Some("g".to_owned()), ..Default::default() }
    }

    async fn page(bench: &Bench, input: DescribeLogStreamsRequest) -> (Vec<String>, Option<String>) {
        let output = bench.run::<DescribeLogStreams>(input).await.unwrap();
        (
            output.log_streams.unwrap().into_iter().map(|stream| stream.log_stream_name.unwrap()).collect(),
            output.next_token,
        )
    }

    async fn all(bench: &Bench, mut input: DescribeLogStreamsRequest) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let (found, token) = page(bench, input.clone()).await;
            names.extend(found);
            match token {
                Some(token) => input.next_token = Some(token),
                None => return names,
            }
        }
    }

    async fn bench() -> Bench {
        let bench = Bench::new().await;
        bench.create_group("g").await;
        for name in ["b/2", "a", "b/1", "c"] {
            bench.create_stream("g", name).await;
        }
        bench.put("c", &[(NOW_MS - 5, "m")]).await;
        bench.put("a", &[(NOW_MS - 9, "m"), (NOW_MS - 1, "m")]).await;
        bench.put("b/1", &[(NOW_MS - 3, "m")]).await;
        bench
    }

    #[tokio::test]
    async fn by_name_in_both_directions_and_by_prefix() {
        let bench = bench().await;
        for limit in 1..5 {
            let input = DescribeLogStreamsRequest { limit: Some(limit), ..request() };
            assert_eq!(all(&bench, input.clone()).await, ["a", "b/1", "b/2", "c"]);
            let input = DescribeLogStreamsRequest { descending: Some(true), ..input };
            assert_eq!(all(&bench, input.clone()).await, ["c", "b/2", "b/1", "a"]);
            let input = DescribeLogStreamsRequest { log_stream_name_prefix: Some("b/".to_owned()), ..input };
            assert_eq!(all(&bench, input).await, ["b/2", "b/1"]);
        }
    }

    #[tokio::test]
    async fn by_time_in_both_directions() {
        let bench = bench().await;
        for limit in 1..5 {
            let input =
                DescribeLogStreamsRequest { limit: Some(limit), order_by: Some(OrderBy::LastEventTime), ..request() };
            assert_eq!(all(&bench, input.clone()).await, ["b/2", "c", "b/1", "a"]);
            let input = DescribeLogStreamsRequest { descending: Some(true), ..input };
            assert_eq!(all(&bench, input).await, ["a", "b/1", "c", "b/2"]);
        }
    }

    #[tokio::test]
    async fn the_complete_shape() {
        let bench = bench().await;
        let streams = bench.run::<DescribeLogStreams>(request()).await.unwrap().log_streams.unwrap();
        let (with, without) = (&streams[0], &streams[2]);
        assert_eq!(with.arn.as_deref(), Some("arn:aws:logs:us-east-1:000000000000:log-group:g:log-stream:a"));
        assert_eq!((with.creation_time, with.stored_bytes), (Some(NOW_MS), Some(0)));
        assert_eq!((with.first_event_timestamp, with.last_event_timestamp), (Some(NOW_MS - 9), Some(NOW_MS - 1)));
        assert_eq!(with.last_ingestion_time, Some(NOW_MS));
        assert_eq!(with.upload_sequence_token.as_ref().unwrap().len(), 56);
        assert_eq!((without.first_event_timestamp, without.last_ingestion_time), (None, None));
    }

    #[tokio::test]
    async fn what_is_wrong_is_refused() {
        let bench = bench().await;
        let both = DescribeLogStreamsRequest {
            order_by: Some(OrderBy::LastEventTime),
            log_stream_name_prefix: Some("a".to_owned()),
            ..request()
        };
        let expected = "Cannot order by LastEventTime with a logStreamNamePrefix.";
        assert_eq!(code_and_message(bench.run::<DescribeLogStreams>(both).await).1, expected);
        let token = page(&bench, DescribeLogStreamsRequest { limit: Some(1), ..request() }).await.1;
        let other =
            DescribeLogStreamsRequest { order_by: Some(OrderBy::LastEventTime), next_token: token, ..request() };
        assert_eq!(
            code_and_message(bench.run::<DescribeLogStreams>(other).await).1,
            "The specified nextToken is invalid."
        );
        let absent = DescribeLogStreamsRequest { log_group_name: Some("x".to_owned()), ..request() };
        assert_eq!(code_and_message(bench.run::<DescribeLogStreams>(absent).await).0, "ResourceNotFoundException");
    }
}
