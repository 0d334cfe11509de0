"""Lambda: packages and layers that mean harm, and the limits of those that do not."""

import io
import stat
import struct
import warnings
import zipfile

import pytest

from harness.functions import ROLE, create_function, result, unique
from harness.packages import package

LIMITS = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"
ECHO = "def handler(event, context):\n    return event\n"
NOT_UNZIPPABLE = "Could not unzip uploaded file. Please check your file, then try to upload again."


def archive(*entries, compression=zipfile.ZIP_DEFLATED):
    """A zip of entries (name or ZipInfo, content), with everything that zipfile lets through."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(buffer, "w", compression) as made:
            for name, content in entries:
                made.writestr(name, content)
    return buffer.getvalue()


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def link(name, target):
    return (entry(name, stat.S_IFLNK | 0o777), target)


def patched(code, local, central, value):
    """The zip with one field of its first entry replaced, in both headers."""
    changed, at = bytearray(code), code.index(b"PK\x01\x02")
    changed[local : local + len(value)] = value
    changed[at + central : at + central + len(value)] = value
    return bytes(changed)


APP = ("app.py", ECHO)
STORED = archive(("app.py", "x" * 100), compression=zipfile.ZIP_STORED)
HOSTILE = {
    "no zip": b"PK\x03\x04 not really",
    "parent": archive(APP, ("../escaped", "x")),
    "hidden parent": archive(APP, ("a/../../escaped", "x")),
    "absolute": archive(APP, ("/tmp/escaped", "x")),
    "absolute link": archive(APP, link("l", "/etc/passwd")),
    "link out": archive(APP, link("d/l", "../../escaped")),
    "links out together": archive(APP, ("d/f", "x"), link("d/l", ".."), link("x", "d/l/../..")),
    "through a link": archive(APP, link("l", "d"), ("d/f", "x"), ("l/f", "y")),
    "twice": archive(APP, ("./app.py", "x")),
    "twice the same": archive(APP, APP),
    "file and folder": archive(APP, ("app.py/x", "y")),
    "device": archive(APP, (entry("sda", stat.S_IFBLK | 0o666), "")),
    "pipe": archive(APP, (entry("pipe", stat.S_IFIFO | 0o666), "")),
    "long name": archive(APP, ("n" * 256, "x")),
    "too deep": archive(APP, ("d/" * 2_000 + "f", "x")),
    "encrypted": patched(STORED, 6, 8, struct.pack("<H", 1)),
    "unknown method": patched(STORED, 8, 10, struct.pack("<H", 97)),
    "wrong sum": patched(STORED, 14, 16, b"\0\0\0\0"),
    "smaller than it claims": patched(STORED, 22, 24, struct.pack("<I", 101)),
    "larger than it claims": patched(STORED, 22, 24, struct.pack("<I", 99)),
    "packed beyond the end": patched(STORED, 18, 20, struct.pack("<I", 0x7FFF_FFFF)),
    "cut off": STORED[:-10],
    "cut in half": STORED[: len(STORED) // 2],
    "many folders": archive(*((f"{n:03}/" + "d/" * 1_700 + "f", "") for n in range(170))),
}


@pytest.mark.inferred
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_packages_and_layers_are_refused(lambda_, refused, kind):
    name = unique("hostile")
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.create_function(
            FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="app.handler", Code={"ZipFile": HOSTILE[kind]}
        )
    assert error["Error"]["Message"] == NOT_UNZIPPABLE
    with refused("InvalidParameterValueException", 400) as error:
        lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": HOSTILE[kind]})
    assert error["Error"]["Message"] == NOT_UNZIPPABLE
    with refused("ResourceNotFoundException", 404):
        lambda_.get_function(FunctionName=name)
    assert lambda_.list_layer_versions(LayerName=name)["LayerVersions"] == []


@pytest.mark.inferred
def test_a_hostile_update_leaves_the_function_as_it_was(lambda_, refused):
    name = create_function(lambda_, ECHO)
    before = lambda_.get_function_configuration(FunctionName=name)["CodeSha256"]
    for kind in ("parent", "wrong sum", "links out together"):
        with refused("InvalidParameterValueException", 400):
            lambda_.update_function_code(FunctionName=name, ZipFile=HOSTILE[kind])
    assert lambda_.get_function_configuration(FunctionName=name)["CodeSha256"] == before
    assert result(lambda_, name, 1) == 1


@pytest.mark.inferred
def test_unusual_packages_work(lambda_):
    """Links inside, odd modes, old names, deep folders, Zip64."""
    source = (
        "import os\ndef handler(event, context):\n"
        "    deep = '/var/task/' + 'd/' * 50 + 'f'\n"
        "    return [open('/var/task/l').read(), oct(os.stat('/var/task/secret').st_mode & 0o7777), open(deep).read(),\n"
        "            sorted(os.listdir('/var/task'))]\n"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        with made.open("app.py", "w", force_zip64=True) as file:
            file.write(source.encode())
        made.writestr(entry("secret", stat.S_IFREG | 0o4000), "x")
        made.writestr(*link("l", "e/../e/f"))
        made.writestr("e/f", "inside")
        made.writestr("d/" * 50 + "f", "deep")
        made.writestr("ü.txt", "x")
    name = create_function(lambda_, ZipFile=buffer.getvalue())
    content, mode, deep, names = result(lambda_, name)
    assert (content, mode, deep) == ("inside", "0o644", "deep")
    assert names == ["app.py", "d", "e", "l", "secret", "ü.txt"]


@pytest.mark.documented(LIMITS)
def test_a_zip_may_have_50_mb(lambda_, refused):
    """A comment at its end makes a zip as long as it has to be; 65,535 bytes are the most for one."""
    maximum, name = 52_428_800, unique("fifty")
    padding = io.BytesIO()
    with zipfile.ZipFile(padding, "w") as made:
        made.writestr("app.py", ECHO)
        made.writestr("filler", bytes(maximum - 60_000))
    short = maximum - len(padding.getvalue())
    assert 0 < short < 65_000

    def of(comment):
        with zipfile.ZipFile(padding, "a") as made:
            made.comment = bytes(comment)
        return padding.getvalue()

    arguments = dict(FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="app.handler")
    code = of(short + 1)
    assert len(code) == maximum + 1
    with refused("RequestEntityTooLargeException", 413) as error:
        lambda_.create_function(Code={"ZipFile": code}, **arguments)
    assert error["Error"]["Message"] == "Request must be smaller than 70167211 bytes for the CreateFunction operation"
    with refused("RequestEntityTooLargeException", 413) as error:
        lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": code})
    code = of(short)
    assert len(code) == maximum
    made = lambda_.create_function(Code={"ZipFile": code}, **arguments)
    assert made["CodeSize"] == maximum
    lambda_.delete_function(FunctionName=name)


@pytest.mark.documented(LIMITS)
def test_a_package_may_have_250_mb_unzipped(lambda_, refused):
    """Zeros, so that the packages are small: the sizes that count are those of what is unzipped."""
    maximum = 262_144_000
    fits = package({"app.py": ECHO, "zeros": bytes(maximum - len(ECHO))})
    assert len(fits) < 1_000_000
    name = create_function(lambda_, ZipFile=fits)
    assert result(lambda_, name, 1) == 1
    too_large = package({"app.py": ECHO, "zeros": bytes(maximum - len(ECHO) + 1)})
    for call in (
        lambda: lambda_.update_function_code(FunctionName=name, ZipFile=too_large),
        lambda: lambda_.publish_layer_version(LayerName=unique("big"), Content={"ZipFile": too_large}),
    ):
        with refused("InvalidParameterValueException", 400) as error:
            call()
        assert error["Error"]["Message"] == "Unzipped size must be smaller than 262144000 bytes"
    lambda_.delete_function(FunctionName=name)
