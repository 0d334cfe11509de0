//! `gust invoke`: one invocation from the shell.

use crate::cli;
use crate::client::{Answer, Client, Outgoing, encode, service_error};
use crate::failure::{Context, EXIT_FUNCTION_FAILED, Failure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use owo_colors::OwoColorize;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read};
use std::time::Duration;

/// Invokes and prints; a failed function ends with its own exit code.
pub async fn run(arguments: cli::Invoke) -> Result<(), Failure> {
    let event = read_event(&arguments.event)?;
    let client = Client::new(&arguments.target)?;
    let answer = {
        let _waiting = Waiting::begin(&arguments.name);
        client.send(request(&arguments, &path(&arguments), event)).await?
    };
    if !answer.head.status.is_success() {
        return Err(service_error(&answer));
    }
    let log = answer.header("x-amz-log-result").map(decode_log).transpose()?;
    if arguments.json {
        print_json(&answer, log.as_deref())?;
    } else {
        print_plain(&arguments, &answer, log.as_deref());
    }
    match answer.header("x-amz-function-error") {
        Some(_) => Err(Failure::silent(EXIT_FUNCTION_FAILED)),
        None => Ok(()),
    }
}

fn path(arguments: &cli::Invoke) -> String {
    let path = format!("/2015-03-31/functions/{}/invocations", encode(&arguments.name));
    match &arguments.qualifier {
        Some(qualifier) => format!("{path}?Qualifier={}", encode(qualifier)),
        None => path,
    }
}

fn request<'a>(arguments: &cli::Invoke, path: &'a str, event: Bytes) -> Outgoing<'a> {
    let kind = if arguments.asynchronous { "Event" } else { "RequestResponse" };
    let mut headers = vec![("content-type", "application/json".to_owned()), ("x-amz-invocation-type", kind.to_owned())];
    if arguments.log || arguments.json && !arguments.asynchronous {
        headers.push(("x-amz-log-type", "Tail".to_owned()));
    }
    Outgoing { service: "lambda", method: Method::POST, path, headers, body: event }
}

/// The event: `-`, JSON itself, or a file.
pub fn read_event(text: &str) -> Result<Bytes, Failure> {
    if text == "-" {
        let mut event = Vec::new();
        std::io::stdin().read_to_end(&mut event).context("cannot read the event from standard input")?;
        return Ok(event.into());
    }
    if serde_json::from_str::<Value>(text).is_ok() {
        return Ok(Bytes::copy_from_slice(text.as_bytes()));
    }
    match std::fs::read(text) {
        Ok(event) => Ok(event.into()),
        Err(_) if text.trim_start().starts_with(['{', '[', '"']) => {
            let cause = serde_json::from_str::<Value>(text).err().map(|cause| cause.to_string()).unwrap_or_default();
            Err(Failure::usage(format!("the event is not valid JSON: {cause}")))
        }
        Err(cause) => Err(Failure::usage(format!("cannot read the event {text}: {cause}"))
            .hint("-e takes a file, `-` for standard input, or JSON itself")),
    }
}

fn decode_log(header: &str) -> Result<String, Failure> {
    let bytes = STANDARD.decode(header).context("the log in the answer is damaged")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn print_json(answer: &Answer, log: Option<&str>) -> Result<(), Failure> {
    let payload = match answer.body.as_ref() {
        [] => Value::Null,
        body => serde_json::from_slice(body).context("the function's result is no JSON")?,
    };
    let header = |name| answer.header(name).map(str::to_owned);
    let document = json!({
        "StatusCode": answer.head.status.as_u16(),
        "FunctionError": header("x-amz-function-error"),
        "ExecutedVersion": header("x-amz-executed-version"),
        "RequestId": header("x-amzn-requestid"),
        "LogResult": log,
        "Payload": payload,
    });
    anstream::println!("{document:#}");
    Ok(())
}

fn print_plain(arguments: &cli::Invoke, answer: &Answer, log: Option<&str>) {
    if let Some(log) = log {
        for line in log.lines() {
            anstream::eprintln!("{}", line.dimmed());
        }
    }
    if arguments.asynchronous {
        let id = answer.header("x-amzn-requestid").unwrap_or("unknown");
        anstream::println!("queued, request id {id}");
        return;
    }
    if let Some(kind) = answer.header("x-amz-function-error") {
        anstream::eprintln!("{} ({kind})", "the function failed".red().bold());
    }
    anstream::println!("{}", String::from_utf8_lossy(&answer.body));
}

/// Says on a terminal that a function runs longer than a second.
struct Waiting(Option<indicatif::ProgressBar>);

impl Waiting {
    fn begin(name: &str) -> Waiting {
        if !std::io::stderr().is_terminal() {
            return Waiting(None);
        }
        let bar = indicatif::ProgressBar::new_spinner().with_message(format!("{name} is running"));
        let bar = bar.with_style(crate::progress::spinner());
        bar.enable_steady_tick(Duration::from_millis(500));
        Waiting(Some(bar))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_json_or_a_file() {
        assert_eq!(read_event(r#"{"a": 1}"#).unwrap(), r#"{"a": 1}"#);
        assert_eq!(read_event("7").unwrap(), "7");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[1]").unwrap();
        assert_eq!(read_event(file.path().to_str().unwrap()).unwrap(), "[1]");
    }

    #[test]
    fn what_is_neither_is_refused_by_what_it_looks_like() {
        assert!(read_event("{oops").unwrap_err().message.contains("not valid JSON"));
        assert!(read_event("/no/such/file.json").unwrap_err().message.contains("cannot read the event"));
    }
}
