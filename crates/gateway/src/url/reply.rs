//! What a function's result means as an HTTP response.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload> for results as a
//! whole, <https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html> for streamed ones. What
//! those pages leave open is inferred: the status must be from 100 to 599; a result that is no JSON is the body; a
//! JSON string is the body without its quotes; a `body` that is no string is sent as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// The content type by which a runtime says that its stream begins with a prelude: metadata as JSON, then
/// [`PRELUDE_END`], then the body.
pub const PRELUDE_CONTENT_TYPE: &str = "application/vnd.awslambda.http-integration-response";
/// What ends a prelude.
pub const PRELUDE_END: [u8; 8] = [0; 8];

/// A response of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// In order; a name may occur more than once.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// The result is no HTTP response: the client gets a 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Reads a whole result. A function that streams and is asked for the whole gives a prelude, too.
pub fn from_result(payload: &Bytes) -> Result<Reply, Malformed> {
    let parsed: Value = match serde_json::from_slice(payload) {
        Ok(parsed) => parsed,
        Err(_) => {
            return match find_prelude(payload) {
                Some(end) => {
                    Ok(Reply { body: payload.slice(end + PRELUDE_END.len()..), ..from_prelude(&payload[..end])? })
                }
                None => Ok(plain(payload.clone())),
            };
        }
    };
    match parsed {
        Value::Object(members) if members.contains_key("statusCode") => from_object(members),
        Value::String(text) => Ok(plain(text.into())),
        _ => Ok(plain(payload.clone())),
    }
}

/// Reads the metadata before [`PRELUDE_END`]; the body is empty.
pub fn from_prelude(metadata: &[u8]) -> Result<Reply, Malformed> {
    let members: Map<String, Value> = serde_json::from_slice(metadata).map_err(|_| Malformed)?;
    let status = members.get("statusCode").map_or(Ok(200), status)?;
    let mut headers = headers(&members)?;
    default_content_type(&mut headers, "application/octet-stream");
    Ok(Reply { status, headers, body: Bytes::new() })
}

/// Where a prelude ends in `bytes`; `None` if it does not end there.
pub fn find_prelude(bytes: &[u8]) -> Option<usize> {
    bytes.windows(PRELUDE_END.len()).position(|window| window == PRELUDE_END)
}

fn plain(body: Bytes) -> Reply {
    Reply { status: 200, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body }
}

fn from_object(mut members: Map<String, Value>) -> Result<Reply, Malformed> {
    let status = status(members.get("statusCode").unwrap_or(&Value::Null))?;
    let mut headers = headers(&members)?;
    default_content_type(&mut headers, "application/json");
    let is_base64 = match members.get("isBase64Encoded") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_base64)) => *is_base64,
        Some(_) => return Err(Malformed),
    };
    let body = match members.remove("body") {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if is_base64 => STANDARD.decode(text).map_err(|_| Malformed)?.into(),
        Some(Value::String(text)) => text.into(),
        Some(other) => other.to_string().into(),
    };
    Ok(Reply { status, headers, body })
}

fn status(value: &Value) -> Result<u16, Malformed> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|status| (100..=599).contains(status)).ok_or(Malformed)
}

/// Headers that are the server's own; AWS sends the function's under another name, so that they are not lost.
const REMAPPED: [&str; 4] = ["connection", "content-length", "date", "transfer-encoding"];

fn headers(members: &Map<String, Value>) -> Result<Vec<(String, String)>, Malformed> {
    let mut found = Vec::new();
    match members.get("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Object(entries)) => {
            for (name, value) in entries {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(_) | Value::Bool(_) => value.to_string(),
                    Value::Null => continue,
                    Value::Array(_) | Value::Object(_) => return Err(Malformed),
                };
                push(name, value, &mut found)?;
            }
        }
        Some(_) => return Err(Malformed),
    }
    match members.get("cookies") {
        None | Some(Value::Null) => {}
        Some(Value::Array(cookies)) => {
            for cookie in cookies {
                push("set-cookie", cookie.as_str().ok_or(Malformed)?.to_owned(), &mut found)?;
            }
        }
        Some(_) => return Err(Malformed),
    }
    Ok(found)
}

fn push(name: &str, value: String, headers: &mut Vec<(String, String)>) -> Result<(), Malformed> {
    let name = name.to_ascii_lowercase();
    let name = if REMAPPED.contains(&name.as_str()) { format!("x-amzn-remapped-{name}") } else { name };
    let is_sendable = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(&value).is_ok();
    is_sendable.then(|| headers.push((name, value))).ok_or(Malformed)
}

fn default_content_type(headers: &mut Vec<(String, String)>, content_type: &str) {
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), content_type.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `status|headers|body`, without the usual content type.
    fn read(result: &str) -> String {
        match from_result(&Bytes::copy_from_slice(result.as_bytes())) {
            Ok(Reply { status, headers, body }) => {
                let headers =
                    headers.iter().filter(|(name, value)| name != "content-type" || value != "application/json");
                let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
                format!("{status}|{}|{}", headers.join(", "), String::from_utf8_lossy(&body))
            }
            Err(Malformed) => "malformed".to_owned(),
        }
    }

    #[test]
    fn results_without_a_status_are_the_body() {
        for (result, expected) in [
            ("\"Hello, \\u00e4!\"", "200||Hello, ä!"),
            ("{\"message\": \"Hi\"}", "200||{\"message\": \"Hi\"}"),
            ("{\"body\":\"x\"}", "200||{\"body\":\"x\"}"),
            ("[1]", "200||[1]"),
            ("null", "200||null"),
            ("12", "200||12"),
            ("", "200||"),
            ("<html>", "200||<html>"),
        ] {
            assert_eq!(read(result), expected, "{result}");
        }
    }

    #[test]
    fn results_with_a_status_are_responses() {
        for (result, expected) in [
            (r#"{"statusCode":201}"#, "201||"),
            (r#"{"statusCode":"404","body":"no"}"#, "404||no"),
            (
                r#"{"statusCode":200,"headers":{"Content-Type":"text/html","X-Number":1,"x-none":null}}"#,
                "200|content-type: text/html, x-number: 1|",
            ),
            (
                r#"{"statusCode":200,"cookies":["a=1; Secure","b=2"],"body":null}"#,
                "200|set-cookie: a=1; Secure, set-cookie: b=2|",
            ),
            (r#"{"statusCode":200,"body":"aGVsbG8=","isBase64Encoded":true}"#, "200||hello"),
            (r#"{"statusCode":200,"body":{"a":1}}"#, "200||{\"a\":1}"),
            (
                r#"{"statusCode":200,"headers":{"Content-Length":"99","Connection":"close"}}"#,
                "200|x-amzn-remapped-connection: close, x-amzn-remapped-content-length: 99|",
            ),
            (r#"{"statusCode":599}"#, "599||"),
        ] {
            assert_eq!(read(result), expected, "{result}");
        }
    }

    #[test]
    fn malformed_responses_are_told_apart() {
        for result in [
            r#"{"statusCode":99}"#,
            r#"{"statusCode":600}"#,
            r#"{"statusCode":null}"#,
            r#"{"statusCode":"ok"}"#,
            r#"{"statusCode":200.5}"#,
            r#"{"statusCode":200,"headers":["a"]}"#,
            r#"{"statusCode":200,"headers":{"a":["b"]}}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#,
            r#"{"statusCode":200,"cookies":"a=1"}"#,
            r#"{"statusCode":200,"cookies":[1]}"#,
            r#"{"statusCode":200,"cookies":["a=1\nb"]}"#,
            r#"{"statusCode":200,"body":"*","isBase64Encoded":true}"#,
            r#"{"statusCode":200,"isBase64Encoded":"yes"}"#,
        ] {
            assert_eq!(read(result), "malformed", "{result}");
        }
    }

    #[test]
    fn a_prelude_tells_of_what_follows() {
        let metadata = br#"{"statusCode":404,"headers":{"Content-Type":"text/plain"},"cookies":["a=1"]}"#;
        let reply = from_prelude(metadata).unwrap();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(reply.headers, [header("content-type", "text/plain"), header("set-cookie", "a=1")]);
        assert_eq!(reply.status, 404);
        let reply = from_prelude(b"{}").unwrap();
        assert_eq!((reply.status, reply.headers), (200, vec![header("content-type", "application/octet-stream")]));
        for metadata in [&b""[..], b"[]", b"{\"statusCode\":1}", b"{\"statusCode\":200", b"x"] {
            assert_eq!(from_prelude(metadata), Err(Malformed));
        }
        let whole = [&metadata[..], &PRELUDE_END, b"the \0 body"].concat();
        assert_eq!(find_prelude(&whole), Some(metadata.len()));
        assert_eq!(find_prelude(&whole[..metadata.len() + 7]), None);
        let reply = from_result(&whole.into()).unwrap();
        assert_eq!((reply.status, &reply.body[..]), (404, &b"the \0 body"[..]));
    }
}
