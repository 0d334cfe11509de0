//! gust's Node.js runtime in sandboxes: executed for a function, and started before the function is known.
//!
//! What handlers can be and do is tested beside the runtime, in runtimes/node.
#![allow(missing_docs)]

mod common;

use common::*;
use gust_sandbox::{Folders, Interpreter, Program, RuntimeTransport, SandboxSpec, Sizes};
use serde_json::{Value, json};

const PROBE: &str = r#"
const fs = require('fs');
let calls = 0;
exports.handler = async (event) => ({
  event, calls: (calls += 1), uid: process.getuid(), cwd: process.cwd(), node: process.execPath, version: process.version,
  env: Object.keys(process.env).sort(), files: fs.readdirSync('/proc/self/fd').length,
  code: fs.readdirSync('/var/task'), opt: fs.readdirSync('/opt'), sdk: fs.readdirSync('/var/runtime'),
  heap: require('v8').getHeapStatistics().heap_size_limit / 1048576,
});
"#;

fn node_spec(interpreter: &Interpreter) -> impl Fn(&mut SandboxSpec) {
    move |spec| {
        spec.program = Program::Node { interpreter: interpreter.clone(), transport: RuntimeTransport::Channel };
        spec.env = variables();
    }
}

fn variables() -> Vec<(String, String)> {
    let pairs =
        [("PATH", "/var/lang/bin:/usr/bin:/bin"), ("_HANDLER", "index.handler"), ("LAMBDA_TASK_ROOT", "/var/task")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn check(seen: &Value, interpreter: &Interpreter) {
    assert_eq!(seen["event"], json!({"a": "ü"}));
    assert_eq!((&seen["uid"], &seen["cwd"]), (&json!(993), &json!("/var/task")));
    assert_eq!(seen["node"], "/var/lang/bin/node");
    assert_eq!(seen["version"], format!("v{}", interpreter.version_text()));
    let names: Vec<&str> = seen["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let expected = ["AWS_ENDPOINT_URL", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "NODE_PATH", "PATH", "_HANDLER"];
    assert_eq!(names, expected);
    assert_eq!(seen["code"], json!(["index.js"]));
    let heap_mb = seen["heap"].as_f64().unwrap();
    assert!((200.0..300.0).contains(&heap_mb), "{heap_mb}");
}

/// As `spec` has it.
const SIZES: Sizes = Sizes { memory_mb: 256, tmp_mb: 64 };

#[tokio::test]
async fn every_node_of_this_machine_runs_functions() {
    let world = World::new().await;
    for interpreter in nodes() {
        let mut function = world.start_python(&[("index.js", PROBE)], node_spec(interpreter)).await;
        assert_eq!(function.frame().await.map(|(kind, _)| kind), Some(b'R'), "{}", function.output_now());
        let answer = function.invoke(json!({"a": "ü"})).await;
        check(&answer.unwrap(), interpreter);
    }
}

#[tokio::test]
async fn a_process_started_ahead_is_given_one_function() {
    let world = World::new().await;
    for interpreter in nodes() {
        let (code, layers, sdk) = (package(&[("index.js", PROBE)]), package(&[("layer", "")]), package(&[("sdk", "")]));
        let mut spec =
            spec(code.path(), Program::Node { interpreter: interpreter.clone(), transport: RuntimeTransport::Channel });
        spec.env =
            vec![("_GUST_PREBOOTED".to_owned(), "1".to_owned()), ("SECRET_OF_NOBODY".to_owned(), "1".to_owned())];
        let vacant = world.spawner.create_vacant(spec).await.unwrap();
        let mut function = Function::new(vacant, code);
        assert_eq!(function.frame().await.map(|(kind, _)| kind), Some(b'W'), "{}", function.output_now());
        let folders = Folders {
            code_dir: function.package.path().to_owned(),
            layers_dir: Some(layers.path().to_owned()),
            sdk_dir: Some(sdk.path().to_owned()),
        };
        function.sandbox.attach(folders.clone(), SIZES).await.unwrap();
        assert!(function.sandbox.attach(folders, SIZES).await.is_err(), "only one function");
        let environment: serde_json::Map<String, Value> =
            variables().into_iter().map(|(name, value)| (name, value.into())).collect();
        function.send_frame(b'H', Value::from(environment).to_string().as_bytes()).await;
        assert_eq!(function.frame().await.map(|(kind, _)| kind), Some(b'R'), "{}", function.output_now());
        let seen = function.invoke(json!({"a": "ü"})).await.unwrap();
        check(&seen, interpreter);
        assert_eq!((&seen["opt"], &seen["sdk"]), (&json!(["layer"]), &json!(["sdk"])));
        assert_eq!(function.invoke(json!({"a": "ü"})).await.unwrap()["calls"], 2);
    }
}

#[tokio::test]
async fn a_sandbox_with_a_function_takes_no_other() {
    let world = World::new().await;
    let script = world.script("sleep 60", |_| {}).await;
    let other = package(&[("bootstrap", "")]);
    let folders = Folders { code_dir: other.path().to_owned(), layers_dir: None, sdk_dir: None };
    assert!(script.sandbox.attach(folders, SIZES).await.is_err());
}

/// Layers for all versions and for this one, and the SDK: found by both kinds of modules, in Lambda's order.
#[tokio::test]
async fn modules_of_layers_and_of_the_sdk_are_found_by_require_and_import() {
    let world = World::new().await;
    for interpreter in nodes() {
        let major = interpreter.version.0;
        let for_version = |name: &str| format!("nodejs/node{major}/node_modules/{name}/index.js");
        let layers = package(&[
            ("nodejs/node_modules/of_layer/index.js", "module.exports = 'layer';"),
            (&for_version("of_version"), "module.exports = 'version';"),
            ("nodejs/node_modules/twice/index.js", "module.exports = 'layer';"),
        ]);
        let sdk = package(&[
            ("node_modules/of_sdk/index.js", "module.exports = 'sdk';"),
            ("node_modules/twice/index.js", "module.exports = 'sdk';"),
        ]);
        let names = ["of_layer", "of_version", "of_sdk", "twice"];
        let imports: String = names.iter().map(|name| format!("import {name} from '{name}';\n")).collect();
        let requires: String = names.iter().map(|name| format!("const {name} = require('{name}');\n")).collect();
        let result = "[of_layer, of_version, of_sdk, twice]";
        for (file, source) in [
            ("index.mjs", format!("{imports}export const handler = async () => {result};")),
            ("index.js", format!("{requires}exports.handler = async () => {result};")),
        ] {
            let change = |spec: &mut SandboxSpec| {
                node_spec(interpreter)(spec);
                spec.layers_dir = Some(layers.path().to_owned());
                spec.sdk_dir = Some(sdk.path().to_owned());
            };
            let mut function = world.start_python(&[(file, &source)], change).await;
            let ready = function.frame().await;
            assert_eq!(ready.as_ref().map(|(kind, _)| *kind), Some(b'R'), "{file} on {major}: {ready:?}");
            assert_eq!(
                function.invoke(json!(0)).await,
                Ok(json!(["layer", "version", "sdk", "layer"])),
                "{file} on {major}"
            );
        }
    }
}
