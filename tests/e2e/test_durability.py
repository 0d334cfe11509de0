"""kill -9 at random moments under load: what was acknowledged is there after the restart."""

import concurrent.futures
import random
import threading
import time

import pytest

from harness.functions import ROLE, create_function, log_lines
from harness.packages import python_package
from harness.waiting import wait_for

ROUNDS = 5
SOURCE = "def handler(event, context):\n    print('ran', event['id'], 'end')\n"
# What a function prints is not promised to survive kill -9; what PutLogEvents acknowledged is.
# Without boto3, whose import would make each of the many cold starts a second of work. Signatures are not verified here.
WITNESS = """
import http.client, json, os, time
HEADERS = {
    'x-amz-target': 'Logs_20140328.PutLogEvents',
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-security-token': os.environ['AWS_SESSION_TOKEN'],
    'x-amz-date': time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()),
    'authorization': 'AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/logs/aws4_request, SignedHeaders=host, Signature=%s'
        % (os.environ['AWS_ACCESS_KEY_ID'], time.strftime('%Y%m%d', time.gmtime()), '0' * 64),
}
def handler(event, context):
    line = {'timestamp': int(time.time() * 1000), 'message': event['id']}
    body = {'logGroupName': '/witness', 'logStreamName': 's', 'logEvents': [line]}
    gust = http.client.HTTPConnection(os.environ['AWS_ENDPOINT_URL'].split('//')[1], timeout=20)
    gust.request('POST', '/', json.dumps(body), HEADERS)
    answer = gust.getresponse()
    if answer.status != 200:
        raise RuntimeError(answer.read().decode())
"""


class Load:
    """Clients that write until gust goes away, and remember what was acknowledged."""

    def __init__(self, gust, round_number, source_function):
        self.gust = gust
        self.prefix = f"r{round_number}"
        self.function = source_function
        self.functions, self.messages, self.events = set(), set(), set()
        self.stop = threading.Event()
        self.lock = threading.Lock()

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            for worker in (self.create_functions, self.put_events, self.put_events, self.invoke, self.invoke):
                pool.submit(worker)

    def until_gone(self, step):
        number = 0
        while not self.stop.is_set():
            number += 1
            try:
                step(f"{self.prefix}-{threading.get_ident()}-{number}")
            except Exception:
                # gust was killed under this call: whether it counted is unknown.
                if self.gust.process.poll() is not None:
                    return
                raise

    def create_functions(self):
        client = self.gust.client("lambda")

        def step(name):
            client.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role=ROLE,
                Handler="app.handler",
                Code={"ZipFile": python_package(f"# {name}\n{SOURCE}")},
            )
            self.functions.add(name)

        self.until_gone(step)

    def put_events(self):
        client = self.gust.client("logs")

        def step(name):
            event = {"timestamp": int(time.time() * 1000), "message": name}
            client.put_log_events(logGroupName="/durable", logStreamName="s", logEvents=[event])
            with self.lock:
                self.messages.add(name)

        self.until_gone(step)

    def invoke(self):
        client = self.gust.client("lambda")

        def step(name):
            payload = f'{{"id": "{name}"}}'.encode()
            answer = client.invoke(FunctionName=self.function, InvocationType="Event", Payload=payload)
            assert answer["StatusCode"] == 202
            with self.lock:
                self.events.add(name)

        self.until_gone(step)


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost(start, tmp_path):
    data = tmp_path / "data"
    chance = random.Random()
    functions, messages, events = set(), set(), set()
    gust = start(data=data)
    client, logs = gust.client("lambda"), gust.client("logs")
    name = create_function(client, WITNESS, name="durable", Timeout=30, MemorySize=512)
    for group in ("/durable", "/witness"):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
    for round_number in range(ROUNDS):
        load = Load(gust, round_number, name)
        running = threading.Thread(target=load.run)
        running.start()
        running.join(chance.uniform(0.3, 2.5))
        gust.kill()
        load.stop.set()
        running.join(60)
        functions |= load.functions
        messages |= load.messages
        events |= load.events
        gust = start(data=data)
    assert functions and messages and events, "the load did nothing"
    client, logs = gust.client("lambda"), gust.client("logs")
    pages = client.get_paginator("list_functions").paginate()
    kept = {function["FunctionName"] for page in pages for function in page["Functions"]}
    assert functions <= kept, functions - kept
    kept = set(written(logs, "/durable"))
    assert messages <= kept, messages - kept
    # Accepted events run after the restart; those without an answer may have run, too.
    done = wait_for(lambda: all_of(events, written(logs, "/witness")), "all accepted events to run", 150, 0.5)
    again = len(done) - len(set(done))
    counts = f"{len(functions)} functions, {len(messages)} log events, {len(events)} asynchronous events acknowledged"
    print(f"durability: {ROUNDS} kills; {counts}, none lost; {again} events delivered twice")


def written(logs, group):
    """All messages of a group."""
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return [event["message"] for page in pages for event in page["events"]]


def all_of(wanted, found):
    """`found` if nothing of `wanted` is missing in it."""
    return found if wanted <= set(found) else None


def test_an_accepted_event_runs_after_a_restart(start, tmp_path):
    data = tmp_path / "data"
    gust = start("--concurrency", "1", data=data)
    client = gust.client("lambda")
    create_function(client, "import time\ndef handler(event, context):\n    time.sleep(20)\n", name="slow", Timeout=30)
    name = create_function(client, SOURCE, name="later")
    for function, payload in (("slow", b"{}"), (name, b'{"id": "kept"}')):
        assert client.invoke(FunctionName=function, InvocationType="Event", Payload=payload)["StatusCode"] == 202
    gust.kill()
    gust = start(data=data)
    log_lines(gust.client("logs"), name, lambda lines: any(line.startswith("ran kept") for line in lines), 60)
