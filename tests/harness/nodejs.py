"""Node.js functions."""

import json

from .functions import create_function
from .packages import package

RUNTIME = "nodejs20.x"


def node_function(client, source, file="index.js", **options):
    """Creates a function out of JavaScript source (or `files=`); returns its name."""
    files = options.pop("files", None) or {file: source}
    options = {"Runtime": RUNTIME, "Handler": "index.handler", "Timeout": 20} | options
    return create_function(client, ZipFile=package(files), **options)


def runtimes(gust):
    """runtime -> (fit, version) of the Node.js runtimes, as `gust doctor` sees them."""
    report = json.loads(gust.command("doctor", "--json").stdout)
    rows = [row for row in report["runtimes"] if row["runtime"].startswith("nodejs")]
    return {row["runtime"]: (row["fit"], row["version"]) for row in rows}
