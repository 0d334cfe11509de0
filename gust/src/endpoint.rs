//! gust's own endpoint inside each environment, and the SDKs' folders for it.

use crate::sdk::{Sdks, State};
use gust_gateway::{ConnectionOrigin, Gateway, Serving};
use gust_invoke::{EndpointOwner, EndpointServer, SdkFolders, SdkState};
use gust_kit::{Principal, PrincipalKind};
use std::net::TcpListener;
use std::sync::OnceLock;
use tokio::sync::watch;

/// Serves the gateway inside environments. The gateway comes later, because it stands on what runs functions.
#[derive(Default)]
pub struct Endpoints {
    gateway: OnceLock<Gateway>,
}

impl Endpoints {
    /// From now on environments reach `gateway`.
    pub fn set(&self, gateway: Gateway) {
        if self.gateway.set(gateway).is_err() {
            tracing::error!("the gateway of the environments was set twice");
        }
    }
}

impl EndpointServer for Endpoints {
    fn serve(&self, listener: TcpListener, owner: EndpointOwner) -> Box<dyn Send> {
        let Some(gateway) = self.gateway.get() else {
            tracing::error!("an environment was started before the gateway");
            return Box::new(());
        };
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => Box::new(Guard(gateway.serve(listener, ConnectionOrigin::Environment(principal(owner))))),
            Err(cause) => {
                tracing::error!(%cause, "an environment's endpoint cannot be served");
                Box::new(())
            }
        }
    }
}

/// Ends an endpoint with its environment.
struct Guard(#[allow(dead_code)] Serving);

/// Whose calls they are that carry no key gust knows: the function's session of its role.
fn principal(owner: EndpointOwner) -> Principal {
    let role = owner.role_arn.rsplit('/').next().unwrap_or_default();
    let function = owner.function_arn.rsplit(':').next().unwrap_or_default();
    let account = owner.account;
    Principal {
        kind: PrincipalKind::AssumedRole,
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{function}"),
        user_id: format!("{role}:{function}"),
        account,
        access_key_id: None,
        session: None,
    }
}

/// The SDKs, as whoever starts environments asks for them.
pub struct RuntimeSdks {
    python: watch::Receiver<SdkState>,
    node: watch::Receiver<SdkState>,
}

impl RuntimeSdks {
    /// Follows `sdks` as long as they change.
    pub fn new(sdks: Sdks) -> RuntimeSdks {
        RuntimeSdks { python: follow(sdks.python), node: follow(sdks.node) }
    }
}

fn follow(mut state: watch::Receiver<State>) -> watch::Receiver<SdkState> {
    let (sender, receiver) = watch::channel(translated(&state.borrow()));
    tokio::spawn(async move {
        while state.changed().await.is_ok() {
            sender.send_replace(translated(&state.borrow()));
        }
        // Whoever still waits sees the last state.
        sender.closed().await;
    });
    receiver
}

impl SdkFolders for RuntimeSdks {
    fn watch(&self, runtime: &str) -> Option<watch::Receiver<SdkState>> {
        if runtime.starts_with("python") {
            Some(self.python.clone())
        } else if runtime.starts_with("nodejs") {
            Some(self.node.clone())
        } else {
            None
        }
    }
}

fn translated(state: &State) -> SdkState {
    match state {
        State::Installing => SdkState::Provisioning,
        State::Ready(folder) => SdkState::Ready(folder.clone()),
        State::Missing(_) => SdkState::Absent,
    }
}
