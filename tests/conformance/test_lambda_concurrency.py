"""Lambda: reserved concurrency, and the states of a function."""

import concurrent.futures

import pytest

from harness.functions import create_function, invoke, result, unique
from harness.waiting import wait_for

API = "https://docs.aws.amazon.com/lambda/latest/api/"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"
SLEEP = "import time\ndef handler(event, context):\n    time.sleep(event or 0)\n    return context.function_version\n"


@pytest.fixture
def sleeper(lambda_):
    name = create_function(lambda_, SLEEP, Timeout=30)
    yield name
    lambda_.delete_function(FunctionName=name)


def reserve(client, name, executions):
    return client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=executions)


@pytest.mark.documented(API + "API_PutFunctionConcurrency.html")
def test_a_reservation_is_shown_counted_and_taken_back(lambda_, sleeper):
    unreserved = lambda: lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    before = unreserved()
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName=sleeper)
    assert "Concurrency" not in lambda_.get_function(FunctionName=sleeper)
    assert reserve(lambda_, sleeper, 7)["ReservedConcurrentExecutions"] == 7
    assert lambda_.get_function_concurrency(FunctionName=sleeper)["ReservedConcurrentExecutions"] == 7
    assert lambda_.get_function(FunctionName=sleeper)["Concurrency"] == {"ReservedConcurrentExecutions": 7}
    assert unreserved() == before - 7
    done = lambda_.delete_function_concurrency(FunctionName=sleeper)
    assert done["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert unreserved() == before
    lambda_.delete_function_concurrency(FunctionName=sleeper)


@pytest.mark.documented(GUIDE)
def test_zero_stops_a_function_and_taking_it_back_starts_it(lambda_, sleeper):
    assert result(lambda_, sleeper) == "$LATEST"
    reserve(lambda_, sleeper, 0)
    with pytest.raises(lambda_.exceptions.TooManyRequestsException) as refused:
        invoke(lambda_, sleeper)
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert response["Error"]["Message"] == "Rate Exceeded."
    lambda_.delete_function_concurrency(FunctionName=sleeper)
    assert result(lambda_, sleeper) == "$LATEST"


@pytest.mark.documented(GUIDE)
def test_a_reservation_holds_over_all_versions_and_at_once(gust, lambda_, sleeper):
    running = lambda: gust.health()["invocations"]["running"]
    lambda_.publish_version(FunctionName=sleeper)
    reserve(lambda_, sleeper, 1)
    wait_for(lambda: running() == 0, "earlier invocations to end")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(result, lambda_, sleeper, 5, Qualifier="1")
        wait_for(lambda: running() == 1, "the version to take the function's only place")
        with pytest.raises(lambda_.exceptions.TooManyRequestsException) as refused:
            invoke(lambda_, sleeper, 0)
        assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        reserve(lambda_, sleeper, 2)
        assert result(lambda_, sleeper, 0) == "$LATEST", "a higher reservation holds from the next invocation on"
        assert busy.result() == "1"


@pytest.mark.documented(GUIDE)
def test_a_hundred_are_left_to_the_others(lambda_, sleeper, refused):
    left = lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    with refused("InvalidParameterValueException", 400) as error:
        reserve(lambda_, sleeper, left - 99)
    assert error["Error"]["Message"] == (
        "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    )
    reserve(lambda_, sleeper, left - 100)
    assert result(lambda_, sleeper) == "$LATEST"


@pytest.mark.documented(API + "API_PutFunctionConcurrency.html")
def test_what_put_function_concurrency_refuses(gust, lambda_, refused):
    with refused("ResourceNotFoundException", 404):
        reserve(lambda_, unique("missing"), 1)
    with refused("ResourceNotFoundException", 404):
        lambda_.get_function_concurrency(FunctionName=unique("missing"))
    with refused("ResourceNotFoundException", 404):
        lambda_.delete_function_concurrency(FunctionName=unique("missing"))
    with refused("ValidationException", 400):
        reserve(gust.client("lambda", validate=False), unique("missing"), -1)


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html")
def test_a_new_function_is_pending_and_an_update_in_progress(lambda_):
    name = unique("states")
    create_function(lambda_, SLEEP, name=name, wait=False)
    lambda_.get_waiter("function_active").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    shown = lambda_.get_function_configuration(FunctionName=name)
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in shown and "StateReasonCode" not in shown
    changed = lambda_.update_function_configuration(FunctionName=name, Timeout=5)
    assert changed["LastUpdateStatus"] == "InProgress" and changed["State"] == "Active"
    lambda_.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert lambda_.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful"
