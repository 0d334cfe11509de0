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
