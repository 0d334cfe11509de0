//! Functions that are being debugged: one environment at a time, prepared before the first request, and reachable from
//! outside.

use crate::acquire::acquire_idle;
use crate::engine::{Engine, Inner};
use crate::launcher::Control;
use bytes::Bytes;
use gust_kit::ports::{FunctionSpec, InvokeRequest, LogTail};
use gust_types::RequestId;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

/// How long a connection into an environment may take: the other side is on the same machine.
const CONNECT_MS_MAX: u64 = 2_000;

/// A function's place for being debugged.
#[derive(Default)]
pub(crate) struct Debugging {
    turn: Arc<tokio::sync::Mutex<()>>,
    latest: Mutex<Option<Weak<dyn Control>>>,
}

impl Debugging {
    /// Requests of a function that is being debugged come one after the other, so that there is one environment.
    pub(crate) async fn turn(&self, spec: &FunctionSpec) -> Option<OwnedMutexGuard<()>> {
        match spec.debug_port() {
            Some(_) => Some(self.turn.clone().lock_owned().await),
            None => None,
        }
    }

    /// An environment was started: from now on it is the one to connect to.
    pub(crate) fn started(&self, control: &Arc<dyn Control>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(control));
    }

    fn control(&self) -> Option<Arc<dyn Control>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.upgrade()
    }
}

impl Engine {
    /// Connects to a port inside the environment of a function that is being debugged.
    ///
    /// Errors: it has none now, or nothing listens there.
    pub async fn connect(&self, arn: &str, port: u16) -> Result<TcpStream, String> {
        let control = self.inner().pool(arn).and_then(|function| function.debugging.control());
        let control = control.ok_or_else(|| "no environment of it is being debugged".to_owned())?;
        let limit = Duration::from_millis(CONNECT_MS_MAX);
        timeout(limit, control.connect(port)).await.unwrap_or_else(|_| Err("nothing accepts the connection".to_owned()))
    }

    /// Starts an environment of `spec` for the next request, unless one is there. A failure is not told: the next
    /// request has it, too. Environments of a function that is isolated by tenant have to wait for one.
    pub fn prepare(&self, spec: Arc<FunctionSpec>) {
        if spec.is_tenant_isolated {
            return;
        }
        let engine = self.inner().clone();
        tokio::spawn(async move {
            let function = engine.function(&spec);
            let _turn = function.debugging.turn(&spec).await;
            if function.has_idle(&spec) {
                return;
            }
            if let Err(error) = acquire_idle(&engine, &function, &nobodys(&engine, spec)).await {
                tracing::debug!(%error, function = %function.arn, "no environment could be prepared");
            }
        });
    }
}

/// A request that is never run: what is started for it is for whoever comes next.
fn nobodys(engine: &Inner, spec: Arc<FunctionSpec>) -> InvokeRequest {
    InvokeRequest {
        invoked_arn: spec.arn.clone(),
        function: spec,
        request_id: RequestId::new(&*engine.platform.ids),
        payload: Bytes::new(),
        client_context: None,
        trace_header: None,
        tenant_id: None,
        tail: LogTail::Omitted,
    }
}
