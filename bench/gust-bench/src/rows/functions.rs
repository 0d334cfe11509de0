//! The functions that are measured, and a gust to run them.

use crate::context::Context;
use crate::target::Target;
use std::io;

/// The event of warm invocations.
pub const EVENT: &[u8] = br#"{"hello":"world","number":42}"#;

/// Echoes its event.
pub const PYTHON_ECHO: &[u8] = b"def handler(event, context):\n    return event\n";
/// Echoes its event.
pub const NODE_ECHO: &[u8] = b"exports.handler = async (event) => event;\n";

/// Counts its invocations: 1 is the answer of a new environment.
pub const PYTHON_COUNTER: &[u8] =
    b"count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n";
/// Counts its invocations.
pub const NODE_COUNTER: &[u8] = b"let count = 0; exports.handler = async () => (count += 1);\n";
/// Counts its invocations, and has made a client of the AWS SDK before the first one.
pub const BOTO3_COUNTER: &[u8] = b"import boto3\nclient = boto3.client('sts')\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n";

/// Says that its environment has arrived, waits until all have, answers with the environment's name.
pub const PYTHON_BARRIER: &[u8] = br#"import os
NAME = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]

def handler(event, context):
    if not event.get("warm"):
        pipe = os.open("/var/task/arrived", os.O_WRONLY)
        os.write(pipe, (NAME + "\n").encode())
        os.close(pipe)
        os.close(os.open("/var/task/release", os.O_RDONLY))
    return NAME
"#;
/// The same.
pub const NODE_BARRIER: &[u8] = br#"const fs = require("fs");
const name = process.env.AWS_LAMBDA_LOG_STREAM_NAME;
exports.handler = async (event) => {
  if (!event.warm) {
    const pipe = fs.openSync("/var/task/arrived", fs.constants.O_WRONLY);
    fs.writeSync(pipe, name + "\n");
    fs.closeSync(pipe);
    fs.closeSync(fs.openSync("/var/task/release", "r"));
  }
  return name;
};
"#;

/// Says on the clock that everybody shares when it began.
pub const PYTHON_STAMP: &[u8] = br#"import os, time
pipe = os.open("/var/task/arrived", os.O_WRONLY)

def handler(event, context):
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    os.write(pipe, b"%d %d\n" % (event["number"], now))
"#;

/// A gust in a folder that goes with it.
pub struct Gust {
    // Dropped first: it writes into the folder.
    pub target: Target,
    /// Its data folder.
    pub folder: tempfile::TempDir,
}

impl Gust {
    /// Starts one with these flags more.
    pub fn start(context: &Context, more: &[&str]) -> io::Result<Gust> {
        let folder = tempfile::tempdir()?;
        let flags = context.flags()?;
        let flags: Vec<&str> = flags.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let target = Target::start(&context.gust, folder.path(), &flags)?;
        Ok(Gust { target, folder })
    }
}
