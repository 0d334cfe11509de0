"""A custom runtime in Python's standard library that streams responses over the Runtime API.

Handlers are `handler(event, write)`: `write(bytes)` sends a part at once; an exception is reported in the trailers.
`CONTENT_TYPE` of the handler's module is the response's.
"""

from .functions import create_function
from .packages import package

_BOOTSTRAP = '''#!/usr/bin/python3 -u
import base64, json, os, socket, sys, traceback
sys.path.insert(0, "/var/task")
import app

host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
PREFIX = "/2018-06-01/runtime/invocation/"


def connect():
    connection = socket.create_connection((host, int(port)))
    return connection, connection.makefile("rb")


def read_answer(stream):
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, value = line.decode().split(":", 1)
        headers[name.lower()] = value.strip()
    return status, headers, stream.read(int(headers.get("content-length", 0)))


connection, stream = connect()
while True:
    connection.sendall(f"GET {PREFIX}next HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
    _, headers, event = read_answer(stream)
    request_id = headers["lambda-runtime-aws-request-id"]
    connection.sendall(
        f"POST {PREFIX}{request_id}/response HTTP/1.1\\r\\nHost: {host}\\r\\nTransfer-Encoding: chunked\\r\\n"
        f"Content-Type: {getattr(app, 'CONTENT_TYPE', 'application/octet-stream')}\\r\\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\\r\\n"
        "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\\r\\n\\r\\n".encode()
    )

    def write(part):
        connection.sendall(b"%x\\r\\n%s\\r\\n" % (len(part), part))

    try:
        app.handler(json.loads(event), write)
        connection.sendall(b"0\\r\\n\\r\\n")
    except Exception as error:
        document = json.dumps({"errorMessage": str(error), "errorType": type(error).__name__}).encode()
        connection.sendall(
            b"0\\r\\nLambda-Runtime-Function-Error-Type: Runtime.%s\\r\\nLambda-Runtime-Function-Error-Body: %s\\r\\n\\r\\n"
            % (type(error).__name__.encode(), base64.b64encode(document))
        )
    status, _, body = read_answer(stream)
    print("answered", status, body.decode().strip())
'''


def create_streaming_function(client, source, **options):
    """Creates a function whose handler streams; returns its name."""
    code = package({"bootstrap": (_BOOTSTRAP, 0o755), "app.py": source})
    options = dict(Runtime="provided.al2023", Handler="unused", Timeout=20, MemorySize=256) | options
    return create_function(client, ZipFile=code, **options)
