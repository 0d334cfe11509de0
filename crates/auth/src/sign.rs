//! Signs requests: for the CLI, for links that gust hands out, and for tests.

use crate::key::{Derivation, hex, hmac, sha256_hex, signing_key};
use crate::time::basic;
use crate::verify::string_to_sign;
use crate::{ALGORITHM, Head, TERMINATOR, canonical};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// Headers that proxies and clients change on the way, and that are therefore not signed.
const UNSIGNED_HEADERS: [&str; 6] =
    ["authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"];

/// A key, and what it signs for.
#[derive(Clone, Copy)]
pub struct Signer<'a> {
    /// The access key id.
    pub access_key_id: &'a str,
    /// The secret.
    pub secret_access_key: &'a str,
    /// The session's token, if it is a session's key.
    pub session_token: Option<&'a str>,
    /// The region.
    pub region: &'a str,
    /// The service's signing name.
    pub service: &'a str,
}

impl std::fmt::Debug for Signer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Signer<'_> {
    /// Returns `head`'s headers with `x-amz-date`, the token, the body's hash (S3) and `Authorization` added.
    ///
    /// The `Host` header itself is the transport's; `head.host` is what is signed for it. A token or key id that
    /// cannot stand in a header is left out, and the request will be refused as what it is: unsigned.
    pub fn sign(&self, head: &Head<'_>, body: &[u8], now_ms: i64) -> HeaderMap {
        let now_s = now_ms.div_euclid(1000);
        let hash = sha256_hex(body);
        let mut headers = head.headers.clone();
        insert(&mut headers, "x-amz-date", &basic(now_s));
        if let Some(token) = self.session_token {
            insert(&mut headers, "x-amz-security-token", token);
        }
        if self.service == "s3" {
            insert(&mut headers, "x-amz-content-sha256", &hash);
        }
        let signed_headers = signed_headers(&headers);
        let signed = Head { headers: &headers, ..*head };
        let request = canonical::request(&signed, self.service, &signed_headers, &hash);
        let signature = self.signature(now_s, &request);
        let credential = format!("{}/{}", self.access_key_id, self.scope(now_s));
        let value =
            format!("{ALGORITHM} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}");
        insert(&mut headers, AUTHORIZATION.as_str(), &value);
        headers
    }

    /// Returns `head`'s query with a signature in it that is good for `lifetime_s` seconds. Only the host is
    /// signed of the headers, and the body must be empty (S3: may be anything).
    pub fn presign(&self, head: &Head<'_>, lifetime_s: u32, now_ms: i64) -> String {
        let now_s = now_ms.div_euclid(1000);
        let encoded = |text: &str| canonical::encoded(text.as_bytes());
        let credential = encoded(&format!("{}/{}", self.access_key_id, self.scope(now_s)));
        let separator = if head.query.is_empty() { "" } else { "&" };
        let mut query = format!(
            "{}{separator}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={}\
             &X-Amz-Expires={lifetime_s}&X-Amz-SignedHeaders=host",
            head.query,
            basic(now_s),
        );
        if let Some(token) = self.session_token {
            query.push_str("&X-Amz-Security-Token=");
            query.push_str(&encoded(token));
        }
        let hash = if self.service == "s3" { "UNSIGNED-PAYLOAD".to_owned() } else { sha256_hex(b"") };
        let signed = Head { query: &query, ..*head };
        let request = canonical::request(&signed, self.service, "host", &hash);
        let signature = self.signature(now_s, &request);
        format!("{query}&X-Amz-Signature={signature}")
    }

    fn scope(&self, now_s: i64) -> String {
        format!("{}/{}/{}/{TERMINATOR}", &basic(now_s)[..8], self.region, self.service)
    }

    fn signature(&self, now_s: i64, request: &str) -> String {
        let now = basic(now_s);
        let Signer { region, service, secret_access_key: secret, .. } = *self;
        let key = signing_key(Derivation { secret, date: &now[..8], region, service });
        hex(&hmac(&key, string_to_sign(now_s, &now[..8], region, service, request).as_bytes()))
    }
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

fn signed_headers(headers: &HeaderMap) -> String {
    let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
    names.retain(|name| !UNSIGNED_HEADERS.contains(name) && *name != "host");
    names.push("host");
    names.sort_unstable();
    names.join(";")
}
