//! JSON patterns: `{ ($.user.id = 1 || $.tags[*] = "x*") && $.gone NOT EXISTS }`.

use crate::cursor::Cursor;
use crate::value::{Comparison, Number, Subject};
use crate::{DEPTH_MAX, PatternError, REGEXES_MAX, WILDCARD_SELECTORS_MAX};
use serde_json::Value as Json;
use std::fmt;

/// A pattern over JSON events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonPattern(Expression);

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Any(Vec<Expression>),
    All(Vec<Expression>),
    Condition(Vec<Step>, Test),
}

/// A step of a property selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    /// `.*`: every member of an object.
    AnyMember,
    /// `[*]`: every element of an array.
    AnyElement,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Compare(Comparison),
    IsNull,
    IsTrue,
    IsFalse,
    NotExists,
}

impl JsonPattern {
    /// Parses what stands between the braces.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<JsonPattern, PatternError> {
        let expression = any(cursor, 0)?;
        cursor.skip_spaces();
        if !cursor.at_end() {
            return Err(cursor.unexpected());
        }
        let (mut regexes, mut wildcards) = (0, 0);
        expression.count(&mut regexes, &mut wildcards);
        if regexes > REGEXES_MAX || wildcards > WILDCARD_SELECTORS_MAX {
            return Err(PatternError::invalid());
        }
        Ok(JsonPattern(expression))
    }

    /// An event that is no JSON object or array does not match.
    pub fn matches(&self, message: &str) -> bool {
        if !message.trim_start().starts_with(['{', '[']) {
            return false;
        }
        serde_json::from_str(message).is_ok_and(|document: Json| self.0.matches(&document))
    }
}

fn any(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, PatternError> {
    let first = all(cursor, depth)?;
    let mut parts = vec![first];
    while next_is(cursor, "||") {
        parts.push(all(cursor, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
}

fn all(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, PatternError> {
    let first = primary(cursor, depth)?;
    let mut parts = vec![first];
    while next_is(cursor, "&&") {
        parts.push(primary(cursor, depth)?);
    }
    Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
}

fn next_is(cursor: &mut Cursor<'_>, token: &str) -> bool {
    cursor.skip_spaces();
    cursor.eat(token)
}

fn primary(cursor: &mut Cursor<'_>, depth: usize) -> Result<Expression, PatternError> {
    if next_is(cursor, "(") {
        if depth >= DEPTH_MAX {
            return Err(PatternError::invalid());
        }
        let inner = any(cursor, depth + 1)?;
        return if next_is(cursor, ")") { Ok(inner) } else { Err(cursor.unexpected()) };
    }
    let steps = selector(cursor)?;
    cursor.skip_spaces();
    let test = if cursor.eat_word("IS") {
        cursor.skip_spaces();
        match () {
            () if cursor.eat_word("NULL") => Test::IsNull,
            () if cursor.eat_word("TRUE") => Test::IsTrue,
            () if cursor.eat_word("FALSE") => Test::IsFalse,
            // `IS NOT` is documented as not supported.
            () => return Err(PatternError::invalid()),
        }
    } else if cursor.eat_word("NOT") {
        cursor.skip_spaces();
        if !cursor.eat_word("EXISTS") {
            return Err(PatternError::invalid());
        }
        Test::NotExists
    } else {
        // `EXISTS` alone is documented as not supported; `= *` says it.
        Test::Compare(Comparison::parse(cursor, |c| !c.is_whitespace() && !"&|()\"%{}".contains(c))?)
    };
    Ok(Expression::Condition(steps, test))
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Vec<Step>, PatternError> {
    if !cursor.eat("$") {
        return Err(cursor.unexpected());
    }
    let mut steps = Vec::new();
    loop {
        let dot = cursor.eat(".");
        if cursor.eat("[") {
            steps.push(bracket(cursor)?);
        } else if dot && cursor.eat("*") {
            steps.push(Step::AnyMember);
        } else if dot {
            match cursor.take_while(|c| c.is_alphanumeric() || c == '_' || c == '-') {
                "" => return Err(cursor.unexpected()),
                name => steps.push(Step::Name(name.to_owned())),
            }
        } else {
            break;
        }
    }
    let wildcards = steps.iter().filter(|step| step.is_wildcard()).count();
    if steps.is_empty() || wildcards > 1 {
        return Err(PatternError::invalid());
    }
    Ok(steps)
}

/// What stands in a selector's brackets, whose `[` has been consumed.
fn bracket(cursor: &mut Cursor<'_>) -> Result<Step, PatternError> {
    cursor.skip_spaces();
    let step = match cursor.peek() {
        Some(quote @ ('\'' | '"')) => {
            cursor.next();
            Step::Name(cursor.quoted(quote)?)
        }
        Some('*') => {
            cursor.next();
            Step::AnyElement
        }
        _ => {
            let digits = cursor.take_while(|c| c.is_ascii_digit());
            Step::Index(digits.parse().map_err(|_| cursor.unexpected())?)
        }
    };
    cursor.skip_spaces();
    if cursor.eat("]") { Ok(step) } else { Err(cursor.unexpected()) }
}

impl Step {
    fn is_wildcard(&self) -> bool {
        matches!(self, Step::AnyMember | Step::AnyElement)
    }
}

impl Expression {
    fn count(&self, regexes: &mut usize, wildcards: &mut usize) {
        match self {
            Expression::Any(parts) | Expression::All(parts) => {
                parts.iter().for_each(|part| part.count(regexes, wildcards));
            }
            Expression::Condition(steps, test) => {
                *wildcards += usize::from(steps.iter().any(Step::is_wildcard));
                *regexes += usize::from(matches!(test, Test::Compare(comparison) if comparison.is_regex()));
            }
        }
    }

    fn matches(&self, document: &Json) -> bool {
        match self {
            Expression::Any(parts) => parts.iter().any(|part| part.matches(document)),
            Expression::All(parts) => parts.iter().all(|part| part.matches(document)),
            Expression::Condition(steps, Test::NotExists) => !some(document, steps, &|_| true),
            Expression::Condition(steps, test) => some(document, steps, &|value| test.matches(value)),
        }
    }
}

/// Whether one of the values that `steps` select fits. The steps are bounded by the pattern's length.
fn some(value: &Json, steps: &[Step], fits: &dyn Fn(&Json) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else { return fits(value) };
    match (step, value) {
        (Step::Name(name), Json::Object(members)) => members.get(name).is_some_and(|value| some(value, rest, fits)),
        (Step::Index(index), Json::Array(items)) => items.get(*index).is_some_and(|value| some(value, rest, fits)),
        (Step::AnyMember, Json::Object(members)) => members.values().any(|value| some(value, rest, fits)),
        (Step::AnyElement, Json::Array(items)) => items.iter().any(|value| some(value, rest, fits)),
        _ => false,
    }
}

impl Test {
    /// A selector that points to an array or object matches no comparison, not even `!=`. So does `null`
    /// (inferred).
    fn matches(&self, value: &Json) -> bool {
        match (self, value) {
            (Test::IsNull, value) => value.is_null(),
            (Test::IsTrue, value) => *value == Json::Bool(true),
            (Test::IsFalse, value) => *value == Json::Bool(false),
            (Test::NotExists, _) => false,
            (Test::Compare(comparison), Json::String(text)) => comparison.matches(&Subject::Text(text)),
            (Test::Compare(comparison), Json::Bool(value)) => {
                comparison.matches(&Subject::Text(if *value { "true" } else { "false" }))
            }
            (Test::Compare(comparison), Json::Number(number)) => {
                let text = number.to_string();
                let integer = number.as_i64().map(Number::Integer);
                let number = integer.or_else(|| number.as_f64().map(Number::Float));
                number.is_some_and(|number| comparison.matches(&Subject::Number(number, &text)))
            }
            (Test::Compare(_), Json::Null | Json::Array(_) | Json::Object(_)) => false,
        }
    }
}

impl fmt::Display for JsonPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ {} }}", self.0)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, joint) = match self {
            Expression::Any(parts) => (parts, " || "),
            Expression::All(parts) => (parts, " && "),
            Expression::Condition(steps, test) => {
                f.write_str("$")?;
                steps.iter().try_for_each(|step| write!(f, "{step}"))?;
                return write!(f, " {test}");
            }
        };
        for (index, part) in parts.iter().enumerate() {
            f.write_str(if index > 0 { joint } else { "" })?;
            match part {
                Expression::Condition(..) => write!(f, "{part}")?,
                _ => write!(f, "({part})")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Name(name)
                if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') =>
            {
                write!(f, ".{name}")
            }
            Step::Name(name) => write!(f, ".['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::AnyMember => f.write_str(".*"),
            Step::AnyElement => f.write_str("[*]"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Compare(comparison) => write!(f, "{comparison}"),
            Test::IsNull => f.write_str("IS NULL"),
            Test::IsTrue => f.write_str("IS TRUE"),
            Test::IsFalse => f.write_str("IS FALSE"),
            Test::NotExists => f.write_str("NOT EXISTS"),
        }
    }
}
