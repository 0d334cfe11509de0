//! The extensions of one environment: who has registered for what, and who is done with the last event.
//!
//! External extensions are processes of their own and known by name before they start; internal ones run in the runtime's
//! process and become known when they register. Source:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>; error types and states that it does not
//! name are those of AWS's open runtime interface emulator.

use crate::{EXTENSIONS_MAX, ExtensionFailure, ExtensionSummary, FunctionFacts, ProcessEnd, ShutdownReason};
use bytes::Bytes;
use gust_types::Ids;
use serde_json::json;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{oneshot, watch};

/// Why a call is refused; each is a 403.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error_type: &'static str,
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    External,
    Internal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Started,
    Registered,
    Ready,
    Running,
    LaunchError,
    InitError,
    ExitError,
    Exited,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::Started => "Started",
            Phase::Registered => "Registered",
            Phase::Ready => "Ready",
            Phase::Running => "Running",
            Phase::LaunchError => "LaunchError",
            Phase::InitError => "InitError",
            Phase::ExitError => "ExitError",
            Phase::Exited => "Exited",
        }
    }
}

pub(crate) const INVOKE: &str = "INVOKE";
pub(crate) const SHUTDOWN: &str = "SHUTDOWN";

struct Extension {
    name: String,
    kind: Kind,
    id: String,
    phase: Phase,
    events: Vec<&'static str>,
    waiting: Option<oneshot::Sender<Bytes>>,
    /// Events that it has not asked for yet: at most the last INVOKE and SHUTDOWN.
    queued: VecDeque<Bytes>,
    error_type: Option<String>,
}

impl Extension {
    fn wants(&self, event: &str) -> bool {
        self.events.contains(&event)
    }

    /// Whether its process can still be talked to.
    fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::LaunchError | Phase::InitError | Phase::ExitError | Phase::Exited)
    }

    fn deliver(&mut self, event: Bytes) {
        self.phase = Phase::Running;
        let unsent = match self.waiting.take() {
            Some(waiting) => waiting.send(event).err(),
            None => Some(event),
        };
        self.queued.extend(unsent);
    }
}

struct State {
    list: Vec<Extension>,
    is_closed: bool,
    failure: Option<ExtensionFailure>,
}

/// All extensions of one environment.
pub struct Extensions {
    facts: FunctionFacts,
    ids: Arc<dyn Ids>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    /// Extensions that take part. None of them: a warm invoke takes no lock here.
    count: AtomicUsize,
}

/// What a request for the next event got.
pub(crate) enum NextEvent<'a> {
    Now(Bytes),
    Wait(WaitingEvent<'a>),
}

/// A request for the next event that waits. An event on its way to one that is given up is not lost.
pub(crate) struct WaitingEvent<'a> {
    extensions: &'a Extensions,
    id: String,
    receiver: Option<oneshot::Receiver<Bytes>>,
}

impl WaitingEvent<'_> {
    /// The event; `None` if another request took this one's place.
    pub(crate) async fn event(mut self) -> Option<Bytes> {
        let event = self.receiver.as_mut()?.await.ok();
        self.receiver = None;
        event
    }
}

impl Drop for WaitingEvent<'_> {
    fn drop(&mut self) {
        let Some(mut receiver) = self.receiver.take() else { return };
        receiver.close();
        if let Ok(event) = receiver.try_recv()
            && let Some(extension) = self.extensions.lock().find(&self.id)
        {
            extension.queued.push_front(event);
        }
    }
}

impl State {
    fn find(&mut self, id: &str) -> Option<&mut Extension> {
        self.list.iter_mut().find(|extension| !extension.id.is_empty() && extension.id == id)
    }

    fn fail(&mut self, error_type: &'static str, cause: String) {
        self.failure.get_or_insert(ExtensionFailure { error_type, cause });
    }
}

// ---- gust's side

impl Extensions {
    /// The extensions of an environment whose external ones have these names.
    pub fn new(facts: FunctionFacts, ids: Arc<dyn Ids>, external: &[String]) -> Extensions {
        let started = |name: &String| Extension {
            name: name.clone(),
            kind: Kind::External,
            id: String::new(),
            phase: Phase::Started,
            events: Vec::new(),
            waiting: None,
            queued: VecDeque::new(),
            error_type: None,
        };
        let list: Vec<Extension> = external.iter().map(started).collect();
        let count = AtomicUsize::new(list.len());
        let state = State { list, is_closed: false, failure: None };
        Extensions { facts, ids, state: Mutex::new(state), changed: watch::Sender::new(()), count }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changed.send_replace(());
    }

    /// Waits until `test` gives a value.
    async fn until<T>(&self, mut test: impl FnMut(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(value) = test(&self.lock()) {
                return value;
            }
            // The sender is a field of this very value.
            let _ = changed.changed().await;
        }
    }

    /// Whether none takes part.
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Whether processes of their own are among them.
    pub fn has_external(&self) -> bool {
        !self.is_empty() && self.lock().list.iter().any(|extension| extension.kind == Kind::External)
    }

    /// Waits until all external ones have registered: only then the runtime is started.
    pub async fn registered(&self) {
        self.until(|state| state.list.iter().all(|extension| extension.phase != Phase::Started).then_some(())).await;
    }

    /// No more can register: initialisation is over.
    pub fn close_registration(&self) {
        self.lock().is_closed = true;
    }

    /// Waits until all have asked for their first event.
    pub async fn ready(&self) {
        self.until(|state| {
            let is_waited_for = |extension: &Extension| matches!(extension.phase, Phase::Started | Phase::Registered);
            (!state.list.iter().any(is_waited_for)).then_some(())
        })
        .await;
    }

    /// Waits for the first failure of an extension.
    pub async fn failure(&self) -> ExtensionFailure {
        self.until(|state| state.failure.clone()).await
    }

    /// Whether one has failed.
    pub fn has_failed(&self) -> bool {
        !self.is_empty() && self.lock().failure.is_some()
    }

    /// Hands an INVOKE event to those that want it.
    pub fn begin_invoke(&self, request_id: &str, deadline_ms: i64, function_arn: &str, trace: Option<&str>) {
        if self.is_empty() {
            return;
        }
        let event = json!({
            "eventType": INVOKE,
            "deadlineMs": deadline_ms,
            "requestId": request_id,
            "invokedFunctionArn": function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": trace.unwrap_or_default()},
        });
        let event = Bytes::from(event.to_string());
        let mut state = self.lock();
        for extension in state.list.iter_mut().filter(|extension| extension.is_alive() && extension.wants(INVOKE)) {
            extension.deliver(event.clone());
        }
    }

    /// Waits until all that got the last event have asked for the next.
    pub async fn settled(&self) {
        if self.is_empty() {
            return;
        }
        self.until(|state| {
            let is_busy = |extension: &Extension| extension.phase == Phase::Running && extension.wants(INVOKE);
            (!state.list.iter().any(is_busy)).then_some(())
        })
        .await;
    }

    /// Hands a SHUTDOWN event to those that want it; returns their number.
    pub fn begin_shutdown(&self, reason: ShutdownReason, deadline_ms: i64) -> usize {
        let event = json!({"eventType": SHUTDOWN, "shutdownReason": reason.as_str(), "deadlineMs": deadline_ms});
        let event = Bytes::from(event.to_string());
        let mut state = self.lock();
        let takers = state.list.iter_mut().filter(|extension| extension.is_alive() && extension.wants(SHUTDOWN));
        takers.map(|extension| extension.deliver(event.clone())).count()
    }

    /// Waits until the processes of all external ones that got a SHUTDOWN event have ended.
    pub async fn gone(&self) {
        self.until(|state| {
            let is_there = |extension: &Extension| {
                extension.kind == Kind::External && extension.is_alive() && extension.wants(SHUTDOWN)
            };
            (!state.list.iter().any(is_there)).then_some(())
        })
        .await;
    }

    /// The process of the external extension number `index` has ended.
    pub fn process_ended(&self, index: usize, end: &ProcessEnd) {
        let mut state = self.lock();
        let Some(extension) = state.list.get_mut(index) else { return };
        let was_alive = extension.is_alive();
        let (phase, error_type, failure) = match end {
            ProcessEnd::NotStarted { cause, is_permission } => {
                let error_type = if *is_permission { "PermissionDenied" } else { "UnknownError" };
                (Phase::LaunchError, Some(error_type), ("Extension.LaunchError", cause.clone()))
            }
            ProcessEnd::Exited(code) => (Phase::Exited, None, ("Extension.Crash", format!("exit status {code}"))),
            ProcessEnd::Signalled(name) => (Phase::Exited, None, ("Extension.Crash", format!("signal: {name}"))),
        };
        if was_alive {
            extension.phase = phase;
            extension.error_type = error_type.map(str::to_owned);
        }
        extension.waiting = None;
        state.fail(failure.0, failure.1);
        drop(state);
        self.tell();
    }

    /// What is logged about each of them.
    pub fn summary(&self) -> Vec<ExtensionSummary> {
        let of = |extension: &Extension| ExtensionSummary {
            name: extension.name.clone(),
            state: extension.phase.name(),
            events: extension.events.clone(),
            error_type: extension.error_type.clone(),
        };
        self.lock().list.iter().map(of).collect()
    }
}

// ---- the extensions' side

impl Extensions {
    pub(crate) fn facts(&self) -> &FunctionFacts {
        &self.facts
    }

    /// A new identifier of an event.
    pub(crate) fn new_id(&self) -> String {
        self.ids.uuid()
    }

    /// Registers; returns the identifier that every later call must carry.
    pub(crate) fn register(&self, name: &str, events: &[String]) -> Result<String, Refusal> {
        let mut state = self.lock();
        let known = state.list.iter().position(|extension| extension.name == name);
        let is_external = known.is_some_and(|at| state.list[at].kind == Kind::External);
        let mut wanted: Vec<&'static str> = Vec::new();
        for event in events {
            match event.as_str() {
                INVOKE => wanted.push(INVOKE),
                SHUTDOWN if is_external => wanted.push(SHUTDOWN),
                other => {
                    let message = format!("{other}: ErrorInvalidEventType");
                    return Err(Refusal { error_type: "Extension.InvalidEventType", message });
                }
            }
        }
        let id = self.ids.uuid();
        let at = match known {
            Some(at) if is_external && state.list[at].phase == Phase::Started => at,
            Some(at) if is_external => return Err(not_now(state.list[at].phase, "Registered", name)),
            _ if state.is_closed => {
                let message = "Extension registration closed already".to_owned();
                return Err(Refusal { error_type: "Extension.RegistrationClosed", message });
            }
            Some(_) => {
                let message = "Extension with this name already registered".to_owned();
                return Err(Refusal { error_type: "Extension.InvalidExtensionState", message });
            }
            None if state.list.len() >= EXTENSIONS_MAX => {
                let message = format!("Extension limit ({EXTENSIONS_MAX}) reached");
                return Err(Refusal { error_type: "Extension.TooManyExtensions", message });
            }
            None => {
                let internal = Extension {
                    name: name.to_owned(),
                    kind: Kind::Internal,
                    id: String::new(),
                    phase: Phase::Started,
                    events: Vec::new(),
                    waiting: None,
                    queued: VecDeque::new(),
                    error_type: None,
                };
                state.list.push(internal);
                self.count.fetch_add(1, Ordering::AcqRel);
                state.list.len() - 1
            }
        };
        let extension = &mut state.list[at];
        (extension.id, extension.events, extension.phase) = (id.clone(), wanted, Phase::Registered);
        drop(state);
        self.tell();
        Ok(id)
    }

    /// The name of the extension that `id` belongs to.
    pub(crate) fn name_of(&self, id: &str) -> Result<String, Refusal> {
        let mut state = self.lock();
        state.find(id).map(|extension| extension.name.clone()).ok_or_else(|| unknown(id))
    }

    /// Asks for the next event, and says thereby that the last one is done with.
    pub(crate) fn next(&self, id: &str) -> Result<NextEvent<'_>, Refusal> {
        let mut state = self.lock();
        let extension = state.find(id).ok_or_else(|| unknown(id))?;
        let is_asked_twice = extension.waiting.as_ref().is_some_and(|waiting| !waiting.is_closed());
        if !extension.is_alive() || extension.phase == Phase::Started || is_asked_twice {
            return Err(not_now(extension.phase, "Ready", id));
        }
        if let Some(event) = extension.queued.pop_front() {
            return Ok(NextEvent::Now(event));
        }
        let (sender, receiver) = oneshot::channel();
        extension.waiting = Some(sender);
        extension.phase = Phase::Ready;
        drop(state);
        self.tell();
        Ok(NextEvent::Wait(WaitingEvent { extensions: self, id: id.to_owned(), receiver: Some(receiver) }))
    }

    /// `/extension/init/error`: it could not initialise.
    pub(crate) fn init_error(&self, id: &str, error_type: &str) -> Result<(), Refusal> {
        self.report(id, error_type, Phase::InitError)
    }

    /// `/extension/exit/error`: it is about to exit because of an error.
    pub(crate) fn exit_error(&self, id: &str, error_type: &str) -> Result<(), Refusal> {
        self.report(id, error_type, Phase::ExitError)
    }

    fn report(&self, id: &str, error_type: &str, to: Phase) -> Result<(), Refusal> {
        let mut state = self.lock();
        let extension = state.find(id).ok_or_else(|| unknown(id))?;
        let may = match (extension.phase, to) {
            // The first report counts; another one does no harm.
            (from, to) if from == to => return Ok(()),
            (from, Phase::InitError) => from == Phase::Registered,
            (from, _) => matches!(from, Phase::Registered | Phase::Ready | Phase::Running),
        };
        if !may {
            return Err(not_now(extension.phase, to.name(), id));
        }
        extension.phase = to;
        extension.error_type = Some(error_type.to_owned());
        let kind = if to == Phase::InitError { "Extension.InitError" } else { "Extension.ExitError" };
        let cause = format!("{}: {error_type}", extension.name);
        state.fail(kind, cause);
        drop(state);
        self.tell();
        Ok(())
    }
}

fn not_now(from: Phase, to: &str, who: &str) -> Refusal {
    let from = from.name();
    let message = format!(
        "State transition from {from} to {to} failed for extension {who}. Error: State transition is not allowed"
    );
    Refusal { error_type: "Extension.InvalidExtensionState", message }
}

fn unknown(id: &str) -> Refusal {
    Refusal { error_type: "Extension.UnknownExtensionIdentifier", message: format!("Unknown extension {id}") }
}
