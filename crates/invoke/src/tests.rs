//! The engine over fake environments, on both transports.

use crate::engine::Settings;
use crate::pool::FreezePolicy;
use crate::testing::{Bench, FakeCatalog, event, request, spec};
use futures_util::future::join_all;
use gust_kit::ports::{
    FunctionSpec, InvokeError, InvokeFailure, InvokeOutcome, Invoker, LogTail, Targets, ThrottleReason,
};
use gust_store::Store;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn handler(name: &str) -> Arc<FunctionSpec> {
    let mut spec = spec("f");
    spec.handler = name.to_owned();
    Arc::new(spec)
}

fn json(outcome: &InvokeOutcome) -> serde_json::Value {
    serde_json::from_slice(&outcome.payload).unwrap()
}

fn message(outcome: &InvokeOutcome) -> String {
    json(outcome)["errorMessage"].as_str().unwrap().to_owned()
}

/// Runs a test over both transports.
macro_rules! over_both {
    ($($name:ident),*) => {
        mod channel { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(false).await })* }
        mod http { $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)] async fn $name() { super::$name(true).await })* }
    };
}
over_both!(
    one_environment_serves_one_after_another,
    concurrency_adds_environments_up_to_the_limit,
    an_invocation_over_time_is_ended_and_the_next_works,
    an_exit_in_mid_request_is_reported_and_the_next_works,
    failures_of_the_function_keep_its_environment,
    a_failed_initialisation_is_repeated_and_reported,
    an_initialisation_that_hangs_is_repeated_under_the_time_limit,
    a_change_replaces_environments_and_lets_requests_finish,
    endless_output_does_no_harm
);

async fn one_environment_serves_one_after_another(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let spec = handler("print");
    for number in 0..20 {
        let outcome = bench.engine.invoke(request(&spec, &number.to_string())).await.unwrap();
        assert_eq!(outcome.payload, format!("\"{number}\""));
        assert_eq!(outcome.init_us.is_some(), number == 0);
        assert!(outcome.log_tail.is_empty() && outcome.failure.is_none());
    }
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 1);
    let mut tailed = request(&spec, "last");
    tailed.tail = LogTail::Wanted;
    let tail = bench.engine.invoke(tailed).await.unwrap().log_tail;
    let tail = String::from_utf8(tail.to_vec()).unwrap();
    let lines: Vec<&str> = tail.lines().collect();
    assert_eq!(lines[..4], ["START RequestId: last Version: $LATEST", "hello", "world", "END RequestId: last"]);
    assert!(lines[4].starts_with("REPORT RequestId: last\tDuration: ") && lines[4].contains("Max Memory Used: 30 MB"));
    bench.until("all lines", |bench| bench.sink.lines().len() == 1 + 21 * 5).await;
    assert_eq!(
        bench.sink.kinds()[..6],
        ["INIT_START", "START", "hello", "world", "END", "REPORT"]
            .map(|kind| { if kind == "REPORT" { "REPORT".to_owned() } else { kind.to_owned() } })
    );
}

async fn concurrency_adds_environments_up_to_the_limit(is_http: bool) {
    let bench = Bench::new(is_http, Settings { account_concurrency: 10, ..Settings::default() });
    let spec = handler("wait");
    let running = (0..50).map(|number| {
        let (engine, request) = (bench.engine.clone(), request(&spec, &number.to_string()));
        tokio::spawn(async move { engine.invoke(request).await })
    });
    let running: Vec<_> = running.collect();
    bench.until("ten handlers", |bench| bench.launcher.entered.available_permits() == 10).await;
    bench.until("forty refusals", |_| running.iter().filter(|task| task.is_finished()).count() == 40).await;
    bench.launcher.release.add_permits(10);
    let outcomes: Vec<_> = join_all(running).await.into_iter().map(Result::unwrap).collect();
    let limit = ThrottleReason::ConcurrentInvocationLimitExceeded;
    let throttled = |outcome: &Result<_, InvokeError>| matches!(outcome, Err(InvokeError::Throttled(r)) if *r == limit);
    assert_eq!(outcomes.iter().filter(|outcome| throttled(outcome)).count(), 40);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10);
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 10);
    bench.until("all idle", |bench| bench.engine.snapshot().functions[0].idle == 10).await;
    assert_eq!(bench.engine.snapshot().in_flight, 0);
    assert!(bench.engine.shutdown(Duration::from_secs(5)).await);
    bench.until("all gone", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    assert!(matches!(bench.engine.invoke(request(&spec, "late")).await, Err(InvokeError::ShuttingDown)));
}

async fn an_invocation_over_time_is_ended_and_the_next_works(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let mut hanging = spec("f");
    hanging.handler = "hang".to_owned();
    hanging.timeout_ms = 120;
    let hanging = Arc::new(hanging);
    let outcome = bench.engine.invoke(request(&hanging, "r1")).await.unwrap();
    let expected =
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: r1 Error: Task timed out after 0.12 seconds"}"#;
    assert_eq!((&outcome.payload[..], outcome.failure), (expected.as_bytes(), Some(InvokeFailure::Unhandled)));
    bench.until("its end", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    let lines = bench.sink.lines();
    assert!(lines.iter().any(|line| line.message.ends_with("r1 Task timed out after 0.12 seconds\n")), "{lines:?}");
    let report = &lines.last().unwrap().message;
    assert!(report.contains("Duration: 120.00 ms") && report.ends_with("\tStatus: timeout"), "{report}");
    let mut working = (*hanging).clone();
    working.handler = "echo".to_owned();
    working.timeout_ms = 10_000;
    let outcome = bench.engine.invoke(request(&Arc::new(working), "r2")).await.unwrap();
    assert_eq!(outcome.payload, "\"r2\"");
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2);
}

async fn an_exit_in_mid_request_is_reported_and_the_next_works(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    for number in 1..=2 {
        let outcome = bench.engine.invoke(request(&handler("exit"), "r")).await.unwrap();
        assert_eq!(message(&outcome), "RequestId: r Error: Runtime exited with error: exit status 1");
        assert_eq!(json(&outcome)["errorType"], "Runtime.ExitError");
        assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), number);
    }
    bench.until("its end", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    let report = bench.sink.lines().last().unwrap().message.clone();
    assert!(report.ends_with("\tStatus: error\tError Type: Runtime.ExitError"), "{report}");
}

async fn failures_of_the_function_keep_its_environment(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let failing = handler("fail");
    for _ in 0..2 {
        let outcome = bench.engine.invoke(request(&failing, "r")).await.unwrap();
        assert_eq!(outcome.payload, r#"{"errorType":"KeyError"}"#);
        assert_eq!(outcome.failure, Some(InvokeFailure::Unhandled));
    }
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 1);
    let mut big = (*handler("big")).clone();
    big.revision_id = "2".to_owned();
    let big = Arc::new(big);
    for _ in 0..2 {
        let outcome = bench.engine.invoke(request(&big, "r")).await.unwrap();
        let expected = r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}"#;
        assert_eq!(outcome.payload, expected);
    }
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2);
}

async fn a_failed_initialisation_is_repeated_and_reported(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let outcome = bench.engine.invoke(request(&handler("init_fail"), "r")).await.unwrap();
    assert_eq!(json(&outcome)["errorType"], "Runtime.ImportModuleError");
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2);
    bench.until("its end", |bench| bench.sink.kinds().last().is_some_and(|kind| kind == "REPORT")).await;
    let kinds = ["INIT_START", "importing", "INIT_REPORT", "importing", "INIT_REPORT", "START", "END", "REPORT"];
    assert_eq!(bench.sink.kinds(), kinds);
    let lines = bench.sink.lines();
    assert!(lines[2].message.contains("Phase: init\tStatus: error\tError Type: Runtime.ImportModuleError"));
    assert!(lines[4].message.contains("Phase: invoke\tStatus: error"));
    assert!(lines[7].message.ends_with("Status: error\tError Type: Runtime.ImportModuleError"));

    let outcome = bench.engine.invoke(request(&handler("init_exit"), "r")).await.unwrap();
    assert_eq!(message(&outcome), "RequestId: r Error: Runtime exited with error: exit status 3");

    let once = Bench::new(is_http, Settings::default());
    let outcome = once.engine.invoke(request(&handler("init_once"), "r")).await.unwrap();
    assert_eq!((outcome.payload, outcome.init_us), ("\"r\"".into(), None));
    assert_eq!(once.launcher.launches.load(Ordering::SeqCst), 2);
}

async fn an_initialisation_that_hangs_is_repeated_under_the_time_limit(is_http: bool) {
    let bench = Bench::new(is_http, Settings { init_limit: Duration::from_millis(80), ..Settings::default() });
    let mut hanging = (*handler("init_hang")).clone();
    hanging.timeout_ms = 150;
    let outcome = bench.engine.invoke(request(&Arc::new(hanging), "r")).await.unwrap();
    assert_eq!(message(&outcome), "RequestId: r Error: Task timed out after 0.15 seconds");
    assert_eq!(outcome.duration_us, 150_000);
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2);
    bench.until("its end", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    assert!(bench.sink.lines()[1].message.contains("Phase: init\tStatus: timeout"));
}

async fn a_change_replaces_environments_and_lets_requests_finish(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let old = handler("wait");
    let running = tokio::spawn({
        let (engine, request) = (bench.engine.clone(), request(&old, "old"));
        async move { engine.invoke(request).await }
    });
    bench.until("the old one runs", |bench| bench.launcher.entered.available_permits() == 1).await;
    let mut new = spec("f");
    new.revision_id = "2".to_owned();
    let new = Arc::new(new);
    bench.engine.retire(&new.account, &new.region, "f", "$LATEST", Some("2"));
    let outcome = bench.engine.invoke(request(&new, "new")).await.unwrap();
    assert_eq!(outcome.payload, "\"new\"");
    assert_eq!(bench.launcher.alive.load(Ordering::SeqCst), 2);
    bench.launcher.release.add_permits(1);
    assert_eq!(running.await.unwrap().unwrap().payload, "\"old\"");
    bench.until("the old one is gone", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 1).await;
    bench.engine.invoke(request(&new, "again")).await.unwrap();
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2);
    bench.until("it is idle", |bench| bench.engine.snapshot().functions[0].idle == 1).await;
    bench.engine.retire(&new.account, &new.region, "f", "$LATEST", None);
    bench.until("it is gone", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    assert!(bench.engine.snapshot().functions.is_empty());
}

async fn endless_output_does_no_harm(is_http: bool) {
    let bench = Bench::new(is_http, Settings::default());
    let mut noisy = (*handler("noise")).clone();
    noisy.timeout_ms = 200;
    let outcome = bench.engine.invoke(request(&Arc::new(noisy), "r")).await.unwrap();
    assert_eq!(json(&outcome)["errorType"], "Sandbox.Timedout");
    bench.until("its end", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    assert!(bench.sink.lines().iter().all(|line| line.message.len() <= 256 * 1024));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_started_is_told_apart() {
    let bench = Bench::new(false, Settings::default());
    let outcome = bench.engine.invoke(request(&handler("no_bootstrap"), "r")).await.unwrap();
    assert_eq!(json(&outcome)["errorType"], "Runtime.InvalidEntrypoint");
    assert_eq!(message(&outcome), "RequestId: r Error: Couldn't find valid bootstrap(s)");
    let error = bench.engine.invoke(request(&handler("no_runtime"), "r")).await.unwrap_err();
    assert!(matches!(error, InvokeError::RuntimeUnavailable(_)), "{error}");
    let full = Settings {
        memory_source: Arc::new(|| Some(1 << 20)),
        memory_wait: Duration::from_millis(30),
        ..Settings::default()
    };
    let bench = Bench::new(false, full);
    let error = bench.engine.invoke(request(&handler("echo"), "r")).await.unwrap_err();
    let expected = ThrottleReason::CallerRateLimitExceeded;
    assert!(matches!(error, InvokeError::Throttled(reason) if reason == expected), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_environments_give_way_when_memory_is_short() {
    let alive: Arc<std::sync::OnceLock<Arc<std::sync::atomic::AtomicUsize>>> = Arc::default();
    let seen = alive.clone();
    // Room for two environments of 32 MiB, which is what one is taken to need.
    let memory_source: crate::MemorySource = Arc::new(move || {
        let alive = seen.get().map_or(0, |alive| alive.load(Ordering::SeqCst));
        Some(u64::try_from(90_usize.saturating_sub(30 * alive)).unwrap() << 20)
    });
    let settings = Settings { memory_source, memory_reserve_bytes: 0, ..Settings::default() };
    let bench = Bench::new(false, settings);
    alive.set(bench.launcher.alive.clone()).unwrap();
    for name in ["a", "a", "a", "a", "b", "c", "d"] {
        let spec = Arc::new(spec(name));
        bench.engine.invoke(request(&spec, name)).await.unwrap();
        bench.until("it is idle", |bench| bench.engine.snapshot().in_flight == 0).await;
        assert!(bench.launcher.alive.load(Ordering::SeqCst) <= 2);
    }
    // What starting costs is measured, and may differ by some factor; that a is used more often counts more.
    let idle: Vec<usize> = bench.engine.snapshot().functions.iter().map(|function| function.idle).collect();
    assert_eq!(idle.iter().sum::<usize>(), 2, "{idle:?}");
    assert_eq!(idle[3], 1, "the last one was started: {idle:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_goes_on_when_its_caller_leaves() {
    let bench = Bench::new(false, Settings { account_concurrency: 1, ..Settings::default() });
    let spec = handler("wait");
    let gone = tokio::time::timeout(Duration::from_millis(50), bench.engine.invoke(request(&spec, "r"))).await;
    assert!(gone.is_err());
    assert_eq!(bench.engine.snapshot().in_flight, 1);
    bench.launcher.release.add_permits(1);
    bench.until("its report", |bench| bench.sink.kinds().last().is_some_and(|kind| kind == "REPORT")).await;
    bench.until("its place is free", |bench| bench.engine.snapshot().in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_environments_freeze_thaw_and_go() {
    let bench = Bench::new(false, Settings { idle_timeout: Duration::from_millis(400), ..Settings::default() });
    let spec = handler("echo");
    bench.engine.invoke(request(&spec, "1")).await.unwrap();
    bench.until("it is frozen", |bench| bench.engine.snapshot().functions[0].frozen == 1).await;
    assert_eq!(bench.launcher.frozen.load(Ordering::SeqCst), 1);
    bench.engine.invoke(request(&spec, "2")).await.unwrap();
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 1);
    bench.until("it is gone", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    bench.engine.invoke(request(&spec, "3")).await.unwrap();
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2);

    let exact = Bench::new(false, Settings { freeze: FreezePolicy::Immediate, ..Settings::default() });
    for _ in 0..3 {
        exact.engine.invoke(request(&spec, "1")).await.unwrap();
        exact.until("it is frozen", |bench| bench.launcher.frozen.load(Ordering::SeqCst) == 1).await;
    }
    assert_eq!(exact.launcher.launches.load(Ordering::SeqCst), 1);
}

async fn accept(bench: &Bench, id: &str) {
    let (engine, event) = (bench.engine.clone(), event("f", id));
    let event =
        gust_kit::ports::AsyncEvent { accepted_at_ms: gust_types::Clock::now_ms(&gust_types::SystemClock), ..event };
    bench.store.transact(move |tx| engine.enqueue(tx, &event)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_events_run_also_after_a_restart() {
    let store = Store::memory();
    let before = Bench::over(store.clone(), false, Settings::default());
    for number in 0..40 {
        accept(&before, &format!("before-{number}")).await;
    }
    // Never started its queue: as if it had been killed right after the commits.
    drop(before);
    let bench = Bench::over(store, false, Settings { account_concurrency: 3, ..Settings::default() });
    let catalog = Arc::new(FakeCatalog(Some(handler("echo"))));
    let clock = Arc::new(gust_types::SystemClock);
    bench.engine.start_queue(catalog, Targets::default(), clock).await.unwrap();
    for number in 0..10 {
        accept(&bench, &format!("after-{number}")).await;
    }
    let reports = |bench: &Bench| bench.sink.kinds().iter().filter(|kind| *kind == "REPORT").count();
    bench.until("all have run", |bench| reports(bench) >= 50).await;
    bench.until("all are settled", |bench| bench.engine.snapshot().queue.is_some_and(|queue| queue.loaded == 0)).await;
    assert_eq!(reports(&bench), 50, "each ran once");
    assert!(bench.launcher.launches.load(Ordering::SeqCst) <= 6, "environments were used again");
    assert!(bench.engine.shutdown(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_deleted_function_are_given_up() {
    let bench = Bench::new(false, Settings::default());
    let (catalog, clock) = (Arc::new(FakeCatalog(None)), Arc::new(gust_types::SystemClock));
    bench.engine.start_queue(catalog, Targets::default(), clock).await.unwrap();
    accept(&bench, "r").await;
    bench.until("it is settled", |bench| bench.engine.snapshot().queue.is_some_and(|queue| queue.loaded == 0)).await;
    assert!(bench.engine.shutdown(Duration::from_secs(5)).await);
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_turn_to_start_takes_what_becomes_free() {
    let bench = Bench::new(false, Settings { starts_max: 1, ..Settings::default() });
    let waiting = handler("wait");
    let run = |spec: &Arc<FunctionSpec>, id: &str| {
        let (engine, request) = (bench.engine.clone(), request(spec, id));
        tokio::spawn(async move { engine.invoke(request).await })
    };
    let first = run(&waiting, "first");
    bench.until("the first handler", |bench| bench.launcher.entered.available_permits() == 1).await;
    let mut hanging = spec("hanging");
    hanging.handler = "init_hang".to_owned();
    // Holds the only turn.
    let hanging = run(&Arc::new(hanging), "hanging");
    bench.until("the hanging start", |bench| bench.launcher.launches.load(Ordering::SeqCst) == 2).await;
    let second = run(&waiting, "second");
    bench.until("the second request", |bench| bench.engine.snapshot().in_flight == 3).await;
    bench.launcher.release.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().payload, "\"first\"");
    assert_eq!(second.await.unwrap().unwrap().payload, "\"second\"");
    assert_eq!(
        bench.launcher.launches.load(Ordering::SeqCst),
        2,
        "the second request ran in the first one's environment"
    );
    hanging.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_takes_long_lets_the_next_begin() {
    let bench = Bench::new(false, Settings { starts_max: 1, ..Settings::default() });
    let mut hanging = spec("hanging");
    hanging.handler = "init_hang".to_owned();
    let (engine, request_of_hanging) = (bench.engine.clone(), request(&Arc::new(hanging), "hanging"));
    let hanging = tokio::spawn(async move { engine.invoke(request_of_hanging).await });
    bench.until("the hanging start", |bench| bench.launcher.launches.load(Ordering::SeqCst) == 1).await;
    assert_eq!(bench.engine.invoke(request(&handler("echo"), "next")).await.unwrap().payload, "\"next\"");
    assert!(!hanging.is_finished(), "the long start goes on");
    hanging.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_have_their_own_environments_and_share_a_reservation() {
    let bench = Bench::new(false, Settings { account_concurrency: 10, ..Settings::default() });
    let version = |number: &str| {
        let mut spec = (*handler("wait")).clone();
        (spec.version, spec.revision_id) = (number.to_owned(), format!("revision-{number}"));
        Arc::new(spec)
    };
    let (latest, first) = (version("$LATEST"), version("1"));
    bench.engine.reserve(&latest.account, &latest.region, "f", Some(2));
    let run = |spec: &Arc<FunctionSpec>| {
        let (engine, request) = (bench.engine.clone(), request(spec, "r"));
        tokio::spawn(async move { engine.invoke(request).await })
    };
    let running = [run(&latest), run(&first)];
    bench.until("both run", |bench| bench.launcher.entered.available_permits() == 2).await;
    for spec in [&latest, &first] {
        let error = bench.engine.invoke(request(spec, "too many")).await.unwrap_err();
        let expected = ThrottleReason::ReservedFunctionConcurrentInvocationLimitExceeded;
        assert!(matches!(error, InvokeError::Throttled(reason) if reason == expected), "{error}");
    }
    bench.launcher.release.add_permits(2);
    let versions: Vec<String> =
        join_all(running).await.into_iter().map(|outcome| outcome.unwrap().unwrap().executed_version).collect();
    assert_eq!(versions, ["$LATEST", "1"]);
    bench.until("both are idle", |bench| bench.engine.snapshot().functions.iter().all(|f| f.idle == 1)).await;
    let arns: Vec<String> = bench.engine.snapshot().functions.into_iter().map(|function| function.arn).collect();
    assert_eq!(arns, [latest.arn.clone(), format!("{}:1", latest.arn)]);

    // A change of $LATEST leaves version 1 alone, and version 1 can go alone.
    bench.engine.retire(&latest.account, &latest.region, "f", "$LATEST", Some("another"));
    bench.until("one is gone", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 1).await;
    bench.engine.reserve(&latest.account, &latest.region, "f", Some(1));
    bench.launcher.release.add_permits(1);
    assert_eq!(bench.engine.invoke(request(&first, "again")).await.unwrap().executed_version, "1");
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2, "a changed reservation replaces no environment");
    bench.until("it is idle", |bench| bench.engine.snapshot().functions[1].idle == 1).await;
    bench.engine.retire(&latest.account, &latest.region, "f", "1", None);
    bench.until("all are gone", |bench| bench.launcher.alive.load(Ordering::SeqCst) == 0).await;
    assert_eq!(bench.engine.snapshot().functions.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_serves_one_tenant_only() {
    let bench = Bench::new(false, Settings { starts_max: 1, ..Settings::default() });
    let spec = handler("echo");
    let of = |tenant: &str, id: &str| {
        let mut request = request(&spec, id);
        request.tenant_id = Some(tenant.to_owned());
        request
    };
    for tenant in ["blue", "green", "blue", "green", "blue"] {
        bench.engine.invoke(of(tenant, "r")).await.unwrap();
    }
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 2, "each waits for its own that is just coming back");
    // Many at a time, while starts have to wait for their turn and take what becomes free.
    let tenants = ["blue", "green", "red"];
    let all = (0..60).map(|number| bench.engine.invoke(of(tenants[number % 3], &number.to_string())));
    let outcomes = join_all(all).await;
    assert!(outcomes.iter().enumerate().all(|(number, it)| it.as_ref().unwrap().payload == format!("\"{number}\"")));
    let served = bench.launcher.tenants.lock().unwrap().clone();
    assert!(served.values().all(|tenants| tenants.len() == 1), "{served:?}");
    assert_eq!(served.values().flatten().collect::<std::collections::BTreeSet<_>>().len(), 3);
}
