//! gust's own endpoint inside each environment, and the SDK's folder for it.

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

/// The SDK for Python, as whoever starts environments asks for it.
pub struct PythonSdk {
    state: watch::Receiver<SdkState>,
}

impl PythonSdk {
    /// Follows `state` as long as it changes.
    pub fn new(mut state: crate::sdk::Watch) -> PythonSdk {
        let (sender, receiver) = watch::channel(translated(&state.borrow()));
        tokio::spawn(async move {
            while state.changed().await.is_ok() {
                sender.send_replace(translated(&state.borrow()));
            }
            // Whoever still waits sees the last state.
            sender.closed().await;
        });
        PythonSdk { state: receiver }
    }
}

impl SdkFolders for PythonSdk {
    fn watch(&self, runtime: &str) -> Option<watch::Receiver<SdkState>> {
        runtime.starts_with("python").then(|| self.state.clone())
    }
}

fn translated(state: &crate::sdk::State) -> SdkState {
    match state {
        crate::sdk::State::Installing => SdkState::Provisioning,
        crate::sdk::State::Ready(folder) => SdkState::Ready(folder.clone()),
        crate::sdk::State::Missing(_) => SdkState::Absent,
    }
}
