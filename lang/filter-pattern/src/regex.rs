//! Regular expressions between percent signs: AWS's small subset, checked and translated to an engine that
//! matches in linear time.
//!
//! Letters, digits, the symbols `: _ # = @ / ; , -` and space; operators `^ $ ? [ ] { } | \ * + .`; no
//! parentheses, no multi-byte characters. `\d \s \w` and their opposites are ASCII, `\xhh` is a character
//! by its code.

use crate::PatternError;
use crate::cursor::Cursor;
use std::fmt;

/// Largest memory of one compiled expression in bytes; a larger one is refused.
const COMPILED_BYTES_MAX: usize = 1_048_576;

/// A checked and compiled expression.
#[derive(Clone)]
pub(crate) struct Regex {
    source: String,
    compiled: fancy_regex::Regex,
}

impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}%", self.source)
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}%", self.source)
    }
}

impl Regex {
    /// Checks and compiles the text between the percent signs.
    pub fn parse(source: &str) -> Result<Regex, PatternError> {
        if source.is_empty() {
            return Err(PatternError::invalid());
        }
        let translated = translate(source)?;
        let compiled = fancy_regex::RegexBuilder::new(&translated)
            .delegate_size_limit(COMPILED_BYTES_MAX)
            .delegate_dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|_| PatternError::invalid())?;
        Ok(Regex { source: source.to_owned(), compiled })
    }

    /// Whether it occurs in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        // The subset has no construct that can fail at run time.
        self.compiled.is_match(text).unwrap_or(false)
    }
}

fn is_symbol(character: char) -> bool {
    character.is_ascii_alphanumeric() || ":_#=@/;,- ".contains(character)
}

fn translate(source: &str) -> Result<String, PatternError> {
    let mut cursor = Cursor::new(source);
    let mut out = String::with_capacity(source.len() * 2);
    while let Some(character) = cursor.next() {
        match character {
            '\\' => escape(&mut cursor, &mut out, false)?,
            '[' => class(&mut cursor, &mut out)?,
            '{' => repetition(&mut cursor, &mut out)?,
            '^' | '$' | '?' | '|' | '*' | '+' | '.' => out.push(character),
            ']' | '}' => push_literal(&mut out, character),
            other if is_symbol(other) => push_literal(&mut out, other),
            other => return Err(PatternError::character(other.encode_utf8(&mut [0; 4]))),
        }
    }
    Ok(out)
}

/// A character by its code, which needs no knowledge of what the engine finds special.
fn push_literal(out: &mut String, character: char) {
    if character.is_ascii_alphanumeric() {
        out.push(character);
    } else {
        out.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
    }
}

/// What follows a backslash.
fn escape(cursor: &mut Cursor<'_>, out: &mut String, in_class: bool) -> Result<(), PatternError> {
    let class = |name: char| match name {
        'd' => Some(("0-9", false)),
        'D' => Some(("0-9", true)),
        's' => Some((" \\t\\n\\x0b\\x0c\\r", false)),
        'S' => Some((" \\t\\n\\x0b\\x0c\\r", true)),
        'w' => Some(("a-zA-Z_0-9", false)),
        'W' => Some(("a-zA-Z_0-9", true)),
        _ => None,
    };
    let Some(character) = cursor.next() else { return Err(PatternError::character("\\")) };
    if let Some((members, negated)) = class(character) {
        match (in_class, negated) {
            (true, false) => out.push_str(members),
            (_, true) => out.push_str(&format!("[^{members}]")),
            (false, false) => out.push_str(&format!("[{members}]")),
        }
        return Ok(());
    }
    match character {
        'x' => {
            let code = hexadecimal(cursor)?;
            push_literal(out, code);
            Ok(())
        }
        other if "^$?[]{}|\\*+.".contains(other) || (is_symbol(other) && !other.is_ascii_alphanumeric()) => {
            push_literal(out, other);
            Ok(())
        }
        other => Err(PatternError::character(&format!("\\{other}"))),
    }
}

/// The ASCII character of two hexadecimal digits.
fn hexadecimal(cursor: &mut Cursor<'_>) -> Result<char, PatternError> {
    let mut digit = || cursor.next().and_then(|c| c.to_digit(16)).ok_or_else(PatternError::invalid);
    let code = digit()? * 16 + digit()?;
    char::from_u32(code).filter(char::is_ascii).ok_or_else(PatternError::invalid)
}

/// A character class whose `[` has been consumed.
fn class(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), PatternError> {
    out.push('[');
    if cursor.eat("^") {
        out.push('^');
    }
    let mut empty = true;
    loop {
        match cursor.next() {
            None => return Err(PatternError::invalid()),
            Some(']') if !empty => break,
            Some(']') => return Err(PatternError::invalid()),
            Some('\\') => escape(cursor, out, true)?,
            Some(first) => {
                check_class_member(first)?;
                push_literal(out, first);
                class_range(cursor, out)?;
            }
        }
        empty = false;
    }
    out.push(']');
    Ok(())
}

/// The `-z` of `a-z`, if it comes next. A hyphen before the closing bracket is a hyphen.
fn class_range(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), PatternError> {
    if cursor.peek() != Some('-') {
        return Ok(());
    }
    cursor.next();
    match cursor.peek() {
        Some(']') | None => push_literal(out, '-'),
        Some('\\') => {
            cursor.next();
            out.push('-');
            escape(cursor, out, true)?;
        }
        Some(last) => {
            check_class_member(last)?;
            cursor.next();
            out.push('-');
            push_literal(out, last);
        }
    }
    Ok(())
}

fn check_class_member(character: char) -> Result<(), PatternError> {
    let fits = is_symbol(character) || "^$?[{}|*+.".contains(character);
    if fits { Ok(()) } else { Err(PatternError::character(character.encode_utf8(&mut [0; 4]))) }
}

/// A repetition whose `{` has been consumed: `{m}`, `{m,}`, `{,n}`, `{m,n}`, spaces allowed.
fn repetition(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), PatternError> {
    fn number(cursor: &mut Cursor<'_>) -> Result<Option<u16>, PatternError> {
        cursor.skip_spaces();
        let digits = cursor.take_while(|c| c.is_ascii_digit());
        cursor.skip_spaces();
        if digits.is_empty() {
            return Ok(None);
        }
        digits.parse().map(Some).map_err(|_| PatternError::invalid())
    }
    let least = number(cursor)?;
    let comma = cursor.eat(",");
    let most = if comma { number(cursor)? } else { None };
    if !cursor.eat("}") {
        return Err(PatternError::invalid());
    }
    match (least, comma, most) {
        (Some(least), false, _) => out.push_str(&format!("{{{least}}}")),
        (Some(least), true, None) => out.push_str(&format!("{{{least},}}")),
        (least, true, Some(most)) if least.unwrap_or(0) <= most => {
            out.push_str(&format!("{{{},{most}}}", least.unwrap_or(0)));
        }
        _ => return Err(PatternError::invalid()),
    }
    Ok(())
}
