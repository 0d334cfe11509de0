//! The canonical request: the one spelling of a request that both sides sign.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use crate::Head;
use std::borrow::Cow;

/// Names the presigned query's own signature, which is not part of what is signed.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// Whether a service signs paths as they are: S3's keys may hold `//` and `..`.
fn signs_raw_paths(service: &str) -> bool {
    matches!(service, "s3" | "s3express" | "s3-outposts" | "s3-object-lambda")
}

/// The canonical request.
pub(crate) fn request(head: &Head<'_>, service: &str, signed_headers: &str, payload_hash: &str) -> String {
    let mut text = String::with_capacity(512);
    text.push_str(head.method);
    text.push('\n');
    if signs_raw_paths(service) {
        push_once_encoded(&mut text, head.path);
    } else {
        push_encoded(&mut text, &normalized(head.path), b"/");
    }
    text.push('\n');
    push_query(&mut text, head.query);
    text.push('\n');
    for name in signed_headers.split(';') {
        push_header(&mut text, head, name);
    }
    text.push('\n');
    text.push_str(signed_headers);
    text.push('\n');
    text.push_str(payload_hash);
    text
}

/// The path without `.`, `..` and doubled slashes; a slash at the end stays.
fn normalized(path: &str) -> Cow<'_, str> {
    let clean = path.starts_with('/') && !path.contains("//") && !path.contains("/.");
    if clean {
        return Cow::Borrowed(path);
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let ends_in_slash = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let mut text = String::with_capacity(path.len() + 1);
    for segment in &segments {
        text.push('/');
        text.push_str(segment);
    }
    if segments.is_empty() || ends_in_slash {
        text.push('/');
    }
    Cow::Owned(text)
}

/// Whatever is escaped on the wire is escaped once here, and nothing twice.
fn push_once_encoded(text: &mut String, path: &str) {
    if path.is_empty() {
        text.push('/');
        return;
    }
    push_encoded_bytes(text, &decoded(path, false), b"/");
}

fn push_query(text: &mut String, query: &str) {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(name, _)| *name != SIGNATURE_PARAMETER)
        .map(|(name, value)| (encoded(&decoded(name, true)), encoded(&decoded(value, true))))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
}

fn push_header(text: &mut String, head: &Head<'_>, name: &str) {
    text.push_str(name);
    text.push(':');
    if name == "host" || name == ":authority" {
        push_folded(text, head.host.as_bytes());
    } else {
        for (index, value) in head.headers.get_all(name).iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            push_folded(text, value.as_bytes());
        }
    }
    text.push('\n');
}

/// A header's value with its ends trimmed and each run of spaces made one.
fn push_folded(text: &mut String, value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    for (index, word) in value.split_ascii_whitespace().enumerate() {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(word);
    }
}

/// Percent-decodes; a `+` of a query is a space. What is no escape stays as it is.
pub(crate) fn decoded(text: &str, plus_is_space: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = (*byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten().and_then(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()
        });
        match (escape, byte) {
            (Some(value), _) => {
                result.push(value);
                at += 2;
            }
            (None, b'+') if plus_is_space => result.push(b' '),
            (None, other) => result.push(*other),
        }
        at += 1;
    }
    result
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    push_encoded_bytes(&mut text, bytes, b"");
    text
}

fn push_encoded(text: &mut String, source: &str, kept: &[u8]) {
    push_encoded_bytes(text, source.as_bytes(), kept);
}

fn push_encoded_bytes(text: &mut String, bytes: &[u8], kept: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || kept.contains(byte);
        if plain {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;

    fn canonical(path: &str, query: &str, service: &str) -> Vec<String> {
        let headers = HeaderMap::new();
        let head = Head { method: "GET", path, query, headers: &headers, host: "h" };
        request(&head, service, "host", "x").lines().map(str::to_owned).collect()
    }

    #[test]
    fn paths_are_encoded_again_except_for_s3() {
        // documented: "for all services except Amazon S3, the canonical URI is double URL-encoded"
        for (path, lambda, s3) in [
            ("/", "/", "/"),
            ("", "/", "/"),
            ("/a%3Ab", "/a%253Ab", "/a%3Ab"),
            ("/a:b", "/a%3Ab", "/a%3Ab"),
            ("/a%20b/", "/a%2520b/", "/a%20b/"),
            ("//example//", "/example/", "//example//"),
            ("/a/../b", "/b", "/a/../b"),
            ("/a/./b", "/a/b", "/a/./b"),
            ("/a/..", "/", "/a/.."),
            ("/../..", "/", "/../.."),
            ("/-._~0Aa", "/-._~0Aa", "/-._~0Aa"),
        ] {
            assert_eq!(canonical(path, "", "lambda")[1], lambda, "{path}");
            assert_eq!(canonical(path, "", "s3")[1], s3, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_by_name_then_value_and_encoded_once() {
        for (query, expected) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            ("a&B", "B=&a="),
            ("a=b%20c&d=e+f", "a=b%20c&d=e%20f"),
            ("a=%2b&&b=%zz", "a=%2B&b=%25zz"),
            ("a=x/y:z", "a=x%2Fy%3Az"),
            ("X-Amz-Signature=f&X-Amz-Date=1", "X-Amz-Date=1"),
        ] {
            assert_eq!(canonical("/", query, "lambda")[2], expected, "{query}");
        }
    }

    #[test]
    fn headers_are_folded_and_joined() {
        let mut headers = HeaderMap::new();
        headers.append("my-header", " a   b  ".parse().unwrap());
        headers.append("my-header", "c".parse().unwrap());
        let head = Head { method: "GET", path: "/", query: "", headers: &headers, host: " example.com " };
        let text = request(&head, "service", "host;my-header;none", "x");
        assert!(text.contains("\nhost:example.com\nmy-header:a b,c\nnone:\n\nhost;my-header;none\nx"), "{text}");
    }
}
