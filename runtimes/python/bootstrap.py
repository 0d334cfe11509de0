"""gust's Python runtime: loads a handler and serves invocations, as Lambda's own runtime for Python does.

One handler core over two transports: a private framed channel (a unix socket, where gust started the process), and
the HTTP Runtime API (where a wrapper or an extension has to be able to proxy it). Runs either in a process forked from
a zygote (`run_forked`) or executed (`main`). Python 3.9 and newer, standard library only.

Behaviour follows https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html, python-context.html,
python-logging.html and python-exceptions.html.
"""

import importlib
import io
import json
import logging
import os
import sys
import time
import traceback
import types

# Largest frame on the private channel: 6 MiB and 64 KiB, type byte included. The daemon has the same bound.
FRAME_BYTES_MAX = 6 * 1024 * 1024 + 64 * 1024
LENGTH_BYTES = 4
READ_BYTES = 64 * 1024

# Log levels of the log pipe.
LEVEL_NONE, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL = 0, 2, 3, 4, 5, 6
LEVELS = {10: LEVEL_DEBUG, 20: LEVEL_INFO, 30: LEVEL_WARN, 40: LEVEL_ERROR, 50: LEVEL_FATAL}

TASK_ROOT = "/var/task"
NO_BREAK_SPACE = "\u00a0"

UNHANDLED_WARNING = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. However, in rare"
    " cases, a Lambda runtime update can cause unexpected function behavior. For functions using managed runtimes,"
    " runtime updates can be triggered by a function change, or can be applied automatically. To determine if the"
    " runtime has been updated, check the runtime version in the INIT_START log entry. If this error correlates with a"
    " change in the runtime version, you may be able to mitigate this error by temporarily rolling back to the previous"
    " runtime version. For more information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)


class Fault(Exception):
    """A failure that Lambda itself names, rather than an exception of the function."""

    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = trace or []


# --- Standard output and logs ---------------------------------------------------------------------------------------


class PipeIO(io.FileIO):
    """Standard output or error: unbuffered, writes all of it, and never fails because nobody reads."""

    def __init__(self, fd):
        super().__init__(fd, "wb", closefd=False)

    def write(self, data):
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += super().write(view[done:]) or 0
            except OSError:
                break
        return len(view)


def open_standard_streams():
    """Makes `sys.stdout` and `sys.stderr` anew on descriptors 1 and 2."""
    sys.stdout = sys.__stdout__ = text_stream(1, "strict")
    sys.stderr = sys.__stderr__ = text_stream(2, "backslashreplace")


def text_stream(fd, errors):
    return io.TextIOWrapper(PipeIO(fd), "utf-8", errors, newline="\n", write_through=True)


class LogPipe:
    """Log events as frames, so that one of several lines stays one event: length, level, microseconds, text."""

    line_separator = "\n"

    def __init__(self, fd):
        self.fd = fd

    def write(self, text, level):
        body = text.encode("utf-8", "backslashreplace")
        frame = bytearray((9 + len(body)).to_bytes(4, "little"))
        frame.append(level)
        frame += (time.time_ns() // 1000).to_bytes(8, "little")
        frame += body
        try:
            # One write up to the pipe's own atomic size; the event of another thread cannot come in between below it.
            write_all(self.fd, frame)
        except OSError:
            pass

    def error(self, lines):
        self.write(self.line_separator.join(lines), LEVEL_ERROR)


class LogToStdout:
    """Without a log pipe: plain text; carriage returns keep the lines of one event together, as on Lambda."""

    line_separator = "\r"

    def write(self, text, level):
        sys.stdout.write(text)

    def error(self, lines):
        sys.stdout.write(self.line_separator.join(lines) + "\n")


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class CurrentInvoke:
    """What log records say about the invocation under way."""

    request_id = None
    tenant_id = None


class InvokeFilter(logging.Filter):
    """Adds the invocation to each record."""

    def filter(self, record):
        record.aws_request_id = CurrentInvoke.request_id or ""
        record.tenant_id = CurrentInvoke.tenant_id
        return True


class LogHandler(logging.Handler):
    """The handler on the root logger."""

    def __init__(self, sink, with_levels):
        super().__init__()
        self.log_sink = sink
        self.with_levels = with_levels

    def emit(self, record):
        level = LEVELS.get(clamped_level(record), LEVEL_NONE) if self.with_levels else LEVEL_NONE
        self.log_sink.write(self.format(record), level)


def clamped_level(record):
    return min(50, max(0, record.levelno)) // 10 * 10


class JsonFormatter(logging.Formatter):
    """One JSON object per record, https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html."""

    # What a record has by itself; everything else in it was passed as `extra`.
    own_fields = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "tenant_id", "taskName"}
    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    def __init__(self):
        super().__init__(datefmt="%Y-%m-%dT%H:%M:%SZ")

    def format(self, record):
        plain = isinstance(record.msg, dict) and not record.args
        fields = {
            "timestamp": self.formatTime(record, self.datefmt),
            "level": logging.getLevelName(clamped_level(record)),
            "message": record.msg if plain else record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            error_type, error, trace = record.exc_info
            fields["stackTrace"] = traceback.format_tb(trace)
            fields["errorType"] = error_type.__name__ if error_type else None
            fields["errorMessage"] = str(error)
        fields["requestId"] = getattr(record, "aws_request_id", None)
        if record.exc_info:
            fields["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
        fields["tenantId"] = getattr(record, "tenant_id", None)
        for key, value in vars(record).items():
            if key not in self.own_fields and key not in fields:
                fields[key] = value
        return self.encode({key: value for key, value in fields.items() if value is not None}) + "\n"


def set_up_logging(sink):
    """Configures the root logger as Lambda does."""
    as_json = wants_json_logs()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG").replace("FATAL", "CRITICAL")
    logging.Formatter.converter = time.gmtime
    handler = LogHandler(sink, with_levels=as_json or bool(level))
    if as_json:
        handler.setFormatter(JsonFormatter())
    else:
        text = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n"
        handler.setFormatter(logging.Formatter(text, "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(InvokeFilter())
    root = logging.getLogger()
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)
    root.addHandler(handler)


def wants_json_logs():
    return os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


# --- Errors ---------------------------------------------------------------------------------------------------------


def error_payload(message, error_type, stack_trace, request_id=""):
    return {
        "errorMessage": message or "",
        "errorType": error_type or "",
        "requestId": request_id or "",
        "stackTrace": stack_trace or [],
    }


def exception_payload(error, request_id=""):
    """The payload of an exception of the function: its trace starts with the function's own first frame."""
    frames = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(error.__traceback__)]
    own = [index for index, frame in enumerate(frames) if not frame[0].endswith("/bootstrap.py")]
    if own:
        frames = frames[own[0] :]
    return error_payload(str(error), type(error).__name__, traceback.format_list(frames), request_id)


def log_error(sink, payload):
    """Writes an error report to the log, in the configured format."""
    if wants_json_logs():
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        report = {"timestamp": stamp, "level": "ERROR"}
        report.update(payload)
        sink.error([encode(report)])
        return
    title = "[ERROR]"
    if payload["errorType"]:
        title += " " + payload["errorType"]
    if payload["errorMessage"]:
        title += (": " if payload["errorType"] else " ") + payload["errorMessage"]
    lines = [title, "Traceback (most recent call last):"]
    for entry in payload["stackTrace"]:
        for line in entry.splitlines() or [""]:
            text = line.lstrip(" ")
            # Log viewers strip ordinary indentation.
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    sink.error(lines)


# --- JSON -----------------------------------------------------------------------------------------------------------


class ResponseEncoder(json.JSONEncoder):
    """JSON as Lambda's runtime writes it: Decimal as a number with all its digits, NaN allowed."""

    def __init__(self):
        # Text stays as it is since the Python 3.12 runtime; before, it is escaped to ASCII.
        escape = os.environ.get("AWS_EXECUTION_ENV", "")[-3:] in (".12", ".13", ".14", ".15")
        super().__init__(ensure_ascii=not escape, allow_nan=True)
        self.decimals = {}
        self.mark = None

    def default(self, value):
        decimal = sys.modules.get("decimal")
        if decimal is not None and isinstance(value, decimal.Decimal):
            if value.is_nan():
                return float("nan")
            # The standard encoder can only write numbers that a float or int holds: leave a mark, replace it below.
            if self.mark is None:
                self.mark = "gust-decimal-" + os.urandom(12).hex()
            mark = "%s-%d" % (self.mark, len(self.decimals))
            self.decimals['"%s"' % mark] = str(value)
            return mark
        return super().default(value)

    def encode(self, value):
        text = super().encode(value)
        if self.decimals:
            import re

            pattern = '"%s-[0-9]+"' % self.mark
            text = re.sub(pattern, lambda match: self.decimals[match.group()], text)
        return text


def encode(value):
    return ResponseEncoder().encode(value)


def marshal(response):
    """The bytes of a response and their content type."""
    if isinstance(response, bytes):
        return response, "application/unknown"
    try:
        return encode(response).encode("utf-8"), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from error


def unmarshal(payload):
    try:
        return json.loads(payload)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from error


# --- Context --------------------------------------------------------------------------------------------------------


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


class LambdaContext:
    """The second argument of a handler, https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, invoke):
        environ = os.environ
        self.aws_request_id = invoke.request_id
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = invoke.function_arn
        self.tenant_id = invoke.tenant_id
        self.client_context = None
        client_context = parse_json(invoke.client_context, "Client Context")
        if client_context is not None:
            self.client_context = ClientContext(client_context)
            if self.client_context.client is not None:
                self.client_context.client = Client(self.client_context.client)
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
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as error:
        raise Fault("Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error)) from error


# --- Handler core ---------------------------------------------------------------------------------------------------


class Invoke:
    """One invocation as a transport delivers it."""

    __slots__ = (
        "request_id",
        "deadline_ms",
        "function_arn",
        "trace_id",
        "client_context",
        "cognito_identity",
        "tenant_id",
        "payload",
    )


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
            handle(transport, sink, handler, invoke)
            if os.getpid() != own_pid:
                # A process that the handler forked came back from it, too: only the original one may answer.
                os._exit(0)
    logging.warning(UNHANDLED_WARNING)
    log_error(sink, payload)
    transport.init_failed(payload)
    return 1


def handle(transport, sink, handler, invoke):
    """Runs one invocation. Exceptions that are no `Exception` (SystemExit) end the process, as on Lambda."""
    CurrentInvoke.request_id = invoke.request_id
    CurrentInvoke.tenant_id = invoke.tenant_id
    if invoke.trace_id is not None:
        os.environ["_X_AMZN_TRACE_ID"] = invoke.trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    if sys.stdout is None or getattr(sys.stdout, "closed", False) or getattr(sys.stderr, "closed", False):
        open_standard_streams()
    pid = os.getpid()
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
    if os.getpid() != pid:
        return
    if payload is None:
        transport.respond(invoke, body, content_type)
    else:
        log_error(sink, payload)
        transport.fail(invoke, payload)


# --- Transports -----------------------------------------------------------------------------------------------------


class Channel:
    """The private channel: frames of a 4-byte little-endian length, a type byte and a body."""

    def __init__(self, fd):
        self.fd = fd

    def ready(self):
        self.send(b"R", b"")

    def init_failed(self, payload):
        self.send(b"F", encode(payload).encode("utf-8"))

    def respond(self, invoke, body, content_type):
        if len(body) + 1 > FRAME_BYTES_MAX:
            message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
            self.fail(invoke, error_payload(message, "Function.ResponseSizeTooLarge", [], invoke.request_id))
        else:
            self.send(b"O", body)

    def fail(self, invoke, payload):
        body = encode(payload).encode("utf-8")
        if len(body) + 1 > FRAME_BYTES_MAX:
            short = error_payload(payload["errorMessage"][:65536], payload["errorType"], [], invoke.request_id)
            body = encode(short).encode("utf-8")
        self.send(b"E", body)

    def send(self, kind, body):
        write_all(self.fd, b"".join(((1 + len(body)).to_bytes(LENGTH_BYTES, "little"), kind, body)))

    def next(self):
        """The next invocation; None at the end of the channel."""
        data = os.read(self.fd, READ_BYTES)
        while data and len(data) < LENGTH_BYTES:
            more = os.read(self.fd, READ_BYTES)
            if not more:
                return None
            data += more
        if not data:
            return None
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        if not 1 + LENGTH_BYTES <= length <= FRAME_BYTES_MAX:
            raise RuntimeError("frame of %d bytes" % length)
        total = LENGTH_BYTES + length
        if len(data) < total:
            data = self.read_rest(data, total)
            if data is None:
                return None
        return self.parse(data)

    def read_rest(self, start, total):
        whole = bytearray(total)
        view = memoryview(whole)
        filled = len(start)
        view[:filled] = start
        while filled < total:
            count = os.readv(self.fd, [view[filled:]])
            if count == 0:
                return None
            filled += count
        view.release()
        return whole

    @staticmethod
    def parse(data):
        if data[LENGTH_BYTES : LENGTH_BYTES + 1] != b"I":
            raise RuntimeError("unexpected frame type %r" % bytes(data[LENGTH_BYTES : LENGTH_BYTES + 1]))
        at = LENGTH_BYTES + 1
        header_end = at + LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES], "little")
        header = json.loads(data[at + LENGTH_BYTES : header_end])
        invoke = Invoke()
        invoke.request_id = header["request_id"]
        invoke.deadline_ms = header["deadline_ms"]
        invoke.function_arn = header.get("invoked_function_arn")
        invoke.trace_id = header.get("trace_id")
        invoke.client_context = header.get("client_context")
        invoke.cognito_identity = header.get("cognito_identity")
        invoke.tenant_id = header.get("tenant_id")
        invoke.payload = data[header_end:]
        return invoke


class RuntimeApi:
    """The HTTP Runtime API, https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

    VERSION = "/2018-06-01/runtime"

    def __init__(self, address):
        import http.client

        self.connection = http.client.HTTPConnection(address)

    def ready(self):
        """Asking for the first invocation says so."""

    def init_failed(self, payload):
        self.post("/init/error", encode(payload).encode("utf-8"), payload["errorType"])

    def next(self):
        self.connection.request("GET", self.VERSION + "/invocation/next")
        response = self.connection.getresponse()
        payload = response.read()
        if response.status != 200:
            raise RuntimeError("next invocation: HTTP status %d" % response.status)
        invoke = Invoke()
        invoke.request_id = response.getheader("Lambda-Runtime-Aws-Request-Id")
        invoke.deadline_ms = int(response.getheader("Lambda-Runtime-Deadline-Ms", "0"))
        invoke.function_arn = response.getheader("Lambda-Runtime-Invoked-Function-Arn")
        invoke.trace_id = response.getheader("Lambda-Runtime-Trace-Id")
        invoke.client_context = response.getheader("Lambda-Runtime-Client-Context")
        invoke.cognito_identity = response.getheader("Lambda-Runtime-Cognito-Identity")
        invoke.tenant_id = response.getheader("Lambda-Runtime-Aws-Tenant-Id")
        invoke.payload = payload
        return invoke

    def respond(self, invoke, body, content_type):
        self.post("/invocation/%s/response" % invoke.request_id, body, None, content_type)

    def fail(self, invoke, payload):
        body = encode(payload).encode("utf-8")
        self.post("/invocation/%s/error" % invoke.request_id, body, payload["errorType"])

    def post(self, path, body, error_type, content_type="application/json"):
        headers = {"Content-Type": content_type}
        if error_type:
            headers["Lambda-Runtime-Function-Error-Type"] = error_type
        self.connection.request("POST", self.VERSION + path, body, headers)
        # A refusal (413, 403 after a time-out) was dealt with by whoever refused.
        self.connection.getresponse().read()


# --- Entry points ---------------------------------------------------------------------------------------------------


def set_up_interpreter():
    """Makes this process look to the function as a fresh interpreter of Lambda does."""
    version = "python%d.%d" % sys.version_info[:2]
    own = os.path.dirname(os.path.abspath(__file__))
    standard = [path for path in sys.path if path and os.path.abspath(path) != own and path != "/var/runtime"]
    layers = ["/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path[:] = [TASK_ROOT] + layers + standard + ["/var/runtime"]
    sys.argv = ["/var/runtime/bootstrap.py"]
    # No site-packages of the machine, but what `site` adds to builtins: exit, quit, help.
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()
    # The function's own modules may have these names.
    sys.modules["__main__"] = types.ModuleType("__main__")
    for name in ("bootstrap", "zygote"):
        sys.modules.pop(name, None)
    open_standard_streams()


def run_forked(channel_fd, log_fd):
    """Runs in a process forked from a zygote, inside its sandbox. Returns the exit status."""
    # Executed programs get these from gust; the zygote had its library path from the start.
    os.environ.setdefault("PYTHONPATH", "/var/runtime")
    time.tzset()
    set_up_interpreter()
    return serve(Channel(channel_fd), LogPipe(log_fd))


def main():
    """Runs in an interpreter that was executed for this function. Returns the exit status."""
    channel_fd = os.environ.pop("_GUST_CHANNEL_FD", None)
    log_fd = os.environ.pop("_GUST_LOG_FD", None)
    set_up_interpreter()
    import site

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
