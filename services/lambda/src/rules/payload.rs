//! Payload and client context of an invocation.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.

use crate::error::LambdaError;
use crate::limits;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::IgnoredAny;

/// How an invocation is to be run, as far as its payload is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The caller waits.
    Synchronous,
    /// The payload is kept until it has been run.
    Event,
    /// The same, by way of InvokeAsync.
    InvokeAsync,
}

/// Checks a payload; an absent or empty one is an empty object, as with AWS.
///
/// Errors: larger than the mode allows, or no JSON.
pub fn check(payload: Option<Bytes>, mode: Mode) -> Result<Bytes, LambdaError> {
    let payload = match payload {
        Some(payload) if !payload.is_empty() => payload,
        _ => return Ok(Bytes::from_static(b"{}")),
    };
    match mode {
        Mode::Synchronous if payload.len() > limits::PAYLOAD_SYNC_BYTES_MAX => {
            return Err(LambdaError::PayloadTooLarge);
        }
        Mode::Event if payload.len() > limits::PAYLOAD_EVENT_BYTES_MAX => {
            return Err(LambdaError::EventTooLarge { bytes: payload.len(), limit: limits::PAYLOAD_EVENT_BYTES_MAX });
        }
        Mode::InvokeAsync if payload.len() > limits::PAYLOAD_INVOKE_ASYNC_BYTES_MAX => {
            let limit = limits::PAYLOAD_INVOKE_ASYNC_BYTES_MAX;
            return Err(LambdaError::EventTooLarge { bytes: payload.len(), limit });
        }
        _ => {}
    }
    match check_json(&payload) {
        Ok(()) => Ok(payload),
        Err(reason) => Err(LambdaError::PayloadNotJson { reason }),
    }
}

/// Decodes a client context: base64 of a JSON object.
///
/// Errors: too long, or anything else than that.
pub fn client_context(encoded: &str) -> Result<String, LambdaError> {
    if encoded.len() > limits::CLIENT_CONTEXT_BYTES_MAX {
        return Err(LambdaError::ClientContextTooLong);
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| LambdaError::ClientContextInvalid)?;
    let text = String::from_utf8(bytes).map_err(|_| LambdaError::ClientContextInvalid)?;
    let is_object = text.trim_start().starts_with('{') && check_json(text.as_bytes()).is_ok();
    is_object.then_some(text).ok_or(LambdaError::ClientContextInvalid)
}

/// What a text is not, in the words of the parser that AWS uses (as far as its reports show them).
fn check_json(bytes: &[u8]) -> Result<(), String> {
    // Ignoring a value neither recurses nor looks at the text inside strings, hence the first check.
    let (at, problem) = match std::str::from_utf8(bytes) {
        Err(error) => {
            let at = error.valid_up_to();
            (at, format!("Invalid UTF-8 start byte 0x{:02x}", bytes[at]))
        }
        Ok(text) => match serde_json::from_slice::<IgnoredAny>(bytes) {
            Ok(_) => return Ok(()),
            Err(error) => {
                let at = offset_of(text, error.line(), error.column());
                (at, problem(text, at, &error))
            }
        },
    };
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = at - before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1) + 1;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]);
    let cut = match bytes.len().saturating_sub(SHOWN_BYTES_MAX) {
        0 => String::new(),
        more => format!("[truncated {more} bytes]"),
    };
    Err(format!("{problem}\n at [Source: (byte[])\"{shown}\"{cut}; line: {line}, column: {column}]"))
}

/// How much of a payload a refusal repeats.
const SHOWN_BYTES_MAX: usize = 500;

fn problem(text: &str, at: usize, error: &serde_json::Error) -> String {
    const TOKENS: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
    if error.is_eof() {
        return "Unexpected end-of-input".to_owned();
    }
    let word_start = text[..at]
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
    let word: String = text[word_start..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').take(64).collect();
    if word.chars().next().is_some_and(char::is_alphabetic) {
        return format!("Unrecognized token '{word}': was expecting {TOKENS}");
    }
    match text[at..].chars().next() {
        Some(found) => {
            format!("Unexpected character ('{found}' (code {})): expected a valid value {TOKENS}", u32::from(found))
        }
        None => "Unexpected end-of-input".to_owned(),
    }
}

/// The offset of the character at a line and column that both count from one (columns in bytes).
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(payload: &[u8]) -> String {
        match check(Some(Bytes::copy_from_slice(payload)), Mode::Synchronous) {
            Err(LambdaError::PayloadNotJson { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn json_of_any_kind_passes_untouched() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["{}", "null", " 1 ", "\"text\"", "[1,2]", "{\"a\":{\"b\":[true]}}", &deep] {
            let payload = Bytes::copy_from_slice(text.as_bytes());
            assert_eq!(check(Some(payload.clone()), Mode::Synchronous).unwrap(), payload);
        }
    }

    #[test]
    fn no_payload_is_an_empty_object() {
        for payload in [None, Some(Bytes::new())] {
            assert_eq!(check(payload, Mode::Event).unwrap().as_ref(), b"{}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_in_the_words_of_aws() {
        assert_eq!(
            reason(b"test data"),
            "Unrecognized token 'test': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n \
             at [Source: (byte[])\"test data\"; line: 1, column: 2]"
        );
        assert!(reason(b"\x97x").starts_with("Invalid UTF-8 start byte 0x97"));
        assert!(reason(b"{\"a\":").starts_with("Unexpected end-of-input"));
        assert!(reason(b"{\"a\":,}").starts_with("Unexpected character (',' (code 44))"));
        assert!(reason(b" ").starts_with("Unexpected end-of-input"));
        for text in [&b"{} {}"[..], b"'a'", b"{a:1}", b"[1,]", b"\"\xff\"", "{\"é\":é}".as_bytes(), b"nul", b"01"] {
            reason(text);
        }
        assert!(reason(&[b'x'; 700]).contains("[truncated 200 bytes]"));
    }

    #[test]
    fn payloads_are_bounded_by_mode() {
        let payload = |bytes: usize| Some(Bytes::from(format!("\"{}\"", "x".repeat(bytes - 2))));
        assert!(check(payload(limits::PAYLOAD_SYNC_BYTES_MAX), Mode::Synchronous).is_ok());
        let error = check(payload(limits::PAYLOAD_SYNC_BYTES_MAX + 1), Mode::Synchronous).unwrap_err();
        assert_eq!(error.to_string(), "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
        assert!(check(payload(limits::PAYLOAD_EVENT_BYTES_MAX), Mode::Event).is_ok());
        let error = check(payload(limits::PAYLOAD_EVENT_BYTES_MAX + 1), Mode::Event).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
        );
        assert!(check(payload(limits::PAYLOAD_INVOKE_ASYNC_BYTES_MAX), Mode::InvokeAsync).is_ok());
        let error = check(payload(limits::PAYLOAD_INVOKE_ASYNC_BYTES_MAX + 1), Mode::InvokeAsync).unwrap_err();
        assert!(error.to_string().ends_with("(limit 262144 bytes)"), "{error}");
    }

    #[test]
    fn a_client_context_is_a_json_object() {
        assert_eq!(client_context(&STANDARD.encode("{\"custom\":{}}")).unwrap(), "{\"custom\":{}}");
        for text in ["string", "", "[]", "1", "{", "\"{}\""] {
            assert!(matches!(client_context(&STANDARD.encode(text)), Err(LambdaError::ClientContextInvalid)), "{text}");
        }
        assert!(matches!(client_context("*"), Err(LambdaError::ClientContextInvalid)));
    }

    #[test]
    fn a_client_context_is_bounded() {
        // 3,580 characters of base64 are the most that fit into 3,583.
        let context = |bytes: usize| STANDARD.encode(format!("{{{}}}", " ".repeat(bytes - 2)));
        assert_eq!(context(2_685).len(), 3_580);
        assert!(client_context(&context(2_685)).is_ok());
        assert!(matches!(client_context(&context(2_688)), Err(LambdaError::ClientContextTooLong)));
    }
}
