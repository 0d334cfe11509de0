//! Provisioned concurrency, waiting for busy environments and their bounds, over fake environments.

use crate::engine::Settings;
use crate::limits::WAITERS_MAX;
use crate::testing::{Bench, account, region, request, spec};
use futures_util::future::join_all;
use gust_kit::ports::{FunctionSpec, InvokeError, Invoker, Provisioned, ProvisionedStatus, ThrottleReason};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn version(handler: &str) -> Arc<FunctionSpec> {
    let mut spec = spec("f");
    (spec.handler, spec.version) = (handler.to_owned(), "1".to_owned());
    Arc::new(spec)
}

fn state(bench: &Bench) -> Option<Provisioned> {
    bench.engine.provisioned(&account(), &region(), "f", "1")
}

fn ready(count: u32) -> Option<Provisioned> {
    Some(Provisioned { ready: count, status: ProvisionedStatus::Ready })
}

fn alive(bench: &Bench) -> usize {
    bench.launcher.alive.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_are_there_before_the_first_request_and_stay() {
    let settings = Settings { idle_timeout: Duration::from_millis(150), ..Settings::default() };
    let bench = Bench::new(false, settings);
    let spec = version("echo");
    assert_eq!(state(&bench), None);
    bench.engine.provision(&spec, 3);
    bench.until("three are ready", |bench| state(bench) == ready(3)).await;
    bench.until("they are frozen", |bench| bench.launcher.frozen.load(Ordering::SeqCst) == 3).await;
    let outcome = bench.engine.invoke(request(&spec, "1")).await.unwrap();
    assert_eq!((outcome.payload, outcome.init_us), ("\"1\"".into(), None));
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 3, "no cold start");
    bench.until("its report", |bench| bench.sink.kinds().contains(&"REPORT".to_owned())).await;
    let report = bench.sink.lines().into_iter().find(|line| line.message.starts_with("REPORT")).unwrap().message;
    assert!(report.contains("\tInit Duration: "), "the first request tells how long it took: {report}");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!((state(&bench), alive(&bench)), (ready(3), 3), "they are kept however long they are idle");

    bench.engine.provision(&spec, 1);
    bench.until("two have ended", |bench| alive(bench) == 1 && state(bench) == ready(1)).await;
    bench.engine.provision(&spec, 0);
    bench.until("all have ended", |bench| alive(bench) == 0 && state(bench).is_none()).await;
    let outcome = bench.engine.invoke(request(&spec, "2")).await.unwrap();
    assert!(outcome.init_us.is_some(), "it starts on demand");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_is_replaced_and_what_is_busy_counts() {
    let bench = Bench::new(false, Settings::default());
    let spec = version("exit");
    bench.engine.provision(&spec, 2);
    bench.until("two are ready", |bench| state(bench) == ready(2)).await;
    for number in 1..=3 {
        bench.engine.invoke(request(&spec, "r")).await.unwrap();
        bench
            .until("it is replaced", |bench| {
                state(bench) == ready(2)
                    && bench.launcher.launches.load(Ordering::SeqCst) == 2 + number
                    && alive(bench) == 2
            })
            .await;
    }
    assert!(bench.engine.shutdown(Duration::from_secs(5)).await);
    bench.until("all have ended", |bench| alive(bench) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_spill_over_within_what_the_account_has_left() {
    let bench = Bench::new(false, Settings { account_concurrency: 4, ..Settings::default() });
    let (spec, other) = (version("wait"), Arc::new(crate::testing::spec("other")));
    bench.engine.provision(&spec, 2);
    bench.until("two are ready", |bench| state(bench) == ready(2)).await;
    let running: Vec<_> = (0..4)
        .map(|number| {
            let (engine, request) = (bench.engine.clone(), request(&spec, &number.to_string()));
            tokio::spawn(async move { engine.invoke(request).await })
        })
        .collect();
    bench.until("four handlers", |bench| bench.launcher.entered.available_permits() == 4).await;
    assert_eq!(bench.launcher.launches.load(Ordering::SeqCst), 4, "two of them on demand");
    for refused in [&spec, &other] {
        let error = bench.engine.invoke(request(refused, "r")).await.unwrap_err();
        let expected = ThrottleReason::ConcurrentInvocationLimitExceeded;
        assert!(matches!(error, InvokeError::Throttled(reason) if reason == expected), "{error}");
    }
    assert_eq!(state(&bench), ready(2), "busy ones count");
    bench.launcher.release.add_permits(4);
    let outcomes: Vec<_> = join_all(running).await.into_iter().map(|outcome| outcome.unwrap().unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.init_us.is_some()).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_initialisation_is_told_and_tried_again() {
    let bench = Bench::new(false, Settings::default());
    bench.engine.provision(&version("init_fail"), 2);
    let failed = Provisioned { ready: 0, status: ProvisionedStatus::Failed("FUNCTION_ERROR_INIT_FAILURE".to_owned()) };
    bench.until("it has failed", |bench| state(bench) == Some(failed.clone())).await;
    bench.until("it is tried again", |bench| bench.launcher.launches.load(Ordering::SeqCst) >= 3).await;
    assert!(bench.sink.lines().iter().any(|line| line.message.contains("Phase: init\tStatus: error")));
    bench.engine.unprovision(&account(), &region(), "f", "1");
    assert_eq!(state(&bench), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_meet_now_and_then_share_an_environment() {
    let bench = Bench::new(false, Settings::default());
    let spec = version("echo");
    for number in 0..200 {
        let pair = (0..2).map(|_| bench.engine.invoke(request(&spec, &number.to_string())));
        assert!(join_all(pair).await.iter().all(Result::is_ok));
    }
    let launches = bench.launcher.launches.load(Ordering::SeqCst);
    assert!(launches <= 2, "{launches}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_waiters_than_may_wait_are_refused() {
    let settings = Settings { account_concurrency: 3 * WAITERS_MAX, starts_max: 2, ..Settings::default() };
    let bench = Bench::new(false, settings);
    let mut hanging = spec("f");
    hanging.handler = "init_hang".to_owned();
    let hanging = Arc::new(hanging);
    let run = |id: String| {
        let (engine, request) = (bench.engine.clone(), request(&hanging, &id));
        tokio::spawn(async move { engine.invoke(request).await })
    };
    let running: Vec<_> = (0..WAITERS_MAX + 10).map(|number| run(number.to_string())).collect();
    bench.until("some are refused", |_| running.iter().any(tokio::task::JoinHandle::is_finished)).await;
    for refused in running.into_iter().filter(tokio::task::JoinHandle::is_finished) {
        let error = refused.await.unwrap().unwrap_err();
        let expected = ThrottleReason::CallerRateLimitExceeded;
        assert!(matches!(error, InvokeError::Throttled(reason) if reason == expected), "{error}");
    }
    // Another function is not in that line.
    let outcome =
        tokio::time::timeout(Duration::from_secs(10), bench.engine.invoke(request(&version("echo"), "x"))).await;
    assert!(outcome.unwrap().is_ok());
}
