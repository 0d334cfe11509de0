//! A function over real sandboxes, shared by the tests.
#![allow(missing_docs, dead_code)]

use async_trait::async_trait;
use gust_invoke::{Engine, NoEndpoint, NoSdk, Ports, SandboxLauncher, SandboxOptions, Settings};
use gust_kit::Platform;
use gust_kit::ports::{
    CredentialError, CredentialSource, Credentials, FunctionSpec, InvokeOutcome, InvokeRequest, Invoker, KeyOwner,
    LogDestination, LogFormat, LogLevel, LogLine, LogSink, LogTail, Logging, RoleSession,
};
use gust_sandbox::{Egress, Spawner, SpawnerConfig, discover_interpreters};
use gust_store::Store;
use gust_types::{AccountId, Ids, Region, RequestId, SystemIds};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tempfile::TempDir;

#[derive(Default)]
pub struct Sink(pub Mutex<Vec<String>>);

impl LogSink for Sink {
    fn write(&self, _destination: &LogDestination, lines: Vec<LogLine>) {
        self.0.lock().unwrap().extend(lines.into_iter().map(|line| line.message.trim_end().to_owned()));
    }
}

struct Keys;

#[async_trait]
impl CredentialSource for Keys {
    async fn owner(&self, _access_key_id: &str) -> Result<Option<KeyOwner>, CredentialError> {
        Ok(None)
    }

    async fn session(&self, _session: RoleSession) -> Result<Credentials, CredentialError> {
        Ok(Credentials {
            access_key_id: "ASIATEST".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: Some("token".to_owned()),
            expires_at_ms: None,
        })
    }
}

pub struct World {
    pub engine: Engine,
    pub launcher: Arc<SandboxLauncher>,
    pub sink: Arc<Sink>,
    pub folder: TempDir,
    pub spec: FunctionSpec,
    pub spawner: Spawner,
}

pub fn interpreters() -> Vec<gust_sandbox::Interpreter> {
    static FOUND: OnceLock<Vec<gust_sandbox::Interpreter>> = OnceLock::new();
    FOUND.get_or_init(discover_interpreters).clone()
}

impl World {
    pub async fn new(runtime: &str, file: &str, code: &str) -> World {
        World::with(runtime, file, code, Settings::default()).await
    }

    pub async fn with(runtime: &str, file: &str, code: &str, settings: Settings) -> World {
        let folder = TempDir::new().unwrap();
        let code_dir = folder.path().join("code");
        fs::create_dir(&code_dir).unwrap();
        fs::write(code_dir.join(file), code).unwrap();
        for path in [folder.path(), &code_dir, &code_dir.join(file)] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let config = SpawnerConfig {
            executable: Some(env!("CARGO_BIN_EXE_invoke-spawner").into()),
            ..SpawnerConfig::new(folder.path().join("state"), SystemIds.hex(12))
        };
        let spawner = Spawner::start(config.clone()).await.unwrap();
        let options = SandboxOptions { interpreters: interpreters(), strict_runtimes: false, egress: Egress::None };
        let launcher = Arc::new(SandboxLauncher::new(spawner.clone(), config.clone(), options));
        let sink = Arc::new(Sink::default());
        let ports = Ports {
            logs: sink.clone(),
            credentials: Arc::new(Keys),
            endpoint: Arc::new(NoEndpoint),
            sdk: Arc::new(NoSdk),
        };
        let engine = Engine::new(settings, Platform::system(Store::memory()), launcher.clone(), ports);
        let spec = FunctionSpec {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            name: "f".to_owned(),
            version: "$LATEST".to_owned(),
            arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
            revision_id: "1".to_owned(),
            runtime: runtime.to_owned(),
            handler: "app.handler".to_owned(),
            role_arn: "arn:aws:iam::000000000000:role/r".to_owned(),
            memory_mb: 128,
            timeout_ms: 20_000,
            tmp_mb: 512,
            environment: [("MY".to_owned(), "own".to_owned())].into(),
            code_dir,
            layers_dir: None,
            architecture: "x86_64".to_owned(),
            logging: Logging {
                format: LogFormat::Text,
                application_level: LogLevel::Info,
                system_level: LogLevel::Info,
                group: "/aws/lambda/f".to_owned(),
            },
            tracing_mode: "PassThrough".to_owned(),
            development: None,
            is_tenant_isolated: false,
            dead_letter_arn: None,
            may_recurse: false,
        };
        World { engine, launcher, sink, folder, spec, spawner }
    }

    pub async fn python(code: &str) -> World {
        World::new("python3.11", "app.py", code).await
    }

    pub async fn invoke(&self, event: Value) -> InvokeOutcome {
        let request = InvokeRequest {
            function: Arc::new(self.spec.clone()),
            invoked_arn: self.spec.arn.clone(),
            request_id: RequestId::from_text("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
            payload: event.to_string().into(),
            client_context: None,
            trace_header: None,
            tenant_id: None,
            tail: LogTail::Wanted,
        };
        self.engine.invoke(request).await.unwrap()
    }

    pub async fn call(&self, event: Value) -> Value {
        serde_json::from_slice(&self.invoke(event).await.payload).unwrap()
    }

    pub fn log(&self) -> String {
        self.sink.0.lock().unwrap().join("\n")
    }

    /// Ends everything and shows that nothing is left.
    pub async fn end(self) {
        assert!(self.engine.shutdown(Duration::from_secs(10)).await);
        self.launcher.shutdown().await.unwrap();
        drop(self.folder);
    }
}
