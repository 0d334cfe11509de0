"""Lambda: what becomes of asynchronous events: retries, age, destinations, dead letters, loops."""

import json
import re

import pytest

from harness.functions import ROLE, create_function, log_lines, unique
from harness.packages import python_package
from harness.server import Gust
from harness.waiting import wait_for

GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/"
RETRIES = GUIDE + "invocation-async-error-handling.html"
RECORDS = GUIDE + "invocation-async-retain-records.html"
RECURSION = GUIDE + "invocation-recursion.html"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
# Runs as its event says, and prints what it got in one line.
SOURCE = """
import json
import re
def handler(event, context):
    print('GOT', context.aws_request_id, json.dumps(event))
    if isinstance(event, dict) and event.get('fail'):
        raise RuntimeError('as it was told')
    return {'answer': 42}
"""


@pytest.fixture(scope="module")
def own():
    """A gust whose clock this module moves."""
    with Gust() as gust:
        yield gust


@pytest.fixture(scope="module")
def client(own):
    return own.client("lambda")


@pytest.fixture
def function(client):
    return create_function(client, SOURCE)


@pytest.fixture
def sink(client):
    return create_function(client, SOURCE)


def send(client, name, event, **options):
    answer = client.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event).encode(), **options)
    assert answer["StatusCode"] == 202
    return answer["ResponseMetadata"]["RequestId"]


def got(own, name, count, timeout_s=30):
    """The events that a function got, once there are so many: pairs of request id and event."""
    parse = lambda line: (line.split(" ", 2)[1], json.loads(line.split(" ", 2)[2]))
    find = lambda lines: [parse(line) for line in lines if line.startswith("GOT ")]
    return find(log_lines(own.client("logs"), name, lambda lines: len(find(lines)) >= count, timeout_s))


def to(on_success=None, on_failure=None):
    given = {"OnSuccess": on_success, "OnFailure": on_failure}
    return {member: {"Destination": ARN + name} for member, name in given.items() if name}


@pytest.mark.documented(RETRIES)
def test_a_failed_event_is_tried_after_one_and_then_two_minutes(own, client, function):
    send(client, function, {"fail": True})
    got(own, function, 1)
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "the first attempt to be settled")
    own.move_clock(50)
    send(client, function, "between")
    assert [event for _, event in got(own, function, 2)][1] == "between", "a minute is not over"
    own.move_clock(15)
    got(own, function, 3)
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "the second attempt to be settled")
    own.move_clock(100)
    send(client, function, "between")
    assert got(own, function, 4)[3][1] == "between", "two minutes are not over"
    own.move_clock(25)
    attempts = [request for request, event in got(own, function, 5) if event != "between"]
    assert len(attempts) == 3 and len(set(attempts)) == 1, "one request id for all attempts"
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "the last attempt to be settled")
    own.move_clock(7 * 3600)
    send(client, function, "end")
    assert got(own, function, 6)[5][1] == "end", "it was not tried again"


@pytest.mark.documented(RECORDS)
def test_the_record_of_a_success(own, client, function, sink):
    client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=to(on_success=sink))
    request = send(client, function, {"ORDER_IDS": [1, "ü"]})
    record = got(own, sink, 1)[0][1]
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request,
            "functionArn": f"{ARN}{function}:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"ORDER_IDS": [1, "ü"]},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"answer": 42},
    }
    send(client, function, {"fail": True})
    got(own, function, 2)
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "the failure to be settled")
    assert len(got(own, sink, 1)) == 1, "failures go nowhere"


@pytest.mark.documented(RECORDS)
def test_the_record_of_a_failure(own, client, function, sink):
    settings = dict(MaximumRetryAttempts=1, DestinationConfig=to(on_failure=sink))
    client.put_function_event_invoke_config(FunctionName=function, **settings)
    request = send(client, function, {"fail": True})
    got(own, function, 1)
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "the first attempt to be settled")
    own.move_clock(61)
    record = got(own, sink, 1)[0][1]
    expected = {
        "requestId": request,
        "functionArn": f"{ARN}{function}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 2,
    }
    assert record["requestContext"] == expected
    assert record["requestPayload"] == {"fail": True}
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "as it was told"
    assert record["responsePayload"]["errorType"] == "RuntimeError"


@pytest.mark.documented(RETRIES)
def test_settings_belong_to_the_qualifier_that_was_invoked(own, client, function, sink):
    client.publish_version(FunctionName=function)
    client.create_alias(FunctionName=function, Name="PROD", FunctionVersion="1")
    settings = dict(MaximumRetryAttempts=0, DestinationConfig=to(on_failure=sink))
    client.put_function_event_invoke_config(FunctionName=function, Qualifier="PROD", **settings)
    send(client, function, {"fail": True})
    send(client, function, {"fail": True}, Qualifier="PROD")
    record = got(own, sink, 1)[0][1]
    assert record["requestContext"]["functionArn"] == f"{ARN}{function}:PROD"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responseContext"]["executedVersion"] == "1"


@pytest.mark.documented(RECORDS)
def test_a_version_is_a_destination(own, client, function, sink):
    client.publish_version(FunctionName=sink)
    client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=to(on_success=f"{sink}:1"))
    send(client, function, 1)
    got(own, sink, 1)
    log_lines(own.client("logs"), sink, lambda lines: any("Version: 1" in line for line in lines))


@pytest.mark.documented(RECORDS)
def test_without_concurrency_events_are_given_up_at_once(own, client, function, sink):
    client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=to(on_failure=sink))
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
    send(client, function, "never")
    record = got(own, sink, 1)[0][1]
    # The name is known from records that AWS wrote, not from its documentation.
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == "never" and "responseContext" not in record


@pytest.mark.documented(RETRIES)
def test_an_event_that_is_too_old_is_not_run(own, client, sink):
    slow = create_function(client, "import time\ndef handler(event, context):\n    print('GOT x', event)\n    time.sleep(8)\n", Timeout=30)
    settings = dict(MaximumEventAgeInSeconds=60, DestinationConfig=to(on_failure=sink))
    client.put_function_event_invoke_config(FunctionName=slow, **settings)
    client.put_function_concurrency(FunctionName=slow, ReservedConcurrentExecutions=1)
    send(client, slow, 1)
    got(own, slow, 1)
    send(client, slow, 2)
    own.move_clock(61)
    records = got(own, sink, 1)
    assert records[0][1]["requestContext"]["condition"] == "EventAgeExceeded"
    assert records[0][1]["requestContext"]["approximateInvokeCount"] == 0
    assert records[0][1]["requestPayload"] == 2
    assert len(got(own, slow, 1)) == 1


@pytest.mark.documented(RECURSION)
def test_a_loop_of_destinations_is_stopped_after_sixteen_rounds(own, client):
    here, there, sink = (create_function(client, SOURCE) for _ in range(3))
    client.put_function_event_invoke_config(FunctionName=here, DestinationConfig=to(there, sink))
    client.put_function_event_invoke_config(FunctionName=there, DestinationConfig=to(here, sink))
    send(client, here, "round")
    record = got(own, sink, 1, 60)[0][1]
    assert record["requestContext"]["functionArn"] == f"{ARN}{here}:$LATEST"
    # The name is inferred; that the event goes to the failure destination is documented.
    assert record["requestContext"]["condition"] == "RecursiveInvocation"
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "the loop to end")
    assert (len(got(own, here, 16)), len(got(own, there, 16))) == (16, 16)


@pytest.mark.documented(RECURSION)
def test_a_function_that_invokes_itself_is_stopped_unless_it_may(own, client):
    name = unique("caller")
    source = """
import http.client, json, os, time
def handler(event, context):
    print('GOT', context.aws_request_id, json.dumps(event))
    if event >= 20:
        return event
    date = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())
    headers = {
        'x-amzn-trace-id': os.environ['_X_AMZN_TRACE_ID'], 'x-amz-date': date,
        'x-amz-security-token': os.environ['AWS_SESSION_TOKEN'],
        'authorization': 'AWS4-HMAC-SHA256 Credential=%s/%s/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=%s'
            % (os.environ['AWS_ACCESS_KEY_ID'], date[:8], '0' * 64),
    }
    gust = http.client.HTTPConnection(os.environ['AWS_ENDPOINT_URL'].split('//')[1], timeout=50)
    gust.request('POST', '/2015-03-31/functions/%s/invocations' % context.function_name, json.dumps(event + 1), headers)
    answer = gust.getresponse()
    body = json.loads(answer.read())
    return body if answer.status == 200 else [answer.status, answer.headers['x-amzn-errortype']]
"""
    create_function(client, source, name=name, Timeout=60)
    answer = client.invoke(FunctionName=name, Payload=b"1")
    assert json.load(answer["Payload"]) == [400, "RecursiveInvocationException"]
    assert [event for _, event in got(own, name, 16)] == list(range(1, 17))
    client.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    answer = client.invoke(FunctionName=name, Payload=b"1")
    assert json.load(answer["Payload"]) == 20


@pytest.mark.inferred
def test_kinds_that_do_not_exist_yet_are_refused_when_they_are_configured(client, function, refused):
    for arn, kind in [
        ("arn:aws:sqs:us-east-1:000000000000:q", "SQS queues"),
        ("arn:aws:sns:us-east-1:000000000000:t", "SNS topics"),
        ("arn:aws:events:us-east-1:000000000000:event-bus/default", "EventBridge event buses"),
    ]:
        for member in ("OnSuccess", "OnFailure"):
            with refused("InvalidParameterValueException", 400) as error:
                config = {member: {"Destination": arn}}
                client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=config)
            expected = f"gust does not support DestinationConfig.{member}.Destination: {kind} do not exist yet."
            assert error["Error"]["Message"] == expected
    with refused("InvalidParameterValueException", 400) as error:
        config = {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}
        client.put_function_event_invoke_config(FunctionName=function, DestinationConfig=config)
    assert "S3 buckets do not exist yet" in error["Error"]["Message"]
    queue = {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"}
    create = dict(Runtime="python3.11", Role=ROLE, Handler="app.handler", Code={"ZipFile": python_package(SOURCE)})
    for call in (
        lambda: client.create_function(FunctionName=unique("dead"), DeadLetterConfig=queue, **create),
        lambda: client.update_function_configuration(FunctionName=function, DeadLetterConfig=queue),
    ):
        with refused("InvalidParameterValueException", 400) as error:
            call()
        assert error["Error"]["Message"] == "gust does not support DeadLetterConfig: SQS queues do not exist yet."
    with refused("InvalidParameterValueException", 400) as error:
        target = {"TargetArn": ARN + function}
        client.update_function_configuration(FunctionName=function, DeadLetterConfig=target)
    assert "has to be an Amazon SQS queue or an Amazon SNS topic" in error["Error"]["Message"]
    client.update_function_configuration(FunctionName=function, DeadLetterConfig={"TargetArn": ""})


@pytest.mark.documented(RECORDS)
def test_a_record_that_is_too_large_is_not_sent_and_the_event_is_done(own, client, sink):
    large = create_function(client, "def handler(event, context):\n    return 'x' * event\n")
    client.put_function_event_invoke_config(FunctionName=large, DestinationConfig=to(on_success=sink))
    send(client, large, 1024 * 1024)
    send(client, large, 1000)
    assert got(own, sink, 1)[0][1]["responsePayload"] == "x" * 1000
    wait_for(lambda: own.health()["invocations"]["queued"] == 0, "both to be settled")
    assert len(got(own, sink, 1)) == 1
    assert any("could not be sent" in line for line in own.lines)


@pytest.mark.documented(RECORDS)
def test_the_role_must_be_allowed_to_invoke_the_destination(refused):
    with Gust("--auth", "strict") as gust:
        pattern = r"AWS_ACCESS_KEY_ID=(\S+)[\s\S]*AWS_SECRET_ACCESS_KEY=(\S+)"
        key, secret = wait_for(lambda: re.search(pattern, gust.output), "the root key").groups()
        iam, lambda_, logs = (gust.client(service, key=key, secret=secret) for service in ("iam", "lambda", "logs"))
        principal = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [principal]})
        role = iam.create_role(RoleName="sends", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        source, sink = (create_function(lambda_, SOURCE, Role=role) for _ in range(2))
        put = lambda: lambda_.put_function_event_invoke_config(FunctionName=source, DestinationConfig=to(on_success=sink))
        with refused("InvalidParameterValueException", 400) as error:
            put()
        expected = f"The function's execution role does not have permissions to call InvokeFunction on {ARN}{sink}"
        assert error["Error"]["Message"] == expected
        may = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": ARN + sink}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [may]})
        iam.put_role_policy(RoleName="sends", PolicyName="invoke", PolicyDocument=policy)
        put()
        send(lambda_, source, "allowed")
        got_it = lambda lines: any(line.startswith("GOT ") and '"allowed"' in line for line in lines)
        log_lines(logs, sink, got_it, 30)
        iam.delete_role_policy(RoleName="sends", PolicyName="invoke")
        send(lambda_, source, "not any more")
        refusal = "is not allowed to call lambda:InvokeFunction"
        wait_for(lambda: any(refusal in line for line in gust.lines), "the record to be refused")
