//! One environment: a runtime that serves one request at a time, its output, its credentials' end.

use crate::execution::Ending;
use crate::extension_phases::{self, Stage, watch_processes};
use crate::keep_alive::Uses;
use crate::launcher::{Control, Launched};
use crate::limits::{LAST_ANSWER_WAIT, LOG_FLUSH_AFTER, MEMORY_SAMPLE_AFTER, SESSION_MARGIN_MS};
use crate::output::Output;
use crate::provisioned::Place;
use crate::recorder::Recorder;
use crate::response::Response;
use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gust_kit::ports::FunctionSpec;
use gust_runtime_api::{
    Answer, ApiListener, Channel, EnvironmentApi, ExtensionFailure, Invocation, Ready, RuntimeConnection,
};
use gust_sandbox::Exit;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// What keeps an environment's endpoint served; dropping it ends that.
pub(crate) type EndpointGuard = Box<dyn Send>;

/// An environment that is initialising, busy or idle.
pub(crate) struct Environment {
    /// Its id, also its sandbox's.
    pub(crate) id: String,
    pub(crate) spec: Arc<FunctionSpec>,
    /// The only tenant whose requests it may serve.
    pub(crate) tenant_id: Option<String>,
    pub(crate) recorder: Recorder,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) connection: RuntimeConnection,
    pub(crate) output: Output,
    pub(crate) exit: BoxFuture<'static, Exit>,
    pub(crate) exited: Option<Exit>,
    pub(crate) api: Arc<EnvironmentApi>,
    stage: Stage,
    _api_listener: Option<ApiListener>,
    _endpoint: Option<EndpointGuard>,
    /// When its credentials end.
    pub(crate) expires_at_ms: Option<i64>,
    /// Its place among those that are kept ready, if it is one of them.
    pub(crate) provisioned: Option<Place>,
    /// How long its initialisation took, if that was ahead and no REPORT has told it yet.
    pub(crate) unreported_init_us: Option<u64>,
    /// When the request that it serves took it.
    pub(crate) taken_at: Option<Instant>,
    /// How often it was used, and what was evicted before it was used last (`keep_alive.rs`).
    pub(crate) uses: Uses,
    pub(crate) floor: f64,
    /// How often its function had been changed when it was made.
    pub(crate) generation: u64,
    pub(crate) is_frozen: bool,
    pub(crate) idle_since: Instant,
    memory_bytes: u64,
    memory_at: Option<Instant>,
}

/// How an initialisation ended.
pub(crate) enum InitEnd {
    Ready,
    Failed(gust_runtime_api::FunctionFailure),
    Exited(Exit),
    Extension(ExtensionFailure),
    TimedOut,
}

/// How an invocation ended.
pub(crate) enum InvokeEnd {
    Answered(Ending),
    /// Its response broke off, and the runtime lives.
    Truncated,
    Exited(Exit),
    Extension(ExtensionFailure),
    TimedOut,
}

/// What is known of an environment before it is launched.
pub(crate) struct Birth {
    pub(crate) id: String,
    pub(crate) spec: Arc<FunctionSpec>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) recorder: Recorder,
    pub(crate) endpoint: Option<EndpointGuard>,
    pub(crate) api: Arc<EnvironmentApi>,
    pub(crate) expires_at_ms: Option<i64>,
    pub(crate) generation: u64,
}

impl Environment {
    pub(crate) fn new(birth: Birth, launched: Launched) -> Environment {
        let control = launched.control.clone();
        if let Some(exits) = launched.extension_exits {
            watch_processes(birth.api.clone(), exits);
        }
        Environment {
            id: birth.id,
            spec: birth.spec,
            tenant_id: birth.tenant_id,
            recorder: birth.recorder,
            connection: launched.connection,
            output: Output::new(launched.stdout, launched.log, launched.extension_output),
            exit: Box::pin(async move { control.exit().await }),
            exited: None,
            control: launched.control,
            api: birth.api,
            stage: Stage::Extensions,
            _api_listener: launched.api_listener,
            _endpoint: birth.endpoint,
            expires_at_ms: birth.expires_at_ms,
            provisioned: None,
            unreported_init_us: None,
            taken_at: None,
            uses: Uses::default(),
            floor: 0.0,
            generation: birth.generation,
            is_frozen: false,
            idle_since: Instant::now(),
            memory_bytes: 0,
            memory_at: None,
        }
    }

    /// One whose program could not be started: it only has a log.
    pub(crate) fn never_launched(birth: Birth) -> Environment {
        let connection = RuntimeConnection::Channel(Channel::closed());
        let launched = Launched {
            connection,
            stdout: None,
            log: None,
            endpoint: None,
            api_listener: None,
            extension_output: None,
            extension_exits: None,
            control: Arc::new(NeverLaunched),
        };
        Environment::new(birth, launched)
    }

    /// Waits for the extensions and the runtime, recording their output, until `until`.
    pub(crate) async fn initialise(&mut self, until: Instant) -> InitEnd {
        let Environment { connection, output, recorder, exit, exited, api, control, stage, .. } = self;
        let mut flush_at = Instant::now() + LOG_FLUSH_AFTER;
        loop {
            tokio::select! {
                biased;
                ready = extension_phases::ready(stage, connection, api, &**control) => return match ready {
                    Ready::Ready => InitEnd::Ready,
                    Ready::Failed(failure) => InitEnd::Failed(failure),
                    Ready::Closed => InitEnd::Exited(self.exit_after_close().await),
                },
                failure = api.extensions.failure() => return InitEnd::Extension(failure),
                exit = exit.as_mut() => {
                    *exited = Some(exit);
                    // Its last words may still be on their way.
                    return match timeout(LAST_ANSWER_WAIT, connection.ready()).await {
                        Ok(Ready::Failed(failure)) => InitEnd::Failed(failure),
                        Ok(Ready::Ready | Ready::Closed) | Err(_) => InitEnd::Exited(exit),
                    };
                }
                () = sleep_until(until.min(flush_at)) => {
                    if Instant::now() >= until {
                        return InitEnd::TimedOut;
                    }
                    recorder.flush();
                    flush_at = Instant::now() + LOG_FLUSH_AFTER;
                }
                _ = output.read(recorder) => {}
            }
        }
    }

    /// Runs an invocation, passing on its response and recording its output, until `until`.
    pub(crate) async fn invoke(
        &mut self,
        invocation: Invocation,
        until: Instant,
        response: &mut Response<'_>,
    ) -> InvokeEnd {
        let Environment { connection, output, recorder, exit, exited, api, .. } = self;
        let has_extensions = !api.extensions.is_empty();
        let Invocation { request_id, deadline_ms, invoked_function_arn, trace_id, .. } = &invocation;
        api.extensions.begin_invoke(request_id, *deadline_ms, invoked_function_arn, trace_id.as_deref());
        connection.begin(invocation);
        // START must not wait for the end of a silent function; after that, output flushes.
        let mut flush_at = Some(Instant::now() + LOG_FLUSH_AFTER);
        // What a process that has ended has still said; it may be on its way.
        let mut last_words_until = None;
        loop {
            if let Some(ending) = response.take_ending() {
                return InvokeEnd::Answered(ending);
            }
            // Parts that come without a pause would never let the timer below have its turn.
            if response.is_streaming() && exited.is_none() && Instant::now() >= until {
                return InvokeEnd::TimedOut;
            }
            let is_waiting = response.is_waiting();
            let words_until = last_words_until.filter(|_| !is_waiting).unwrap_or(until).min(until);
            tokio::select! {
                biased;
                () = response.deliver(), if is_waiting => {
                    last_words_until = last_words_until.map(|_| Instant::now() + LAST_ANSWER_WAIT);
                }
                answer = connection.answer(), if !is_waiting => match answer {
                    Answer::Closed => return InvokeEnd::Exited(self.exit_after_close().await),
                    Answer::Truncated => return self.exit_after_truncation().await,
                    answer => {
                        response.take(answer);
                        last_words_until = last_words_until.map(|_| Instant::now() + LAST_ANSWER_WAIT);
                    }
                },
                failure = api.extensions.failure(), if has_extensions => return InvokeEnd::Extension(failure),
                ended = exit.as_mut(), if exited.is_none() => {
                    *exited = Some(ended);
                    last_words_until = Some(Instant::now() + LAST_ANSWER_WAIT);
                }
                () = sleep_until(flush_at.map_or(words_until, |at| at.min(words_until))) => {
                    let now = Instant::now();
                    match *exited {
                        Some(exit) if now >= words_until => return InvokeEnd::Exited(exit),
                        None if now >= until => return InvokeEnd::TimedOut,
                        _ => {}
                    }
                    recorder.flush();
                    flush_at = None;
                }
                bytes = output.read(recorder) => {
                    if bytes > 0 && flush_at.is_none() {
                        flush_at = Some(Instant::now() + LOG_FLUSH_AFTER);
                    }
                }
            }
        }
    }

    /// A response breaks off when its process ends, and also when a living runtime gives it up.
    async fn exit_after_truncation(&mut self) -> InvokeEnd {
        if self.exited.is_none() {
            self.exited = timeout(crate::limits::EXIT_WAIT, self.exit.as_mut()).await.ok();
        }
        self.exited.map_or(InvokeEnd::Truncated, InvokeEnd::Exited)
    }

    /// How a process ended that hung up. One that closed its channel and lives is killed: it cannot be used.
    async fn exit_after_close(&mut self) -> Exit {
        if let Some(exit) = self.exited {
            return exit;
        }
        let exit = match timeout(crate::limits::EXIT_WAIT, self.exit.as_mut()).await {
            Ok(exit) => exit,
            Err(_) => Exit { code: None, signal: Some(9), oom_killed: false },
        };
        self.exited = Some(exit);
        exit
    }

    /// Whether it can serve a request of `timeout_ms` that begins now.
    pub(crate) fn is_usable(&mut self, now_ms: i64, timeout_ms: u64) -> bool {
        !self.has_ended()
            && !self.api.extensions.has_failed()
            && self.credentials_last(now_ms, timeout_ms)
            && self.connection.is_quiet()
    }

    /// Whether its main process has ended, while nobody used it.
    pub(crate) fn has_ended(&mut self) -> bool {
        if self.exited.is_none() {
            self.exited = self.exit.as_mut().now_or_never();
        }
        self.exited.is_some()
    }

    /// What it was last measured to use, in bytes; 0 if it was not measured.
    pub(crate) fn known_memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn credentials_last(&self, now_ms: i64, timeout_ms: u64) -> bool {
        let timeout_ms = i64::try_from(timeout_ms).unwrap_or(i64::MAX);
        let needed_ms = now_ms.saturating_add(timeout_ms).saturating_add(SESSION_MARGIN_MS);
        self.expires_at_ms.is_none_or(|expires_at_ms| expires_at_ms > needed_ms)
    }

    /// Kills everything in it and records what it still wrote.
    pub(crate) async fn kill(&mut self) {
        self.end_processes().await;
        self.output.drain_to_end(&mut self.recorder, Duration::from_millis(500)).await;
    }

    async fn end_processes(&mut self) {
        match timeout(crate::limits::KILL_WAIT, self.control.kill()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(environment = self.id, error, "an environment could not be killed"),
            Err(_) => tracing::error!(environment = self.id, "an environment does not end"),
        }
    }

    /// Records the output that is there.
    pub(crate) fn drain(&mut self) {
        self.output.drain_now(&mut self.recorder);
    }

    /// The highest memory use, in bytes. Measuring costs more than a warm request, so that a measurement
    /// holds for [`MEMORY_SAMPLE_AFTER`] unless `is_exact`.
    pub(crate) async fn memory_peak_bytes(&mut self, is_exact: bool) -> u64 {
        let is_fresh = self.memory_at.is_some_and(|at| at.elapsed() < MEMORY_SAMPLE_AFTER);
        if is_exact || !is_fresh {
            if let Some(bytes) = self.control.memory_peak_bytes().await {
                self.memory_bytes = self.memory_bytes.max(bytes);
            }
            self.memory_at = Some(Instant::now());
        }
        self.memory_bytes
    }

    pub(crate) async fn freeze(&mut self) {
        self.api.telemetry.set_paused(true);
        match self.control.freeze().await {
            Ok(()) => self.is_frozen = true,
            Err(error) => tracing::warn!(environment = self.id, error, "an environment could not be frozen"),
        }
    }

    /// Errors: it cannot be used any more.
    pub(crate) async fn thaw(&mut self) -> Result<(), String> {
        if self.is_frozen {
            self.control.thaw().await?;
            self.is_frozen = false;
            self.api.telemetry.set_paused(false);
        }
        Ok(())
    }

    /// Takes its log back, for another try of the same initialisation.
    pub(crate) fn into_recorder(self) -> Recorder {
        self.recorder
    }
}

/// Control over nothing.
struct NeverLaunched;

#[async_trait]
impl Control for NeverLaunched {
    async fn exit(&self) -> Exit {
        Exit { code: None, signal: None, oom_killed: false }
    }

    async fn kill(&self) -> Result<(), String> {
        Ok(())
    }

    async fn freeze(&self) -> Result<(), String> {
        Ok(())
    }

    async fn thaw(&self) -> Result<(), String> {
        Ok(())
    }

    async fn start_program(&self) -> Result<(), String> {
        Ok(())
    }

    async fn terminate(&self) -> Result<(), String> {
        Ok(())
    }

    async fn end_boost(&self) -> Result<(), String> {
        Ok(())
    }

    async fn memory_peak_bytes(&self) -> Option<u64> {
        None
    }
}
