//! Signature Version 4, in the header and in the query.

use gust_auth::{Claim, Head};
use gust_types::AccountId;
use http::{HeaderMap, HeaderName, HeaderValue};

/// 2015-08-30T12:36:00Z, the day of AWS's own examples.
const NOW_MS: i64 = 1_440_938_160_000;

/// A head: method, path and query on the first line, then `name: value` lines. Nothing may pass for signed.
pub fn signature(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(Ok(line)) = lines.next().map(std::str::from_utf8) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for line in lines.take(128) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let host = headers.get("host").and_then(|value| value.to_str().ok()).unwrap_or("127.0.0.1:4566").to_owned();
    let head = Head { method, path, query, headers: &headers, host: &host };
    let Ok(Some(claim)) = Claim::of(&head) else { return };
    let scope = claim.scope();
    let _ = scope.map(|scope| AccountId::parse(scope.access_key_id));
    if let Ok(checked) = claim.check(NOW_MS, &["s", "lambda"]) {
        let _ = checked.check_token(Some("token"));
        // No input can contain a signature made with this key, short of guessing 256 bits.
        let secret = "a secret that no test case knows";
        assert!(checked.verify(&head, b"body", secret).is_err(), "an unsigned request passed for signed");
    }
}
