//! Markers: where a list goes on. To clients they are opaque.

use crate::error::ParameterError;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest text that a marker stands for, in bytes: a name, a qualifier or a number.
const TEXT_BYTES_MAX: usize = 256;

/// The marker for a list that goes on after `text`.
pub fn marker(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text.as_bytes())
}

/// The text after which a list goes on; an absent or empty marker means from its start.
///
/// Errors: it is none that a list returned.
pub fn after(marker: Option<&str>) -> Result<Option<String>, ParameterError> {
    let Some(marker) = marker.filter(|marker| !marker.is_empty()) else { return Ok(None) };
    let text = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| text.len() <= TEXT_BYTES_MAX).map(Some).ok_or(ParameterError::MarkerInvalid)
}

/// How many items a page has: what was asked for, within the limit.
pub fn page_items(asked: Option<i32>, maximum: i32) -> usize {
    usize::try_from(asked.unwrap_or(maximum).clamp(1, maximum)).expect("it was just clamped to positive numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_lead_back_to_their_text() {
        assert_eq!(after(Some(&marker("PROD"))), Ok(Some("PROD".to_owned())));
        assert_eq!((after(None), after(Some(""))), (Ok(None), Ok(None)));
        for bad in ["*", "/w==", &"A".repeat(400)] {
            assert_eq!(after(Some(bad)), Err(ParameterError::MarkerInvalid));
        }
    }

    #[test]
    fn pages_are_bounded() {
        assert_eq!([None, Some(7), Some(0), Some(1_000)].map(|asked| page_items(asked, 50)), [50, 7, 1, 50]);
    }
}
