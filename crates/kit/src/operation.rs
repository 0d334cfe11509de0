//! One operation = one type = one file: `impl Operation for CreateFunction`.

use crate::{Call, Need, Platform, ResourceFacts};
use futures_util::future::BoxFuture;
use gust_types::{AwsError, Doc};
use gust_wire::{FromDoc, IntoDoc, OperationModel, OperationShape, ServiceModel};
use std::sync::Arc;

/// A service: its state and ports, its interface, its operations.
pub trait Service: Send + Sync + Sized + 'static {
    /// The generated interface.
    const MODEL: &'static ServiceModel;
    /// Every operation: `&[Op::of::<CreateFunction>(), ...]`.
    const OPERATIONS: &'static [Op<Self>];

    /// What all services share.
    fn platform(&self) -> &Platform;

    /// What the caller of `operation` must be allowed (asked where policies are evaluated). Unless a service says more
    /// exactly, that is the action of the operation's name on every resource; an empty list is an operation that
    /// everybody may call.
    ///
    /// A resource of another account that no need names stays out of reach: see [`Call::granted_account`].
    /// Errors: the request cannot be understood as far as that needs it; the caller gets that error.
    fn needs(
        &self,
        operation: &'static OperationModel,
        _input: &Doc,
        _call: &Call,
    ) -> impl Future<Output = Result<Vec<Need>, AwsError>> + Send {
        let action = format!("{}:{}", Self::MODEL.endpoint_prefix, operation.route.name);
        std::future::ready(Ok(vec![Need::new(action, "*")]))
    }

    /// The policy and the tags of a resource that a need names; asked only if the answer depends on them. Nothing
    /// for one that does not exist.
    ///
    /// Errors: they could not be read; the caller is refused with that error.
    fn facts(&self, _resource: &str) -> impl Future<Output = Result<ResourceFacts, AwsError>> + Send {
        std::future::ready(Ok(ResourceFacts::default()))
    }
}

/// An operation. Its input has been decoded and validated when `run` begins, and runs without HTTP.
pub trait Operation: OperationShape {
    /// The service it belongs to.
    type Service: Service;
    /// The service's error; the wire sees it as [`AwsError`].
    type Error: Into<AwsError> + Send;

    /// Carries it out.
    fn run(
        cx: &Cx<Self::Service>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send;
}

/// What an operation can reach.
pub struct Cx<S: Service> {
    /// The service.
    pub service: Arc<S>,
    /// The call.
    pub call: Call,
}

impl<S: Service> Cx<S> {
    /// Store, clock and ids.
    pub fn platform(&self) -> &Platform {
        self.service.platform()
    }

    /// The store.
    pub fn store(&self) -> &gust_store::Store {
        &self.platform().store
    }

    /// Now, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.platform().now_ms()
    }
}

type Run<S> = fn(Cx<S>, Doc) -> BoxFuture<'static, Result<Doc, AwsError>>;

/// An operation with its types erased, for the service's table.
pub struct Op<S: Service> {
    /// Its interface.
    pub model: &'static OperationModel,
    run: Run<S>,
}

impl<S: Service> Op<S> {
    /// The entry of operation `O`.
    pub const fn of<O: Operation<Service = S>>() -> Op<S> {
        Op { model: O::MODEL, run: run_erased::<O> }
    }

    /// Runs it with a decoded and validated input.
    pub fn run(&self, cx: Cx<S>, input: Doc) -> BoxFuture<'static, Result<Doc, AwsError>> {
        (self.run)(cx, input)
    }
}

fn run_erased<O: Operation>(cx: Cx<O::Service>, input: Doc) -> BoxFuture<'static, Result<Doc, AwsError>> {
    Box::pin(async move {
        let input = O::Input::from_doc(input);
        O::run(&cx, input).await.map(IntoDoc::into_doc).map_err(Into::into)
    })
}
