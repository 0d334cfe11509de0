"""gust's Python runtime: loads a handler and serves invocations, as Lambda's own runtime for Python does.

One handler core over two transports: a private framed channel (a unix socket, where gust started the process), and
the HTTP Runtime API (where a wrapper or an extension has to be able to proxy it). Runs either in a process forked from
a zygote (`run_forked`) or executed (`main`). Python 3.9 and newer, standard library only.

Behaviour follows https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html, python-context.html,
python-logging.html and python-exceptions.html.
"""

import importlib
import json
import logging
import os
import site
import sys
import time
import types

import runtime_payload
from runtime_logs import (
    LEVEL_NONE,
    UNHANDLED_WARNING,
    CurrentInvoke,
    LogPipe,
    LogToStdout,
    log_error,
    open_standard_streams,
    set_up_logging,
)
from runtime_payload import Fault, error_payload, exception_payload, marshal, unmarshal
from runtime_transports import LENGTH_BYTES, Channel, RuntimeApi

TASK_ROOT = "/var/task"

# As often as the interpreter wants to see code before it has specialised it.
REHEARSALS = 10

# The function's own modules may have these names.
OWN_MODULES = ("bootstrap", "rehearsal", "runtime_logs", "runtime_payload", "runtime_transports", "sdk", "zygote")

# The AWS SDK, if the zygote has loaded it.
aside = None


class Record:
    """An object with fixed fields, None unless given."""

    __slots__ = ()

    def __init__(self, values):
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self):
        fields = ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__)
        return "%s([%s])" % (type(self).__name__, fields)


class CognitoIdentity(Record):
    """`context.identity`"""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(Record):
    """`context.client_context.client`"""

    __slots__ = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Record):
    """`context.client_context`"""

    __slots__ = ("custom", "env", "client")


# What a context tells of its environment, by the variables that say it.
FACT_NAMES = tuple(
    os.fsencode("AWS_LAMBDA_" + name)
    for name in ("LOG_GROUP_NAME", "LOG_STREAM_NAME", "FUNCTION_NAME", "FUNCTION_MEMORY_SIZE", "FUNCTION_VERSION")
)


def environment_facts(known=[None, None]):
    """The variables as they are now, read once as long as they stay the same: a handler may change them."""
    variables = os.environ._data
    raw = [variables.get(name) for name in FACT_NAMES]
    if raw != known[0]:
        known[:] = raw, [None if value is None else os.fsdecode(value) for value in raw]
    return known[1]


def set_trace_id(trace_id):
    """`os.environ["_X_AMZN_TRACE_ID"] = trace_id` without the checks that text of gust's own does not need."""
    if trace_id is None:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
        return
    value = trace_id.encode()
    os.putenv(TRACE_ID_NAME, value)
    os.environ._data[TRACE_ID_NAME] = value


TRACE_ID_NAME = b"_X_AMZN_TRACE_ID"


class LambdaContext:
    """The second argument of a handler, https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, invoke):
        self.aws_request_id = invoke.request_id
        (
            self.log_group_name,
            self.log_stream_name,
            self.function_name,
            self.memory_limit_in_mb,
            self.function_version,
        ) = environment_facts()
        self.invoked_function_arn = invoke.function_arn
        self.tenant_id = invoke.tenant_id
        self.client_context = None
        if invoke.client_context:
            client_context = parse_json(invoke.client_context, "Client Context")
            if client_context is not None:
                self.client_context = ClientContext(client_context)
                if self.client_context.client is not None:
                    self.client_context.client = Client(self.client_context.client)
        identity = {}
        if invoke.cognito_identity:
            identity = parse_json(invoke.cognito_identity, "Cognito Identity") or {}
        self.identity = CognitoIdentity(
            {
                "cognito_identity_id": identity.get("cognitoIdentityId"),
                "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
            }
        )
        self._epoch_deadline_time_in_ms = invoke.deadline_ms

    def get_remaining_time_in_millis(self):
        return max(self._epoch_deadline_time_in_ms - int(time.time() * 1000), 0)

    def log(self, message):
        for handler in logging.getLogger().handlers:
            sink = getattr(handler, "log_sink", None)
            if sink is not None:
                sink.write(str(message), LEVEL_NONE)
                return
        sys.stdout.write(str(message))

    def __repr__(self):
        names = (
            "aws_request_id,log_group_name,log_stream_name,function_name,memory_limit_in_mb,function_version,"
            "invoked_function_arn,client_context,identity,tenant_id"
        )
        fields = ",".join("%s=%s" % (name, getattr(self, name)) for name in names.split(","))
        return "LambdaContext([%s])" % fields


def parse_json(text, name):
    try:
        return json.loads(text)
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error)) from error


def load_handler(name):
    """Imports the handler `module.function`; the module may be given with slashes or dots."""
    try:
        module_name, function_name = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, error)) from error
    if module_name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % module_name
        raise Fault("Runtime.BuiltInModuleConflict", message)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = "Unable to import module '%s': %s" % (module_name, error)
        raise Fault("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        message = "Syntax error in module '%s': %s" % (module_name, error)
        trace = '  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)
        raise Fault("Runtime.UserCodeSyntaxError", message, [trace]) from error
    try:
        return getattr(module, function_name)
    except AttributeError as error:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("Runtime.HandlerNotFound", message) from error


def serve(transport, sink):
    """Loads the handler, then serves invocations until the transport ends. Returns the exit status."""
    set_up_logging(sink)
    try:
        handler = load_handler(os.environ.get("_HANDLER", ""))
    except Fault as fault:
        payload = error_payload(fault.message, fault.error_type, fault.trace)
    except Exception as error:
        payload = exception_payload(error)
    else:
        own_pid = os.getpid()
        transport.ready()
        while True:
            invoke = transport.next()
            if invoke is None:
                return 0
            handle(transport, sink, handler, invoke, own_pid)
    logging.warning(UNHANDLED_WARNING)
    log_error(sink, payload)
    transport.init_failed(payload)
    return 1


def handle(transport, sink, handler, invoke, own_pid):
    """Runs one invocation. Exceptions that are no `Exception` (SystemExit) end the process, as on Lambda."""
    CurrentInvoke.request_id = invoke.request_id
    CurrentInvoke.tenant_id = invoke.tenant_id
    set_trace_id(invoke.trace_id)
    if are_streams_gone():
        open_standard_streams()
    payload = None
    try:
        context = LambdaContext(invoke)
        event = unmarshal(invoke.payload)
        invoke.payload = None
        body, content_type = marshal(handler(event, context))
    except Fault as fault:
        payload = error_payload(fault.message, fault.error_type, fault.trace, invoke.request_id)
    except Exception as error:
        payload = exception_payload(error, invoke.request_id)
    if os.getpid() != own_pid:
        # A process that the handler forked came back from it, too: only the original one may answer.
        os._exit(0)
    if payload is None:
        transport.respond(invoke, body, content_type)
    else:
        log_error(sink, payload)
        transport.fail(invoke, payload)


def are_streams_gone():
    """Whether the handler took away or closed a standard stream: the next invocation gets it back."""
    out, err = sys.stdout, sys.stderr
    return out is None or getattr(out, "closed", False) or getattr(err, "closed", False)


def add_builtins():
    """No site-packages of the machine, but what `site` adds to builtins: exit, quit, help. A zygote does this once."""
    site.setquit()
    site.setcopyright()
    site.sethelper()


def layer_folders():
    version = "python%d.%d" % sys.version_info[:2]
    return ["/opt/python/lib/%s/site-packages" % version, "/opt/python"]


def set_up_interpreter():
    """Makes this process look to the function as a fresh interpreter of Lambda does."""
    own = os.path.dirname(os.path.abspath(__file__))
    standard = [path for path in sys.path if path and os.path.abspath(path) != own and path != "/var/runtime"]
    sys.path[:] = [TASK_ROOT] + layer_folders() + standard + ["/var/runtime"]
    sys.argv = ["/var/runtime/bootstrap.py"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    for name in OWN_MODULES:
        sys.modules.pop(name, None)
    open_standard_streams()


def rehearse():
    """Does once in the zygote what each of its children does, and leaves no trace of it but in the interpreter's own caches.

    Code that has run some times is specialised by the interpreter, which writes to it; names are looked up, free lists
    filled. What the zygote has done of that, all children share instead of writing to copies of their own.
    """
    path, argv, environment, modules = sys.path[:], sys.argv, dict(os.environ), dict(sys.modules)
    streams = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    header = b'{"request_id": "0", "deadline_ms": 0, "invoked_function_arn": "", "trace_id": ""}'
    payload = b'{"key": [1, "two", null]}'
    frame = b"".join((bytes(LENGTH_BYTES), b"I", len(header).to_bytes(LENGTH_BYTES, "little"), header, payload))
    root = logging.getLogger()
    try:
        for _ in range(REHEARSALS):
            set_up_interpreter()
            sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
            channel, sink = Channel(null), LogPipe(null)
            set_up_logging(sink)
            handler = load_handler("rehearsal.handler")
            channel.ready()
            handle(channel, sink, handler, channel.parse(frame), os.getpid())
            root.error("rehearsal")
            for added in root.handlers[:]:
                root.removeHandler(added)
            sys.modules.pop("rehearsal", None)
            sys.modules.update(modules)
    finally:
        sys.path[:], sys.argv = path, argv
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = streams
        sys.modules.clear()
        sys.modules.update(modules)
        os.environ.clear()
        os.environ.update(environment)
        CurrentInvoke.request_id = CurrentInvoke.tenant_id = None
        # It is made for the function's version of Python.
        runtime_payload.encoder = None
        sys.path_importer_cache.clear()
        os.close(null)


def run_forked(channel_fd, log_fd):
    """Runs in a process forked from a zygote, which has set up the interpreter, inside its sandbox. Returns the exit status."""
    return serve_forked(Channel(channel_fd), log_fd)


def run_vacant(channel_fd, log_fd):
    """The same before it is known which function it will be: that comes over the channel, its code with it."""
    channel = Channel(channel_fd)
    environment = channel.wait_for_function()
    if environment is None:
        return 0
    os.environ.update(environment)
    os.chdir(TASK_ROOT)
    # Nothing was looked up below /var/task so far; should that ever change, it must not be remembered.
    importlib.invalidate_caches()
    return serve_forked(channel, log_fd)


def serve_forked(channel, log_fd):
    if aside is not None:
        aside.settle([TASK_ROOT] + layer_folders())
    # Executed programs get this from gust; the zygote had its library path from the start.
    os.environ.setdefault("PYTHONPATH", "/var/runtime")
    time.tzset()
    return serve(channel, LogPipe(log_fd))


def main():
    """Runs in an interpreter that was executed for this function. Returns the exit status."""
    channel_fd = os.environ.pop("_GUST_CHANNEL_FD", None)
    log_fd = os.environ.pop("_GUST_LOG_FD", None)
    add_builtins()
    set_up_interpreter()
    # What `-S` left out and wrappers use (a sitecustomize module on PYTHONPATH).
    site.execsitecustomize()
    for fd in (channel_fd, log_fd):
        if fd is not None:
            os.set_inheritable(int(fd), False)
    sink = LogToStdout() if log_fd is None else LogPipe(int(log_fd))
    if channel_fd is not None:
        return serve(Channel(int(channel_fd)), sink)
    return serve(RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"]), sink)


if __name__ == "__main__":
    sys.exit(main())
