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

    /// This page of `items`, which are in the order of `key`.
    pub fn cut<I>(&self, items: Vec<I>, key: impl Fn(&I) -> String) -> Listed<I> {
        let is_behind = |item: &I| self.after.as_deref().is_none_or(|after| key(item).as_str() > after);
        let mut items: Vec<I> = items.into_iter().filter(is_behind).collect();
        let is_truncated = items.len() > self.items_max;
        items.truncate(self.items_max);
        let last = items.last().map(|item| marker(&key(item)));
        Listed { items, marker: last.filter(|_| is_truncated) }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<I> {
    /// The items.
    pub items: Vec<I>,
    /// Where the next page begins, if there is one.
    pub marker: Option<String>,
}

impl<I> Listed<I> {
    /// The value of `IsTruncated`.
    pub fn is_truncated(&self) -> Option<bool> {
        Some(self.marker.is_some())
    }

    /// The same page of other items.
    pub fn map<J>(self, change: impl FnMut(I) -> J) -> Listed<J> {
        Listed { items: self.items.into_iter().map(change).collect(), marker: self.marker }
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
        assert_eq!(Page::new(None, None).unwrap().items_max, 100);
    }

    #[test]
    fn pages_are_cut_at_markers() {
        let letters = || ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        let cut = |max, marker: Option<&str>| Page::new(Some(max), marker).unwrap().cut(letters(), String::clone);
        let first = cut(3, None);
        assert_eq!((first.items.join(""), first.is_truncated()), ("abc".to_owned(), Some(true)));
        let second = cut(3, first.marker.as_deref());
        assert_eq!((second.items.join(""), second.marker), ("de".to_owned(), None));
        assert_eq!(cut(5, None).marker, None);
        // What was removed between two pages does not matter.
        assert_eq!(cut(1, Some(&marker("bb"))).items, ["c"]);
    }

    #[test]
    fn foreign_markers_are_refused() {
        for text in ["a", "zz", "é", "ff"] {
            assert!(Page::new(None, Some(text)).is_err(), "{text}");
        }
    }
}
