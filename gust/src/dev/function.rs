//! The function that a folder becomes, through the AWS API like any other tool's.

use crate::cli;
use crate::client::{Client, Outgoing, encode, read_json};
use crate::failure::{Context, Failure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const FUNCTIONS: &str = "/2015-03-31/functions";
/// How long a function may take to be set up.
const SETTLE_MS_MAX: u64 = 30_000;
/// Pause between two looks whether it is.
const SETTLE_PAUSE_MS: u64 = 10;

/// What is known of the function before it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Its runtime.
    pub runtime: String,
    /// Its handler.
    pub handler: String,
}

/// A function as gust has it.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its runtime.
    pub runtime: String,
    /// Its handler.
    pub handler: String,
    /// Its log group.
    pub log_group: String,
    /// Its own variables.
    pub environment: Map<String, Value>,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Function {
    /// The function that is there; `None` if there is none.
    pub async fn find(client: &Client, name: &str) -> Result<Option<Function>, Failure> {
        match client.configuration(name).await {
            Ok(configuration) => Ok(Some(read(&configuration, false))),
            Err(failure) if failure.message.starts_with("ResourceNotFoundException") => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Creates it with `zip`.
    pub async fn create(client: &Client, wish: &Wish, zip: &[u8], flags: &cli::Dev) -> Result<Function, Failure> {
        let role = flags.role.clone().unwrap_or_else(|| "arn:aws:iam::000000000000:role/gust-dev".to_owned());
        let mut input = json!({
            "FunctionName": wish.name,
            "Runtime": wish.runtime,
            "Handler": wish.handler,
            "Role": role,
            "Code": {"ZipFile": STANDARD.encode(zip)},
        });
        configure(&mut input, flags, &Map::new());
        let created = send(client, Method::POST, FUNCTIONS, &input).await;
        let created = created.map_err(|failure| match flags.role {
            Some(_) => failure,
            None => failure.hint("name a role that exists with --role ARN"),
        })?;
        let function = read(&created, true);
        function.settled(client).await?;
        Ok(function)
    }

    /// Gives it what the flags ask for; all else stays as it is.
    pub async fn configure(self, client: &Client, flags: &cli::Dev) -> Result<Function, Failure> {
        let mut input = json!({});
        let wanted = [("Runtime", &flags.runtime), ("Handler", &flags.handler), ("Role", &flags.role)];
        for (member, value) in wanted {
            if let Some(value) = value {
                input[member] = value.as_str().into();
            }
        }
        configure(&mut input, flags, &self.environment);
        if input.as_object().is_some_and(Map::is_empty) {
            return Ok(self);
        }
        let path = format!("{FUNCTIONS}/{}/configuration", encode(&self.name));
        let configuration = send(client, Method::PUT, &path, &input).await?;
        self.settled(client).await?;
        Ok(read(&configuration, self.is_new))
    }

    /// Uploads new code.
    pub async fn upload(&self, client: &Client, zip: &[u8]) -> Result<(), Failure> {
        // What was changed just before may still be going on.
        self.settled(client).await?;
        let path = format!("{FUNCTIONS}/{}/code", encode(&self.name));
        send(client, Method::PUT, &path, &json!({"ZipFile": STANDARD.encode(zip)})).await?;
        self.settled(client).await
    }

    /// The URL at which it can be called, if it has one.
    pub async fn url(&self, client: &Client) -> Option<String> {
        let path = format!("/2021-10-31/functions/{}/url", encode(&self.name));
        let answer = client.lambda(Method::GET, &path).await.ok()?;
        answer["FunctionUrl"].as_str().map(str::to_owned)
    }

    /// Waits until neither its creation nor a change is going on.
    async fn settled(&self, client: &Client) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_millis(SETTLE_MS_MAX);
        loop {
            let configuration = client.configuration(&self.name).await?;
            let text = |member: &str| configuration[member].as_str().unwrap_or_default().to_owned();
            match (text("State").as_str(), text("LastUpdateStatus").as_str()) {
                ("Failed", _) => return Err(Failure::new(format!("it could not be set up: {}", text("StateReason")))),
                (_, "Failed") => {
                    return Err(Failure::new(format!("it could not be updated: {}", text("LastUpdateStatusReason"))));
                }
                ("Pending", _) | (_, "InProgress") if Instant::now() < deadline => {
                    sleep(Duration::from_millis(SETTLE_PAUSE_MS)).await;
                }
                ("Pending", _) | (_, "InProgress") => {
                    return Err(Failure::new(format!("it was not set up within {} s", SETTLE_MS_MAX / 1_000)));
                }
                _ => return Ok(()),
            }
        }
    }
}

/// Adds what the flags ask for to the input of CreateFunction or UpdateFunctionConfiguration.
fn configure(input: &mut Value, flags: &cli::Dev, environment: &Map<String, Value>) {
    if let Some(memory_mb) = flags.memory {
        input["MemorySize"] = memory_mb.into();
    }
    if let Some(timeout_s) = flags.timeout {
        input["Timeout"] = timeout_s.into();
    }
    if !flags.variables.is_empty() {
        let mut variables = environment.clone();
        variables.extend(flags.variables.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        input["Environment"] = json!({"Variables": variables});
    }
}

fn read(configuration: &Value, is_new: bool) -> Function {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&configuration["FunctionName"]);
    let log_group = match configuration["LoggingConfig"]["LogGroup"].as_str() {
        Some(group) => group.to_owned(),
        None => format!("/aws/lambda/{name}"),
    };
    Function {
        arn: text(&configuration["FunctionArn"]),
        runtime: text(&configuration["Runtime"]),
        handler: text(&configuration["Handler"]),
        environment: configuration["Environment"]["Variables"].as_object().cloned().unwrap_or_default(),
        name,
        log_group,
        is_new,
    }
}

async fn send(client: &Client, method: Method, path: &str, input: &Value) -> Result<Value, Failure> {
    let body = serde_json::to_vec(input).context("this request cannot be written")?;
    let headers = vec![("content-type", "application/json".to_owned())];
    let outgoing = Outgoing { service: "lambda", method, path, headers, body: body.into() };
    read_json(&client.send(outgoing).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn flags(arguments: &[&str]) -> cli::Dev {
        let command = cli::Arguments::try_parse_from([&["gust", "dev"], arguments].concat()).unwrap().command;
        let cli::Command::Dev(flags) = command else { panic!("another command") };
        *flags
    }

    #[test]
    fn variables_are_added_to_those_that_are_there() {
        let there = json!({"A": "1", "B": "2"});
        let mut input = json!({});
        configure(
            &mut input,
            &flags(&["--env", "B=3", "--env", "C=x=y", "--memory", "512"]),
            there.as_object().unwrap(),
        );
        let expected = json!({"MemorySize": 512, "Environment": {"Variables": {"A": "1", "B": "3", "C": "x=y"}}});
        assert_eq!(input, expected);
    }

    #[test]
    fn without_flags_nothing_is_changed() {
        let mut input = json!({});
        configure(&mut input, &flags(&[]), &Map::new());
        assert_eq!(input, json!({}));
    }

    #[test]
    fn a_configuration_is_read() {
        let read =
            read(&json!({"FunctionName": "f", "Runtime": "python3.12", "LoggingConfig": {"LogGroup": "g"}}), true);
        assert_eq!((read.name.as_str(), read.log_group.as_str(), read.is_new), ("f", "g", true));
    }
}
