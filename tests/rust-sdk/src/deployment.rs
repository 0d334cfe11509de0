//! What a deployment does: layers, versions, an alias that shifts traffic, permissions, limits, a URL.

use crate::{Outcome, ROLE, package, wait_until_active};
use aws_credential_types::Credentials;
use aws_sdk_lambda as lambda;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{
    AliasRoutingConfiguration, FunctionCode, FunctionUrlAuthType, LayerVersionContentInput, Runtime,
};

const NAME: &str = "rust-sdk-deployed";
const FIRST: &str =
    "import words\ndef handler(event, context):\n    return [context.function_version, words.GREETING]\n";
const SECOND: &str =
    "import words\ndef handler(event, context):\n    return [context.function_version, words.GREETING + '!']\n";

pub async fn run(url: &str) -> Outcome {
    let client = client!(lambda, url);
    let layer = layer(&client).await?;
    versions(&client, &layer).await?;
    alias(&client).await?;
    settings(&client).await?;
    client.delete_function().function_name(NAME).send().await?;
    client.delete_layer_version().layer_name("rust-sdk-words").version_number(1).send().await?;
    Ok(())
}

async fn layer(client: &lambda::Client) -> Result<String, Box<dyn std::error::Error>> {
    let zip = package(&[("python/words.py", "GREETING = 'hello from a layer'\n")])?;
    let published = client
        .publish_layer_version()
        .layer_name("rust-sdk-words")
        .content(LayerVersionContentInput::builder().zip_file(Blob::new(zip)).build())
        .compatible_runtimes(Runtime::Python311)
        .send()
        .await?;
    assert_eq!(published.version(), 1);
    let found = client.list_layers().send().await?;
    assert!(found.layers().iter().any(|layer| layer.layer_name() == Some("rust-sdk-words")));
    Ok(published.layer_version_arn().ok_or("a layer version has an ARN")?.to_owned())
}

async fn versions(client: &lambda::Client, layer: &str) -> Outcome {
    let code = FunctionCode::builder().zip_file(Blob::new(package(&[("app.py", FIRST)])?)).build();
    let made = client
        .create_function()
        .function_name(NAME)
        .runtime(Runtime::Python311)
        .role(ROLE)
        .handler("app.handler")
        .code(code)
        .layers(layer)
        .publish(true)
        .send()
        .await?;
    assert_eq!(made.version(), Some("1"));
    wait_until_active(client, NAME).await?;
    let zip = package(&[("app.py", SECOND)])?;
    let updated = client.update_function_code().function_name(NAME).zip_file(Blob::new(zip)).publish(true);
    assert_eq!(updated.send().await?.version(), Some("2"));
    for (qualifier, expected) in [
        ("1", r#"["1", "hello from a layer"]"#),
        ("2", r#"["2", "hello from a layer!"]"#),
        ("$LATEST", r#"["$LATEST", "hello from a layer!"]"#),
    ] {
        let answer = client.invoke().function_name(NAME).qualifier(qualifier).send().await?;
        assert_eq!(answer.executed_version(), Some(qualifier));
        assert_eq!(answer.payload().map(|payload| payload.as_ref()), Some(expected.as_bytes()), "{qualifier}");
    }
    let versions = client.list_versions_by_function().function_name(NAME).send().await?;
    let versions: Vec<_> = versions.versions().iter().filter_map(|version| version.version()).collect();
    assert_eq!(versions, ["$LATEST", "1", "2"]);
    Ok(())
}

async fn alias(client: &lambda::Client) -> Outcome {
    let routing = AliasRoutingConfiguration::builder().additional_version_weights("2", 0.5).build();
    let made = client.create_alias().function_name(NAME).name("live").function_version("1").routing_config(routing);
    assert!(made.send().await?.alias_arn().is_some_and(|arn| arn.ends_with(":function:rust-sdk-deployed:live")));
    let mut ran = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let answer = client.invoke().function_name(NAME).qualifier("live").send().await?;
        ran.insert(answer.executed_version().unwrap_or_default().to_owned());
        if ran.len() == 2 {
            break;
        }
    }
    assert_eq!(ran.into_iter().collect::<Vec<_>>(), ["1", "2"]);
    Ok(())
}

async fn settings(client: &lambda::Client) -> Outcome {
    let permission = client.add_permission().function_name(NAME).qualifier("live").statement_id("bucket");
    let permission = permission.action("lambda:InvokeFunction").principal("s3.amazonaws.com");
    assert!(permission.send().await?.statement().is_some());
    let policy = client.get_policy().function_name(NAME).qualifier("live").send().await?;
    assert!(policy.policy().is_some_and(|policy| policy.contains("s3.amazonaws.com")));

    let reserved = client.put_function_concurrency().function_name(NAME).reserved_concurrent_executions(0);
    assert_eq!(reserved.send().await?.reserved_concurrent_executions(), Some(0));
    let refused = client.invoke().function_name(NAME).send().await.expect_err("nothing may run");
    assert!(refused.into_service_error().is_too_many_requests_exception());
    client.delete_function_concurrency().function_name(NAME).send().await?;

    let url =
        client.create_function_url_config().function_name(NAME).auth_type(FunctionUrlAuthType::None).send().await?;
    assert!(url.function_url().contains(".lambda-url.us-east-1."), "{}", url.function_url());
    let shown = client.get_function_url_config().function_name(NAME).send().await?;
    assert_eq!(shown.function_url(), url.function_url());
    Ok(())
}
