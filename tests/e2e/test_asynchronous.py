"""Asynchronous events in masses: they drain past a busy function, in bounded memory, and survive kill -9."""

import concurrent.futures
import json
import pathlib

import pytest

from harness.functions import create_function
from harness.waiting import wait_for

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
EVENTS = 10_000
KILLS = 3
# A function has no file that outlives it, so that it tells another service: one line of its log for each event.
COUNTER = "def handler(event, context):\n    print('ran', event['id'], 'end')\n"
RECORDER = "def handler(event, context):\n    print('record', event['requestPayload']['id'], 'end')\n"


def send_all(gust, name, ids):
    """Sends events until gust goes away; returns those that were acknowledged."""
    client = gust.client("lambda")

    def send(event_id):
        try:
            payload = json.dumps({"id": event_id}).encode()
            answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=payload)
            return event_id if answer["StatusCode"] == 202 else None
        except Exception:
            if gust.process.poll() is not None:
                return None
            raise

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        return {event_id for event_id in pool.map(send, ids) if event_id}


def resident_mb(gust):
    status = pathlib.Path(f"/proc/{gust.process.pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def said(gust, name, word):
    """What a function has printed after `word`, in order."""
    logs = gust.client("logs")
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}", filterPattern="")
        lines = [event["message"] for page in pages for event in page["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [line.split()[1] for line in lines if line.startswith(word + " ")]


@pytest.mark.timeout(900)
def test_ten_thousand_events_survive_kills_and_each_is_recorded_once(start, tmp_path):
    data = tmp_path / "data"
    gust = start("--concurrency", "110", data=data)
    client = gust.client("lambda")
    # Each has a few places, so that its events have to wait; the busy one fills its own for good and stands in nobody's way.
    busy = create_function(client, "import time\ndef handler(event, context):\n    time.sleep(600)\n", name="busy", Timeout=900)
    name = create_function(client, COUNTER, name="counter")
    sink = create_function(client, RECORDER, name="recorder")
    for function, places in ((busy, 1), (name, 4), (sink, 4)):
        client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=places)
    client.put_function_event_invoke_config(FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": ARN + sink}})
    assert len(send_all(gust, busy, [f"busy-{number}" for number in range(200)])) == 200
    accepted = set()
    for part in range(KILLS + 1):
        size = EVENTS // (KILLS + 1)
        accepted |= send_all(gust, name, [f"{part}-{number}" for number in range(size)])
        if part < KILLS:
            gust.kill()
            gust = start("--concurrency", "110", data=data)
    assert len(accepted) >= EVENTS - KILLS
    # What a function prints is not promised to survive kill -9. The records are sent by the transactions that settle
    # their events; those that ran before a kill may have lost their lines, those of the last part have not.
    last = {event_id for event_id in accepted if event_id.startswith(f"{KILLS}-")}
    recorded = wait_for(lambda: all_of(last, said(gust, sink, "record")), "all records", 400, 2)
    ran = said(gust, name, "ran")
    assert last <= set(ran)
    of_last = [event_id for event_id in recorded if event_id in last]
    assert len(of_last) == len(last), "no record came twice"
    assert resident_mb(gust) < 400
    wait_for(lambda: gust.health()["invocations"]["running"] <= 1, "only the busy one to run", 60)
    gust.kill()


def all_of(wanted, found):
    return found if wanted <= set(found) else None
