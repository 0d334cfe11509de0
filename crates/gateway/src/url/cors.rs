//! Cross-origin resource sharing of function URLs: preflights are answered here, other responses get their headers.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors>. A URL without a
//! configuration leaves all of it to the function. With one, headers that the function sets as well are sent beside
//! these, as AWS does. That the origin is echoed, and which headers a preflight's answer has, is inferred from what
//! URLs on AWS answer.

use gust_kit::ports::UrlCors;
use http::HeaderMap;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};

/// Response headers, by their names.
pub type Headers = Vec<(&'static str, String)>;

/// The headers of the answer if this is a preflight that the URL answers itself.
pub fn preflight(cors: Option<&UrlCors>, method: &str, headers: &HeaderMap) -> Option<Headers> {
    let cors = cors?;
    let is_preflight =
        method == "OPTIONS" && headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    is_preflight.then(|| {
        let Some(origin) = allowed_origin(cors, headers) else { return Vec::new() };
        let mut answer = common(cors, origin);
        if !cors.allow_methods.is_empty() {
            answer.push(("access-control-allow-methods", cors.allow_methods.join(",")));
        }
        let wanted = text(headers, ACCESS_CONTROL_REQUEST_HEADERS.as_str());
        let allowed = match cors.allow_headers.iter().any(|name| name == "*") {
            true => wanted.map(str::to_owned),
            false => (!cors.allow_headers.is_empty()).then(|| cors.allow_headers.join(",")),
        };
        answer.extend(allowed.map(|names| ("access-control-allow-headers", names)));
        answer.extend(cors.max_age_s.map(|seconds| ("access-control-max-age", seconds.to_string())));
        answer
    })
}

/// What is added to every other response.
pub fn added(cors: Option<&UrlCors>, headers: &HeaderMap) -> Headers {
    let Some((cors, origin)) = cors.and_then(|cors| Some((cors, allowed_origin(cors, headers)?))) else {
        return Vec::new();
    };
    let mut added = common(cors, origin);
    if !cors.expose_headers.is_empty() {
        added.push(("access-control-expose-headers", cors.expose_headers.join(",")));
    }
    added
}

fn common(cors: &UrlCors, origin: &str) -> Headers {
    let mut headers = vec![("access-control-allow-origin", origin.to_owned()), ("vary", "Origin".to_owned())];
    if cors.allow_credentials {
        headers.push(("access-control-allow-credentials", "true".to_owned()));
    }
    headers
}

/// The request's origin, if it may read the answer. Origins are compared as browsers send them.
fn allowed_origin<'a>(cors: &UrlCors, headers: &'a HeaderMap) -> Option<&'a str> {
    let origin = text(headers, ORIGIN.as_str())?;
    let matches = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
    cors.allow_origins.iter().any(matches).then_some(origin)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors() -> UrlCors {
        UrlCors {
            allow_credentials: true,
            allow_headers: vec!["x-a".to_owned(), "date".to_owned()],
            allow_methods: vec!["GET".to_owned(), "PUT".to_owned()],
            allow_origins: vec!["https://a.example".to_owned(), "https://b.example:8443".to_owned()],
            expose_headers: vec!["x-b".to_owned()],
            max_age_s: Some(60),
        }
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn shown(headers: Headers) -> String {
        headers
            .iter()
            .map(|(name, value)| format!("{}: {value}\n", name.trim_start_matches("access-control-")))
            .collect()
    }

    const ASKS: (&str, &str) = ("access-control-request-method", "PUT");

    #[test]
    fn a_preflight_is_answered_by_the_configuration() {
        let asked = headers(&[("origin", "https://a.example"), ASKS, ("access-control-request-headers", "x-a")]);
        let answer = preflight(Some(&cors()), "OPTIONS", &asked).unwrap();
        assert_eq!(
            shown(answer),
            "allow-origin: https://a.example\nvary: Origin\nallow-credentials: true\nallow-methods: GET,PUT\n\
             allow-headers: x-a,date\nmax-age: 60\n"
        );
        let any =
            UrlCors { allow_headers: vec!["*".to_owned()], allow_origins: vec!["*".to_owned()], ..UrlCors::default() };
        let answer = preflight(Some(&any), "OPTIONS", &asked).unwrap();
        assert_eq!(shown(answer), "allow-origin: https://a.example\nvary: Origin\nallow-headers: x-a\n");
        let foreign = headers(&[("origin", "https://evil.example"), ASKS]);
        assert_eq!(preflight(Some(&cors()), "OPTIONS", &foreign), Some(vec![]), "answered, and nothing allowed");
    }

    #[test]
    fn everything_else_goes_to_the_function() {
        let asked = headers(&[("origin", "https://a.example"), ASKS]);
        assert_eq!(preflight(None, "OPTIONS", &asked), None);
        assert_eq!(preflight(Some(&cors()), "GET", &asked), None);
        assert_eq!(preflight(Some(&cors()), "OPTIONS", &headers(&[ASKS])), None);
        assert_eq!(preflight(Some(&cors()), "OPTIONS", &headers(&[("origin", "https://a.example")])), None);
    }

    #[test]
    fn responses_say_who_may_read_them() {
        let from = |origin: &'static str| shown(added(Some(&cors()), &headers(&[("origin", origin)])));
        let allowed = "vary: Origin\nallow-credentials: true\nexpose-headers: x-b\n";
        for origin in ["https://a.example", "https://b.example:8443"] {
            assert_eq!(from(origin), format!("allow-origin: {origin}\n{allowed}"));
        }
        for origin in ["https://b.example", "http://a.example", "null", "https://a.example.evil", "https://x.a.example"]
        {
            assert_eq!(from(origin), "", "{origin}");
        }
        assert_eq!(shown(added(Some(&cors()), &headers(&[]))), "");
        assert_eq!(shown(added(None, &headers(&[("origin", "https://a.example")]))), "");
    }
}
