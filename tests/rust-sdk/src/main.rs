//! Starts a gust and drives it with the official AWS SDK for Rust, as an application would.

/// A client of `$service` for the gust at `$url`.
macro_rules! client {
    ($service:ident, $url:expr) => {{
        let config = $service::Config::builder()
            .region($service::config::Region::new("us-east-1"))
            .endpoint_url($url)
            .credentials_provider(Credentials::from_keys("000000000000", "gust", None))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        $service::Client::from_conf(config)
    }};
}

mod deployment;
mod roles;
mod server;
mod streaming;

use aws_credential_types::Credentials;
use aws_sdk_cloudwatchlogs as logs;
use aws_sdk_lambda as lambda;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvokeWithResponseStreamResponseEvent as StreamEvent;
use aws_sdk_lambda::types::{FunctionCode, InvocationType, LogType, Runtime, State};
use aws_sdk_sts as sts;
use server::Server;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

const SOURCE: &str = "def handler(event, context):\n    print('seen', event['word'])\n    return event['word'][::-1]\n";
const ROLE: &str = "arn:aws:iam::000000000000:role/test";
const WAIT_MAX: Duration = Duration::from_secs(30);

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let server = Server::start()?;
    identity(&server.url).await?;
    function(&server.url).await?;
    refusal(&server.url).await?;
    deployment::run(&server.url).await?;
    streaming::run(&server.url).await?;
    roles::run(&server.url).await?;
    server.stop()?;
    println!("AWS SDK for Rust: 6 scenarios passed");
    Ok(())
}

async fn identity(url: &str) -> Outcome {
    let who = client!(sts, url).get_caller_identity().send().await?;
    assert_eq!(who.account(), Some("000000000000"));
    assert_eq!(who.arn(), Some("arn:aws:iam::000000000000:root"));
    Ok(())
}

async fn function(url: &str) -> Outcome {
    let client = client!(lambda, url);
    let made = client
        .create_function()
        .function_name("rust-sdk")
        .runtime(Runtime::Python311)
        .role(ROLE)
        .handler("app.handler")
        .code(FunctionCode::builder().zip_file(Blob::new(package(&[("app.py", SOURCE)])?)).build())
        .send()
        .await?;
    assert_eq!(made.memory_size(), Some(128));
    wait_until_active(&client, "rust-sdk").await?;
    let call =
        client.invoke().function_name("rust-sdk").log_type(LogType::Tail).payload(Blob::new(r#"{"word":"gust"}"#));
    let answer = call.send().await?;
    assert_eq!(answer.function_error(), None);
    assert_eq!(answer.payload().map(|payload| payload.as_ref()), Some(br#""tsug""#.as_slice()));
    assert!(answer.log_result().is_some());
    let call = client.invoke().function_name("rust-sdk").invocation_type(InvocationType::Event);
    assert_eq!(call.payload(Blob::new(r#"{"word":"later"}"#)).send().await?.status_code(), 202);
    wait_for_line(url, "seen later").await?;
    streamed(&client).await?;
    let mut names = Vec::new();
    let mut pages = client.list_functions().into_paginator().items().send();
    while let Some(function) = pages.next().await {
        names.push(function?.function_name().unwrap_or_default().to_owned());
    }
    assert_eq!(names, ["rust-sdk"]);
    client.delete_function().function_name("rust-sdk").send().await?;
    Ok(())
}

async fn streamed(client: &lambda::Client) -> Outcome {
    for (event, text, error) in [(r#"{"word":"gust"}"#, r#""tsug""#, None), ("{}", "", Some("Unhandled"))] {
        let call = client.invoke_with_response_stream().function_name("rust-sdk").payload(Blob::new(event));
        let mut answer = call.send().await?;
        assert_eq!((answer.status_code(), answer.executed_version()), (200, Some("$LATEST")));
        let (mut received, mut complete) = (Vec::new(), None);
        while let Some(event) = answer.event_stream.recv().await? {
            match event {
                StreamEvent::PayloadChunk(chunk) => received.extend(chunk.payload.unwrap_or_default().into_inner()),
                StreamEvent::InvokeComplete(end) => complete = Some(end),
                other => return Err(format!("an event of an unknown kind: {other:?}").into()),
            }
        }
        assert_eq!(String::from_utf8(received)?, text);
        assert_eq!(complete.expect("a stream ends with InvokeComplete").error_code(), error);
    }
    Ok(())
}

async fn wait_until_active(client: &lambda::Client, name: &str) -> Outcome {
    let begun = Instant::now();
    while client.get_function_configuration().function_name(name).send().await?.state() != Some(&State::Active) {
        assert!(begun.elapsed() < WAIT_MAX, "{name} never became active");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn wait_for_line(url: &str, line: &str) -> Outcome {
    let client = client!(logs, url);
    let begun = Instant::now();
    while begun.elapsed() < WAIT_MAX {
        let call = client.filter_log_events().log_group_name("/aws/lambda/rust-sdk").filter_pattern("seen");
        if let Ok(found) = call.send().await
            && found.events().iter().filter_map(|event| event.message()).any(|message| message.trim_end() == line)
        {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("the line {line:?} never came").into())
}

async fn refusal(url: &str) -> Outcome {
    let error =
        client!(lambda, url).get_function().function_name("nope").send().await.expect_err("there is no such function");
    let error = error.into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    Ok(())
}

fn package(files: &[(&str, &str)]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, source) in files {
        archive.start_file(*name, zip::write::SimpleFileOptions::default().unix_permissions(0o644))?;
        archive.write_all(source.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}
