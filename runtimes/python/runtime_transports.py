"""How invocations arrive and answers leave: gust's private channel, and the HTTP Runtime API."""

import os

from runtime_logs import write_all
from runtime_payload import decode, encode, error_payload

# Largest frame on the private channel: 6 MiB and 64 KiB, type byte included. The daemon has the same bound.
FRAME_BYTES_MAX = 6 * 1024 * 1024 + 64 * 1024
LENGTH_BYTES = 4
# One read brings a usual event; a larger one is read into memory of its size.
READ_BYTES = 8 * 1024
# The type of a frame with an event.
INVOCATION = ord("I")


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


class Channel:
    """The private channel: frames of a 4-byte little-endian length, a type byte and a body."""

    def __init__(self, fd):
        self.fd = fd

    def wait_for_function(self):
        """The environment of the function that this process is for; None if it will never get one."""
        self.send(b"W", b"")
        data = self.read_frame()
        if data is None:
            return None
        if data[LENGTH_BYTES : LENGTH_BYTES + 1] != b"H":
            raise RuntimeError("unexpected frame type %r" % bytes(data[LENGTH_BYTES : LENGTH_BYTES + 1]))
        return decode(data[LENGTH_BYTES + 1 :])

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
        frame = b"".join(((1 + len(body)).to_bytes(LENGTH_BYTES, "little"), kind, body))
        sent = os.write(self.fd, frame)
        if sent < len(frame):
            write_all(self.fd, memoryview(frame)[sent:])

    def next(self):
        """The next invocation; None at the end of the channel."""
        data = self.read_frame()
        return None if data is None else self.parse(data)

    def read_frame(self):
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
        return data if len(data) >= total else self.read_rest(data, total)

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
        if data[LENGTH_BYTES] != INVOCATION:
            raise RuntimeError("unexpected frame type %r" % bytes(data[LENGTH_BYTES : LENGTH_BYTES + 1]))
        at = LENGTH_BYTES + 1
        header_end = at + LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES], "little")
        header = decode(data[at + LENGTH_BYTES : header_end])
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
