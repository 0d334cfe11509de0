"""Lambda: layers, and functions that use them."""

import base64
import hashlib
import pathlib
import urllib.request

import pytest

from harness.functions import ROLE, create_function, result, unique
from harness.packages import package, python_package

API = "https://docs.aws.amazon.com/lambda/latest/api/"
GUIDE = "https://docs.aws.amazon.com/lambda/latest/dg/"
ECHO = "def handler(event, context):\n    return event\n"
ARN = "arn:aws:lambda:us-east-1:000000000000:layer:"


def publish(lambda_, files, name=None, **options):
    """Publishes a layer with these files; returns the version's ARN."""
    content = {"ZipFile": files if isinstance(files, bytes) else package(files)}
    return lambda_.publish_layer_version(LayerName=name or unique("layer"), Content=content, **options)["LayerVersionArn"]


@pytest.mark.documented(API + "API_PublishLayerVersion.html")
def test_a_published_version_is_shown_and_downloads(lambda_):
    name, code = unique("layer"), package({"python/mod.py": "x = 1\n"})
    made = lambda_.publish_layer_version(
        LayerName=name, Content={"ZipFile": code}, Description="tools", LicenseInfo="MIT",
        CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["x86_64", "arm64"],
    )  # fmt: skip
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["LayerArn"], made["LayerVersionArn"], made["Version"]) == (ARN + name, f"{ARN}{name}:1", 1)
    assert made["Content"]["CodeSize"] == len(code)
    assert made["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    shown = lambda_.get_layer_version(LayerName=name, VersionNumber=1)
    by_arn = lambda_.get_layer_version_by_arn(Arn=f"{ARN}{name}:1")
    for answer in (shown, by_arn, lambda_.get_layer_version(LayerName=ARN + name, VersionNumber=1)):
        assert urllib.request.urlopen(answer["Content"].pop("Location"), timeout=10).read() == code
        for key in ("Description", "LicenseInfo", "CompatibleRuntimes", "CompatibleArchitectures", "CreatedDate", "Version"):
            assert answer[key] == made[key], key


@pytest.mark.documented(API + "API_ListLayerVersions.html")
def test_versions_are_listed_newest_first_and_numbers_are_never_reused(lambda_):
    name = unique("layer")
    for _ in range(3):
        publish(lambda_, {"a": "1"}, name)
    lambda_.delete_layer_version(LayerName=name, VersionNumber=3)
    lambda_.delete_layer_version(LayerName=name, VersionNumber=3)
    assert publish(lambda_, {"a": "1"}, name).endswith(":4")
    pages = lambda_.get_paginator("list_layer_versions").paginate(LayerName=name, PaginationConfig={"PageSize": 1})
    assert [item["Version"] for page in pages for item in page["LayerVersions"]] == [4, 2, 1]
    assert lambda_.list_layer_versions(LayerName=unique("none"))["LayerVersions"] == []


@pytest.mark.documented(API + "API_ListLayers.html")
def test_layers_are_listed_with_their_newest_fitting_version(lambda_):
    name = unique("layer")
    publish(lambda_, {"a": "1"}, name, CompatibleRuntimes=["ruby3.3"])
    publish(lambda_, {"a": "1"}, name, CompatibleRuntimes=["ruby3.4"])

    def listed(**filters):
        pages = lambda_.get_paginator("list_layers").paginate(**filters)
        found = {item["LayerName"]: item for page in pages for item in page["Layers"]}
        return found[name]["LatestMatchingVersion"]["Version"] if name in found else None

    assert listed() == 2
    assert (listed(CompatibleRuntime="ruby3.3"), listed(CompatibleRuntime="ruby3.4")) == (1, 2)
    assert listed(CompatibleRuntime="java21") is None


@pytest.mark.inferred
def test_what_does_not_exist_is_not_found(lambda_, refused):
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.get_layer_version(LayerName=unique("none"), VersionNumber=1)
    assert error["Error"]["Message"] == "The resource you requested does not exist."
    with refused("ResourceNotFoundException", 404):
        lambda_.get_layer_version_by_arn(Arn=ARN + "none:1")
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.get_layer_version(LayerName="none", VersionNumber=0)
    assert error["Error"]["Message"] == "Layer Version Cannot be less than 1"
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.delete_layer_version(LayerName="none", VersionNumber=0)
    with refused("ValidationException", 400):
        lambda_.get_layer_version_by_arn(Arn="arn:aws:lambda:us-east-1:000000000000:layer:unversioned")


@pytest.mark.documented(API + "API_AddLayerVersionPermission.html")
def test_a_layer_is_shared_by_its_policy(gust, lambda_, refused):
    name = unique("layer")
    arn = publish(lambda_, {"python/mod.py": "x = 'shared'\n"}, name)
    other = gust.client("lambda", key="111111111111")
    with refused("AccessDeniedException", 403) as error:
        other.get_layer_version_by_arn(Arn=arn)
    assert error["Error"]["Message"] == (
        "User: arn:aws:iam::111111111111:root is not authorized to perform: lambda:GetLayerVersion on resource: "
        f"{arn} because no resource-based policy allows the lambda:GetLayerVersion action"
    )
    permission = dict(LayerName=name, VersionNumber=1, StatementId="all", Action="lambda:GetLayerVersion")
    added = lambda_.add_layer_version_permission(Principal="111111111111", **permission)
    assert added["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert added["Statement"] == (
        '{"Sid":"all","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},'
        f'"Action":"lambda:GetLayerVersion","Resource":"{arn}"}}'
    )
    assert other.get_layer_version_by_arn(Arn=arn)["Version"] == 1
    function = create_function(other, "import mod\ndef handler(event, context):\n    return mod.x\n", Layers=[arn])
    policy = lambda_.get_layer_version_policy(LayerName=name, VersionNumber=1)
    assert policy["Policy"] == '{"Version":"2012-10-17","Id":"default","Statement":[' + added["Statement"] + "]}"
    assert policy["RevisionId"] == added["RevisionId"]
    with refused("ResourceConflictException", 409) as error:
        lambda_.add_layer_version_permission(Principal="*", **permission)
    assert error["Error"]["Message"].startswith("The statement id (all) provided already exists.")
    with refused("PreconditionFailedException", 412):
        lambda_.remove_layer_version_permission(LayerName=name, VersionNumber=1, StatementId="all", RevisionId="stale")
    lambda_.remove_layer_version_permission(LayerName=name, VersionNumber=1, StatementId="all")
    with refused("ResourceNotFoundException", 404) as error:
        lambda_.get_layer_version_policy(LayerName=name, VersionNumber=1)
    assert error["Error"]["Message"] == "No policy is associated with the given resource."
    with refused("AccessDeniedException", 403):
        other.get_layer_version_by_arn(Arn=arn)
    assert result(other, function) == "shared", "functions keep what they use"


MERGED = """
import os, subprocess, sys
import both, first, second, third
def handler(event, context):
    return {
        "both": both.x, "first": first.x, "second": second.x, "third": third.x,
        "tool": subprocess.run(["layered-tool"], capture_output=True, text=True).stdout.strip(),
        "path": [path for path in sys.path if path.startswith(("/opt", "/var/task"))],
        "opt": sorted(os.listdir("/opt")), "writable": os.access("/opt/python/both.py", os.W_OK),
        "owner": [os.stat(path).st_mode & 0o777 for path in ("/opt", "/opt/python", "/opt/python/both.py", "/opt/bin/layered-tool")],
    }
"""


def merged_layers(lambda_):
    one = publish(lambda_, {
        "python/both.py": "x = 'one'\n", "python/first.py": "x = 1\n", "bin/layered-tool": ("#!/bin/sh\necho one\n", 0o755),
    })  # fmt: skip
    two = publish(lambda_, {
        "python/both.py": "x = 'two'\n", "python/second.py": "x = 2\n",
        "python/lib/python3.11/site-packages/third.py": "x = 3\n", "extra": "",
    })  # fmt: skip
    return [one, two]


@pytest.mark.documented(GUIDE + "packaging-layers.html")
def test_layers_lie_over_each_other_in_their_order(lambda_):
    layers = merged_layers(lambda_)
    name = create_function(lambda_, MERGED, Layers=layers)
    seen = result(lambda_, name, {})
    assert (seen["both"], seen["first"], seen["second"], seen["third"]) == ("two", 1, 2, 3)
    assert seen["tool"] == "one", "PATH has /opt/bin"
    assert seen["path"] == ["/var/task", "/opt/python/lib/python3.11/site-packages", "/opt/python"]
    assert seen["opt"] == ["bin", "extra", "python"] and not seen["writable"]
    assert seen["owner"] == [0o755, 0o755, 0o644, 0o755]
    shown = lambda_.get_function_configuration(FunctionName=name)["Layers"]
    assert [layer["Arn"] for layer in shown] == layers and all(layer["CodeSize"] > 0 for layer in shown)
    lambda_.update_function_configuration(FunctionName=name, Layers=layers[::-1])
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(lambda_, name, {})["both"] == "one"
    updated = lambda_.update_function_configuration(FunctionName=name, Layers=[])
    assert "Layers" not in updated
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert "FunctionError" in lambda_.invoke(FunctionName=name)


@pytest.mark.documented(GUIDE + "packaging-layers.html")
def test_libraries_of_layers_and_packages_are_found(lambda_):
    places = [pathlib.Path(place) for place in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64")]
    library = next((place / "libz.so.1" for place in places if (place / "libz.so.1").exists()), None)
    if library is None:
        pytest.skip("this machine has no zlib to put into a layer")
    layer = publish(lambda_, {"lib/liblayered.so": library.read_bytes()})
    source = "import ctypes\ndef handler(event, context):\n    return [ctypes.CDLL(name) is not None for name in event]\n"
    code = package({"app.py": source, "lib/libpackaged.so": library.read_bytes()})
    name = create_function(lambda_, ZipFile=code, Layers=[layer])
    assert result(lambda_, name, ["liblayered.so", "libpackaged.so"]) == [True, True]


@pytest.mark.documented(API + "API_DeleteLayerVersion.html")
def test_a_function_works_on_when_its_layer_is_deleted(lambda_, refused):
    arn = publish(lambda_, {"python/mod.py": "x = 'still there'\n"})
    source = "import mod\ndef handler(event, context):\n    return mod.x\n"
    name = create_function(lambda_, source, Layers=[arn])
    lambda_.delete_layer_version(LayerName=arn.rsplit(":", 2)[1], VersionNumber=1)
    assert result(lambda_, name) == "still there"
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, source, Layers=[arn])
    assert error["Error"]["Message"] == f"Layer version {arn} does not exist."
    lambda_.update_function_configuration(FunctionName=name, Timeout=9)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(lambda_, name) == "still there", "a change without Layers keeps them"
    lambda_.update_function_code(FunctionName=name, ZipFile=python_package(source.replace("mod.x", "mod.x + '!'")))
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(lambda_, name) == "still there!"


@pytest.mark.documented(GUIDE + "runtimes-custom.html")
def test_a_custom_runtime_may_come_from_a_layer(lambda_):
    bootstrap = (
        "#!/usr/bin/env python3\nimport os, urllib.request\n"
        "api = f\"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/\"\n"
        "while True:\n    event = urllib.request.urlopen(api + 'next')\n"
        "    id = event.headers['Lambda-Runtime-Aws-Request-Id']\n"
        "    body = open('/var/task/answer', 'rb').read()\n"
        "    urllib.request.urlopen(urllib.request.Request(f'{api}{id}/response', data=body, method='POST'))\n"
    )
    layer = publish(lambda_, {"bootstrap": (bootstrap, 0o755)})
    name = create_function(lambda_, ZipFile=package({"answer": '"from a layer"'}), Layers=[layer], Runtime="provided.al2023")
    assert result(lambda_, name) == "from a layer"


@pytest.mark.documented(GUIDE + "adding-layers.html")
def test_five_layers_are_the_most(lambda_, refused):
    arns = [publish(lambda_, {f"l{n}": "x"}) for n in range(6)]
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ECHO, Layers=arns)
    assert error["Error"]["Message"] == "Cannot reference more than 5 layers."
    name = create_function(lambda_, ECHO, Layers=arns[:5])
    assert len(lambda_.get_function(FunctionName=name)["Configuration"]["Layers"]) == 5
    with refused("InvalidParameterValueException", 400):
        lambda_.update_function_configuration(FunctionName=name, Layers=arns)


@pytest.mark.inferred
def test_layers_that_cannot_be_used_are_refused(lambda_, refused):
    name = unique("layer")
    one, two = publish(lambda_, {"a": "1"}, name), publish(lambda_, {"a": "2"}, name)
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ECHO, Layers=[one, two])
    assert error["Error"]["Message"] == (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{one} and {two} are versions of the same layer."
    )
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ECHO, Layers=[one.replace("us-east-1", "eu-west-1")])
    assert error["Error"]["Message"] == (
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1."
    )
    with refused("ValidationException", 400) as error:
        create_function(lambda_, ECHO, Layers=[one.rsplit(":", 1)[0]])
    assert "at 'layers' failed to satisfy constraint" in error["Error"]["Message"], error
    with refused("AccessDeniedException", 403):
        create_function(lambda_, ECHO, Layers=[one.replace("000000000000", "222222222222")])


@pytest.mark.documented("https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html")
def test_code_and_layers_together_have_250_mb(lambda_, refused):
    """Zeros, so that the packages are small."""
    half = package({"zeros": bytes(131_072_000)})
    one, two = publish(lambda_, half), publish(lambda_, half)
    with refused("InvalidParameterValueException", 400) as error:
        create_function(lambda_, ECHO, Layers=[one, two])
    actual = 262_144_000 + len(ECHO)
    assert error["Error"]["Message"] == (
        f"Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. The actual size is {actual} bytes."
    )
    name = create_function(lambda_, ECHO, Layers=[one])
    with refused("InvalidParameterValueException", 400):
        lambda_.update_function_configuration(FunctionName=name, Layers=[one, two])
    assert result(lambda_, name, 1) == 1
    for arn in (one, two):
        lambda_.delete_layer_version(LayerName=arn.rsplit(":", 1)[0], VersionNumber=int(arn.rsplit(":", 1)[1]))


@pytest.mark.inferred
def test_layers_of_a_function_that_never_was_are_gone(lambda_, refused):
    """A layer that is refused for one function can be used for another; nothing is left behind by the refusal."""
    arn = publish(lambda_, {"a": "1"})
    with refused("InvalidParameterValueException", 400):
        lambda_.create_function(
            FunctionName=unique("f"), Runtime="python3.11", Role=ROLE, Handler="a.b", Code={"ZipFile": b"no zip"}, Layers=[arn]
        )
    name = create_function(lambda_, ECHO, Layers=[arn])
    assert result(lambda_, name, 2) == 2


@pytest.mark.documented(GUIDE + "configuration-versions.html")
def test_a_version_keeps_its_layers(lambda_):
    one, two = (publish(lambda_, {"python/mod.py": f"x = {n}\n"}) for n in (1, 2))
    name = create_function(lambda_, "import mod\ndef handler(event, context):\n    return mod.x\n", Layers=[one])
    assert [it["Arn"] for it in lambda_.publish_version(FunctionName=name)["Layers"]] == [one]
    lambda_.update_function_configuration(FunctionName=name, Layers=[two])
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=name)
    for arn in (one, two):
        lambda_.delete_layer_version(LayerName=arn.rsplit(":", 1)[0], VersionNumber=1)
    assert (result(lambda_, name, Qualifier="1"), result(lambda_, name)) == (1, 2)
