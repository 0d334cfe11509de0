"""JSON and errors as Lambda's Python runtime writes them,
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html.
"""

import json
import os
import sys
import traceback

# The file whose frames are the runtime's own.
RUNTIME_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap.py")


class Fault(Exception):
    """A failure that Lambda itself names, rather than an exception of the function."""

    def __init__(self, error_type, message, trace=None):
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = trace or []


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
    own = [index for index, frame in enumerate(frames) if frame[0] != RUNTIME_FILE]
    if own:
        frames = frames[own[0] :]
    return error_payload(str(error), type(error).__name__, traceback.format_list(frames), request_id)


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


class Encoder:
    """`ResponseEncoder` without what it would do anew for every value: the C encoder is made once.

    What only `ResponseEncoder` can write (a Decimal, a class of its own error) it writes, so that there is one result.
    """

    def __init__(self):
        self.fallback = ResponseEncoder
        self.fast = None
        plain = ResponseEncoder()
        make = getattr(json.encoder, "c_make_encoder", None)
        if make is not None:
            text = json.encoder.encode_basestring_ascii if plain.ensure_ascii else json.encoder.encode_basestring
            # Without marks for circular references: too deep a recursion ends it, and the fallback names the cause.
            self.fast = make(None, self.refuse, text, None, ": ", ", ", False, False, True)

    @staticmethod
    def refuse(value):
        raise TypeError(type(value).__name__)

    def __call__(self, value):
        if self.fast is not None:
            try:
                return "".join(self.fast(value, 0))
            except (TypeError, ValueError, RecursionError):
                pass
        return self.fallback().encode(value)


encoder = None


def encode(value):
    """The JSON text of a response."""
    global encoder
    if encoder is None:
        # Not at import: a zygote does not know the function's runtime yet.
        encoder = Encoder()
    return encoder(value)


def marshal(response):
    """The bytes of a response and their content type."""
    if isinstance(response, bytes):
        return response, "application/unknown"
    try:
        return encode(response).encode("utf-8"), "application/json"
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from error


scan = json.JSONDecoder().scan_once


def decode(data):
    """`json.loads(data)`, by the shorter way where the data is the usual: UTF-8 without anything around its one value."""
    try:
        text = str(data, "utf-8")
        value, end = scan(text, 0)
        if end == len(text):
            return value
    except (UnicodeDecodeError, ValueError, StopIteration):
        pass
    return json.loads(data)


def unmarshal(payload):
    try:
        return decode(payload)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from error
