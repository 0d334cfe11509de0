"""Standard output, log events and the root logger as Lambda's Python runtime sets them up,
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html.
"""

import io
import json
import logging
import os
import sys
import time
import traceback

from runtime_payload import encode

# Log levels of the log pipe.
LEVEL_NONE, LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL = 0, 2, 3, 4, 5, 6
LEVELS = {10: LEVEL_DEBUG, 20: LEVEL_INFO, 30: LEVEL_WARN, 40: LEVEL_ERROR, 50: LEVEL_FATAL}

NO_BREAK_SPACE = "\u00a0"

UNHANDLED_WARNING = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. However, in rare"
    " cases, a Lambda runtime update can cause unexpected function behavior. For functions using managed runtimes,"
    " runtime updates can be triggered by a function change, or can be applied automatically. To determine if the"
    " runtime has been updated, check the runtime version in the INIT_START log entry. If this error correlates with a"
    " change in the runtime version, you may be able to mitigate this error by temporarily rolling back to the previous"
    " runtime version. For more information, see https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)


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
