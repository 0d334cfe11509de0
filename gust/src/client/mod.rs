//! gust's own client of the AWS API: signed requests, like any SDK's.

mod http;
mod logs;

pub use self::http::Answer;
pub use logs::{FilterRequest, LogEvent};

use crate::cli::Target;
use crate::failure::{Context, EXIT_FAILED, Failure};
use ::http::header::HOST;
use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use bytes::Bytes;
use gust_auth::{Head, Signer};
use http_body_util::Full;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most pages of a listing that are read: 10,000 functions at 50 a page.
const PAGES_MAX: usize = 200;

/// A client of one gust.
pub struct Client {
    endpoint: Uri,
    region: String,
    keys: Keys,
}

/// What requests are signed with.
pub struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

impl Keys {
    /// From the environment variables of the AWS tools; any key will do for `--auth open`.
    fn from_environment() -> Keys {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret_access_key)) => {
                Keys { access_key_id, secret_access_key, session_token: variable("AWS_SESSION_TOKEN") }
            }
            _ => Keys { access_key_id: "gust".into(), secret_access_key: "gust".into(), session_token: None },
        }
    }
}

impl Keys {
    fn signer<'a>(&'a self, region: &'a str, service: &'a str) -> Signer<'a> {
        Signer {
            access_key_id: &self.access_key_id,
            secret_access_key: &self.secret_access_key,
            session_token: self.session_token.as_deref(),
            region,
            service,
        }
    }
}

/// One request before it is signed.
pub struct Outgoing<'a> {
    /// The service's signing name.
    pub service: &'static str,
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path: &'a str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client of the gust that `target` names.
    pub fn new(target: &Target) -> Result<Client, Failure> {
        let wrong = |reason: &str| Failure::usage(format!("--endpoint {:?}: {reason}", target.endpoint));
        let endpoint: Uri = target.endpoint.trim_end_matches('/').parse().map_err(|_| wrong("not a URL"))?;
        match endpoint.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("gust serves http, not https")),
            _ => return Err(wrong("write http://HOST:PORT")),
        }
        let region = target.region.clone().unwrap_or_else(region_from_environment);
        Ok(Client { endpoint, region, keys: Keys::from_environment() })
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// Signs and sends a request; answers of all statuses are returned.
    pub async fn send(&self, outgoing: Outgoing<'_>) -> Result<Answer, Failure> {
        let host = self.host();
        let mut headers = HeaderMap::new();
        for (name, value) in &outgoing.headers {
            headers
                .insert(*name, HeaderValue::try_from(value).context(format_args!("the header {name} cannot be sent"))?);
        }
        let (path, query) = outgoing.path.split_once('?').unwrap_or((outgoing.path, ""));
        let head = Head { method: outgoing.method.as_str(), path, query, host, headers: &headers };
        let mut signed = self.keys.signer(&self.region, outgoing.service).sign(&head, &outgoing.body, now_ms());
        signed.insert(HOST, HeaderValue::try_from(host).context("the endpoint's host cannot be sent")?);
        let mut request = Request::builder().method(outgoing.method).uri(outgoing.path);
        if let Some(all) = request.headers_mut() {
            *all = signed;
        }
        let request = request.body(Full::new(outgoing.body)).context("this request cannot be sent")?;
        http::exchange(&self.endpoint, request).await
    }

    fn host(&self) -> &str {
        self.endpoint.authority().map_or("127.0.0.1", |authority| authority.as_str())
    }

    /// Sends an unsigned GET: health.
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        let request = Request::get(path).header(HOST, self.host()).body(Full::new(Bytes::new()));
        let request = request.context("this request cannot be sent")?;
        http::exchange(&self.endpoint, request).await
    }

    /// A function's configuration.
    pub async fn configuration(&self, name: &str) -> Result<Value, Failure> {
        self.lambda(Method::GET, &format!("/2015-03-31/functions/{}/configuration", encode(name))).await
    }

    /// What gust has counted of the caller's functions.
    pub async fn stats(&self) -> Result<Value, Failure> {
        self.lambda(Method::GET, "/_gust/stats").await
    }

    /// A Lambda operation that answers with JSON.
    pub async fn lambda(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let outgoing = Outgoing { service: "lambda", method, path, headers: Vec::new(), body: Bytes::new() };
        read_json(&self.send(outgoing).await?)
    }

    /// A CloudWatch Logs operation.
    pub async fn logs(&self, operation: &str, input: &Value) -> Result<Value, Failure> {
        let outgoing = Outgoing {
            service: "logs",
            method: Method::POST,
            path: "/",
            headers: vec![
                ("x-amz-target", format!("Logs_20140328.{operation}")),
                ("content-type", "application/x-amz-json-1.1".to_owned()),
            ],
            body: input.to_string().into(),
        };
        read_json(&self.send(outgoing).await?)
    }

    /// Every function.
    pub async fn functions(&self) -> Result<Vec<Value>, Failure> {
        let mut functions = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let path = match &marker {
                Some(marker) => format!("/2015-03-31/functions?Marker={}", encode(marker)),
                None => "/2015-03-31/functions".to_owned(),
            };
            let mut page = self.lambda(Method::GET, &path).await?;
            take_items(&mut page, "Functions", &mut functions);
            marker = page["NextMarker"].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            if marker.is_none() {
                return Ok(functions);
            }
        }
        Err(Failure::new(format!("the list of functions has more than {PAGES_MAX} pages")))
    }

    /// Every log group.
    pub async fn log_groups(&self) -> Result<Vec<Value>, Failure> {
        let mut groups = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut input = serde_json::json!({});
            if let Some(token) = &token {
                input["nextToken"] = Value::from(token.as_str());
            }
            let mut page = self.logs("DescribeLogGroups", &input).await?;
            take_items(&mut page, "logGroups", &mut groups);
            token = page["nextToken"].as_str().map(str::to_owned);
            if token.is_none() {
                return Ok(groups);
            }
        }
        Err(Failure::new(format!("the list of log groups has more than {PAGES_MAX} pages")))
    }
}

/// The region that AWS tools take from the environment.
pub fn region_from_environment() -> String {
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
    variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or_else(|| "us-east-1".to_owned())
}

/// Now, in milliseconds since the epoch.
pub fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}

/// Percent-encodes a path segment or a query value.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn take_items(page: &mut Value, member: &str, into: &mut Vec<Value>) {
    if let Some(Value::Array(items)) = page.get_mut(member).map(Value::take) {
        into.extend(items);
    }
}

/// The JSON of a success, or the service's own error as a failure.
pub fn read_json(answer: &Answer) -> Result<Value, Failure> {
    if !answer.head.status.is_success() {
        return Err(service_error(answer));
    }
    if answer.head.status == StatusCode::NO_CONTENT || answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).map_err(|cause| Failure::new(format!("the answer is no JSON: {cause}")))
}

/// The error that an answer carries.
pub fn service_error(answer: &Answer) -> Failure {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let member = |names: [&str; 2]| names.into_iter().find_map(|name| body[name].as_str()).map(str::to_owned);
    let header = answer.header("x-amzn-errortype").map(str::to_owned);
    let code = header.or_else(|| member(["__type", "code"])).unwrap_or_else(|| answer.head.status.to_string());
    let code = code.split([':', ',']).next().unwrap_or_default().rsplit('#').next().unwrap_or_default().to_owned();
    let text = member(["message", "Message"])
        .unwrap_or_else(|| String::from_utf8_lossy(&answer.body).chars().take(500).collect());
    Failure { exit_code: EXIT_FAILED, message: format!("{code}: {text}"), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, header: Option<&str>, body: &'static str) -> Answer {
        let mut response = ::http::Response::builder().status(status);
        if let Some(code) = header {
            response = response.header("x-amzn-errortype", code);
        }
        let (head, ()) = response.body(()).unwrap().into_parts();
        Answer { head, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn errors_of_both_protocols_are_read() {
        let rest = answer(404, Some("ResourceNotFoundException"), r#"{"Message":"Function not found: x"}"#);
        assert_eq!(service_error(&rest).message, "ResourceNotFoundException: Function not found: x");
        let json = answer(400, None, r#"{"__type":"com.amazonaws#InvalidParameterException","message":"bad"}"#);
        assert_eq!(service_error(&json).message, "InvalidParameterException: bad");
        let neither = answer(502, None, "<html>");
        assert_eq!(service_error(&neither).message, "502 Bad Gateway: <html>");
    }

    #[test]
    fn path_segments_are_encoded() {
        assert_eq!(encode("arn:aws:lambda/é ~"), "arn%3Aaws%3Alambda%2F%C3%A9%20~");
    }

    #[test]
    fn endpoints_must_be_plain_http() {
        for endpoint in ["https://x", "127.0.0.1:4566", "ftp://x", "http//"] {
            let target = Target { endpoint: endpoint.into(), region: None };
            assert!(Client::new(&target).is_err(), "{endpoint}");
        }
    }
}
