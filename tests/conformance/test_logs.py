"""CloudWatch Logs: groups, streams, events, filters."""

import time

import pytest

from harness.functions import unique

API = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/"
PATTERNS = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"


def now_ms():
    return int(time.time() * 1000)


@pytest.fixture
def group(logs):
    name = unique("/test/group")
    logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    return group


def put(logs, group, messages, stream="s", start_ms=None):
    start = start_ms or now_ms() - 60_000
    events = [{"timestamp": start + index, "message": message} for index, message in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def messages(answer):
    return [event["message"] for event in answer["events"]]


@pytest.mark.documented(API + "API_DescribeLogGroups.html")
def test_groups_are_described(logs, group):
    found = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [entry["logGroupName"] for entry in found] == [group]
    entry = found[0]
    assert entry["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:*"
    assert abs(entry["creationTime"] - now_ms()) < 60_000
    assert entry["metricFilterCount"] == 0 and "retentionInDays" not in entry


@pytest.mark.documented(API + "API_DescribeLogGroups.html")
def test_groups_are_paged_in_order(gust):
    logs = gust.client("logs", key="444444444444")
    names = [f"/page/{number:02}" for number in range(7)]
    for name in reversed(names):
        logs.create_log_group(logGroupName=name)
    page = logs.describe_log_groups(limit=3)
    assert [entry["logGroupName"] for entry in page["logGroups"]] == names[:3] and page["nextToken"]
    pages = logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 2})
    assert [entry["logGroupName"] for page in pages for entry in page["logGroups"]] == names
    matching = logs.describe_log_groups(logGroupNamePattern="ge/03")["logGroups"]
    assert [entry["logGroupName"] for entry in matching] == ["/page/03"]


@pytest.mark.documented(API + "API_CreateLogGroup.html")
def test_a_group_is_made_once(logs, group, refused):
    with refused("ResourceAlreadyExistsException", 400) as error:
        logs.create_log_group(logGroupName=group)
    assert error["Error"]["Message"] == "The specified log group already exists"


@pytest.mark.documented(API + "API_CreateLogGroup.html")
@pytest.mark.parametrize("name", ["with space", "ümlaut", "a:b", "x" * 513])
def test_bad_group_names_are_refused(gust, refused, name):
    with refused("InvalidParameterException", 400) as error:
        gust.client("logs", validate=False).create_log_group(logGroupName=name)
    assert "logGroupName" in error["Error"]["Message"]


@pytest.mark.documented(API + "API_DeleteLogGroup.html")
def test_a_deleted_group_is_gone_with_its_events(logs, stream, refused):
    put(logs, stream, ["old"])
    logs.delete_log_group(logGroupName=stream)
    with refused("ResourceNotFoundException", 400) as error:
        logs.filter_log_events(logGroupName=stream)
    assert error["Error"]["Message"] == "The specified log group does not exist."
    with refused("ResourceNotFoundException", 400):
        logs.delete_log_group(logGroupName=stream)
    logs.create_log_group(logGroupName=stream)
    assert logs.filter_log_events(logGroupName=stream)["events"] == []


@pytest.mark.documented(API + "API_CreateLogStream.html")
def test_streams_are_made_once_and_in_a_group(logs, stream, refused):
    with refused("ResourceAlreadyExistsException", 400):
        logs.create_log_stream(logGroupName=stream, logStreamName="s")
    with refused("ResourceNotFoundException", 400):
        logs.create_log_stream(logGroupName="/no/such/group", logStreamName="s")
    with refused("InvalidParameterException", 400):
        logs.create_log_stream(logGroupName=stream, logStreamName="a:b")


@pytest.mark.documented(API + "API_DescribeLogStreams.html")
def test_streams_are_described_by_name_or_time(logs, group, refused):
    start = now_ms() - 60_000
    for name, at in (("a", start + 200), ("b", start), ("c", start + 100)):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, group, ["x"], stream=name, start_ms=at)
    names = lambda answer: [entry["logStreamName"] for entry in answer["logStreams"]]
    assert names(logs.describe_log_streams(logGroupName=group)) == ["a", "b", "c"]
    assert names(logs.describe_log_streams(logGroupName=group, descending=True, limit=2)) == ["c", "b"]
    by_time = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)
    assert names(by_time) == ["a", "c", "b"]
    assert names(logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="b")) == ["b"]
    entry = by_time["logStreams"][0]
    assert entry["firstEventTimestamp"] == entry["lastEventTimestamp"] == start + 200
    assert entry["arn"].endswith(f":log-group:{group}:log-stream:a") and entry["lastIngestionTime"] >= start
    with refused("InvalidParameterException", 400):
        logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="b")


@pytest.mark.documented(API + "API_PutLogEvents.html")
def test_events_are_read_back_at_once(logs, stream):
    answer = put(logs, stream, ["one", "two", "three ☃"])
    assert answer["nextSequenceToken"]
    found = logs.get_log_events(logGroupName=stream, logStreamName="s", startFromHead=True)
    assert messages(found) == ["one", "two", "three ☃"]
    assert all(event["ingestionTime"] >= event["timestamp"] for event in found["events"])


@pytest.mark.documented(API + "API_GetLogEvents.html")
def test_reading_walks_in_both_directions_and_stands_still_at_the_end(logs, stream):
    put(logs, stream, [str(number) for number in range(10)])
    where = dict(logGroupName=stream, logStreamName="s", limit=4)
    assert messages(logs.get_log_events(**where)) == ["6", "7", "8", "9"]
    first = logs.get_log_events(**where, startFromHead=True)
    assert messages(first) == ["0", "1", "2", "3"]
    second = logs.get_log_events(**where, nextToken=first["nextForwardToken"])
    assert messages(second) == ["4", "5", "6", "7"]
    back = logs.get_log_events(**where, nextToken=second["nextBackwardToken"])
    assert messages(back) == ["0", "1", "2", "3"]
    third = logs.get_log_events(**where, nextToken=second["nextForwardToken"])
    end = logs.get_log_events(**where, nextToken=third["nextForwardToken"])
    assert messages(end) == [] and end["nextForwardToken"] == third["nextForwardToken"]
    put(logs, stream, ["new"], start_ms=now_ms() - 1_000)
    assert messages(logs.get_log_events(**where, nextToken=end["nextForwardToken"])) == ["new"]


@pytest.mark.documented(API + "API_PutLogEvents.html")
def test_events_out_of_time_are_rejected_by_index(logs, stream):
    now = now_ms()
    day = 86_400_000
    events = [
        {"timestamp": now - 15 * day, "message": "too old"},
        {"timestamp": now, "message": "fine"},
        {"timestamp": now + 3 * 3_600_000, "message": "too new"},
    ]
    answer = logs.put_log_events(logGroupName=stream, logStreamName="s", logEvents=events)
    rejected = answer["rejectedLogEventsInfo"]
    assert rejected["tooOldLogEventEndIndex"] == 1 and rejected["tooNewLogEventStartIndex"] == 2
    assert messages(logs.get_log_events(logGroupName=stream, logStreamName="s")) == ["fine"]


@pytest.mark.documented(API + "API_PutLogEvents.html")
def test_a_batch_must_be_in_order_and_within_a_day(logs, stream, refused):
    now = now_ms()
    for times in ((now, now - 1), (now - 25 * 3_600_000, now)):
        events = [{"timestamp": at, "message": "x"} for at in times]
        with refused("InvalidParameterException", 400):
            logs.put_log_events(logGroupName=stream, logStreamName="s", logEvents=events)


@pytest.mark.documented(API + "API_PutLogEvents.html")
def test_putting_needs_group_and_stream(logs, stream, refused):
    with refused("ResourceNotFoundException", 400):
        put(logs, "/no/such/group", ["x"])
    with refused("ResourceNotFoundException", 400) as error:
        put(logs, stream, ["x"], stream="nope")
    assert error["Error"]["Message"] == "The specified log stream does not exist."


@pytest.mark.documented(API + "API_FilterLogEvents.html")
def test_filtering_spans_streams_in_time_order(logs, stream):
    logs.create_log_stream(logGroupName=stream, logStreamName="t")
    start = now_ms() - 60_000
    put(logs, stream, ["a1", "a2"], start_ms=start)
    put(logs, stream, ["b1", "b2"], stream="t", start_ms=start + 1)
    answer = logs.filter_log_events(logGroupName=stream, interleaved=True)
    found = [(event["timestamp"] - start, event["message"]) for event in answer["events"]]
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert sorted(text for _, text in found) == ["a1", "a2", "b1", "b2"]
    assert len({event["eventId"] for event in answer["events"]}) == 4
    assert messages(logs.filter_log_events(logGroupName=stream, logStreamNames=["t"])) == ["b1", "b2"]
    within = logs.filter_log_events(logGroupName=stream, startTime=start + 1, endTime=start + 1)
    assert sorted(messages(within)) == ["a2", "b1"]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=stream, PaginationConfig={"PageSize": 1})
    assert sorted(event["message"] for page in pages for event in page["events"]) == ["a1", "a2", "b1", "b2"]


LINES = [
    "[INFO] started in 12 ms",
    "[ERROR] cannot open file",
    "[ERROR] cannot open socket code=42",
    '{"level": "error", "latency": 120, "user": {"name": "ann"}, "tags": ["x", "y"]}',
    '{"level": "info", "latency": 3.5, "user": {"name": "bob"}}',
    '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /apache_pb.gif HTTP/1.0" 404 2326',
]


@pytest.mark.documented(PATTERNS)
@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("ERROR", [1, 2]),
        ("ERROR open", [1, 2]),
        ('"cannot open file"', [1]),
        ("ERROR -socket", [1]),
        ("?INFO ?socket", [0, 2]),
        ("%code=[0-9]+%", [2]),
        ('{ $.level = "error" }', [3]),
        ("{ $.latency > 100 }", [3]),
        ("{ $.latency < 100 }", [4]),
        ('{ $.user.name = "b*" }', [4]),
        ('{ $.tags[1] = "y" }', [3]),
        ('{ ($.level = "info") || ($.latency = 120) }', [3, 4]),
        ("{ $.tags NOT EXISTS }", [4]),
        ("[ip, identity, user, when, request, status=4*, size]", [5]),
        ("[ip, identity, user, when, request, status=4*, size > 5000]", []),
    ],
)
def test_filter_patterns(logs, stream, pattern, expected):
    put(logs, stream, LINES)
    found = messages(logs.filter_log_events(logGroupName=stream, filterPattern=pattern))
    assert [LINES.index(line) for line in found] == expected


@pytest.mark.documented(PATTERNS)
@pytest.mark.parametrize("pattern", ["{ $.a = ", "[a, b", '"open'])
def test_broken_filter_patterns_are_refused(logs, stream, refused, pattern):
    with refused("InvalidParameterException", 400):
        logs.filter_log_events(logGroupName=stream, filterPattern=pattern)


@pytest.mark.inferred
def test_an_operation_that_is_not_there_says_so_by_name(logs, refused):
    with refused("NotImplemented", 501) as error:
        logs.describe_queries()
    assert "DescribeQueries" in error["Error"]["Message"]
