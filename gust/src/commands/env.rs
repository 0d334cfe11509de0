//! `gust env`: points a shell's AWS tools at gust.

use crate::cli;
use crate::client::{Client, region_from_environment};
use crate::failure::Failure;
use gust_types::AccountId;
use serde_json::{Map, Value};

/// Prints `export` lines; gust need not run.
pub fn run(arguments: &cli::Env) -> Result<(), Failure> {
    let variables = variables(arguments)?;
    if arguments.json {
        let object: Map<String, Value> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        anstream::println!("{:#}", Value::Object(object));
        return Ok(());
    }
    for (name, value) in variables {
        anstream::println!("export {name}={}", quoted(&value));
    }
    Ok(())
}

fn variables(arguments: &cli::Env) -> Result<Vec<(&'static str, String)>, Failure> {
    let account = AccountId::parse(&arguments.account)
        .ok_or_else(|| Failure::usage(format!("--account {:?}: an account id has 12 digits", arguments.account)))?;
    Client::new(&arguments.target)?;
    let region = arguments.target.region.clone().unwrap_or_else(region_from_environment);
    Ok(vec![
        ("AWS_ENDPOINT_URL", arguments.target.endpoint.trim_end_matches('/').to_owned()),
        ("AWS_ACCESS_KEY_ID", account.as_str().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "gust".to_owned()),
        ("AWS_REGION", region.clone()),
        ("AWS_DEFAULT_REGION", region),
    ])
}

/// A word that a POSIX shell takes literally.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_safe_to_evaluate() {
        assert_eq!(quoted("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
        assert_eq!(quoted("$(x) 'y'"), r"'$(x) '\''y'\'''");
        assert_eq!(quoted(""), "''");
    }
}
