//! One request from its place in the gate to the return of its environment.
//!
//! The caller gets its outcome as soon as the runtime has answered; output is drained, END and REPORT are
//! written and the environment is given back after that. A caller that wants the log tail waits for REPORT.

use crate::acquire::acquire;
use crate::engine::Inner;
use crate::environment::{Environment, InvokeEnd};
use crate::extension_phases::Settled;
use crate::failures::{self, PlatformFailure};
use crate::gate::Slot;
use crate::logs::{PlatformEvent, Report, Status};
use crate::pool::{FreezePolicy, FunctionPool};
use crate::response::{Reply, Response};
use crate::start::Started;
use crate::statistics::Ended;
use bytes::Bytes;
use gust_kit::ports::{InvokeError, InvokeFailure, InvokeOutcome, InvokeRequest, LogTail};
use gust_runtime_api::{FunctionFailure, Invocation, ShutdownReason};
use gust_types::{Clock, SystemClock};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// How an invocation ended, wherever that was noticed.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    Response(Bytes),
    /// The response has been passed on already.
    Streamed {
        bytes: usize,
    },
    FunctionError(FunctionFailure),
    Platform(PlatformFailure),
}

impl Ending {
    pub(crate) fn status(&self) -> Status {
        match self {
            Ending::Response(_) | Ending::Streamed { .. } => Status::Success,
            Ending::FunctionError(failure) => match failure.kind() {
                Some(kind) if kind.starts_with("Runtime.") || kind.starts_with("Function.") => Status::Error(kind),
                kind => Status::FunctionError(kind),
            },
            Ending::Platform(failure) => failure.status(),
        }
    }

    fn payload(&self, request_id: &str) -> Bytes {
        match self {
            Ending::Response(payload) => payload.clone(),
            Ending::Streamed { .. } => Bytes::new(),
            Ending::FunctionError(failure) => failure.body.clone(),
            Ending::Platform(failure) => failure.payload(request_id),
        }
    }

    fn is_success(&self) -> bool {
        matches!(self, Ending::Response(_) | Ending::Streamed { .. })
    }

    fn response_bytes(&self) -> usize {
        match self {
            Ending::Response(payload) => payload.len(),
            Ending::Streamed { bytes } => *bytes,
            Ending::FunctionError(_) | Ending::Platform(_) => 0,
        }
    }

    /// Whether the environment ends with it.
    fn ends_environment(&self) -> bool {
        match self {
            Ending::Response(_) | Ending::Streamed { .. } | Ending::FunctionError(_) => false,
            Ending::Platform(failure) => !matches!(failure, PlatformFailure::ResponseTooLarge { .. }),
        }
    }
}

/// What becomes of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It serves the next request.
    Lives,
    /// It is killed now.
    Ends,
    /// It was killed before.
    Dead,
}

/// A request on its way, and when its time began.
struct Running {
    request: InvokeRequest,
    trace_header: String,
    began: Instant,
    init_us: Option<u64>,
    /// Whether an environment was started for it.
    is_cold: bool,
}

/// Runs `request`, and leaves what the caller does not wait for.
pub(crate) async fn run(
    engine: Arc<Inner>,
    function: Arc<FunctionPool>,
    request: InvokeRequest,
    slot: Slot,
    reply: &mut Reply,
) -> (Result<InvokeOutcome, InvokeError>, Option<Rest>) {
    let in_flight = InFlight::of(&function);
    let turn = function.debugging.turn(&request.function).await;
    let started = match acquire(&engine, &function, &request).await {
        Ok(started) => started,
        Err(error) => {
            if matches!(error, InvokeError::Throttled(_)) {
                function.counters.throttled();
            }
            return (Err(error), None);
        }
    };
    let is_cold = !matches!(started, Started::Ready { init_us: None, .. });
    let (mut environment, init_us, began, failed) = match started {
        Started::Ready { environment, init_us } => (environment, init_us, Instant::now(), None),
        Started::Repeated { environment, began } => (environment, None, began, None),
        Started::Failed { environment, began, ending } => (environment, None, began, Some(ending)),
    };
    if request.tail == LogTail::Wanted {
        environment.recorder.begin_tail();
    }
    let (header, ids) = (request.trace_header.as_deref(), &*engine.platform.ids);
    let trace_header = crate::trace::at_function(header, &request.function.arn, ids, SystemClock.now_ms());
    let running = Running { request, trace_header, began, init_us, is_cold };
    let (ending, fate) = match failed {
        Some(ending) => {
            write_start(&mut environment, &running);
            (ending, Fate::Dead)
        }
        None => {
            let invocation_id = environment.connection.is_http().then(|| engine.platform.ids.uuid());
            let ending = invoke(&mut environment, &running, invocation_id, reply).await;
            let fate = if ending.ends_environment() { Fate::Ends } else { Fate::Lives };
            (ending, fate)
        }
    };
    let (mut outcome, mut rest) = conclude(engine, function, environment, running, ending, fate);
    if rest.running.request.tail == LogTail::Wanted {
        rest.finish().await;
        outcome.log_tail = rest.environment.recorder.take_tail();
    }
    rest.guards = (Some(in_flight), turn);
    drop(slot);
    (Ok(outcome), Some(rest))
}

/// Counts a request of a function while it runs.
struct InFlight(Arc<FunctionPool>);

impl InFlight {
    fn of(function: &Arc<FunctionPool>) -> InFlight {
        function.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(function.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

fn write_start(environment: &mut Environment, running: &Running) {
    let spec = environment.spec.clone();
    let request_id = running.request.request_id.as_str();
    let event = PlatformEvent::Start { request_id, spec: &spec, trace_header: &running.trace_header };
    environment.recorder.platform(SystemClock.now_ms(), &event);
}

async fn invoke(
    environment: &mut Environment,
    running: &Running,
    invocation_id: Option<String>,
    reply: &mut Reply,
) -> Ending {
    let Running { request, trace_header, began, .. } = running;
    write_start(environment, running);
    let timeout_ms = request.function.timeout_ms;
    let until = *began + Duration::from_millis(timeout_ms);
    let left = until.saturating_duration_since(Instant::now());
    let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
    let invocation = Invocation {
        request_id: request.request_id.as_str().to_owned(),
        deadline_ms: SystemClock.now_ms().saturating_add(left_ms),
        invoked_function_arn: request.invoked_arn.clone(),
        trace_id: Some(trace_header.clone()),
        client_context: request.client_context.clone(),
        invocation_id,
        cognito_identity: None,
        tenant_id: request.tenant_id.clone(),
        payload: request.payload.clone(),
    };
    let spec = environment.spec.clone();
    match environment.invoke(invocation, until, &mut Response::new(reply, &spec.version)).await {
        InvokeEnd::Answered(ending) => ending,
        InvokeEnd::Truncated => Ending::FunctionError(failures::truncated_response(request.request_id.as_str())),
        InvokeEnd::Exited(exit) => Ending::Platform(PlatformFailure::Exited(exit)),
        InvokeEnd::Extension(failure) => Ending::Platform(PlatformFailure::Extension(failure)),
        InvokeEnd::TimedOut => Ending::Platform(PlatformFailure::TimedOut { timeout_ms }),
    }
}

/// What the caller is told, and what is left to do then.
fn conclude(
    engine: Arc<Inner>,
    function: Arc<FunctionPool>,
    environment: Box<Environment>,
    running: Running,
    ending: Ending,
    fate: Fate,
) -> (InvokeOutcome, Rest) {
    let duration_us = match &ending {
        // Lambda prints the limit itself.
        Ending::Platform(PlatformFailure::TimedOut { timeout_ms }) => timeout_ms * 1_000,
        _ => micros(running.began.elapsed()),
    };
    function.counters.ended(Ended {
        duration_us,
        is_cold: running.is_cold,
        init_us: running.init_us,
        is_error: !ending.is_success(),
    });
    let outcome = InvokeOutcome {
        payload: ending.payload(running.request.request_id.as_str()),
        failure: (!ending.is_success()).then_some(InvokeFailure::Unhandled),
        log_tail: Bytes::new(),
        executed_version: environment.spec.version.clone(),
        duration_us,
        init_us: running.init_us,
    };
    let is_announced = fate == Fate::Lives;
    if is_announced {
        function.announce(&environment);
    }
    let after = After { fate, failure: None, runtime_us: duration_us, total_us: duration_us };
    let guards = (None, None);
    let rest = Rest { engine, function, environment, running, ending, after, is_announced, is_finished: false, guards };
    (outcome, rest)
}

/// What is left of an invocation when its caller has been answered: the rest of its log, and its environment, which is
/// given back or ends.
pub(crate) struct Rest {
    engine: Arc<Inner>,
    function: Arc<FunctionPool>,
    environment: Box<Environment>,
    running: Running,
    ending: Ending,
    after: After,
    /// Whether somebody may be waiting for the environment.
    is_announced: bool,
    is_finished: bool,
    /// Held until the end.
    guards: (Option<InFlight>, Option<OwnedMutexGuard<()>>),
}

impl Rest {
    /// Does it.
    pub(crate) async fn run(mut self) {
        if !self.is_finished {
            self.finish().await;
        }
        let Rest { engine, function, mut environment, after, is_announced, .. } = self;
        if after.fate == Fate::Lives {
            if engine.settings.freeze == FreezePolicy::Immediate && environment.spec.debug_port().is_none() {
                environment.freeze().await;
            }
            function.give_back(environment);
        } else if is_announced {
            // Its process ended after it had answered: nothing comes.
            function.withdraw(&environment);
        }
    }

    /// Waits until all who take part are done, and writes the last lines of the log.
    async fn finish(&mut self) {
        self.after.settle(&mut self.environment, &self.running).await;
        finish(&self.function, &mut self.environment, &self.running, &self.ending, &self.after).await;
        self.is_finished = true;
    }
}

/// What became of an environment after the answer.
struct After {
    fate: Fate,
    /// What failed after the answer, which the caller does not hear of any more.
    failure: Option<PlatformFailure>,
    runtime_us: u64,
    /// With the time that extensions took after the runtime.
    total_us: u64,
}

impl After {
    /// Waits until runtime and extensions are done with the event.
    async fn settle(&mut self, environment: &mut Environment, running: &Running) {
        if self.fate != Fate::Lives {
            return;
        }
        let has_extensions = environment.has_extensions();
        let timeout_ms = running.request.function.timeout_ms;
        let until = running.began + Duration::from_millis(timeout_ms);
        match environment.settle(until, timeout_ms).await {
            Settled::Lives => {}
            Settled::Dead => self.fate = Fate::Ends,
            Settled::Failed(failure) => {
                (self.fate, self.failure) = (Fate::Ends, Some(failure));
            }
        }
        if has_extensions {
            self.total_us = micros(running.began.elapsed());
        }
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Ends a failed environment, drains the output and writes the last lines.
async fn finish(
    function: &FunctionPool,
    environment: &mut Environment,
    running: &Running,
    ending: &Ending,
    after: &After,
) {
    let fate = after.fate;
    let tail_wanted = running.request.tail == LogTail::Wanted;
    let is_first = running.init_us.is_some();
    let used_bytes = environment.memory_peak_bytes(tail_wanted || is_first || fate == Fate::Ends).await;
    let has_extensions = environment.has_extensions();
    if fate == Fate::Ends && !has_extensions {
        environment.kill().await;
    } else {
        environment.drain();
    }
    function.learn_memory(used_bytes);
    let (request_id, now_ms) = (running.request.request_id.as_str(), SystemClock.now_ms());
    let (spec, status) = (environment.spec.clone(), ending.status());
    let produced_bytes = ending.response_bytes();
    let recorder = &mut environment.recorder;
    let duration_us = after.runtime_us;
    let done = PlatformEvent::RuntimeDone { request_id, duration_us, produced_bytes, status: status.clone() };
    recorder.platform(now_ms, &done);
    let failure = match ending {
        Ending::Platform(failure) => Some(failure),
        _ => after.failure.as_ref(),
    };
    if let Some(failure) = failure
        && spec.logging.format == gust_kit::ports::LogFormat::Text
        && let Some(line) = failure.log_line(request_id, now_ms)
    {
        recorder.note(now_ms, line);
    }
    recorder.platform(now_ms, &PlatformEvent::End { request_id });
    let out_of_memory = matches!(ending, Ending::Platform(PlatformFailure::Exited(exit)) if exit.oom_killed);
    let used_mb = used_bytes.div_ceil(1 << 20).min(u64::from(spec.memory_mb));
    let report = Report {
        request_id,
        duration_us: after.total_us,
        init_us: running.init_us.or(environment.unreported_init_us.take()),
        is_init_billed: running.init_us.is_some(),
        memory_mb: spec.memory_mb,
        used_mb: if out_of_memory { u64::from(spec.memory_mb) } else { used_mb },
        status: after.failure.as_ref().map_or(status, PlatformFailure::status),
    };
    recorder.platform(now_ms, &PlatformEvent::Report(report));
    recorder.flush();
    if fate == Fate::Ends && has_extensions {
        environment.end(shutdown_reason(failure)).await;
        environment.recorder.flush();
    }
}

/// What extensions are told of the end of their environment.
fn shutdown_reason(failure: Option<&PlatformFailure>) -> ShutdownReason {
    match failure {
        Some(PlatformFailure::TimedOut { .. }) => ShutdownReason::Timeout,
        _ => ShutdownReason::Failure,
    }
}
