//! Percent-encoding: paths, queries and forms.

use std::borrow::Cow;

/// A text that is not well-formed: a `%` without two hexadecimal digits, or bytes that are no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Decodes a path segment. A plus sign stands for itself.
pub fn decode_segment(text: &str) -> Result<Cow<'_, str>, Malformed> {
    decode(text, false)
}

/// Decodes a key or value of a query or form. A plus sign stands for a space.
pub fn decode_pair_part(text: &str) -> Result<Cow<'_, str>, Malformed> {
    decode(text, true)
}

/// The pairs of a query or form, decoded, in their order. A key without `=` has an empty value.
pub fn pairs(text: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), Malformed>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode_pair_part(key)?, decode_pair_part(value)?))
    })
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, Malformed> {
    if !text.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (bytes.next().and_then(hex_digit), bytes.next().and_then(hex_digit));
                high.ok_or(Malformed)? << 4 | low.ok_or(Malformed)?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| Malformed)
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_decode() {
        assert_eq!(decode_segment("arn%3Aaws%3alambda").unwrap(), "arn:aws:lambda");
        assert_eq!(decode_segment("a+b%20c").unwrap(), "a+b c");
        assert_eq!(decode_segment("%C3%A9").unwrap(), "é");
        for text in ["%", "%4", "%zz", "a%", "%ff"] {
            assert_eq!(decode_segment(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn pairs_decode() {
        let found: Vec<_> = pairs("a=1+2&&b&c=%26=").map(Result::unwrap).collect();
        let expected = [("a", "1 2"), ("b", ""), ("c", "&=")];
        assert!(found.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).eq(expected));
        assert!(pairs("a=%g0").any(|pair| pair.is_err()));
    }
}
