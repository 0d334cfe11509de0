//! Echoes its event with what it knows of the request, streams its words (handler `stream`), echoes its event and nothing
//! else (`echo`), or waits until all have arrived (`barrier`; both for the benchmarks); fails on demand.

use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use std::io::Write;

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    println!("hello from rust");
    let (payload, context) = event.into_parts();
    if let Some(reason) = payload["fail"].as_str() {
        return Err(reason.to_owned().into());
    }
    Ok(json!({
        "event": payload,
        "request_id": context.request_id,
        "function": context.env_config.function_name,
    }))
}

/// The least that a function can do: what benchmarks compare with an echo in another language.
async fn echo(event: LambdaEvent<Value>) -> Result<Value, Error> {
    Ok(event.payload)
}

/// Streams `words`, each as a part of its own; breaks off with an error after them if `fail` is there.
async fn stream(event: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let (mut parts, body) = channel();
    tokio::spawn(async move {
        for word in event.payload["words"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if parts.send_data(format!("{word} ").into()).await.is_err() {
                return;
            }
        }
        if event.payload["fail"].is_string() {
            parts.abort();
        }
    });
    Ok(Response::from(body))
}

/// Says through a pipe beside its code that its environment has arrived, waits until another one is opened, answers with
/// the environment's name.
async fn barrier(event: LambdaEvent<Value>) -> Result<String, Error> {
    let name = std::env::var("AWS_LAMBDA_LOG_STREAM_NAME")?;
    if event.payload["warm"].is_null() {
        let mut arrived = std::fs::OpenOptions::new().write(true).open("/var/task/arrived")?;
        arrived.write_all(format!("{name}\n").as_bytes())?;
        // Opening it waits until somebody opens its other end; nothing else is to be done meanwhile.
        std::fs::File::open("/var/task/release")?;
    }
    Ok(name)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    match std::env::var("_HANDLER").as_deref() {
        Ok("barrier") => lambda_runtime::run(service_fn(barrier)).await,
        Ok("stream") => lambda_runtime::run(service_fn(stream)).await,
        Ok("echo") => lambda_runtime::run(service_fn(echo)).await,
        _ => lambda_runtime::run(service_fn(handle)).await,
    }
}
