"""Unit tests of the Python runtime's pure parts: `python3 -m unittest` in this folder, nothing to install.

What needs a process of its own (handlers, sandboxes, both transports) is tested in crates/sandbox/tests.
"""

import decimal
import io
import json
import logging
import os
import socket
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import bootstrap
import runtime_logs
import runtime_payload
import runtime_transports


class Sink:
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def error(self, lines):
        self.lines.append(lines)


class Payload(unittest.TestCase):
    def test_decimals_keep_all_digits(self):
        value = {"a": decimal.Decimal("0.10000000000000000001"), "b": [decimal.Decimal("1E+3")]}
        self.assertEqual(runtime_payload.encode(value), '{"a": 0.10000000000000000001, "b": [1E+3]}')
        self.assertEqual(runtime_payload.encode(decimal.Decimal("NaN")), "NaN")

    def test_text_that_looks_like_a_mark_stays_text(self):
        text = runtime_payload.encode(["gust-decimal-1", decimal.Decimal("2")])
        self.assertEqual(text, '["gust-decimal-1", 2]')

    def test_not_a_number_and_infinity_are_written(self):
        self.assertEqual(runtime_payload.encode([float("nan"), float("inf")]), "[NaN, Infinity]")

    def test_escapes_by_runtime_version(self):
        os.environ["AWS_EXECUTION_ENV"] = "AWS_Lambda_python3.11"
        self.addCleanup(os.environ.pop, "AWS_EXECUTION_ENV")
        self.assertEqual(runtime_payload.Encoder()("ä"), '"\\u00e4"')
        os.environ["AWS_EXECUTION_ENV"] = "AWS_Lambda_python3.13"
        self.assertEqual(runtime_payload.Encoder()("ä"), '"ä"')

    def test_the_short_way_writes_what_the_long_one_writes(self):
        class Named(dict):
            pass

        short, long = runtime_payload.Encoder(), runtime_payload.ResponseEncoder()
        self.assertIsNotNone(short.fast)
        values = [None, True, 0, -1.5e300, 10**40, "", "\"\\\n\u2028ä\ud83d\ude00", [], {}, [[]], (1, 2), Named(a=1)]
        values += [{"a": [1, {"b": None}], 1: 2, None: 3, True: 4, 1.5: 5}, float("nan"), decimal.Decimal("1.10"), "\ud800"]
        for value in values:
            self.assertEqual(short(value), long.encode(value), value)

    def test_the_short_way_refuses_what_the_long_one_refuses(self):
        circle, deep = [], []
        circle.append(circle)
        for _ in range(100000):
            deep = [deep]
        for value in [circle, deep, {(1, 2): 3}, {1, 2}, b"x", [object()]]:
            errors = []
            for encode in [runtime_payload.Encoder(), runtime_payload.ResponseEncoder().encode]:
                with self.assertRaises(Exception) as caught:
                    encode(value)
                errors.append((type(caught.exception), str(caught.exception)))
            self.assertEqual(errors[0], errors[1])

    def test_the_short_way_reads_what_the_long_one_reads(self):
        usual = [b"1", b'{"a": [1, 2.5, NaN, -Infinity, null]}', '"ä"'.encode(), b'"\\ud800"', b"[" * 200 + b"]" * 200]
        unusual = [b" 1", b"1\n", "\ufeff1".encode(), '{"a": "ä"}'.encode("utf-16"), "[1]".encode("utf-32-be"), b'"\xed\xa0\x80"']
        for data in usual + unusual:
            self.assertEqual(repr(runtime_payload.decode(data)), repr(json.loads(data)), data)
        for data in [b"", b" ", b"{", b"1 2", b"nul", b'"\xff"', b"\x00", b'{"a"}', b"{'a': 1}"]:
            errors = []
            for read in [runtime_payload.decode, json.loads]:
                with self.assertRaises(ValueError) as caught:
                    read(data)
                errors.append(str(caught.exception))
            self.assertEqual(errors[0], errors[1])

    def test_what_cannot_be_marshalled_is_named(self):
        with self.assertRaises(runtime_payload.Fault) as caught:
            runtime_payload.marshal(object())
        self.assertEqual(caught.exception.error_type, "Runtime.MarshalError")
        self.assertEqual(
            caught.exception.message, "Unable to marshal response: Object of type object is not JSON serializable"
        )
        self.assertEqual(runtime_payload.marshal(b"raw"), (b"raw", "application/unknown"))


class Errors(unittest.TestCase):
    def test_text_report(self):
        sink = Sink()
        payload = runtime_payload.error_payload("boom", "ValueError", ['  File "x", line 1\n    f()\n'])
        runtime_logs.log_error(sink, payload)
        self.assertEqual(
            sink.lines,
            [
                [
                    "[ERROR] ValueError: boom",
                    "Traceback (most recent call last):",
                    '\u00a0\u00a0File "x", line 1',
                    "\u00a0\u00a0\u00a0\u00a0f()",
                ]
            ],
        )

    def test_trace_starts_in_the_function(self):
        try:
            runtime_payload.unmarshal("{")
        except runtime_payload.Fault as fault:
            payload = runtime_payload.exception_payload(fault, "id")
        self.assertEqual(payload["requestId"], "id")
        self.assertIn("test_runtime.py", payload["stackTrace"][0])

    def test_malformed_handlers(self):
        for name, error_type in [
            ("none", "Runtime.MalformedHandlerName"),
            ("sys.exit", "Runtime.BuiltInModuleConflict"),
            ("no_such_module.x", "Runtime.ImportModuleError"),
            ("json.no_such_function", "Runtime.HandlerNotFound"),
        ]:
            with self.subTest(name), self.assertRaises(runtime_payload.Fault) as caught:
                bootstrap.load_handler(name)
            self.assertEqual(caught.exception.error_type, error_type)


class Logs(unittest.TestCase):
    def test_frames(self):
        reader, writer = os.pipe()
        runtime_logs.LogPipe(writer).write("a\nb", 5)
        frame = os.read(reader, 100)
        self.assertEqual(int.from_bytes(frame[:4], "little"), len(frame) - 4)
        self.assertEqual((frame[4], frame[13:]), (5, b"a\nb"))
        os.close(reader)
        # Nobody reads any more: no error.
        runtime_logs.LogPipe(writer).write("lost", 5)
        os.close(writer)

    def test_json_record(self):
        record = logging.makeLogRecord({"name": "n", "levelno": 20, "msg": "hi %s", "args": ("you",), "order": 7})
        text = runtime_logs.JsonFormatter().format(record)
        parsed = json.loads(text)
        self.assertEqual((parsed["message"], parsed["level"], parsed["order"]), ("hi you", "INFO", 7))
        self.assertTrue(text.endswith("\n"))

    def test_standard_streams_survive_a_closed_reader(self):
        reader, writer = os.pipe()
        os.close(reader)
        stream = io.TextIOWrapper(runtime_logs.PipeIO(writer), "utf-8", write_through=True)
        stream.write("lost")
        stream.flush()
        os.close(writer)


class Context(unittest.TestCase):
    def test_facts_are_those_of_the_environment_now(self):
        self.addCleanup(os.environ.pop, "AWS_LAMBDA_FUNCTION_NAME", None)
        for name in ["first", "second", None, "ä"]:
            os.environ.pop("AWS_LAMBDA_FUNCTION_NAME", None)
            if name is not None:
                os.environ["AWS_LAMBDA_FUNCTION_NAME"] = name
            self.assertEqual(bootstrap.environment_facts()[2], name)

    def test_the_trace_id_is_in_the_environment_of_this_process_and_its_children(self):
        self.addCleanup(os.environ.pop, "_X_AMZN_TRACE_ID", None)
        for trace_id in ["Root=1-2-3", "Root=4-5-6", None]:
            bootstrap.set_trace_id(trace_id)
            self.assertEqual(os.environ.get("_X_AMZN_TRACE_ID"), trace_id)
            child = os.popen("echo $_X_AMZN_TRACE_ID")
            self.assertEqual(child.read().strip(), trace_id or "")
            child.close()


class Frames(unittest.TestCase):
    def setUp(self):
        self.here, there = socket.socketpair()
        self.channel = runtime_transports.Channel(there.detach())
        self.addCleanup(self.here.close)
        self.addCleanup(os.close, self.channel.fd)

    def frame(self, payload):
        header = json.dumps({"request_id": "r", "deadline_ms": 1}).encode()
        body = b"I" + len(header).to_bytes(4, "little") + header + payload
        return len(body).to_bytes(4, "little") + body

    def test_a_frame_in_pieces(self):
        for piece in (self.frame(b"[1]")[:3], self.frame(b"[1]")[3:20], self.frame(b"[1]")[20:]):
            self.here.sendall(piece)
        invoke = self.channel.next()
        self.assertEqual((invoke.request_id, bytes(invoke.payload)), ("r", b"[1]"))

    def test_a_large_frame(self):
        import threading

        payload = b"x" * 3_000_000
        sender = threading.Thread(target=self.here.sendall, args=(self.frame(payload),))
        sender.start()
        self.assertEqual(bytes(self.channel.next().payload), payload)
        sender.join()

    def test_the_end(self):
        self.here.shutdown(socket.SHUT_WR)
        self.assertIsNone(self.channel.next())

    def test_oversized_frames_are_refused(self):
        self.here.sendall((runtime_transports.FRAME_BYTES_MAX + 1).to_bytes(4, "little") + b"I....")
        with self.assertRaises(RuntimeError):
            self.channel.next()

    def test_an_oversized_response_becomes_an_error(self):
        invoke = runtime_transports.Invoke()
        invoke.request_id = "r"
        self.channel.respond(invoke, b"x" * (runtime_transports.FRAME_BYTES_MAX + 1), "application/json")
        frame = self.here.recv(4096)
        self.assertEqual(frame[4:5], b"E")
        self.assertEqual(json.loads(frame[5:])["errorType"], "Function.ResponseSizeTooLarge")


if __name__ == "__main__":
    unittest.main()
