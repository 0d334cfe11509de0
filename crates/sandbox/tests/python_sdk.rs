//! Functions get the AWS SDK loaded ahead, and cannot tell.
#![allow(missing_docs)]

mod common;

use common::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A small SDK: what matters is how it is imported. It says which process has loaded it.
fn sdk() -> TempDir {
    package(&[
        ("boto3/__init__.py", "import os\nimport uuid\nimport botocore\nimport dep\nLOADED_BY = os.getpid()\n"),
        (
            "boto3/session.py",
            "from botocore.loaders import JSONFileLoader\n\
             class Session:\n    def __init__(self, **keys):\n        pass\n    \
             def client(self, service):\n        return JSONFileLoader().load_file('/var/runtime/' + service)\n",
        ),
        ("botocore/__init__.py", ""),
        (
            "botocore/loaders.py",
            "import json\nimport os\nREADS = []\n\
             class JSONFileLoader:\n    def exists(self, path):\n        return os.path.exists(path + '.json')\n    \
             def load_file(self, path):\n        READS.append(path)\n        \
             return json.load(open(path + '.json')) if self.exists(path) else None\n",
        ),
        ("sts.json", "{\"name\": \"sts\"}"),
        ("dep.py", "OWNER = 'sdk'\n"),
    ])
}

/// A function with these files beside it, from a zygote that has the SDK loaded.
async fn function(world: &World, sdk: &TempDir, files: &[(&str, &str)]) -> Function {
    let mut all = vec![("lambda_function.py", EVALUATE)];
    all.extend(files);
    let change = |spec: &mut gust_sandbox::SandboxSpec| {
        spec.sdk_dir = Some(sdk.path().to_owned());
        spec.preload_sdk = true;
    };
    // Until that zygote is ready the other serves.
    for _ in 0..2000 {
        let mut function = world.start_python(&all, change).await;
        assert_eq!(function.frame().await.map(|(kind, _)| kind), Some(b'R'), "{}", function.output_now());
        let code = "import sys; result = [type(finder).__name__ for finder in sys.meta_path]";
        let answer = function.evaluate(code).await;
        let is_ahead = answer.as_array().is_some_and(|names| names.contains(&json!("Aside")));
        let is_forgotten = files.iter().any(|(name, _)| *name == "uuid.py");
        if is_ahead || (is_forgotten && world_has_sdk_zygote(world)) {
            return function;
        }
        function.sandbox.kill().await.unwrap();
    }
    panic!("the SDK was never loaded ahead");
}

fn world_has_sdk_zygote(world: &World) -> bool {
    sandbox_processes_below(world.spawner.pid()).into_iter().any(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().ends_with("zygote.py\0sdk\0")
    })
}

const LOOK: &str = r#"
import os, sys
before = sorted(name for name in sys.modules if name.split(".")[0] in ("boto3", "botocore", "dep"))
import boto3
import botocore.loaders
from importlib import reload
result = {"before": before, "ahead": boto3.LOADED_BY != os.getpid(), "dep": boto3.dep.OWNER, "file": boto3.__file__,
          "spec": [boto3.__spec__.name, boto3.__spec__.origin, type(boto3.__spec__.loader).__name__],
          "same": boto3.botocore is sys.modules["botocore"], "finders": [type(f).__name__ for f in sys.meta_path]}
"#;

#[tokio::test]
async fn the_provided_sdk_is_there_at_once_and_looks_as_if_it_had_been_imported() {
    let (world, sdk) = (World::new().await, sdk());
    let mut ahead = function(&world, &sdk, &[]).await;
    let seen = ahead.evaluate(LOOK).await;
    let mut plain = world.python_with(EVALUATE, |spec| spec.sdk_dir = Some(sdk.path().to_owned())).await;
    let mut expected = plain.evaluate(LOOK).await;
    assert_eq!(expected["ahead"], json!(false));
    expected["ahead"] = json!(true);
    assert_eq!(seen, expected);
    assert_eq!(seen["file"], "/var/runtime/boto3/__init__.py");
    // What was read ahead is handed out once, then read anew: whoever gets it may change it.
    let code = "import boto3.session, botocore.loaders as l; n = len(l.READS); s = boto3.session.Session(); \
                a, b = s.client('sts'), s.client('sts'); result = [a, b, a is b, len(l.READS) - n]";
    assert_eq!(ahead.evaluate(code).await, json!([{"name": "sts"}, {"name": "sts"}, false, 1]));
    let threads = "import os; result = len(os.listdir('/proc/self/task'))";
    assert_eq!(ahead.evaluate(threads).await, json!(1));
}

/// Any package of the SDK that the function brings along makes all of it the function's business.
#[tokio::test]
async fn what_the_function_brings_along_comes_first() {
    let (world, sdk) = (World::new().await, sdk());
    let mut own_part = function(&world, &sdk, &[("dep.py", "OWNER = 'function'\n")]).await;
    let seen = own_part.evaluate(LOOK).await;
    assert_eq!((&seen["ahead"], &seen["dep"]), (&json!(false), &json!("function")), "{seen}");
    let files = [(
        "vendored/boto3/__init__.py",
        "import os\nfrom types import SimpleNamespace as S\nLOADED_BY = os.getpid()\n",
    )];
    let mut put_in_front = function(&world, &sdk, &files).await;
    let code = "import sys; sys.path.insert(0, '/var/task/vendored'); import boto3, botocore; \
                result = [boto3.__file__, botocore.__file__]";
    let expected: Value = json!(["/var/task/vendored/boto3/__init__.py", "/var/runtime/botocore/__init__.py"]);
    assert_eq!(put_in_front.evaluate(code).await, expected);
    let mut namesake = function(&world, &sdk, &[("uuid.py", "OWNER = 'function'\n")]).await;
    assert_eq!(namesake.evaluate("import uuid; result = uuid.OWNER").await, json!("function"));
    assert_eq!(namesake.evaluate("import boto3; result = boto3.uuid.OWNER").await, json!("function"));
}
