//! Pages of a list: how many items, and where the next page begins.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoles.html> (MaxItems, Marker)

use crate::error::IamError;
use crate::limits::PAGE_ITEMS_DEFAULT;

/// What of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most so many items.
    pub items_max: usize,
    /// Only what comes after this name.
    pub after: Option<String>,
}

impl Page {
    /// Reads `MaxItems` and `Marker`.
    pub fn new(max_items: Option<i32>, marker: Option<&str>) -> Result<Page, IamError> {
        let items_max = max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE_ITEMS_DEFAULT);
        // The wording is inferred.
        let refuse = || IamError::InvalidInput("Invalid Marker.".to_owned());
        let after = marker.map(|marker| unhex(marker).ok_or_else(refuse)).transpose()?;
        Ok(Page { items_max, after })
    }

    /// Whether an item with this name is behind the marker.
    pub fn is_behind(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }
}

/// The marker that continues after `name`.
pub fn marker(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<String> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    });
    String::from_utf8(pairs.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_round_trip() {
        let page = Page::new(Some(5), Some(&marker("a+b=é"))).unwrap();
        assert_eq!(page, Page { items_max: 5, after: Some("a+b=é".to_owned()) });
        assert!(page.is_behind("b") && !page.is_behind("a+b=é"));
        assert_eq!(Page::new(None, None).unwrap().items_max, 100);
    }

    #[test]
    fn foreign_markers_are_refused() {
        for text in ["a", "zz", "é", "ff"] {
            assert!(Page::new(None, Some(text)).is_err(), "{text}");
        }
    }
}
