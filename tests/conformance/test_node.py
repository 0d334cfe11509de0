"""Node.js functions: handlers, context, errors, logs, modules and the AWS SDK.

What a handler may be and what comes of it is tested in runtimes/node, over every transport and on every Node.js; here
is what AWS's own clients see of it.
"""

import json
import re

import pytest

from harness.functions import invoke, log_lines, result
from harness.nodejs import node_function, runtimes
from harness.packages import package

GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/"
HANDLER = GUIDE + "nodejs-handler.html"


@pytest.fixture(scope="module")
def found(gust):
    return runtimes(gust)


@pytest.mark.documented(GUIDE + "lambda-runtimes.html")
@pytest.mark.parametrize("major", [18, 20, 22, 24])
def test_every_node_runtime_runs_on_what_the_machine_has(lambda_, logs, found, major):
    runtime = f"nodejs{major}.x"
    fit, version = found[runtime]
    if fit == "missing":
        pytest.skip("this machine has no Node.js")
    source = "exports.handler = async () => [process.version, process.env.AWS_EXECUTION_ENV];"
    name = node_function(lambda_, source, Runtime=runtime)
    assert result(lambda_, name) == [f"v{version}", f"AWS_Lambda_{runtime}"]
    begins = f"INIT_START Runtime Version: nodejs:{version.split('.')[0]}.v"
    lines = log_lines(logs, name, lambda lines: any(line.startswith(begins) for line in lines))
    warned = any(runtime in line and version in line and "runs this function instead" in line for line in lines)
    assert warned == (fit == "nearest"), lines


@pytest.mark.documented(GUIDE + "lambda-runtimes.html")
@pytest.mark.parametrize("runtime", ["nodejs14.x", "nodejs12.x", "nodejs"])
def test_retired_runtimes_are_refused(lambda_, refused, runtime):
    with refused("InvalidParameterValueException", 400) as error:
        node_function(lambda_, "", Runtime=runtime)
    assert f"The runtime parameter of {runtime} is no longer supported" in error["Error"]["Message"]


@pytest.mark.documented(HANDLER)
@pytest.mark.parametrize(
    "files, handler",
    [
        ({"index.js": "exports.handler = async (event) => event;"}, "index.handler"),
        ({"index.mjs": "export const handler = async (event) => event;"}, "index.handler"),
        ({"index.cjs": "exports.handler = async (event) => event;"}, "index.handler"),
        ({"package.json": '{"type":"module"}', "index.js": "export const handler = async (e) => e;"}, "index.handler"),
        ({"src/app.js": "exports.a = { b: async (event) => event };"}, "src/app.a.b"),
        ({"index.js": "exports.handler = (event, context, callback) => callback(null, event);"}, "index.handler"),
    ],
    ids=["commonjs", "esm", "cjs", "type module", "nested", "callback"],
)
def test_handlers_of_every_kind(lambda_, files, handler):
    name = node_function(lambda_, None, files=files, Handler=handler)
    for event in [{"a": [1, None, "ümläut ☃"]}, None, "text"]:
        assert result(lambda_, name, event) == event


@pytest.mark.documented(GUIDE + "nodejs-context.html")
def test_the_context(lambda_):
    source = """exports.handler = async (event, context) => ({
        ...context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID });"""
    name = node_function(lambda_, source, MemorySize=192)
    answer = invoke(lambda_, name, {}, ClientContext="eyJjdXN0b20iOnsiayI6InYifX0=")
    context = answer["Payload"]
    assert context["functionName"] == name and context["functionVersion"] == "$LATEST"
    assert context["memoryLimitInMB"] == "192" and context["clientContext"] == {"custom": {"k": "v"}}
    assert context["awsRequestId"] == answer["ResponseMetadata"]["RequestId"]
    assert context["invokedFunctionArn"].endswith(f":function:{name}")
    assert context["logGroupName"] == f"/aws/lambda/{name}" and "[$LATEST]" in context["logStreamName"]
    assert context["callbackWaitsForEmptyEventLoop"] is True and 0 < context["left"] <= 20_000
    assert context["trace"].startswith("Root=1-")


@pytest.mark.documented(GUIDE + "nodejs-exceptions.html")
def test_an_exception(lambda_):
    name = node_function(lambda_, "exports.handler = async () => { null.x; };")
    answer = invoke(lambda_, name, {}, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    payload = answer["Payload"]
    assert list(payload) == ["errorType", "errorMessage", "trace"]
    assert payload["errorType"] == "TypeError" and "null" in payload["errorMessage"]
    assert payload["trace"][0].startswith("TypeError: ") and "/var/task/index.js:1:" in payload["trace"][1]
    request = answer["ResponseMetadata"]["RequestId"]
    assert re.search(rf"Z\t{request}\tERROR\tInvoke Error \t\{{\"errorType\":\"TypeError\"", answer["Log"]), answer["Log"]
    assert "FunctionError" in invoke(lambda_, name, {}), "the environment lives on"


@pytest.mark.documented(GUIDE + "nodejs-exceptions.html")
@pytest.mark.parametrize(
    "files, kind, message",
    [
        ({"other.js": ""}, "Runtime.ImportModuleError", "Error: Cannot find module 'index'\nRequire stack:\n- /var/runtime/index.mjs"),
        ({"index.js": "exports.other = 1;"}, "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
        ({"index.js": "exports.handler = {"}, "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected end of input"),
        ({"index.js": "throw new RangeError('early');"}, "RangeError", "early"),
        ({"index.mjs": "await Promise.reject(new Error('late'));"}, "Error", "late"),
    ],
)
def test_a_function_that_cannot_be_loaded(lambda_, logs, files, kind, message):
    name = node_function(lambda_, None, files=files)
    answer = invoke(lambda_, name, {})
    assert answer["FunctionError"] == "Unhandled"
    assert (answer["Payload"]["errorType"], answer["Payload"]["errorMessage"]) == (kind, message)
    log_lines(logs, name, lambda lines: any("\tundefined\tERROR\tUncaught Exception \t{" in line for line in lines))


@pytest.mark.inferred
@pytest.mark.parametrize(
    "code, kind",
    [
        ("setTimeout(() => { throw new TypeError('x'); }, 1)", "TypeError"),
        ("Promise.reject(new TypeError('x'))", "Runtime.UnhandledPromiseRejection"),
    ],
)
def test_what_nobody_catches_ends_the_process(lambda_, code, kind):
    source = f"""let calls = 0; exports.handler = async (event) => {{
        calls += 1; if (event.fail) {{ {code}; await new Promise((r) => setTimeout(r, 9000)); }} return [calls, process.pid]; }};"""
    name = node_function(lambda_, source)
    assert result(lambda_, name, {})[0] == 1
    for _ in range(3):
        answer = invoke(lambda_, name, {"fail": True})
        assert answer["FunctionError"] == "Unhandled" and answer["Payload"]["errorType"] == kind, answer
        assert result(lambda_, name, {})[0] == 1, "a new process"


@pytest.mark.documented(HANDLER)
def test_nodejs24_has_no_callbacks(lambda_):
    source = "exports.handler = (event, context, callback) => callback(null, 1);"
    answer = invoke(lambda_, node_function(lambda_, source, Runtime="nodejs24.x"), {})
    assert answer["Payload"]["errorType"] == "Runtime.CallbackHandlerDeprecated", answer
    assert "removed support for callback-based function handlers starting with Node.js 24" in answer["Payload"]["errorMessage"]


@pytest.mark.documented(GUIDE + "nodejs-context.html")
def test_a_callback_waits_for_the_event_loop_unless_told_not_to(lambda_):
    source = """let seen = []; exports.handler = (event, context, callback) => {
        context.callbackWaitsForEmptyEventLoop = event.wait;
        setTimeout(() => seen.push('late'), 200); callback(null, seen); };"""
    name = node_function(lambda_, source)
    assert result(lambda_, name, {"wait": True}) == ["late"]
    assert result(lambda_, node_function(lambda_, source), {"wait": False}) == []


@pytest.mark.documented(GUIDE + "nodejs-logging.html")
def test_text_logs(lambda_, logs):
    name = node_function(lambda_, "console.log('init'); exports.handler = async () => { console.warn('one\\ntwo', { a: 1 }); };")
    answer = invoke(lambda_, name, {}, LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    init = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tundefined\tINFO\tinit")
    log_lines(logs, name, lambda lines: any(init.fullmatch(line) for line in lines))
    assert f"Z\t{request}\tWARN\tone\ntwo {{ a: 1 }}\n" in answer["Log"], answer["Log"]


@pytest.mark.documented(GUIDE + "nodejs-logging.html")
def test_json_logs_are_filtered_by_level(lambda_, logs):
    source = """exports.handler = async () => { console.debug('no'); console.info('no'); console.warn({ k: 1 });
        console.error('failed', new RangeError('r')); };"""
    name = node_function(lambda_, source, LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    request = invoke(lambda_, name, {})["ResponseMetadata"]["RequestId"]
    lines = log_lines(logs, name, lambda lines: any("RangeError" in line for line in lines))
    own = [json.loads(line) for line in lines if "requestId" in json.loads(line)]
    assert [(line["level"], line["requestId"]) for line in own] == [("WARN", request), ("ERROR", request)]
    assert own[0]["message"] == {"k": 1}
    assert (own[1]["errorType"], own[1]["errorMessage"]) == ("RangeError", "r") and own[1]["stackTrace"]


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html")
@pytest.mark.parametrize("memory_mb", [128, 512, 3008])
def test_the_heap_fits_the_memory_size(lambda_, memory_mb):
    source = "const v8 = require('v8'); exports.handler = async () => v8.getHeapStatistics().heap_size_limit / 1048576;"
    limit_mb = result(lambda_, node_function(lambda_, source, MemorySize=memory_mb))
    assert 0.85 * memory_mb < limit_mb < 1.1 * memory_mb + 40


@pytest.mark.documented(GUIDE + "configuration-envvars.html")
def test_variables_that_act_at_exec_are_honoured(lambda_):
    source = "exports.handler = async () => [process.env.NODE_OPTIONS, require('v8').getHeapStatistics().heap_size_limit / 1048576];"
    options = "--max-old-space-size=77"
    name = node_function(lambda_, source, MemorySize=512, Environment={"Variables": {"NODE_OPTIONS": options}})
    seen, limit_mb = result(lambda_, name)
    assert seen == options and limit_mb < 150


@pytest.mark.documented(GUIDE + "nodejs-package.html#nodejs-package-searchpath")
def test_paths_and_working_directory(lambda_):
    source = """exports.handler = async () => [process.cwd(), __filename, process.env.NODE_PATH, process.env.LAMBDA_TASK_ROOT,
        process.execPath, Object.keys(process.env).filter((name) => name.startsWith('_GUST'))];"""
    cwd, file, path, root, node, own = result(lambda_, node_function(lambda_, source))
    assert (cwd, file, root, own) == ("/var/task", "/var/task/index.js", "/var/task", [])
    assert path == "/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task"
    assert node == "/var/lang/bin/node"


SDK = GUIDE + "lambda-nodejs.html#nodejs-sdk-included"
ASK = "new STSClient({}).send(new GetCallerIdentityCommand({})).then((answer) => answer.Arn)"


@pytest.mark.documented(SDK)
@pytest.mark.parametrize(
    "file, source",
    [
        ("index.js", "const { STSClient, GetCallerIdentityCommand } = require('@aws-sdk/client-sts'); exports.handler = async () => %s;"),
        ("index.mjs", "import { STSClient, GetCallerIdentityCommand } from '@aws-sdk/client-sts'; export const handler = async () => %s;"),
    ],
)
def test_the_sdk_is_there_and_reaches_gust(gust, lambda_, file, source):
    gust.with_node_sdk()
    name = node_function(lambda_, source % ASK, file=file, MemorySize=1769)
    assert result(lambda_, name).endswith(f"/{name}")


@pytest.mark.documented(SDK)
def test_a_bundled_package_comes_before_the_sdk(gust, lambda_):
    gust.with_node_sdk()
    files = {
        "index.mjs": "import { own } from '@aws-sdk/client-sts'; export const handler = async () => own;",
        "node_modules/@aws-sdk/client-sts/package.json": '{"main":"index.js"}',
        "node_modules/@aws-sdk/client-sts/index.js": "exports.own = 'bundled';",
    }
    assert result(lambda_, node_function(lambda_, None, files=files)) == "bundled"
