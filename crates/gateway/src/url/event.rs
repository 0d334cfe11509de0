//! The event that a function gets for a request to its URL: payload format 2.0.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>. Where the page and what
//! functions on AWS print differ, this follows the latter: `requestContext.authentication`, `pathParameters` and
//! `stageVariables` are absent (the page shows nulls), and so are `cookies`, `queryStringParameters` and `body` where
//! there are none.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gust_kit::Principal;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, USER_AGENT};
use http::{HeaderMap, Version};
use jiff::Timestamp;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A request as far as its event tells of it.
pub struct Request<'a> {
    /// The URL's id.
    pub url_id: &'a str,
    /// The host name of the URL, without port.
    pub domain_name: &'a str,
    /// The port that the client used; 80 if it named none.
    pub port: u16,
    pub method: &'a str,
    /// The path below the URL, as it came.
    pub path: &'a str,
    /// The query as it came.
    pub query: &'a str,
    pub version: Version,
    pub headers: &'a HeaderMap,
    pub peer: Option<IpAddr>,
    /// Who signed it, with AuthType `AWS_IAM`.
    pub caller: Option<&'a Principal>,
    pub request_id: &'a str,
    /// `Root=1-...`
    pub trace: &'a str,
    pub received_at_ms: i64,
    pub body: &'a [u8],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'static str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, str>>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'a str,
    api_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorizer: Option<Authorizer<'a>>,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'static str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
struct Authorizer<'a> {
    iam: Iam<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Iam<'a> {
    access_key: Option<&'a str>,
    account_id: &'a str,
    caller_id: &'a str,
    cognito_identity: Option<&'a str>,
    principal_org_id: Option<&'a str>,
    user_arn: &'a str,
    user_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: &'static str,
    source_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
}

/// The event as JSON.
pub fn encode(request: &Request<'_>) -> Vec<u8> {
    let (body, is_base64_encoded) = body(request);
    let event = Event {
        version: "2.0",
        route_key: "$default",
        raw_path: request.path,
        raw_query_string: request.query,
        cookies: cookies(request.headers),
        headers: headers(request),
        query_string_parameters: parameters(request.query),
        request_context: context(request),
        body,
        is_base64_encoded,
    };
    serde_json::to_vec(&event).expect("texts and numbers always serialise into memory")
}

fn context<'a>(request: &Request<'a>) -> RequestContext<'a> {
    let iam = |caller: &'a Principal| Iam {
        access_key: caller.access_key_id.as_deref(),
        account_id: caller.account.as_str(),
        caller_id: &caller.user_id,
        cognito_identity: None,
        principal_org_id: None,
        user_arn: &caller.arn,
        user_id: &caller.user_id,
    };
    RequestContext {
        account_id: request.caller.map_or("anonymous", |caller| caller.account.as_str()),
        api_id: request.url_id,
        authorizer: request.caller.map(|caller| Authorizer { iam: iam(caller) }),
        domain_name: request.domain_name,
        domain_prefix: request.url_id,
        http: Http {
            method: request.method,
            path: request.path,
            protocol: if request.version == Version::HTTP_2 { "HTTP/2.0" } else { "HTTP/1.1" },
            source_ip: peer(request),
            user_agent: request.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()),
        },
        request_id: request.request_id,
        route_key: "$default",
        stage: "$default",
        time: time(request.received_at_ms),
        time_epoch: request.received_at_ms,
    }
}

/// `12/Mar/2020:19:03:58 +0000`
fn time(at_ms: i64) -> String {
    let time = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

fn peer(request: &Request<'_>) -> String {
    request.peer.map_or_else(|| "127.0.0.1".to_owned(), |peer| peer.to_canonical().to_string())
}

/// Headers of a connection, not of a request (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The headers by their names in lower case, values of one name joined with a comma; and what AWS adds, as far as
/// there is such a thing without TLS. A signature is the gateway's business and not the function's.
fn headers(request: &Request<'_>) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in request.headers {
        let is_signature = request.caller.is_some() && name == AUTHORIZATION;
        if is_signature || HOP_BY_HOP.contains(&name.as_str()) {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes());
        let separator = if name == COOKIE { "; " } else { "," };
        found
            .entry(name.as_str().to_owned())
            .and_modify(|joined| {
                joined.push_str(separator);
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    found.entry("host".to_owned()).or_insert_with(|| request.domain_name.to_owned());
    let peer = peer(request);
    let forwarded = found.get("x-forwarded-for").map_or_else(|| peer.clone(), |before| format!("{before}, {peer}"));
    found.insert("x-forwarded-for".to_owned(), forwarded);
    found.insert("x-forwarded-port".to_owned(), request.port.to_string());
    found.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    found.insert("x-amzn-trace-id".to_owned(), request.trace.to_owned());
    found
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(COOKIE).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut found = Vec::new();
    for line in lines {
        found.extend(line.split(';').map(str::trim).filter(|cookie| !cookie.is_empty()).map(str::to_owned));
    }
    found
}

/// The decoded keys and values; values of one key joined with a comma.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        found
            .entry(decoded(key))
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert(value);
    }
    found
}

/// Percent-decoded as forms are; what is no percent-encoding stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let hex = pair.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, hex.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                plain.push(value);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            _ => plain.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The body, as text where its type is a text's and it is one; everything else in base64, forms included.
fn body<'a>(request: &Request<'a>) -> (Option<Cow<'a, str>>, bool) {
    if request.body.is_empty() {
        return (None, false);
    }
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match std::str::from_utf8(request.body) {
        Ok(text) if is_text(content_type) => (Some(Cow::Borrowed(text)), false),
        _ => (Some(Cow::Owned(STANDARD.encode(request.body))), true),
    }
}

/// Whether AWS passes bodies of this type on as text (inferred from what functions get there).
fn is_text(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let texts = ["application/json", "application/xml", "application/javascript"];
    kind.starts_with("text/") || texts.contains(&kind.as_str()) || kind.ends_with("+json") || kind.ends_with("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_types::AccountId;
    use http::HeaderValue;
    use serde_json::{Value, json};

    fn header_map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
        Request {
            url_id: "abcdefghijklmnopqrstuvwxyz012345",
            domain_name: "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.localhost",
            port: 4566,
            method: "POST",
            path: "/my/p%20th",
            query: "",
            version: Version::HTTP_11,
            headers,
            peer: "127.0.0.1".parse().ok(),
            caller: None,
            request_id: "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            trace: "Root=1-65d3f18f-65dc451a0f6a628a514847d7",
            received_at_ms: 1_583_348_638_390,
            body,
        }
    }

    fn event(request: &Request<'_>) -> Value {
        serde_json::from_slice(&encode(request)).unwrap()
    }

    #[test]
    fn an_event_is_as_functions_on_aws_see_it() {
        let headers = header_map(&[
            ("host", "abc.localhost:4566"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("user-agent", "agent"),
            ("cookie", "a=1; b=2"),
            ("cookie", "c=3"),
            ("connection", "keep-alive"),
            ("authorization", "Bearer x"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        let mut request = request(&headers, b"");
        request.query = "a=1&a=%C3%A4+%2&b&=&c=x=y";
        let expected = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": "/my/p%20th",
            "rawQueryString": "a=1&a=%C3%A4+%2&b&=&c=x=y",
            "cookies": ["a=1", "b=2", "c=3"],
            "headers": {
                "host": "abc.localhost:4566", "x-many": "1,2", "user-agent": "agent", "cookie": "a=1; b=2; c=3",
                "authorization": "Bearer x", "x-forwarded-for": "10.0.0.1, 127.0.0.1", "x-forwarded-port": "4566",
                "x-forwarded-proto": "http", "x-amzn-trace-id": "Root=1-65d3f18f-65dc451a0f6a628a514847d7",
            },
            "queryStringParameters": {"a": "1,ä %2", "b": "", "": "", "c": "x=y"},
            "requestContext": {
                "accountId": "anonymous",
                "apiId": "abcdefghijklmnopqrstuvwxyz012345",
                "domainName": "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.localhost",
                "domainPrefix": "abcdefghijklmnopqrstuvwxyz012345",
                "http": {"method": "POST", "path": "/my/p%20th", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "agent"},
                "requestId": "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
                "routeKey": "$default",
                "stage": "$default",
                "time": "04/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_i64,
            },
            "isBase64Encoded": false,
        });
        assert_eq!(event(&request), expected);
    }

    #[test]
    fn a_signed_request_tells_who_signed_it() {
        let headers = header_map(&[("authorization", "AWS4-HMAC-SHA256 ..."), ("x-amz-date", "20200304T190358Z")]);
        let caller = Principal {
            kind: gust_kit::PrincipalKind::User,
            arn: "arn:aws:iam::111111111111:user/ann".to_owned(),
            user_id: "AIDAX".to_owned(),
            ..Principal::root(AccountId::parse("111111111111").unwrap(), Some("AKIAX".to_owned()))
        };
        let mut request = request(&headers, b"");
        request.caller = Some(&caller);
        let event = event(&request);
        assert_eq!(event["requestContext"]["accountId"], "111111111111");
        let expected = json!({"iam": {
            "accessKey": "AKIAX", "accountId": "111111111111", "callerId": "AIDAX", "cognitoIdentity": null,
            "principalOrgId": null, "userArn": "arn:aws:iam::111111111111:user/ann", "userId": "AIDAX",
        }});
        assert_eq!(event["requestContext"]["authorizer"], expected);
        assert!(event["headers"].get("authorization").is_none());
        assert_eq!(event["headers"]["x-amz-date"], "20200304T190358Z");
    }

    #[test]
    fn bodies_are_text_only_where_their_type_says_so() {
        for (content_type, body, expected) in [
            ("application/json", "{\"ä\":1}".as_bytes(), Some("{\"ä\":1}")),
            ("text/plain; charset=utf-8", b"hello", Some("hello")),
            ("Application/XML", b"<a/>", Some("<a/>")),
            ("application/vnd.api+json", b"{}", Some("{}")),
            ("image/svg+xml", b"<svg/>", Some("<svg/>")),
            ("application/javascript", b"1", Some("1")),
            ("application/x-www-form-urlencoded", b"a=1", None),
            ("application/octet-stream", b"abc", None),
            ("multipart/form-data; boundary=x", b"--x", None),
            ("", b"abc", None),
            ("text/plain", b"\xff\x00", None),
        ] {
            let headers = header_map(&[("content-type", content_type)]);
            let event = event(&request(&headers, body));
            assert_eq!(event["isBase64Encoded"], expected.is_none(), "{content_type}");
            let encoded = STANDARD.encode(body);
            assert_eq!(event["body"], expected.unwrap_or(&encoded), "{content_type}");
        }
    }
}
