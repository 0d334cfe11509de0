//! Space-delimited patterns: `[ip, user, ..., request = *html*, status = 4* || status = 500, bytes > 1000]`.

use crate::cursor::Cursor;
use crate::value::{Comparison, Subject};
use crate::{DEPTH_MAX, PatternError, REGEXES_MAX};
use std::fmt;

/// A pattern over the fields of a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields {
    before: Vec<Field>,
    /// The fields after the ellipsis, if there is one.
    after: Option<Vec<Field>>,
}

/// A field by its name (perhaps empty), with its conditions if it has any.
#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    condition: Option<Condition>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Compare(Comparison),
}

impl Fields {
    /// Parses what stands between the brackets.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Fields, PatternError> {
        let mut fields = Fields { before: Vec::new(), after: None };
        let mut regexes = 0;
        loop {
            cursor.skip_spaces();
            if cursor.eat("...") {
                if fields.after.replace(Vec::new()).is_some() {
                    return Err(PatternError::invalid());
                }
            } else {
                let field = Field::parse(cursor)?;
                regexes += field.condition.as_ref().map_or(0, Condition::regexes);
                fields.after.as_mut().unwrap_or(&mut fields.before).push(field);
            }
            cursor.skip_spaces();
            if cursor.at_end() {
                break;
            }
            if !cursor.eat(",") {
                return Err(cursor.unexpected());
            }
        }
        if regexes > REGEXES_MAX {
            return Err(PatternError::invalid());
        }
        Ok(fields)
    }

    /// Without an ellipsis the last field takes the rest of the line, which is why AWS's page asks for "a
    /// blank indicator after the last term".
    pub fn matches(&self, message: &str) -> bool {
        let tokens = tokens(message);
        match &self.after {
            Some(after) => {
                if tokens.len() < self.before.len() + after.len() {
                    return false;
                }
                let tail = &tokens[tokens.len() - after.len()..];
                let pairs = self.before.iter().zip(&tokens).chain(after.iter().zip(tail));
                pairs.into_iter().all(|(field, token)| field.matches(token.text))
            }
            None => {
                let Some((last, leading)) = self.before.split_last() else { return false };
                if tokens.len() < self.before.len() {
                    return false;
                }
                let rest = match &tokens[leading.len()..] {
                    [only] => only.text,
                    [first, ..] => message[first.start..].trim_end(),
                    [] => return false,
                };
                leading.iter().zip(&tokens).all(|(field, token)| field.matches(token.text)) && last.matches(rest)
            }
        }
    }
}

/// A field of a line and where it begins (its quote or bracket included).
struct Token<'a> {
    start: usize,
    text: &'a str,
}

/// Splits at white space; what stands between quotes or square brackets is one field.
fn tokens(message: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(offset) = message[at..].find(|c: char| !c.is_whitespace()) {
        let start = at + offset;
        let rest = &message[start..];
        let close = match rest.as_bytes()[0] {
            b'"' => rest[1..].find('"'),
            b'[' => rest[1..].find(']'),
            _ => None,
        };
        match close {
            Some(length) => {
                tokens.push(Token { start, text: &rest[1..=length] });
                at = start + length + 2;
            }
            None => {
                let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
                tokens.push(Token { start, text: &rest[..length] });
                at = start + length;
            }
        }
    }
    tokens
}

impl Field {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Field, PatternError> {
        if matches!(cursor.peek(), None | Some(',')) {
            return Ok(Field { name: String::new(), condition: None });
        }
        let mut name = None;
        let condition = any(cursor, &mut name, 0)?;
        Ok(Field { name: name.unwrap_or_default(), condition })
    }

    fn matches(&self, text: &str) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.matches(text))
    }
}

/// `None` is a name without a condition, which only stands alone.
fn any(cursor: &mut Cursor<'_>, name: &mut Option<String>, depth: usize) -> Result<Option<Condition>, PatternError> {
    joined(cursor, "||", Condition::Any, |cursor| {
        joined(cursor, "&&", Condition::All, |cursor| primary(cursor, name, depth))
    })
}

fn joined<'a>(
    cursor: &mut Cursor<'a>,
    joint: &str,
    join: fn(Vec<Condition>) -> Condition,
    mut part: impl FnMut(&mut Cursor<'a>) -> Result<Option<Condition>, PatternError>,
) -> Result<Option<Condition>, PatternError> {
    let Some(first) = part(cursor)? else {
        cursor.skip_spaces();
        return if cursor.eat(joint) { Err(PatternError::invalid()) } else { Ok(None) };
    };
    let mut parts = vec![first];
    loop {
        cursor.skip_spaces();
        if !cursor.eat(joint) {
            break;
        }
        parts.push(part(cursor)?.ok_or_else(PatternError::invalid)?);
    }
    Ok(Some(if parts.len() == 1 { parts.remove(0) } else { join(parts) }))
}

fn primary(
    cursor: &mut Cursor<'_>,
    name: &mut Option<String>,
    depth: usize,
) -> Result<Option<Condition>, PatternError> {
    cursor.skip_spaces();
    if cursor.eat("(") {
        if depth >= DEPTH_MAX {
            return Err(PatternError::invalid());
        }
        let inner = any(cursor, name, depth + 1)?.ok_or_else(PatternError::invalid)?;
        cursor.skip_spaces();
        return if cursor.eat(")") { Ok(Some(inner)) } else { Err(cursor.unexpected()) };
    }
    let found = cursor.take_while(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if found.is_empty() {
        return Err(cursor.unexpected());
    }
    // Every condition of a field names that field (AWS refuses another name there).
    if name.get_or_insert_with(|| found.to_owned()) != found {
        return Err(PatternError::invalid());
    }
    cursor.skip_spaces();
    if matches!(cursor.peek(), None | Some(',')) {
        return Ok(None);
    }
    let comparison = Comparison::parse(cursor, |c| !c.is_whitespace() && !",&|()\"%[]".contains(c))?;
    Ok(Some(Condition::Compare(comparison)))
}

impl Condition {
    fn regexes(&self) -> usize {
        match self {
            Condition::Any(parts) | Condition::All(parts) => parts.iter().map(Condition::regexes).sum(),
            Condition::Compare(comparison) => usize::from(comparison.is_regex()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Condition::Any(parts) => parts.iter().any(|part| part.matches(text)),
            Condition::All(parts) => parts.iter().all(|part| part.matches(text)),
            Condition::Compare(comparison) => comparison.matches(&Subject::Field(text)),
        }
    }

    fn write(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, joint) = match self {
            Condition::Any(parts) => (parts, " || "),
            Condition::All(parts) => (parts, " && "),
            Condition::Compare(comparison) => return write!(f, "{name} {comparison}"),
        };
        for (index, part) in parts.iter().enumerate() {
            f.write_str(if index > 0 { joint } else { "" })?;
            if matches!(part, Condition::Compare(_)) {
                part.write(name, f)?;
            } else {
                f.write_str("(")?;
                part.write(name, f)?;
                f.write_str(")")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        let mut first = true;
        let mut part = |f: &mut fmt::Formatter<'_>, field: Option<&Field>| {
            f.write_str(if std::mem::take(&mut first) { "" } else { ", " })?;
            match field {
                None => f.write_str("..."),
                Some(Field { name, condition: None }) => f.write_str(name),
                Some(Field { name, condition: Some(condition) }) => condition.write(name, f),
            }
        };
        self.before.iter().try_for_each(|field| part(f, Some(field)))?;
        if let Some(after) = &self.after {
            part(f, None)?;
            after.iter().try_for_each(|field| part(f, Some(field)))?;
        }
        f.write_str("]")
    }
}
