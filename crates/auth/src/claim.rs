//! What a request says about who signed it, read but not yet believed.

use crate::canonical::decoded;
use crate::{ALGORITHM, Refusal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The parts of a request that a signature covers, as they came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// The query without `?`, still percent-encoded; empty if there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The `Host` header, or `:authority` over HTTP/2.
    pub host: &'a str,
}

/// Where the signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the `Authorization` header.
    Header,
    /// In `X-Amz-*` keys of the query.
    Presigned,
}

/// The credential of a signature: whose key, and what it was derived for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The access key id.
    pub access_key_id: &'a str,
    /// `20150830`
    pub date: &'a str,
    /// The region.
    pub region: &'a str,
    /// The service's signing name.
    pub service: &'a str,
    /// `aws4_request`
    pub terminator: &'a str,
}

/// A request's claim to have been signed. Absent parts are `None`.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    /// Where it stands.
    pub scheme: Scheme,
    pub(crate) algorithm: Option<Cow<'a, str>>,
    pub(crate) credential: Option<Cow<'a, str>>,
    pub(crate) signed_headers: Option<Cow<'a, str>>,
    pub(crate) signature: Option<Cow<'a, str>>,
    pub(crate) date: Option<Cow<'a, str>>,
    pub(crate) expires: Option<Cow<'a, str>>,
    pub(crate) token: Option<Cow<'a, str>>,
    /// The whole header, for messages about it (hashed there, as AWS does).
    pub(crate) header: &'a str,
}

impl<'a> Claim<'a> {
    /// Finds a request's signature; `None` if it carries none.
    ///
    /// Errors: both kinds at once, or an `Authorization` of some other kind (`Basic`, `Bearer`).
    pub fn of(head: &Head<'a>) -> Result<Option<Claim<'a>>, Refusal> {
        let header = head.headers.get(AUTHORIZATION);
        let presigned = presigned(head.query);
        match (header, presigned) {
            (Some(_), Some(_)) => Err(Refusal::DoesNotMatch(
                "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.".to_owned(),
            )),
            (Some(value), None) => {
                let value = value.to_str().map_err(|_| not_key_value("Authorization"))?;
                in_header(head, value).map(Some)
            }
            (None, presigned) => Ok(presigned),
        }
    }

    /// The credential, if it has its five parts.
    pub fn scope(&self) -> Option<Scope<'_>> {
        scope(self.credential.as_deref()?)
    }

    /// The session token that came with it.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What the header or the query lacks, in AWS's words.
    pub(crate) fn missing(&self) -> Option<Refusal> {
        let message = match self.scheme {
            Scheme::Header => self.missing_of_header(),
            Scheme::Presigned => self.missing_of_query(),
        };
        message.map(Refusal::Incomplete)
    }

    fn missing_of_header(&self) -> Option<String> {
        let mut message = String::new();
        let parts =
            [("Credential", &self.credential), ("Signature", &self.signature), ("SignedHeaders", &self.signed_headers)];
        for (name, part) in parts {
            if part.is_none() {
                message.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if self.date.is_none() {
            message.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
        }
        if message.is_empty() {
            return None;
        }
        message.push_str("(Hashed with SHA-256 and encoded with Base64) Authorization=");
        message.push_str(&hashed(self.header));
        Some(message)
    }

    fn missing_of_query(&self) -> Option<String> {
        let mut message = String::new();
        let parts = [
            ("X-Amz-Algorithm", &self.algorithm),
            ("X-Amz-Credential", &self.credential),
            ("X-Amz-Signature", &self.signature),
            ("X-Amz-SignedHeaders", &self.signed_headers),
            ("X-Amz-Date", &self.date),
        ];
        for (name, part) in parts {
            if part.is_none() {
                message.push_str(&format!("AWS query-string parameters must include '{name}'. "));
            }
        }
        if message.is_empty() {
            return None;
        }
        message.push_str("Re-examine the query-string parameters.");
        Some(message)
    }
}

/// Reads `keyid/date/region/service/aws4_request`; a key id may itself hold no slash.
fn scope(credential: &str) -> Option<Scope<'_>> {
    let mut parts = credential.split('/');
    let scope = Scope {
        access_key_id: parts.next()?,
        date: parts.next()?,
        region: parts.next()?,
        service: parts.next()?,
        terminator: parts.next()?,
    };
    parts.next().is_none().then_some(scope)
}

fn in_header<'a>(head: &Head<'a>, header: &'a str) -> Result<Claim<'a>, Refusal> {
    let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
    if !algorithm.starts_with("AWS4-") {
        return Err(not_key_value(header));
    }
    let mut claim = Claim {
        scheme: Scheme::Header,
        algorithm: Some(Cow::Borrowed(algorithm)),
        credential: None,
        signed_headers: None,
        signature: None,
        date: header_text(head, "x-amz-date").or_else(|| header_text(head, DATE.as_str())),
        expires: None,
        token: header_text(head, "x-amz-security-token"),
        header,
    };
    for parameter in parameters.split([',', ' ']).filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(|| not_key_value(parameter))?;
        let value = (!value.is_empty()).then_some(Cow::Borrowed(value));
        match name {
            "Credential" => claim.credential = value,
            "SignedHeaders" => claim.signed_headers = value,
            "Signature" => claim.signature = value,
            _ => {}
        }
    }
    Ok(claim)
}

fn header_text<'a>(head: &Head<'a>, name: &str) -> Option<Cow<'a, str>> {
    head.headers.get(name).and_then(|value| value.to_str().ok()).map(Cow::Borrowed)
}

/// A claim in the query; there is one if any of its keys is there.
fn presigned(query: &str) -> Option<Claim<'_>> {
    if !query.contains("X-Amz-") {
        return None;
    }
    let mut claim = Claim {
        scheme: Scheme::Presigned,
        algorithm: None,
        credential: None,
        signed_headers: None,
        signature: None,
        date: None,
        expires: None,
        token: None,
        header: "",
    };
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let part = match name {
            "X-Amz-Algorithm" => &mut claim.algorithm,
            "X-Amz-Credential" => &mut claim.credential,
            "X-Amz-SignedHeaders" => &mut claim.signed_headers,
            "X-Amz-Signature" => &mut claim.signature,
            "X-Amz-Date" => &mut claim.date,
            "X-Amz-Expires" => &mut claim.expires,
            "X-Amz-Security-Token" => &mut claim.token,
            _ => continue,
        };
        *part = (!value.is_empty()).then(|| text(value));
    }
    let claims = claim.algorithm.is_some() || claim.credential.is_some() || claim.signature.is_some();
    claims.then_some(claim)
}

fn text(value: &str) -> Cow<'_, str> {
    if value.contains('%') || value.contains('+') {
        Cow::Owned(String::from_utf8_lossy(&decoded(value, true)).into_owned())
    } else {
        Cow::Borrowed(value)
    }
}

fn not_key_value(text: &str) -> Refusal {
    Refusal::Incomplete(format!(
        "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with \
         Base64): '{}'.",
        hashed(text)
    ))
}

fn hashed(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text))
}

impl Claim<'_> {
    /// Whether the algorithm is the one gust verifies.
    pub(crate) fn algorithm_is_known(&self) -> bool {
        self.algorithm.as_deref() == Some(ALGORITHM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(headers: &'a HeaderMap, query: &'a str) -> Head<'a> {
        Head { method: "GET", path: "/", query, headers, host: "h" }
    }

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn nothing_is_no_claim() {
        assert!(Claim::of(&head(&HeaderMap::new(), "")).unwrap().is_none());
        assert!(Claim::of(&head(&HeaderMap::new(), "X-Amz-Expires=5&a=b")).unwrap().is_none());
    }

    #[test]
    fn a_header_is_read_with_any_separators() {
        for separator in [", ", ",", " "] {
            let headers = headers(&format!(
                "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/iam/aws4_request{separator}SignedHeaders=host{separator}Signature=ab"
            ));
            let claim = Claim::of(&head(&headers, "")).unwrap().unwrap();
            let scope = claim.scope().unwrap();
            assert_eq!((scope.access_key_id, scope.region, scope.service), ("AKID", "us-east-1", "iam"));
            assert_eq!(claim.signature.as_deref(), Some("ab"));
        }
    }

    #[test]
    fn a_query_is_read_and_decoded() {
        let query = "X-Amz-Credential=AKID%2F20150830%2Fus-east-1%2Fiam%2Faws4_request&X-Amz-Security-Token=a%2Bb";
        let none = HeaderMap::new();
        let claim = Claim::of(&head(&none, query)).unwrap().unwrap();
        assert_eq!(claim.scope().unwrap().service, "iam");
        assert_eq!(claim.token(), Some("a+b"));
        let Some(Refusal::Incomplete(message)) = claim.missing() else { panic!("it is incomplete") };
        assert_eq!(
            message,
            "AWS query-string parameters must include 'X-Amz-Algorithm'. AWS query-string parameters must include \
             'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string \
             parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."
        );
    }

    #[test]
    fn both_at_once_are_refused() {
        let headers = headers("AWS4-HMAC-SHA256 Credential=a");
        let refusal = Claim::of(&head(&headers, "X-Amz-Algorithm=AWS4-HMAC-SHA256")).unwrap_err();
        assert!(
            matches!(refusal, Refusal::DoesNotMatch(message) if message.starts_with("Found both 'X-Amz-Algorithm'"))
        );
    }

    #[test]
    fn other_kinds_are_refused_without_showing_them() {
        for value in ["Bearer secret", "Basic c2VjcmV0", "secret", "AWS4-HMAC-SHA256 secret"] {
            let refusal = Claim::of(&head(&headers(value), "")).unwrap_err();
            let Refusal::Incomplete(message) = refusal else { panic!("{value}") };
            assert!(message.starts_with("Invalid key=value pair") && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn what_a_header_lacks_is_listed() {
        let headers = headers("AWS4-HMAC-SHA256 Credential=a/b");
        let claim = Claim::of(&head(&headers, "")).unwrap().unwrap();
        let Some(Refusal::Incomplete(message)) = claim.missing() else { panic!("it is incomplete") };
        assert!(
            message.starts_with(
                "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' \
                 parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. \
                 (Hashed with SHA-256 and encoded with Base64) Authorization="
            ),
            "{message}"
        );
        assert_eq!(claim.scope(), None);
    }
}
