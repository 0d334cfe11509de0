//! What a subscription of the Telemetry or the Logs API asks for, checked as Lambda checks it.
//!
//! Sources: <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html>. Messages beyond the two that AWS shows are ours.

use crate::telemetry::Category;
use http::{Method, Uri};
use serde::Deserialize;
use std::time::Duration;

/// Which API was called, in which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `/2020-08-15/logs`; whether it knows `platform.runtimeDone` (schema 2021-03-18).
    Logs { has_runtime_done: bool },
    /// `/2022-07-01/telemetry`; whether lines in JSON format are documents (schema 2022-12-13 and later).
    Telemetry { has_json_lines: bool },
}

impl Api {
    pub(crate) fn is_logs(self) -> bool {
        matches!(self, Api::Logs { .. })
    }

    pub(crate) fn has_json_lines(self) -> bool {
        matches!(self, Api::Telemetry { has_json_lines: true })
    }

    /// Whether this API tells events of `kind`.
    pub(crate) fn has(self, kind: &str) -> bool {
        match self {
            Api::Telemetry { .. } => !matches!(kind, "platform.end" | "platform.fault" | "platform.logsSubscription"),
            Api::Logs { has_runtime_done } => match kind {
                "platform.runtimeDone" => has_runtime_done,
                "platform.initStart"
                | "platform.initRuntimeDone"
                | "platform.initReport"
                | "platform.telemetrySubscription" => false,
                _ => true,
            },
        }
    }
}

/// Where batches go, inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A JSON array in the body of a request.
    Http { port: u16, authority: String, path: String, method: Method },
    /// A JSON document a line.
    Tcp { port: u16 },
}

impl Destination {
    pub(crate) fn port(&self) -> u16 {
        match self {
            Destination::Http { port, .. } | Destination::Tcp { port } => *port,
        }
    }
}

/// A checked subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) api: Api,
    pub(crate) categories: Vec<Category>,
    pub(crate) items_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) timeout: Duration,
    pub(crate) destination: Destination,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    schema_version: Option<String>,
    types: Option<Vec<String>>,
    buffering: Option<Buffering>,
    destination: Option<Target>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Buffering {
    max_items: Option<i64>,
    max_bytes: Option<i64>,
    timeout_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Target {
    protocol: Option<String>,
    #[serde(rename = "URI")]
    uri: Option<String>,
    port: Option<i64>,
    method: Option<String>,
    encoding: Option<String>,
}

/// Which of the two endpoints was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Logs,
    Telemetry,
}

/// Reads and checks a subscription; the error is the text of a ValidationError.
pub(crate) fn parse(endpoint: Endpoint, body: &[u8]) -> Result<Subscription, String> {
    let request: Request = serde_json::from_slice(body).map_err(|error| format!("failed to parse JSON: {error}"))?;
    let mut faults = Vec::new();
    let api = api(endpoint, request.schema_version.as_deref(), &mut faults);
    let destination = request.destination.map_or_else(|| Err("destination is not provided".to_owned()), destination);
    let categories = categories(request.types.unwrap_or_default(), &mut faults);
    let buffering = request.buffering.unwrap_or_default();
    // Defaults and ranges: the documentation of the Telemetry API.
    let items_max = within("maxItems", buffering.max_items, 10_000, 1_000, 10_000, &mut faults);
    let bytes_max = within("maxBytes", buffering.max_bytes, 262_144, 262_144, 1_048_576, &mut faults);
    let timeout_ms = within("timeoutMs", buffering.timeout_ms, 1_000, 25, 30_000, &mut faults);
    let destination = match destination {
        Ok(destination) => Some(destination),
        Err(fault) => {
            faults.insert(0, fault);
            None
        }
    };
    match (destination, api) {
        (Some(destination), Some(api)) if faults.is_empty() => Ok(Subscription {
            api,
            categories,
            items_max: usize::try_from(items_max).unwrap_or(usize::MAX),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            timeout: Duration::from_millis(timeout_ms.unsigned_abs()),
            destination,
        }),
        _ => Err(faults.join("; ")),
    }
}

fn api(endpoint: Endpoint, version: Option<&str>, faults: &mut Vec<String>) -> Option<Api> {
    let api = match (endpoint, version) {
        (Endpoint::Logs, None | Some("2020-08-15")) => Some(Api::Logs { has_runtime_done: false }),
        (Endpoint::Logs, Some("2021-03-18")) => Some(Api::Logs { has_runtime_done: true }),
        (Endpoint::Telemetry, Some("2022-07-01")) => Some(Api::Telemetry { has_json_lines: false }),
        (Endpoint::Telemetry, Some("2022-12-13" | "2025-01-29")) => Some(Api::Telemetry { has_json_lines: true }),
        _ => None,
    };
    if api.is_none() {
        faults.push(match version {
            Some(version) => format!("schemaVersion {version} is not supported"),
            None => "schemaVersion is not provided".to_owned(),
        });
    }
    api
}

fn categories(types: Vec<String>, faults: &mut Vec<String>) -> Vec<Category> {
    if types.is_empty() {
        faults.push("types should not be empty".to_owned());
    }
    let mut categories = Vec::new();
    for name in types {
        let category = [Category::Platform, Category::Function, Category::Extension]
            .into_iter()
            .find(|category| category.as_str() == name);
        match category {
            Some(category) if categories.contains(&category) => {}
            Some(category) => categories.push(category),
            None => faults.push(format!("type {name} is not supported")),
        }
    }
    categories
}

fn within(name: &str, value: Option<i64>, default: i64, least: i64, most: i64, faults: &mut Vec<String>) -> i64 {
    let value = value.unwrap_or(default);
    if !(least..=most).contains(&value) {
        faults.push(format!("{name} should be between {least} and {most}"));
    }
    value
}

fn destination(target: Target) -> Result<Destination, String> {
    if target.encoding.is_some_and(|encoding| encoding != "JSON") {
        return Err("encoding should be JSON".to_owned());
    }
    match target.protocol.as_deref() {
        Some("HTTP") => {}
        Some("TCP") => {
            let port = target.port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            return port.map(|port| Destination::Tcp { port }).ok_or_else(|| "port is not provided".to_owned());
        }
        Some(other) => return Err(format!("protocol {other} is not supported")),
        None => return Err("protocol is not provided".to_owned()),
    }
    let method = match target.method.as_deref() {
        None | Some("POST") => Method::POST,
        Some("PUT") => Method::PUT,
        Some(other) => return Err(format!("method {other} is not supported")),
    };
    let uri = target.uri.ok_or_else(|| "URI is not provided".to_owned())?;
    let uri: Uri = uri.parse().map_err(|_| "URI is not valid".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("URI scheme should be http".to_owned());
    }
    if !matches!(uri.host(), Some("sandbox.localdomain" | "sandbox")) {
        return Err("URI host should be sandbox.localdomain".to_owned());
    }
    let port = uri.port_u16().filter(|port| *port > 0).ok_or_else(|| "URI port is not provided".to_owned())?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Ok(Destination::Http { port, authority, path, method })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request() -> Value {
        json!({"schemaVersion": "2022-12-13", "types": ["platform", "function", "platform"],
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/x?y"}})
    }

    fn with(member: &str, value: Value) -> Result<Subscription, String> {
        let mut request = request();
        request[member] = value;
        parse(Endpoint::Telemetry, request.to_string().as_bytes())
    }

    #[test]
    fn a_subscription_has_the_documented_defaults() {
        let got = parse(Endpoint::Telemetry, request().to_string().as_bytes()).unwrap();
        assert_eq!(got.categories, [Category::Platform, Category::Function]);
        assert_eq!((got.items_max, got.bytes_max, got.timeout), (10_000, 262_144, Duration::from_secs(1)));
        let expected = Destination::Http {
            port: 8080,
            authority: "sandbox.localdomain:8080".to_owned(),
            path: "/x?y".to_owned(),
            method: Method::POST,
        };
        assert_eq!(got.destination, expected);
    }

    #[test]
    fn each_bound_holds_at_its_ends_and_not_beyond() {
        for (name, least, most) in
            [("maxItems", 1_000, 10_000), ("maxBytes", 262_144, 1_048_576), ("timeoutMs", 25, 30_000)]
        {
            for (value, is_good) in [(least - 1, false), (least, true), (most, true), (most + 1, false)] {
                let got = with("buffering", json!({name: value}));
                assert_eq!(got.is_ok(), is_good, "{name} {value}: {got:?}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let no_port = json!({"schemaVersion": "2022-07-01", "types": [],
            "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain"}});
        // documented: the example of an error on the reference page.
        let expected = Err("URI port is not provided; types should not be empty".to_owned());
        assert_eq!(parse(Endpoint::Telemetry, no_port.to_string().as_bytes()), expected);
        let cases = [
            ("schemaVersion", json!("2020-08-15"), "schemaVersion 2020-08-15 is not supported"),
            ("schemaVersion", Value::Null, "schemaVersion is not provided"),
            ("types", json!(["logs"]), "type logs is not supported"),
            ("destination", Value::Null, "destination is not provided"),
            ("destination", json!({"protocol": "UDP"}), "protocol UDP is not supported"),
            ("destination", json!({"protocol": "TCP", "port": 70_000}), "port is not provided"),
            ("destination", json!({"protocol": "HTTP"}), "URI is not provided"),
            (
                "destination",
                json!({"protocol": "HTTP", "URI": "http://10.0.0.1:80"}),
                "URI host should be sandbox.localdomain",
            ),
            ("destination", json!({"protocol": "HTTP", "URI": "https://sandbox:80"}), "URI scheme should be http"),
        ];
        for (member, value, expected) in cases {
            assert_eq!(with(member, value), Err(expected.to_owned()));
        }
        assert!(parse(Endpoint::Telemetry, b"{").unwrap_err().starts_with("failed to parse JSON"));
        assert!(with("types", json!("platform")).is_err());
    }

    #[test]
    fn the_older_api_has_its_own_versions_and_events() {
        let mut request = request();
        request.as_object_mut().unwrap().remove("schemaVersion");
        request["destination"]["method"] = "PUT".into();
        let got = parse(Endpoint::Logs, request.to_string().as_bytes()).unwrap();
        assert!(!got.api.has("platform.runtimeDone") && got.api.has("platform.end"));
        request["schemaVersion"] = "2021-03-18".into();
        let got = parse(Endpoint::Logs, request.to_string().as_bytes()).unwrap();
        assert!(got.api.has("platform.runtimeDone") && !got.api.has("platform.initStart"));
        assert!(!Api::Telemetry { has_json_lines: true }.has("platform.end"));
    }
}
