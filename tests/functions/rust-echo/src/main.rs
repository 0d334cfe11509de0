//! Echoes its event with what it knows of the request; fails on demand.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

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

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}
