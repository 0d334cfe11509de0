//! Reads a pattern from left to right.

use crate::PatternError;

/// A position in a pattern.
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text }
    }

    pub fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.rest = &self.rest[character.len_utf8()..];
        Some(character)
    }

    pub fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Consumes `token` if it comes next.
    pub fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Consumes the keyword `word` (any case, inferred) if it comes next and ends there.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let Some(head) = self.rest.get(..word.len()) else { return false };
        let rest = &self.rest[word.len()..];
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if head.eq_ignore_ascii_case(word) && ends {
            self.rest = rest;
            return true;
        }
        false
    }

    /// Consumes the longest run of characters that fit.
    pub fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (head, rest) = self.rest.split_at(end);
        self.rest = rest;
        head
    }

    /// The text of a quoted string whose opening `quote` has been consumed. A backslash takes a quote or
    /// a backslash literally and stands for itself before anything else.
    pub fn quoted(&mut self, quote: char) -> Result<String, PatternError> {
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(PatternError::invalid()),
                Some(c) if c == quote => return Ok(text),
                Some('\\') if matches!(self.peek(), Some(c) if c == quote || c == '\\') => text.extend(self.next()),
                Some(c) => text.push(c),
            }
        }
    }

    /// The source of a regular expression whose opening `%` has been consumed.
    pub fn regex_source(&mut self) -> Result<&'a str, PatternError> {
        let source = self.take_while(|c| c != '%');
        if self.eat("%") { Ok(source) } else { Err(PatternError::invalid()) }
    }

    /// The error for the character that comes next.
    pub fn unexpected(&self) -> PatternError {
        match self.peek() {
            Some(character) => PatternError::character(character.encode_utf8(&mut [0; 4])),
            None => PatternError::invalid(),
        }
    }
}

/// Prints `text` so that [`Cursor::quoted`] reads it back.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}
