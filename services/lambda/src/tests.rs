//! What the tests of all operations share: a service on a store in memory, with an invoker that only notes.

use crate::api::{
    AliasConfiguration, AliasRoutingConfiguration, CreateAlias, CreateAliasRequest, CreateFunction,
    CreateFunctionRequest, FunctionCode, FunctionConfiguration, LayerVersionContentInput, PublishLayerVersionRequest,
    PublishVersion, PublishVersionRequest, Runtime, UpdateFunctionCode, UpdateFunctionCodeRequest,
};
use crate::model::{FunctionId, Usage};
use crate::{Catalog, CodeStore, Durability, FunctionTarget, Lambda, Settings, keys};
use async_trait::async_trait;
use bytes::Bytes;
use gust_blob::Blobs;
use gust_kit::ports::{
    AsyncEvent, Delivery, FunctionSpec, InvokeError, InvokeOutcome, InvokeRequest, InvokeStream, Invoker, Provisioned,
    Sender, Staged, StreamItem, Target, TargetError, TargetKind, Targets,
};
use gust_kit::{Call, Cx, Operation, Platform, Principal};
use gust_store::{Key, Order, Range, Store, StoreError, Table, Tx};
use gust_types::{AccountId, AwsError, ManualClock, Region, RequestId, SeededIds};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

/// A part of a zip.
pub enum Piece<'a> {
    /// Name, mode and content.
    File(&'a str, u32, &'a [u8]),
    /// Name and content, not compressed.
    Stored(&'a str, &'a [u8]),
    /// Name, with a slash at its end.
    Folder(&'a str),
    /// Name and target.
    Link(&'a str, &'a str),
}

/// A zip of these pieces.
pub fn zip_of(pieces: &[Piece<'_>]) -> Bytes {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for piece in pieces {
        match piece {
            Piece::File(name, mode, content) => {
                writer.start_file(*name, options.unix_permissions(*mode)).unwrap();
                writer.write_all(content).unwrap();
            }
            Piece::Stored(name, content) => {
                writer.start_file(*name, options.compression_method(CompressionMethod::Stored)).unwrap();
                writer.write_all(content).unwrap();
            }
            Piece::Folder(name) => writer.add_directory(*name, options).unwrap(),
            Piece::Link(name, target) => writer.add_symlink(*name, *target, options).unwrap(),
        }
    }
    writer.finish().unwrap().into_inner().into()
}

/// A call of the root of account 000000000000 in us-east-1.
pub fn call() -> Call {
    call_in("us-east-1", "000000000000")
}

/// A call of the root of `account` in `region`.
pub fn call_in(region: &str, account: &str) -> Call {
    Call {
        principal: Principal::root(AccountId::parse(account).unwrap(), None),
        region: Region::parse(region).unwrap(),
        granted_account: None,
        request_id: RequestId::from_text("11111111-2222-4333-8444-555555555555"),
        received_at_ms: 0,
        trace_header: None,
        origin: "http://127.0.0.1:4566".to_owned(),
    }
}

/// A function of that account and region.
pub fn function_id(name: &str) -> FunctionId {
    FunctionId { account: call().account().clone(), region: call().region, name: name.into() }
}

/// A request for a small Python function.
pub fn create_request(name: &str) -> CreateFunctionRequest {
    let zip_file = Some(zip_of(&[Piece::File("app.py", 0o644, b"def handler(event, context):\n    return event\n")]));
    CreateFunctionRequest {
        function_name: name.to_owned(),
        role: "arn:aws:iam::000000000000:role/r".to_owned(),
        runtime: Some(Runtime::Python3_12),
        handler: Some("app.handler".to_owned()),
        code: FunctionCode { zip_file, ..Default::default() },
        ..Default::default()
    }
}

/// A request for a version of a layer with these files.
pub fn layer_request(name: &str, files: &[(&str, &[u8])]) -> PublishLayerVersionRequest {
    let pieces: Vec<Piece<'_>> = files.iter().map(|(name, content)| Piece::File(name, 0o644, content)).collect();
    let content = LayerVersionContentInput { zip_file: Some(zip_of(&pieces)), ..Default::default() };
    PublishLayerVersionRequest { layer_name: name.to_owned(), content, ..Default::default() }
}

/// A call of [`Invoker::retire`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retired {
    /// Its name, with the version if that is not `$LATEST`.
    pub function: String,
    pub keep: Option<String>,
}

/// Where [`NotingInvoker::enqueue`] writes: the log that the real queue would use begins its tables.
fn queue() -> Key {
    Table(0x01ff).key()
}

/// Answers with the payload and notes what it was asked.
#[derive(Default)]
pub struct NotingInvoker {
    invoked: Mutex<Vec<InvokeRequest>>,
    retired: Mutex<Vec<Retired>>,
    reserved: Mutex<Vec<(String, Option<u32>)>>,
    wanted: Mutex<BTreeMap<String, u32>>,
    progress: Mutex<BTreeMap<String, Provisioned>>,
    next: Mutex<Option<Result<InvokeOutcome, InvokeError>>>,
}

impl NotingInvoker {
    pub fn invoked(&self) -> Vec<InvokeRequest> {
        self.invoked.lock().unwrap().clone()
    }

    pub fn retired(&self) -> Vec<Retired> {
        self.retired.lock().unwrap().clone()
    }

    pub fn reserved(&self) -> Vec<(String, Option<u32>)> {
        self.reserved.lock().unwrap().clone()
    }

    /// What is to be kept ready of each version.
    pub fn wanted(&self) -> Vec<(String, u32)> {
        self.wanted.lock().unwrap().iter().map(|(version, count)| (version.clone(), *count)).collect()
    }

    pub fn progresses(&self, version: &str, state: Provisioned) {
        self.progress.lock().unwrap().insert(version.to_owned(), state);
    }

    pub fn answer_with(&self, outcome: Result<InvokeOutcome, InvokeError>) {
        *self.next.lock().unwrap() = Some(outcome);
    }
}

#[async_trait]
impl Invoker for NotingInvoker {
    async fn invoke(&self, request: InvokeRequest) -> Result<InvokeOutcome, InvokeError> {
        self.invoked.lock().unwrap().push(request.clone());
        let echo = InvokeOutcome {
            payload: request.payload,
            failure: None,
            log_tail: Bytes::new(),
            executed_version: request.function.version.clone(),
            duration_us: 1,
            init_us: None,
        };
        self.next.lock().unwrap().take().unwrap_or(Ok(echo))
    }

    async fn invoke_streaming(&self, request: InvokeRequest) -> Result<InvokeStream, InvokeError> {
        let mut outcome = self.invoke(request).await?;
        let mut items = Vec::new();
        if outcome.failure.is_none() {
            items.push(StreamItem::Chunk(std::mem::take(&mut outcome.payload)));
        }
        let executed_version = outcome.executed_version.clone();
        items.push(StreamItem::End(outcome));
        Ok(InvokeStream { content_type: None, executed_version, items: Box::pin(futures_util::stream::iter(items)) })
    }

    fn enqueue(&self, tx: &mut dyn Tx, event: &AsyncEvent) -> Result<(), StoreError> {
        tx.append(&queue(), serde_json::to_vec(event).unwrap().into()).map(|_| ())
    }

    fn reserve(&self, _: &AccountId, _: &Region, function: &str, reserved: Option<u32>) {
        self.reserved.lock().unwrap().push((function.to_owned(), reserved));
    }

    fn provision(&self, function: &Arc<FunctionSpec>, executions: u32) {
        self.wanted.lock().unwrap().insert(format!("{}:{}", function.name, function.version), executions);
    }

    fn unprovision(&self, _: &AccountId, _: &Region, function: &str, version: &str) {
        self.wanted.lock().unwrap().remove(&format!("{function}:{version}"));
    }

    fn provisioned(&self, _: &AccountId, _: &Region, function: &str, version: &str) -> Option<Provisioned> {
        self.progress.lock().unwrap().get(&format!("{function}:{version}")).cloned()
    }

    fn retire(&self, _: &AccountId, _: &Region, function: &str, version: &str, keep: Option<&str>) {
        let function = match version {
            "$LATEST" => function.to_owned(),
            version => format!("{function}:{version}"),
        };
        self.retired.lock().unwrap().push(Retired { function, keep: keep.map(str::to_owned) });
    }
}

/// A service that is ready to be called.
pub struct Bed {
    pub lambda: Arc<Lambda>,
    pub invoker: Arc<NotingInvoker>,
    pub clock: Arc<ManualClock>,
    pub call: Call,
    blobs: Blobs,
    store: Store,
    folder: Arc<tempfile::TempDir>,
}

impl Bed {
    pub async fn new() -> Bed {
        // 2026-11-23T12:00:00Z
        let clock = Arc::new(ManualClock::at(1_795_435_200_000));
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Bed::over(Store::memory(), Blobs::temporary().unwrap(), clock, folder, 1).await
    }

    /// The same data under a new service, as after a crash.
    pub async fn restarted(&self) -> Bed {
        Bed::over(self.store.clone(), self.blobs.clone(), self.clock.clone(), self.folder.clone(), 2).await
    }

    /// A service that asks whether Lambda may act in a role.
    pub async fn with_roles() -> Bed {
        let mut bed = Bed::new().await;
        let Lambda { platform, catalog, settings, .. } = &*bed.lambda;
        let settings = Settings { roles: Some(Arc::new(OneRole)), ..settings.clone() };
        let lambda = Lambda::open(platform.clone(), catalog.clone(), bed.invoker.clone(), settings).await.unwrap();
        bed.lambda = lambda;
        bed
    }

    /// A service for which there is another kind of targets besides functions.
    pub async fn with_target(kind: TargetKind, target: Arc<TakingTarget>) -> Bed {
        let mut bed = Bed::new().await;
        let Lambda { platform, catalog, settings, .. } = &*bed.lambda;
        let functions: Arc<dyn Target> = Arc::new(bed.function_target());
        let targets = Targets::new([(TargetKind::Function, functions), (kind, target as Arc<dyn Target>)]);
        let settings = Settings { targets, ..settings.clone() };
        let lambda = Lambda::open(platform.clone(), catalog.clone(), bed.invoker.clone(), settings).await.unwrap();
        bed.lambda = lambda;
        bed
    }

    /// Its functions as destinations.
    pub fn function_target(&self) -> FunctionTarget {
        let Lambda { platform, catalog, .. } = &*self.lambda;
        FunctionTarget::new(catalog.clone(), self.invoker.clone(), platform.ids.clone(), None)
    }

    async fn over(
        store: Store,
        blobs: Blobs,
        clock: Arc<ManualClock>,
        folder: Arc<tempfile::TempDir>,
        seed: u64,
    ) -> Bed {
        let ids = Arc::new(SeededIds::new(seed));
        let platform = Platform { store: store.clone(), clock: clock.clone(), ids: ids.clone() };
        let root: PathBuf = folder.path().join("code");
        let code = CodeStore::open(blobs.clone(), root, Durability::Ephemeral, ids).unwrap();
        // Tests settle by hand, or run the worker and wait for it themselves.
        let wait_ms = if seed == 1 { 0 } else { 10_000 };
        let catalog = Arc::new(Catalog::new(platform.clone(), Arc::new(code), wait_ms));
        let invoker = Arc::new(NotingInvoker::default());
        let functions = FunctionTarget::new(catalog.clone(), invoker.clone(), platform.ids.clone(), None);
        let targets = Targets::new([(TargetKind::Function, Arc::new(functions) as Arc<dyn Target>)]);
        let settings = Settings { machine: "x86_64", targets, ..Default::default() };
        let lambda = Lambda::open(platform, catalog, invoker.clone(), settings).await.unwrap();
        Bed { lambda, invoker, clock, call: call(), blobs, store, folder }
    }

    pub async fn run<O: Operation<Service = Lambda>>(&self, input: O::Input) -> Result<O::Output, AwsError> {
        self.run_as::<O>(self.call.clone(), input).await
    }

    pub async fn run_as<O: Operation<Service = Lambda>>(
        &self,
        call: Call,
        input: O::Input,
    ) -> Result<O::Output, AwsError> {
        O::run(&Cx { service: self.lambda.clone(), call }, input).await.map_err(Into::into)
    }

    /// The message with which the operation is refused.
    pub async fn refusal<O: Operation<Service = Lambda>>(&self, input: O::Input) -> String {
        match self.run::<O>(input).await {
            Ok(_) => panic!("it was not refused"),
            Err(error) => error.message,
        }
    }

    pub async fn create_pending(&self, name: &str) {
        self.run::<CreateFunction>(create_request(name)).await.unwrap();
    }

    pub async fn create_active(&self, name: &str) {
        self.create_pending(name).await;
        self.lambda.settle_pending().await.unwrap();
    }

    /// A zip whose `app.py` is this text.
    pub fn zip_of(&self, content: &str) -> Bytes {
        zip_of(&[Piece::File("app.py", 0o644, content.as_bytes())])
    }

    /// Replaces a function's code and settles that.
    pub async fn update_code(&self, name: &str, content: &[u8]) {
        let zip_file = Some(zip_of(&[Piece::File("app.py", 0o644, content)]));
        let input = UpdateFunctionCodeRequest { function_name: name.to_owned(), zip_file, ..Default::default() };
        self.run::<UpdateFunctionCode>(input).await.unwrap();
        self.lambda.settle_pending().await.unwrap();
    }

    pub async fn publish(&self, name: &str) -> FunctionConfiguration {
        let input = PublishVersionRequest { function_name: name.to_owned(), ..Default::default() };
        self.run::<PublishVersion>(input).await.unwrap()
    }

    pub async fn create_alias(
        &self,
        function: &str,
        name: &str,
        version: &str,
        additional: Option<(&str, f64)>,
    ) -> AliasConfiguration {
        let weights = additional.map(|(version, share)| [(version.to_owned(), share)].into());
        let input = CreateAliasRequest {
            function_name: function.to_owned(),
            name: name.to_owned(),
            function_version: version.to_owned(),
            description: None,
            routing_config: Some(AliasRoutingConfiguration { additional_version_weights: weights }),
        };
        self.run::<CreateAlias>(input).await.unwrap()
    }

    pub async fn usage(&self) -> Usage {
        let key = keys::usage(&function_id("").account, &function_id("").region);
        let read = self.store.read(move |snapshot| snapshot.get(&key)).await.unwrap();
        read.map_or_else(Usage::default, |bytes| keys::decode(&bytes).unwrap())
    }

    pub async fn set_code_bytes(&self, code_bytes: u64) {
        let key = keys::usage(&function_id("").account, &function_id("").region);
        let usage = keys::encode(&Usage { code_bytes, ..Default::default() });
        self.store.transact(move |tx| tx.put(key.clone(), usage.clone())).await.unwrap();
    }

    pub async fn queued(&self) -> Vec<AsyncEvent> {
        let read = self.store.read(|snapshot| snapshot.range(&Range::prefix(&queue()), Order::Ascending, 100));
        read.await.unwrap().iter().map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
    }
}

#[test]
fn every_implemented_operation_is_in_the_table() {
    use gust_kit::Service;
    let mut table: Vec<&str> = Lambda::OPERATIONS.iter().map(|op| op.model.route.name).collect();
    let mut model: Vec<&str> = Lambda::MODEL.operations.iter().map(|operation| operation.route.name).collect();
    table.sort_unstable();
    model.sort_unstable();
    assert_eq!(table, model);
}

/// One request through all that lies between a socket and an operation.
async fn exchange(
    bed: &Bed,
    method: &str,
    path_and_query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> gust_wire::WireResponse {
    use gust_kit::{Endpoint, ServiceEndpoint};
    use gust_wire::{Protocol, Routed, WireRequest};
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let headers: http::HeaderMap = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::try_from(*name).unwrap(), http::HeaderValue::try_from(*value).unwrap()))
        .collect();
    let request = WireRequest { method, path, query, headers: &headers, body: Bytes::from(body.to_owned()) };
    let model = &crate::api::MODEL;
    let Ok(Routed::Operation(operation)) = gust_wire::route(model, Protocol::RestJson, &request) else {
        panic!("{method} {path} leads to no operation");
    };
    let outcome = async {
        let input = gust_wire::decode(Protocol::RestJson, operation, &request)?;
        gust_wire::check_members(operation, &input)?;
        gust_wire::validate(model, operation, &input)?;
        ServiceEndpoint(bed.lambda.clone()).call(operation.route.name, bed.call.clone(), input).await
    };
    match outcome.await {
        Ok(output) => gust_wire::encode(Protocol::RestJson, model, operation, &output, "id"),
        Err(error) => gust_wire::encode_error(Protocol::RestJson, model, Some(operation), &error, "id"),
    }
}

#[tokio::test]
async fn a_function_lives_through_the_wire() {
    use base64::Engine;
    let bed = Bed::new().await;
    let zip = base64::engine::general_purpose::STANDARD.encode(create_request("a").code.zip_file.unwrap());
    let body = format!(
        r#"{{"FunctionName":"a","Runtime":"python3.12","Role":"arn:aws:iam::000000000000:role/r","Handler":"app.handler",
        "Code":{{"ZipFile":"{zip}"}},"Publish":false,"Tags":{{"k":"v"}},"Layers":[],"VpcConfig":{{"SubnetIds":["subnet-1"]}}}}"#
    );
    let json =
        |response: &gust_wire::WireResponse| serde_json::from_slice::<serde_json::Value>(&response.body).unwrap();
    let created = exchange(&bed, "POST", "/2015-03-31/functions", &[], &body).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(json(&created)["State"], "Pending");
    assert_eq!(json(&created)["VpcConfig"]["SubnetIds"][0], "subnet-1");
    let again = exchange(&bed, "POST", "/2015-03-31/functions", &[], &body).await;
    assert_eq!((again.status, again.header("x-amzn-errortype")), (409, Some("ResourceConflictException")));
    assert_eq!(json(&again), serde_json::json!({"Type": "User", "message": "Function already exist: a"}));
    let image = body.replace("\"Layers\":[]", "\"ImageConfig\":{\"Command\":[\"x\"]}");
    assert_eq!(exchange(&bed, "POST", "/2015-03-31/functions", &[], &image).await.status, 501);

    bed.lambda.settle_pending().await.unwrap();
    let shown = exchange(&bed, "GET", "/2015-03-31/functions/a?Qualifier=%24LATEST", &[], "").await;
    assert_eq!(
        (json(&shown)["Configuration"]["State"].as_str(), json(&shown)["Tags"]["k"].as_str()),
        (Some("Active"), Some("v"))
    );
    assert!(json(&shown)["Configuration"].get("Layers").is_none());

    let invocations = "/2015-03-31/functions/a/invocations";
    let invoked = exchange(&bed, "POST", invocations, &[("x-amz-log-type", "Tail")], "[1]").await;
    assert_eq!((invoked.status, invoked.body.as_ref()), (200, &b"[1]"[..]));
    assert_eq!(invoked.header("x-amz-executed-version"), Some("$LATEST"));
    assert_eq!(invoked.header("x-amz-function-error"), None);
    let event = exchange(&bed, "POST", invocations, &[("x-amz-invocation-type", "Event")], "").await;
    assert_eq!((event.status, event.body.len()), (202, 0));
    let dry = exchange(&bed, "POST", invocations, &[("x-amz-invocation-type", "DryRun")], "{}").await;
    assert_eq!(dry.status, 204);
    assert_eq!(exchange(&bed, "POST", "/2014-11-13/functions/a/invoke-async", &[], "{}").await.status, 202);
    assert_eq!(bed.queued().await.len(), 2);
    let bad = exchange(&bed, "POST", invocations, &[], "{").await;
    assert_eq!((bad.status, bad.header("x-amzn-errortype")), (400, Some("InvalidRequestContentException")));

    let arn = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aa";
    assert_eq!(exchange(&bed, "POST", arn, &[], r#"{"Tags":{"x":"y"}}"#).await.status, 204);
    assert_eq!(exchange(&bed, "DELETE", &format!("{arn}?tagKeys=k"), &[], "").await.status, 204);
    assert_eq!(json(&exchange(&bed, "GET", arn, &[], "").await), serde_json::json!({"Tags": {"x": "y"}}));
    assert_eq!(exchange(&bed, "DELETE", "/2015-03-31/functions/a", &[], "").await.status, 204);
    let gone = exchange(&bed, "GET", "/2015-03-31/functions/a/configuration", &[], "").await;
    assert_eq!((gone.status, gone.header("x-amzn-errortype")), (404, Some("ResourceNotFoundException")));
    let listed = exchange(&bed, "GET", "/2015-03-31/functions/?MaxItems=10", &[], "").await;
    assert_eq!(json(&listed), serde_json::json!({"Functions": []}));
}

/// What a [`TakingTarget`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Fine,
    Missing,
    NotAllowed,
}

/// A target that says what it is told to say, and remembers who asked for what.
pub struct TakingTarget {
    answer: Mutex<Answer>,
    asked: Mutex<Vec<(String, Sender)>>,
}

impl TakingTarget {
    pub fn new(answer: Answer) -> Arc<TakingTarget> {
        Arc::new(TakingTarget { answer: Mutex::new(answer), asked: Mutex::default() })
    }

    pub fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn asked(&self) -> Vec<(String, Sender)> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Target for TakingTarget {
    async fn check(&self, arn: &str, sender: &Sender) -> Result<(), TargetError> {
        self.asked.lock().unwrap().push((arn.to_owned(), sender.clone()));
        match *self.answer.lock().unwrap() {
            Answer::Fine => Ok(()),
            Answer::Missing => Err(TargetError::Missing),
            Answer::NotAllowed => Err(TargetError::NotAllowed { action: "sqs:SendMessage" }),
        }
    }

    async fn stage(&self, _: &Delivery) -> Result<Staged, TargetError> {
        Err(TargetError::Missing)
    }
}

/// The only role that trusts Lambda in [`Bed::with_roles`].
pub const TRUSTING_ROLE: &str = "arn:aws:iam::000000000000:role/trusting";

struct OneRole;

#[async_trait::async_trait]
impl gust_kit::ports::ServiceRoles for OneRole {
    async fn may_assume(
        &self,
        service: &str,
        role_arn: &str,
        source_arn: &str,
    ) -> Result<bool, gust_store::StoreError> {
        assert_eq!((service, source_arn), ("lambda.amazonaws.com", "arn:aws:lambda:us-east-1:000000000000:function:a"));
        Ok(role_arn == TRUSTING_ROLE)
    }
}
