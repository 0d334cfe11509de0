//! The phases of an environment in which extensions take part: initialisation, the end of an invocation, shutdown.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>. An environment without
//! extensions passes all of this without waiting.

use crate::environment::Environment;
use crate::failures::PlatformFailure;
use crate::launcher::Control;
use crate::limits::{
    MEMORY_MB_PER_VCPU, SETTLE_WAIT, SHUTDOWN_EXTERNAL_LIMIT, SHUTDOWN_INTERNAL_LIMIT, SHUTDOWN_RUNTIME_PERCENT,
};
use crate::logs::{InitPhase, PlatformEvent, Status};
use gust_kit::ports::FunctionSpec;
use gust_runtime_api::{
    EXTENSIONS_MAX, EnvironmentApi, ExtensionFailure, Extensions, FunctionFacts, ProcessEnd, Ready, RuntimeConnection,
    ShutdownReason,
};
use gust_sandbox::{ExtensionEnd, ExtensionExit};
use gust_types::{Clock, Ids, SystemClock};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Where extensions are, inside.
pub(crate) const EXTENSIONS_DIR: &str = "/opt/extensions";

/// The names of a function's external extensions: every file in `/opt/extensions`, in the order of their names.
///
/// Errors: there are more than Lambda starts.
pub(crate) fn external_extensions(layers_dir: Option<&Path>) -> Result<Vec<String>, ExtensionFailure> {
    let Some(layers_dir) = layers_dir else { return Ok(Vec::new()) };
    let Ok(entries) = fs::read_dir(layers_dir.join("extensions")) else { return Ok(Vec::new()) };
    let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| !kind.is_dir());
    let files = entries.flatten().filter(is_file).take(EXTENSIONS_MAX + 1);
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    if names.len() > EXTENSIONS_MAX {
        let cause = format!("Extension limit ({EXTENSIONS_MAX}) reached");
        return Err(ExtensionFailure { error_type: "Extension.LaunchError", cause });
    }
    names.sort();
    Ok(names)
}

/// What an environment of `spec` with these external extensions offers besides its runtime's calls.
pub(crate) fn environment_api(spec: &FunctionSpec, ids: Arc<dyn Ids>, external: &[String]) -> Arc<EnvironmentApi> {
    let facts = FunctionFacts {
        name: spec.name.clone(),
        version: spec.version.clone(),
        handler: spec.handler.clone(),
        account_id: spec.account.as_str().to_owned(),
    };
    EnvironmentApi::new(Extensions::new(facts, ids, external))
}

/// Passes on how extensions end, until the sandbox is gone.
pub(crate) fn watch_processes(api: Arc<EnvironmentApi>, mut exits: mpsc::Receiver<ExtensionExit>) {
    tokio::spawn(async move {
        while let Some(ExtensionExit { index, end }) = exits.recv().await {
            let end = match end {
                ExtensionEnd::NotStarted { cause } => {
                    let is_permission = cause.ends_with("permission denied");
                    ProcessEnd::NotStarted { cause, is_permission }
                }
                ExtensionEnd::Exited(code) => ProcessEnd::Exited(code),
                ExtensionEnd::Signalled(signal) => ProcessEnd::Signalled(crate::failures::signal_text(signal)),
            };
            api.extensions.process_ended(index, &end);
        }
    });
}

/// How far an initialisation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// External extensions start and register.
    Extensions,
    /// The runtime starts and loads the function.
    Runtime,
    /// Every extension asks for its first event.
    LastExtensions,
    /// All are ready.
    Ready,
}

/// Goes through the stages that are left. Cancel safe: `stage` says how far it came.
pub(crate) async fn ready(
    stage: &mut Stage,
    connection: &mut RuntimeConnection,
    api: &EnvironmentApi,
    control: &dyn Control,
) -> Ready {
    loop {
        match stage {
            Stage::Extensions => {
                if api.extensions.has_external() {
                    api.extensions.registered().await;
                    if let Err(error) = control.start_program().await {
                        tracing::error!(error, "a runtime could not be started after its extensions");
                        return Ready::Closed;
                    }
                }
                *stage = Stage::Runtime;
            }
            Stage::Runtime => match connection.ready().await {
                Ready::Ready => {
                    api.extensions.close_registration();
                    *stage = Stage::LastExtensions;
                }
                failed => return failed,
            },
            Stage::LastExtensions => {
                api.extensions.ready().await;
                *stage = Stage::Ready;
            }
            Stage::Ready => return Ready::Ready,
        }
    }
}

/// How the time after a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// All are ready for the next event.
    Lives,
    /// The runtime's process has ended.
    Dead,
    /// It failed, after its response.
    Failed(PlatformFailure),
}

impl Environment {
    /// Whether anybody but the runtime takes part.
    pub(crate) fn has_extensions(&self) -> bool {
        !self.api.extensions.is_empty()
    }

    /// Initialisation is over: says who takes part, and lets nobody join any more.
    pub(crate) fn initialised(&mut self, phase: InitPhase, init_us: u64) {
        let now_ms = SystemClock.now_ms();
        let done = PlatformEvent::InitRuntimeDone { phase, status: Status::Success };
        self.recorder.tell(now_ms, &done);
        self.log_participants();
        let report = PlatformEvent::InitReport { phase, duration_us: init_us, status: Status::Success };
        self.recorder.tell(now_ms, &report);
        self.api.extensions.close_registration();
        self.api.telemetry.close();
        if self.spec.memory_mb < MEMORY_MB_PER_VCPU {
            let control = self.control.clone();
            // Nobody has to wait for it.
            tokio::spawn(async move {
                if let Err(error) = control.end_boost().await {
                    tracing::debug!(error, "the boost of an initialisation was not ended");
                }
            });
        }
    }

    /// Writes what is known of the extensions.
    pub(crate) fn log_participants(&mut self) {
        if !self.has_extensions() {
            return;
        }
        let now_ms = SystemClock.now_ms();
        for subscription in self.api.telemetry.summary() {
            self.recorder.platform(now_ms, &PlatformEvent::Subscription(&subscription));
        }
        for extension in self.api.extensions.summary() {
            self.recorder.platform(now_ms, &PlatformEvent::Extension(&extension));
        }
    }

    /// Waits until the runtime (bounded) and every extension (until `until`) are done with the event that has been
    /// answered.
    pub(crate) async fn settle(&mut self, until: Instant, timeout_ms: u64) -> Settled {
        let has_extensions = self.has_extensions();
        let Environment { connection, output, recorder, exit, exited, api, .. } = self;
        let runtime_until = Instant::now() + SETTLE_WAIT;
        let (mut is_runtime_done, mut is_done) = (false, !has_extensions);
        while !(is_runtime_done && is_done) {
            let next = if is_runtime_done { until } else { runtime_until };
            tokio::select! {
                biased;
                failure = api.extensions.failure(), if has_extensions => {
                    return Settled::Failed(PlatformFailure::Extension(failure));
                }
                () = connection.settled(), if !is_runtime_done => is_runtime_done = true,
                () = api.extensions.settled(), if !is_done => is_done = true,
                ended = exit.as_mut() => {
                    *exited = Some(ended);
                    return Settled::Dead;
                }
                () = sleep_until(next) => match is_runtime_done {
                    true => return Settled::Failed(PlatformFailure::TimedOut { timeout_ms }),
                    false => is_runtime_done = true,
                },
                _ = output.read(recorder) => {}
            }
        }
        Settled::Lives
    }

    /// Ends everything in it, in order where extensions take part, and records what was still written.
    pub(crate) async fn end(&mut self, reason: ShutdownReason) {
        let is_gone = self.exited.is_some_and(|exit| exit.oom_killed);
        if self.has_extensions() && !is_gone {
            match self.thaw().await {
                Ok(()) => self.shut_down(reason).await,
                Err(error) => tracing::warn!(environment = self.id, error, "an environment could not be thawed to end"),
            }
        }
        self.kill().await;
    }

    /// The Shutdown phase: the runtime is asked to end first and has a part of the time, then the extensions have the
    /// rest of it. Whatever runs on after that is killed by the caller.
    async fn shut_down(&mut self, reason: ShutdownReason) {
        let has_external = self.api.extensions.has_external();
        let limit = if has_external { SHUTDOWN_EXTERNAL_LIMIT } else { SHUTDOWN_INTERNAL_LIMIT };
        let began = Instant::now();
        let until = began + limit;
        let runtime_until = if has_external { began + limit * SHUTDOWN_RUNTIME_PERCENT / 100 } else { until };
        let deadline_ms = SystemClock.now_ms() + i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        if self.exited.is_none() {
            match self.control.terminate().await {
                Ok(()) => self.wait_for_exit(runtime_until).await,
                Err(error) => tracing::warn!(environment = self.id, error, "a runtime could not be asked to end"),
            }
        }
        let api = self.api.clone();
        if api.telemetry.is_wanted() {
            self.drain();
            // Subscribers get what there is before they are told to end. A slow one cannot take the time of all.
            let _ = timeout_at(Instant::now() + (until - Instant::now().min(until)) / 3, api.telemetry.flush()).await;
        }
        if api.extensions.begin_shutdown(reason, deadline_ms) == 0 {
            return;
        }
        let gone = async { tokio::join!(api.extensions.gone(), api.telemetry.flush()) };
        tokio::pin!(gone);
        let Environment { output, recorder, .. } = self;
        loop {
            tokio::select! {
                biased;
                _ = &mut gone => return,
                () = sleep_until(until) => return,
                _ = output.read(recorder) => {}
            }
        }
    }

    async fn wait_for_exit(&mut self, until: Instant) {
        let Environment { output, recorder, exit, exited, .. } = self;
        loop {
            tokio::select! {
                biased;
                ended = exit.as_mut() => {
                    *exited = Some(ended);
                    return;
                }
                () = sleep_until(until) => return,
                _ = output.read(recorder) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_the_folder_is_an_extension_and_too_many_are_refused() {
        let layers = tempfile::tempdir().unwrap();
        assert_eq!(external_extensions(None), Ok(Vec::new()));
        assert_eq!(external_extensions(Some(layers.path())), Ok(Vec::new()));
        let folder = layers.path().join("extensions");
        fs::create_dir_all(folder.join("a-folder")).unwrap();
        for number in (0..EXTENSIONS_MAX).rev() {
            fs::write(folder.join(format!("n{number}")), "").unwrap();
        }
        let names = external_extensions(Some(layers.path())).unwrap();
        assert_eq!(names, (0..EXTENSIONS_MAX).map(|number| format!("n{number}")).collect::<Vec<_>>());
        fs::write(folder.join("more"), "").unwrap();
        let refused = external_extensions(Some(layers.path())).unwrap_err();
        assert_eq!(refused.cause, "Extension limit (10) reached");
    }
}
