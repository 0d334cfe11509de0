//! Reading across segments, windows and the buffer.

use super::*;
use crate::limits::{DAY_MS, PAGE_BYTES_MAX};
use crate::test_support::{Bench, NOW_MS, filter_request, group_name, noise, the_end};
use crate::{Settings, api};

async fn query(bench: &Bench, direction: Direction, events_max: usize) -> Query {
    let group = group_name("g");
    let record = catalog::find_group(&bench.store, &group).await.unwrap();
    Query {
        group,
        group_id: record.id,
        first_sequence: record.first_sequence,
        after: Position::before(0),
        before: the_end(),
        streams: StreamFilter::All,
        direction,
        events_max,
        bytes_max: PAGE_BYTES_MAX,
        pattern: Pattern::everything(),
    }
}

/// All messages, page by page, in the order of the direction.
async fn walk(bench: &Bench, mut query: Query) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        let page = scan(&bench.logs.shared, &query).await.unwrap();
        assert!(page.events.len() <= query.events_max);
        messages.extend(page.events.iter().map(|event| event.message.clone()));
        match (page.next, query.direction) {
            (None, _) => return messages,
            (Some(place), Direction::Forward) => query.after = place,
            (Some(place), Direction::Backward) => query.before = place,
        }
    }
}

#[tokio::test]
async fn pages_go_through_segments_windows_and_the_buffer_in_both_directions() {
    // Lines of functions stay in the buffer for this test.
    let bench = Bench::with(Settings { flush_ms: 3_600_000, ..Settings::default() }).await.with_stream().await;
    let mut expected = Vec::new();
    for n in 0..60i64 {
        // Three days, overlapping segments, several events of one time.
        let timestamp_ms = NOW_MS - (n * 7 % 3) * DAY_MS + n / 10;
        let message = format!("{n}");
        bench.put("s", &[(timestamp_ms, &message)]).await;
        expected.push((timestamp_ms, n, message));
    }
    for n in 60..90i64 {
        let timestamp_ms = NOW_MS - (n * 7 % 4) * DAY_MS + n / 10;
        let message = format!("{n}");
        bench.write("g", "live", &[(timestamp_ms, &message)]);
        expected.push((timestamp_ms, n, message));
    }
    expected.sort();
    let expected: Vec<String> = expected.into_iter().map(|(_, _, message)| message).collect();
    for events_max in [1, 7, 30, 1_000] {
        let found = walk(&bench, query(&bench, Direction::Forward, events_max).await).await;
        assert_eq!(found, expected, "{events_max}");
        let mut found = walk(&bench, query(&bench, Direction::Backward, events_max).await).await;
        found.reverse();
        assert_eq!(found, expected, "{events_max} backward");
    }
    // Compaction changes nothing but the count of segments.
    bench.logs.maintain().await.unwrap();
    assert!(bench.segments("g").await < 60);
    assert_eq!(walk(&bench, query(&bench, Direction::Forward, 7).await).await, expected);
    bench.logs.close().await;
    assert_eq!(walk(&bench, query(&bench, Direction::Backward, 1_000).await).await.len(), 90);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_every_event_once_while_segments_are_written_and_merged() {
    let bench = Arc::new(Bench::with(Settings { flush_ms: 1, ..Settings::default() }).await.with_stream().await);
    let writer = {
        let bench = bench.clone();
        tokio::spawn(async move {
            for n in 0..300i64 {
                bench.write("g", "live", &[(NOW_MS + n, &n.to_string())]);
                if n % 3 == 0 {
                    bench.put("s", &[(NOW_MS + n, &format!("p{n}"))]).await;
                }
                if n % 50 == 49 {
                    bench.logs.maintain().await.unwrap();
                }
            }
        })
    };
    let mut seen = 0;
    while !writer.is_finished() {
        let page = scan(&bench.logs.shared, &query(&bench, Direction::Forward, 10_000).await).await.unwrap();
        assert!(page.events.windows(2).all(|pair| pair[0].position() < pair[1].position()), "in order, each once");
        assert!(page.events.len() >= seen, "nothing that was seen goes away");
        seen = page.events.len();
        let live = page.events.iter().filter(|event| &*event.stream == "live");
        for (n, event) in live.enumerate() {
            assert_eq!(event.message, n.to_string(), "without gaps");
        }
    }
    writer.await.unwrap();
    assert_eq!(walk(&bench, query(&bench, Direction::Forward, 10_000).await).await.len(), 400);
}

#[tokio::test]
async fn what_was_acknowledged_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::on_disk(folder.path()).await.with_stream().await;
    let mut expected = Vec::new();
    for n in 0..12i64 {
        // Every third is too large for the store and hardly compressible: a blob.
        let length = if n % 3 == 0 { 200_000 } else { 20 };
        let message = noise(n as u32, length);
        bench.put("s", &[(NOW_MS + n, &message)]).await;
        expected.push(message);
    }
    assert!(!bench.blobs.list(keys::BLOBS, None, 10).await.unwrap().is_empty());
    bench.let_go().await;
    let bench = Bench::on_disk(folder.path()).await;
    assert_eq!(bench.messages("g").await, expected);
    bench.clock.advance_ms(2 * DAY_MS);
    bench.logs.maintain().await.unwrap();
    assert_eq!(bench.segments("g").await, 1);
    assert_eq!(bench.blobs.list(keys::BLOBS, None, 10).await.unwrap().len(), 1, "merged blobs are deleted");
    assert_eq!(bench.messages("g").await, expected);
    bench.logs.close().await;
    bench.let_go().await;
}

#[tokio::test]
async fn a_search_that_takes_too_long_ends_with_a_place_to_go_on() {
    let bench = Bench::new().await.with_stream().await;
    let half = "x".repeat(524_000);
    for n in 0..140 {
        bench.put("s", &[(NOW_MS + n, &half), (NOW_MS + n, &half)]).await;
    }
    bench.put("s", &[(NOW_MS + 200, "needle")]).await;
    let input = api::FilterLogEventsRequest { filter_pattern: Some("needle".to_owned()), ..filter_request("g") };
    let (page, token) = bench.filter(input.clone()).await;
    assert_eq!(page, [""; 0]);
    let (mut token, mut pages) = (token, 1);
    let found = loop {
        assert!(token.is_some() && pages < 10);
        let (page, next) = bench.filter(api::FilterLogEventsRequest { next_token: token, ..input.clone() }).await;
        (token, pages) = (next, pages + 1);
        if !page.is_empty() {
            break page;
        }
    };
    assert_eq!(found, ["needle"]);
}
