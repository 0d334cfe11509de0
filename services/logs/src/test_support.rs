//! What the tests of this crate share: a service over a memory store with a clock that stands still.

use crate::model::{GroupName, Position};
use crate::{Logs, Settings, api};
use gust_blob::Blobs;
use gust_kit::ports::{LogDestination, LogLine, LogSink};
use gust_kit::{Call, Cx, Operation, Platform, Principal};
use gust_store::Store;
use gust_types::{AccountId, AwsError, ManualClock, Region, RequestId, SeededIds};
use std::sync::Arc;
use std::time::Duration;

/// The time at which tests begin: 2023-11-14T22:13:20Z.
pub const NOW_MS: i64 = 1_700_000_000_000;

pub fn call() -> Call {
    Call {
        principal: Principal::root(AccountId::parse("000000000000").unwrap(), None),
        region: Region::parse("us-east-1").unwrap(),
        granted_account: None,
        request_id: RequestId::from_text("test"),
        received_at_ms: NOW_MS,
        trace_header: None,
        origin: "http://127.0.0.1:4566".to_owned(),
    }
}

/// A service under test.
pub struct Bench {
    pub logs: Arc<Logs>,
    pub clock: Arc<ManualClock>,
    pub store: Store,
    pub blobs: Blobs,
}

impl Bench {
    pub async fn new() -> Bench {
        Bench::with(Settings::default()).await
    }

    pub async fn with(settings: Settings) -> Bench {
        Bench::over(Store::memory(), Blobs::temporary().unwrap(), Arc::new(ManualClock::at(NOW_MS)), settings).await
    }

    /// Over a store and blobs in `folder`.
    pub async fn on_disk(folder: &std::path::Path) -> Bench {
        let store = Store::open_fjall(&folder.join("store"), gust_store::StoreOptions::default()).unwrap();
        let blobs = Blobs::open(&folder.join("blobs"), gust_blob::BlobsOptions::default()).unwrap();
        Bench::over(store, blobs, Arc::new(ManualClock::at(NOW_MS)), Settings::default()).await
    }

    /// With a blob store whose disk is full from the first byte on.
    pub async fn with_full_disk(folder: &std::path::Path, settings: Settings) -> Bench {
        let options = gust_blob::BlobsOptions { free_bytes_reserve: u64::MAX };
        let blobs = Blobs::open(folder, options).unwrap();
        Bench::over(Store::memory(), blobs, Arc::new(ManualClock::at(NOW_MS)), settings).await
    }

    /// Lets go of the folder without closing the service.
    pub async fn let_go(self) {
        let Bench { logs, store, blobs, .. } = self;
        drop((logs, blobs));
        store.close().await.unwrap();
    }

    async fn over(store: Store, blobs: Blobs, clock: Arc<ManualClock>, settings: Settings) -> Bench {
        let platform =
            Platform { store: store.clone(), clock: clock.clone(), ids: Arc::new(SeededIds::new(rand_seed())) };
        let logs = Logs::open(platform, blobs.clone(), settings).await.unwrap();
        Bench { logs, clock, store, blobs }
    }

    /// What a restart after `kill -9` finds: the stores as they are, nothing of the memory.
    pub async fn crash(self) -> Bench {
        let Bench { logs, clock, store, blobs } = self;
        drop(logs);
        Bench::over(store, blobs, clock, Settings::default()).await
    }

    pub async fn run<O: Operation<Service = Logs>>(&self, input: O::Input) -> Result<O::Output, AwsError> {
        let cx = Cx { service: self.logs.clone(), call: call() };
        O::run(&cx, input).await.map_err(Into::into)
    }

    pub async fn create_group(&self, name: &str) {
        let input = api::CreateLogGroupRequest { log_group_name: name.to_owned(), ..Default::default() };
        self.run::<api::CreateLogGroup>(input).await.unwrap();
    }

    pub async fn create_stream(&self, group: &str, stream: &str) {
        let input =
            api::CreateLogStreamRequest { log_group_name: group.to_owned(), log_stream_name: stream.to_owned() };
        self.run::<api::CreateLogStream>(input).await.unwrap();
    }

    /// A group `g` with a stream `s`.
    pub async fn with_stream(self) -> Bench {
        self.create_group("g").await;
        self.create_stream("g", "s").await;
        self
    }

    pub async fn put(&self, stream: &str, events: &[(i64, &str)]) -> api::PutLogEventsResponse {
        self.run::<api::PutLogEvents>(put_request(stream, events)).await.unwrap()
    }

    pub async fn get(&self, input: api::GetLogEventsRequest) -> (Vec<String>, String, String) {
        let output = self.run::<api::GetLogEvents>(input).await.unwrap();
        let messages = output.events.unwrap().into_iter().map(|event| event.message.unwrap()).collect();
        (messages, output.next_forward_token.unwrap(), output.next_backward_token.unwrap())
    }

    pub async fn filter(&self, input: api::FilterLogEventsRequest) -> (Vec<String>, Option<String>) {
        let output = self.run::<api::FilterLogEvents>(input).await.unwrap();
        let messages = output.events.unwrap().into_iter().map(|event| event.message.unwrap()).collect();
        (messages, output.next_token)
    }

    /// All messages of the group, page by page.
    pub async fn messages(&self, group: &str) -> Vec<String> {
        let mut messages = Vec::new();
        let mut input = filter_request(group);
        loop {
            let (page, next) = self.filter(input.clone()).await;
            messages.extend(page);
            match next {
                Some(token) => input.next_token = Some(token),
                None => return messages,
            }
        }
    }

    pub fn write(&self, group: &str, stream: &str, lines: &[(i64, &str)]) {
        let call = call();
        let destination = LogDestination {
            account: call.account().clone(),
            region: call.region.clone(),
            group: group.into(),
            stream: stream.into(),
        };
        let lines = lines
            .iter()
            .map(|(timestamp_ms, message)| LogLine { timestamp_ms: *timestamp_ms, message: (*message).to_owned() });
        self.logs.write(&destination, lines.collect());
    }

    /// Waits until all that was written is committed.
    pub async fn committed(&self) {
        let idle = async {
            while self.logs.shared.buffer.due() != crate::buffer::Due::Idle || self.logs.shared.buffer.is_committing() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), idle).await.expect("the writer commits what waits");
    }

    /// How many segments a group has.
    pub async fn segments(&self, group: &str) -> usize {
        let name = group_name(group);
        let group = crate::catalog::find_group(&self.store, &name).await.unwrap();
        let prefix = crate::keys::segments(&group.id);
        let rows =
            self.store.read(move |read| crate::reader::all(read, &prefix, gust_store::Range::prefix(&prefix), 100_000));
        rows.await.unwrap().len()
    }
}

/// Different for each service of a test run, as real randomness is.
fn rand_seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) << 32
}

/// A text of `length` letters that hardly compresses.
pub fn noise(seed: u32, length: usize) -> String {
    let mut state = seed | 1;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + (state >> 26).to_le_bytes()[0])
    };
    (0..length).map(letter).collect()
}

pub fn group_name(group: &str) -> GroupName {
    crate::rules::identifier::by_name(&call(), group)
}

pub fn put_request(stream: &str, events: &[(i64, &str)]) -> api::PutLogEventsRequest {
    let events = events
        .iter()
        .map(|(timestamp, message)| api::InputLogEvent { timestamp: *timestamp, message: (*message).to_owned() });
    api::PutLogEventsRequest {
        log_group_name: "g".to_owned(),
        log_stream_name: stream.to_owned(),
        log_events: events.collect(),
        ..Default::default()
    }
}

pub fn get_request(stream: &str) -> api::GetLogEventsRequest {
    api::GetLogEventsRequest {
        log_group_name: Some("g".to_owned()),
        log_stream_name: stream.to_owned(),
        ..Default::default()
    }
}

pub fn filter_request(group: &str) -> api::FilterLogEventsRequest {
    api::FilterLogEventsRequest { log_group_name: Some(group.to_owned()), ..Default::default() }
}

pub fn code_and_message<T: std::fmt::Debug>(result: Result<T, AwsError>) -> (String, String) {
    let error = result.unwrap_err();
    (error.code.into_owned(), error.message)
}

/// A place that no event has reached.
pub fn the_end() -> Position {
    Position::after(i64::MAX)
}
