//! The filter-pattern language of CloudWatch Logs: text in, a matcher out.
//!
//! Source: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
//!
//! Three forms: terms (`ERROR -DEBUG "exact phrase" %regex%`), JSON (`{ $.level = "error" && $.n > 3 }`) and
//! space-delimited fields (`[ip, ..., status = 4*, bytes]`). What the page leaves open is marked
//! "inferred" where it is decided.

mod cursor;
mod fields;
mod json;
mod regex;
mod terms;
mod value;

use cursor::Cursor;
use fields::Fields;
use json::JsonPattern;
use std::fmt;
use terms::Terms;

/// Longest pattern in characters (the API's limit of `filterPattern`).
pub const PATTERN_CHARACTERS_MAX: usize = 1_024;
/// Most regular expressions in one pattern.
pub const REGEXES_MAX: usize = 2;
/// Most wildcard selectors (`[*]`, `.*`) in one JSON pattern; one selector holds at most one.
pub const WILDCARD_SELECTORS_MAX: usize = 3;
/// Deepest nesting of parentheses.
pub const DEPTH_MAX: usize = 32;

/// A parsed filter pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Everything,
    Terms(Terms),
    Json(JsonPattern),
    Fields(Fields),
}

/// Why a text is no filter pattern: AWS's message for an `InvalidParameterException`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    message: String,
}

impl PatternError {
    fn invalid() -> PatternError {
        PatternError { message: "Invalid filter pattern".to_owned() }
    }

    fn character(term: &str) -> PatternError {
        PatternError { message: format!("Invalid character(s) in term '{term}'") }
    }

    fn unclosed(open: char, close: char) -> PatternError {
        PatternError { message: format!("If a filter pattern starts with '{open}' it must end with '{close}'") }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// The pattern that matches every event.
    pub fn everything() -> Pattern {
        Pattern(Kind::Everything)
    }

    /// Parses a pattern of at most [`PATTERN_CHARACTERS_MAX`] characters. An empty one matches everything.
    ///
    /// Errors carry AWS's message.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.chars().count() > PATTERN_CHARACTERS_MAX {
            return Err(PatternError::invalid());
        }
        let text = text.trim();
        let inner = |open: char, close: char| {
            let rest = text.strip_prefix(open).unwrap_or_default();
            rest.strip_suffix(close).map(Cursor::new).ok_or_else(|| PatternError::unclosed(open, close))
        };
        match text.chars().next() {
            None => Ok(Pattern(Kind::Everything)),
            Some('{') => JsonPattern::parse(&mut inner('{', '}')?).map(|pattern| Pattern(Kind::Json(pattern))),
            Some('[') => Fields::parse(&mut inner('[', ']')?).map(|fields| Pattern(Kind::Fields(fields))),
            Some(_) => Terms::parse(&mut Cursor::new(text)).map(|terms| Pattern(Kind::Terms(terms))),
        }
    }

    /// Whether an event's message matches. Time is linear in the message for each condition.
    pub fn matches(&self, message: &str) -> bool {
        // A function's lines end with a newline, which belongs to no term, field or document.
        let message = message.strip_suffix('\n').unwrap_or(message);
        match &self.0 {
            Kind::Everything => true,
            Kind::Terms(terms) => terms.matches(message),
            Kind::Json(pattern) => pattern.matches(message),
            Kind::Fields(fields) => fields.matches(message),
        }
    }

    /// Whether every message matches, so that a reader need not look at messages.
    pub fn matches_everything(&self) -> bool {
        matches!(self.0, Kind::Everything)
    }
}

/// Prints a pattern that parses to an equal one.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Everything => Ok(()),
            Kind::Terms(terms) => write!(f, "{terms}"),
            Kind::Json(pattern) => write!(f, "{pattern}"),
            Kind::Fields(fields) => write!(f, "{fields}"),
        }
    }
}

#[cfg(test)]
mod tests;
