//! A response that is read while the function still writes it.

use crate::{Outcome, ROLE, package, wait_until_active};
use aws_credential_types::Credentials;
use aws_sdk_lambda as lambda;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{FunctionCode, InvokeWithResponseStreamResponseEvent, Runtime};

const NAME: &str = "rust-sdk-stream";
const SOURCE: &str = "exports.handler = awslambda.streamifyResponse(async (event, stream) => {\n\
                      for (const word of event) { stream.write(word + ' '); }\n\
                      if (event.length > 2) { throw new Error('too many words'); }\n\
                      stream.end();\n});\n";

pub async fn run(url: &str) -> Outcome {
    let client = client!(lambda, url);
    let made = client
        .create_function()
        .function_name(NAME)
        .runtime(Runtime::Nodejs20x)
        .role(ROLE)
        .handler("index.handler")
        .code(FunctionCode::builder().zip_file(Blob::new(package(&[("index.js", SOURCE)])?)).build());
    made.send().await?;
    wait_until_active(&client, NAME).await?;
    assert_eq!(stream(&client, r#"["one","two"]"#).await?, ("one two ".to_owned(), None));
    let (text, error) = stream(&client, r#"["one","two","three"]"#).await?;
    assert_eq!(text, "one two three ");
    assert!(error.is_some(), "the stream must end with the function's error");
    client.delete_function().function_name(NAME).send().await?;
    Ok(())
}

/// The chunks' text, and the error code at the end.
async fn stream(client: &lambda::Client, event: &str) -> Result<(String, Option<String>), Box<dyn std::error::Error>> {
    let call = client.invoke_with_response_stream().function_name(NAME).payload(Blob::new(event));
    let mut answer = call.send().await?;
    let mut bytes = Vec::new();
    while let Some(event) = answer.event_stream.recv().await? {
        match event {
            InvokeWithResponseStreamResponseEvent::PayloadChunk(chunk) => {
                bytes.extend(chunk.payload().map(|payload| payload.as_ref()).unwrap_or_default());
            }
            InvokeWithResponseStreamResponseEvent::InvokeComplete(end) => {
                return Ok((String::from_utf8(bytes)?, end.error_code().map(str::to_owned)));
            }
            other => return Err(format!("an unknown event: {other:?}").into()),
        }
    }
    Err("the stream ended without InvokeComplete".into())
}
