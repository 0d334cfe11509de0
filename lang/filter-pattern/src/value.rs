//! The right side of a condition, shared by JSON and space-delimited patterns.

use crate::PatternError;
use crate::cursor::{Cursor, quote};
use crate::regex::Regex;
use std::cmp::Ordering;
use std::fmt;

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Operator, PatternError> {
        // The longer spellings first.
        const SPELLINGS: [(&str, Operator); 6] = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let found = SPELLINGS.into_iter().find(|(spelling, _)| cursor.eat(spelling));
        found.map(|(_, operator)| operator).ok_or_else(|| cursor.unexpected())
    }

    fn spelling(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        }
    }

    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelling())
    }
}

/// A number, exact where it is an integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    /// An integer or decimal with an optional sign, or one in scientific notation.
    pub fn parse(text: &str) -> Option<Number> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Number::Integer(integer));
        }
        text.parse().ok().filter(|number: &f64| number.is_finite()).map(Number::Float)
    }

    fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Integer(a), Number::Integer(b)) => Some(a.cmp(&b)),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()),
        }
    }

    fn as_f64(self) -> f64 {
        match self {
            Number::Integer(integer) => integer as f64,
            Number::Float(float) => float,
        }
    }
}

/// What a condition compares with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number as it was written.
    Number(String, Number),
    /// A text. An asterisk at its beginning or end stands for any characters; one in the middle is a plain
    /// asterisk (so an earlier edition of AWS's page).
    Text(String),
    Regex(Regex),
}

/// What a condition looks at.
pub(crate) enum Subject<'a> {
    /// A JSON number with its spelling.
    Number(Number, &'a str),
    /// A JSON string or boolean.
    Text(&'a str),
    /// A field of a line, which is a number if it reads as one.
    Field(&'a str),
}

/// An operator with its right side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub operator: Operator,
    pub value: Value,
}

impl Comparison {
    /// Reads operator and value. `is_bare` says which characters a value without quotes may have.
    pub fn parse(cursor: &mut Cursor<'_>, is_bare: impl Fn(char) -> bool) -> Result<Comparison, PatternError> {
        cursor.skip_spaces();
        let operator = Operator::parse(cursor)?;
        cursor.skip_spaces();
        let value = if cursor.eat("\"") {
            Value::Text(cursor.quoted('"')?)
        } else if cursor.eat("%") {
            Value::Regex(Regex::parse(cursor.regex_source()?)?)
        } else {
            match cursor.take_while(is_bare) {
                "" => return Err(cursor.unexpected()),
                text => match Number::parse(text) {
                    Some(number) => Value::Number(text.to_owned(), number),
                    None => Value::Text(text.to_owned()),
                },
            }
        };
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !equality && !matches!(value, Value::Number(..)) {
            return Err(PatternError::invalid());
        }
        Ok(Comparison { operator, value })
    }

    pub fn is_regex(&self) -> bool {
        matches!(self.value, Value::Regex(_))
    }

    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let equality = matches!(self.operator, Operator::Equal | Operator::NotEqual);
        if equality {
            return self.value.equals(subject) == (self.operator == Operator::Equal);
        }
        let number = match subject {
            Subject::Number(number, _) => Some(*number),
            Subject::Field(text) => Number::parse(text),
            Subject::Text(_) => None,
        };
        match (&self.value, number) {
            (Value::Number(_, wanted), Some(number)) => {
                number.compare(*wanted).is_some_and(|ordering| self.operator.accepts(ordering))
            }
            _ => false,
        }
    }
}

impl Value {
    fn equals(&self, subject: &Subject<'_>) -> bool {
        let (number, text) = match subject {
            Subject::Number(number, text) => (Some(*number), *text),
            Subject::Field(text) => (Number::parse(text), *text),
            Subject::Text(text) => (None, *text),
        };
        match self {
            Value::Number(spelling, wanted) => {
                text == spelling || number.is_some_and(|number| number.compare(*wanted) == Some(Ordering::Equal))
            }
            Value::Text(pattern) => wildcard(pattern, text),
            Value::Regex(regex) => regex.is_match(text),
        }
    }
}

fn wildcard(pattern: &str, text: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => text.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(suffix), None) => text.ends_with(suffix),
        (None, Some(prefix)) => text.starts_with(prefix),
        (None, None) => text == pattern,
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Number(text, _) => write!(f, "{} {text}", self.operator),
            Value::Text(text) => write!(f, "{} {}", self.operator, quote(text)),
            Value::Regex(regex) => write!(f, "{} {regex}", self.operator),
        }
    }
}
