//! Starting an environment, and repeating an initialisation that failed.
//!
//! Initialisation has ten seconds. If it fails or takes longer, Lambda runs it again inside the first
//! invocation, whose time limit then holds for both. Source:
//! <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>

use crate::acquire::load;
use crate::admission::Full;
use crate::endpoint::EndpointOwner;
use crate::engine::Inner;
use crate::environment::{Birth, Environment, InitEnd};
use crate::execution::{Ending, micros};
use crate::extension_phases::{environment_api, external_extensions};
use crate::failures::PlatformFailure;
use crate::launcher::{LaunchError, LaunchOrder};
use crate::limits::{AHEAD_INIT_LIMIT, SESSION_REUSE_LEFT_MS, SESSION_S};
use crate::logs::{InitPhase, PlatformEvent, initialization_type};
use crate::pool::FunctionPool;
use crate::recorder::Recorder;
use crate::sdk::SdkState;
use crate::turn::Turn;
use crate::{env, trace};
use gust_kit::ports::{
    Credentials, FunctionSpec, InvokeError, InvokeRequest, LogDestination, RoleSession, ThrottleReason,
};
use gust_runtime_api::ShutdownReason;
use gust_types::{Clock, SystemClock};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// An environment to run a request in, or the failure to get one.
pub(crate) enum Started {
    /// It is initialised; `init_us` is there if this request paid for it.
    Ready { environment: Box<Environment>, init_us: Option<u64> },
    /// Its initialisation was repeated; the request's time runs since `began`.
    Repeated { environment: Box<Environment>, began: Instant },
    /// Both initialisations failed, by the function's fault; the environment is dead, its log lives.
    Failed { environment: Box<Environment>, began: Instant, ending: Ending },
}

/// What both tries have in common.
struct Plan<'a> {
    engine: &'a Arc<Inner>,
    function: &'a Arc<FunctionPool>,
    spec: &'a Arc<FunctionSpec>,
    tenant_id: Option<&'a str>,
    variables: Vec<(String, String)>,
    sdk_dir: Option<PathBuf>,
    expires_at_ms: Option<i64>,
    generation: u64,
    runtime_version: String,
    stream: String,
}

/// How a try ended that did not succeed.
enum TryError {
    /// The machine's or gust's fault.
    Gust(InvokeError),
    /// The function's fault: its environment is dead.
    Function { environment: Box<Environment>, ending: Ending, init_us: u64 },
}

/// Starts an environment for `request`, in its turn.
pub(crate) async fn start(
    engine: &Arc<Inner>,
    function: &Arc<FunctionPool>,
    request: &InvokeRequest,
    turn: Turn,
) -> Result<Started, InvokeError> {
    let load = load(engine);
    let _turn = turn.held_at_most(function.times.turn_limit(load));
    let spec = &request.function;
    let (plan, recorder) = Plan::make(engine, function, spec, request.tenant_id.as_deref(), InitPhase::Init).await?;
    // From here on: the first start may have waited for the SDK to be installed.
    let began = Instant::now();
    let timeout = Duration::from_millis(spec.timeout_ms);
    // A debugger may be waited for.
    let init_limit = if spec.debug_port().is_some() { timeout } else { engine.settings.init_limit };
    let (mut environment, ending, init_us) = match plan.attempt(recorder, InitPhase::Init, init_limit).await {
        Ok((mut environment, init_us)) => {
            function.times.started(began.elapsed(), load);
            environment.taken_at = Some(Instant::now());
            return Ok(Started::Ready { environment, init_us: Some(init_us) });
        }
        Err(TryError::Gust(error)) => return Err(error),
        Err(TryError::Function { environment, ending, init_us }) => (environment, ending, init_us),
    };
    report(&mut environment, InitPhase::Init, init_us, &ending);
    environment.end(ShutdownReason::Failure).await;
    let began = Instant::now();
    match plan.attempt(environment.into_recorder(), InitPhase::Invoke, timeout).await {
        Ok((environment, _)) => Ok(Started::Repeated { environment, began }),
        Err(TryError::Gust(error)) => Err(error),
        Err(TryError::Function { mut environment, ending, init_us }) => {
            report(&mut environment, InitPhase::Invoke, init_us, &ending);
            let timed_out = matches!(ending, Ending::Platform(PlatformFailure::TimedOut { .. }));
            environment.end(if timed_out { ShutdownReason::Timeout } else { ShutdownReason::Failure }).await;
            Ok(Started::Failed { environment, began, ending })
        }
    }
}

/// Why nothing can be kept ready of a function whose initialisation fails, as Lambda says it.
const INIT_FAILURE: &str = "FUNCTION_ERROR_INIT_FAILURE";

/// Starts an environment for nobody yet, in its turn.
///
/// Errors: the reason, as it is shown to the function's owner.
pub(crate) async fn start_ahead(
    engine: &Arc<Inner>,
    function: &Arc<FunctionPool>,
    spec: &Arc<FunctionSpec>,
    turn: Turn,
) -> Result<Box<Environment>, String> {
    let load = load(engine);
    let _turn = turn.held_at_most(function.times.turn_limit(load));
    let made = Plan::make(engine, function, spec, None, InitPhase::Ahead).await;
    let (plan, recorder) = made.map_err(|error| error.to_string())?;
    let began = Instant::now();
    let limit = AHEAD_INIT_LIMIT.max(Duration::from_millis(spec.timeout_ms));
    match plan.attempt(recorder, InitPhase::Ahead, limit).await {
        Ok((mut environment, init_us)) => {
            function.times.started(began.elapsed(), load);
            environment.unreported_init_us = Some(init_us);
            // Nobody writes START for a while.
            environment.recorder.flush();
            Ok(environment)
        }
        Err(TryError::Gust(error)) => Err(error.to_string()),
        Err(TryError::Function { mut environment, ending, init_us }) => {
            report(&mut environment, InitPhase::Ahead, init_us, &ending);
            environment.end(ShutdownReason::Failure).await;
            Err(INIT_FAILURE.to_owned())
        }
    }
}

fn init_start<'a>(
    phase: InitPhase,
    spec: &'a FunctionSpec,
    runtime_version: &'a str,
    stream: &'a str,
) -> PlatformEvent<'a> {
    PlatformEvent::InitStart { phase, spec, runtime_version, stream }
}

fn report(environment: &mut Environment, phase: InitPhase, duration_us: u64, ending: &Ending) {
    let event = PlatformEvent::InitReport { phase, duration_us, status: ending.status() };
    environment.recorder.platform(SystemClock.now_ms(), &event);
    environment.recorder.flush();
}

fn recorder(engine: &Inner, spec: &FunctionSpec, stream: &str) -> Recorder {
    let destination = LogDestination {
        account: spec.account.clone(),
        region: spec.region.clone(),
        group: spec.logging.group.as_str().into(),
        stream: stream.into(),
    };
    Recorder::new(engine.ports.logs.clone(), destination, spec.logging.clone())
}

impl<'a> Plan<'a> {
    /// Collects what an environment needs, and begins its log.
    async fn make(
        engine: &'a Arc<Inner>,
        function: &'a Arc<FunctionPool>,
        spec: &'a Arc<FunctionSpec>,
        tenant_id: Option<&'a str>,
        phase: InitPhase,
    ) -> Result<(Plan<'a>, Recorder), InvokeError> {
        // First of all: whatever is changed from now on makes this environment outdated.
        let generation = function.generation();
        let credentials = credentials(engine, function, spec).await?;
        let sdk_dir = sdk_dir(engine, spec).await;
        let now_ms = SystemClock.now_ms();
        let stream = trace::new_stream_name(&*engine.platform.ids, now_ms, &spec.version);
        let mut recorder = recorder(engine, spec, &stream);
        let runtime_version = engine.launcher.runtime_version(spec);
        recorder.platform(now_ms, &init_start(phase, spec, &runtime_version, &stream));
        if !function.is_warned.load(Ordering::Relaxed)
            && let Some(warning) = engine.launcher.warning(spec)
            && !function.is_warned.swap(true, Ordering::Relaxed)
        {
            recorder.note(now_ms, warning);
        }
        let variables = env::variables(spec, initialization_type(phase), &stream, &credentials);
        let expires_at_ms = credentials.expires_at_ms;
        let plan = Plan {
            engine,
            function,
            spec,
            tenant_id,
            variables,
            sdk_dir,
            expires_at_ms,
            generation,
            runtime_version,
            stream,
        };
        Ok((plan, recorder))
    }

    /// One initialisation of at most `limit`.
    async fn attempt(
        &self,
        mut recorder: Recorder,
        phase: InitPhase,
        limit: Duration,
    ) -> Result<(Box<Environment>, u64), TryError> {
        let Plan { engine, function, spec, .. } = self;
        let external = external_extensions(spec.layers_dir.as_deref());
        let names = external.as_deref().unwrap_or_default();
        let api = environment_api(spec, engine.platform.ids.clone(), names);
        recorder.attach(api.clone());
        recorder.tell(SystemClock.now_ms(), &init_start(phase, spec, &self.runtime_version, &self.stream));
        let promise = engine.admit(function.expected_bytes(spec)).await.map_err(|Full| {
            tracing::warn!(function = spec.arn, "no memory for another environment");
            TryError::Gust(InvokeError::Throttled(ThrottleReason::CallerRateLimitExceeded))
        })?;
        let id = engine.platform.ids.hex(24);
        let order = LaunchOrder {
            id: id.clone(),
            spec: (*spec).clone(),
            variables: self.variables.clone(),
            sdk_dir: self.sdk_dir.clone(),
            extensions: names.to_vec(),
            api: api.clone(),
        };
        let birth = |endpoint| Birth {
            id: id.clone(),
            spec: (*spec).clone(),
            tenant_id: self.tenant_id.map(str::to_owned),
            recorder,
            endpoint,
            api: api.clone(),
            expires_at_ms: self.expires_at_ms,
            generation: self.generation,
        };
        if let Err(failure) = external {
            let environment = Box::new(Environment::never_launched(birth(None)));
            let ending = Ending::Platform(PlatformFailure::Extension(failure));
            return Err(TryError::Function { environment, ending, init_us: 0 });
        }
        let mut launched = match engine.launcher.launch(order).await {
            Ok(launched) => launched,
            Err(LaunchError::InvalidEntrypoint(cause)) => {
                let environment = Box::new(Environment::never_launched(birth(None)));
                let ending = Ending::Platform(PlatformFailure::InvalidEntrypoint(cause));
                return Err(TryError::Function { environment, ending, init_us: 0 });
            }
            Err(LaunchError::RuntimeUnavailable(text)) => {
                return Err(TryError::Gust(InvokeError::RuntimeUnavailable(text)));
            }
            Err(LaunchError::Sandbox(text)) => return Err(TryError::Gust(InvokeError::Sandbox(text))),
        };
        let owner = || EndpointOwner {
            account: spec.account.clone(),
            region: spec.region.clone(),
            role_arn: spec.role_arn.clone(),
            function_arn: spec.arn.clone(),
            environment_id: id.clone(),
        };
        if spec.debug_port().is_some() {
            function.debugging.started(&launched.control);
        }
        let endpoint = launched.endpoint.take().map(|listener| engine.ports.endpoint.serve(listener, owner()));
        let mut environment = Box::new(Environment::new(birth(endpoint), launched));
        let began = Instant::now();
        let end = environment.initialise(began + limit).await;
        let init_us = micros(began.elapsed());
        drop(promise);
        // What was printed while it loaded stands before START.
        environment.drain();
        let ending = match end {
            InitEnd::Ready => {
                environment.initialised(phase, init_us);
                return Ok((environment, init_us));
            }
            InitEnd::Failed(failure) => Ending::FunctionError(failure),
            InitEnd::Exited(exit) => Ending::Platform(PlatformFailure::Exited(exit)),
            InitEnd::Extension(failure) => Ending::Platform(PlatformFailure::Extension(failure)),
            InitEnd::TimedOut => Ending::Platform(PlatformFailure::TimedOut { timeout_ms: spec.timeout_ms }),
        };
        environment.memory_peak_bytes(true).await;
        environment.log_participants();
        Err(TryError::Function { environment, ending, init_us })
    }
}

/// Keys of the function's role. They are shared by environments of one function while they last long
/// enough, so that only the first start pays for a session.
async fn credentials(engine: &Inner, function: &FunctionPool, spec: &FunctionSpec) -> Result<Credentials, InvokeError> {
    let mut kept = function.credentials.lock().await;
    if let Some((role_arn, credentials)) = &*kept {
        let left_ms = credentials.expires_at_ms.unwrap_or(i64::MAX).saturating_sub(SystemClock.now_ms());
        if *role_arn == spec.role_arn && left_ms > SESSION_REUSE_LEFT_MS {
            return Ok(credentials.clone());
        }
    }
    let session = RoleSession {
        account: spec.account.clone(),
        role_arn: spec.role_arn.clone(),
        session_name: spec.name.clone(),
        duration_s: SESSION_S,
    };
    let made = engine.ports.credentials.session(session).await;
    let made = made.map_err(|error| InvokeError::Sandbox(format!("no credentials for its role: {error}")))?;
    *kept = Some((spec.role_arn.clone(), made.clone()));
    Ok(made)
}

/// The folder with the AWS SDK; waited for (bounded) while it is being provisioned.
async fn sdk_dir(engine: &Inner, spec: &FunctionSpec) -> Option<PathBuf> {
    if env::is_custom(&spec.runtime) {
        return None;
    }
    let mut state = engine.ports.sdk.watch(&spec.runtime)?;
    let settled = state.wait_for(|state| !matches!(state, SdkState::Provisioning));
    match timeout(engine.settings.sdk_wait, settled).await {
        Ok(Ok(state)) => match &*state {
            SdkState::Ready(folder) => Some(folder.clone()),
            SdkState::Provisioning | SdkState::Absent => None,
        },
        Ok(Err(_)) => None,
        Err(_) => {
            tracing::warn!(function = spec.arn, "started without the AWS SDK: it is still being provisioned");
            None
        }
    }
}
