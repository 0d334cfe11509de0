//! The one door into a service, from the gateway and from inside.

use crate::{Call, Cx, Need, ResourceFacts, Service};
use futures_util::future::BoxFuture;
use gust_types::{AwsError, Doc};
use gust_wire::{OperationModel, ServiceModel};
use std::collections::HashMap;
use std::sync::Arc;

/// A service with its type erased.
pub trait Endpoint: Send + Sync {
    /// Its interface.
    fn model(&self) -> &'static ServiceModel;

    /// Runs `operation` with a decoded and validated input.
    ///
    /// Errors: the operation's own, or 501 where the service has no such operation.
    fn call(&self, operation: &str, call: Call, input: Doc) -> BoxFuture<'static, Result<Doc, AwsError>>;

    /// See [`Service::needs`].
    fn needs<'a>(
        &'a self,
        operation: &'static OperationModel,
        input: &'a Doc,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<Vec<Need>, AwsError>>;

    /// See [`Service::facts`].
    fn facts<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, AwsError>>;
}

/// The endpoint of service `S`.
pub struct ServiceEndpoint<S: Service>(pub Arc<S>);

impl<S: Service> Endpoint for ServiceEndpoint<S> {
    fn model(&self) -> &'static ServiceModel {
        S::MODEL
    }

    fn call(&self, operation: &str, call: Call, input: Doc) -> BoxFuture<'static, Result<Doc, AwsError>> {
        let Some(op) = S::OPERATIONS.iter().find(|op| op.model.route.name == operation) else {
            let error = AwsError::not_implemented(S::MODEL.id, operation);
            return Box::pin(std::future::ready(Err(error)));
        };
        op.run(Cx { service: self.0.clone(), call }, input)
    }

    fn needs<'a>(
        &'a self,
        operation: &'static OperationModel,
        input: &'a Doc,
        call: &'a Call,
    ) -> BoxFuture<'a, Result<Vec<Need>, AwsError>> {
        Box::pin(self.0.needs(operation, input, call))
    }

    fn facts<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<ResourceFacts, AwsError>> {
        Box::pin(self.0.facts(resource))
    }
}

/// All services of one gust, by id.
#[derive(Default, Clone)]
pub struct Registry {
    services: Arc<HashMap<&'static str, Arc<dyn Endpoint>>>,
}

impl Registry {
    /// A registry of `endpoints`.
    pub fn new(endpoints: impl IntoIterator<Item = Arc<dyn Endpoint>>) -> Registry {
        let services = endpoints.into_iter().map(|endpoint| (endpoint.model().id, endpoint)).collect();
        Registry { services: Arc::new(services) }
    }

    /// The service called `id`.
    pub fn service(&self, id: &str) -> Option<&Arc<dyn Endpoint>> {
        self.services.get(id)
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = &Arc<dyn Endpoint>> {
        self.services.values()
    }
}

/// Calls operations from inside gust: validated like a request, without HTTP.
#[derive(Clone)]
pub struct Caller {
    registry: Registry,
}

impl Caller {
    /// A caller over `registry`.
    pub fn new(registry: Registry) -> Caller {
        Caller { registry }
    }

    /// Validates `input` and runs `service`'s `operation`.
    ///
    /// Errors: validation errors in AWS's words, 501 for what gust has not, the operation's own.
    pub async fn call(&self, service: &str, operation: &str, call: Call, input: Doc) -> Result<Doc, AwsError> {
        let missing = || AwsError::not_implemented(service, operation);
        let endpoint = self.registry.service(service).ok_or_else(missing)?;
        let model = endpoint.model();
        let interface = model.operation(operation).ok_or_else(missing)?;
        for warning in gust_wire::check_members(interface, &input)? {
            tracing::warn!(
                service,
                operation,
                member = warning.member,
                reason = warning.reason,
                "member has no effect"
            );
        }
        gust_wire::validate(model, interface, &input)?;
        endpoint.call(operation, call, input).await
    }
}
