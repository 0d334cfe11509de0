//! Terms over unstructured text: `ERROR "exact phrase" -DEBUG ?a ?b %regex%`.

use crate::cursor::{Cursor, quote};
use crate::regex::Regex;
use crate::{PatternError, REGEXES_MAX};
use std::fmt;

/// A pattern of terms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Terms(Vec<(Role, Term)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Must occur.
    Include,
    /// Must not occur.
    Exclude,
    /// One of these must occur; ignored beside terms of another role.
    Optional,
}

#[derive(Debug, Clone, PartialEq)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn matches(&self, message: &str) -> bool {
        match self {
            // A phrase of blanks is AWS's "match everything".
            Term::Text(text) => text.trim().is_empty() || message.contains(text.as_str()),
            Term::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Terms, PatternError> {
        let mut terms = Vec::new();
        let mut regexes = 0;
        cursor.skip_spaces();
        while !cursor.at_end() {
            let role = match cursor.peek() {
                Some('-') => Role::Exclude,
                Some('?') => Role::Optional,
                _ => Role::Include,
            };
            if role != Role::Include {
                cursor.next();
                cursor.skip_spaces();
            }
            let term = term(cursor)?;
            if matches!(term, Term::Regex(_)) {
                regexes += 1;
            }
            if regexes > REGEXES_MAX {
                return Err(PatternError::invalid());
            }
            if !matches!(cursor.peek(), None | Some(' ' | '\t' | '\r' | '\n')) {
                return Err(cursor.unexpected());
            }
            terms.push((role, term));
            cursor.skip_spaces();
        }
        Ok(Terms(terms))
    }

    pub fn matches(&self, message: &str) -> bool {
        let of = |role: Role| self.0.iter().filter(move |(r, _)| *r == role).map(|(_, term)| term);
        let only_optional = self.0.iter().all(|(role, _)| *role == Role::Optional);
        if only_optional {
            return of(Role::Optional).any(|term| term.matches(message));
        }
        of(Role::Include).all(|term| term.matches(message)) && !of(Role::Exclude).any(|term| term.matches(message))
    }
}

/// Characters of a term without quotes: letters, digits and underscore as documented; the others inferred
/// from what AWS refuses (`: , ( [ * \ ' "`) and what not.
fn is_bare(character: char) -> bool {
    character.is_alphanumeric() || "_-./#=@;".contains(character)
}

fn term(cursor: &mut Cursor<'_>) -> Result<Term, PatternError> {
    if cursor.eat("\"") {
        return cursor.quoted('"').map(Term::Text);
    }
    if cursor.eat("%") {
        return cursor.regex_source().and_then(Regex::parse).map(Term::Regex);
    }
    match cursor.take_while(is_bare) {
        "" => Err(cursor.unexpected()),
        text => Ok(Term::Text(text.to_owned())),
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (role, term)) in self.0.iter().enumerate() {
            let space = if index > 0 { " " } else { "" };
            let prefix = match role {
                Role::Include => "",
                Role::Exclude => "-",
                Role::Optional => "?",
            };
            match term {
                Term::Text(text) => write!(f, "{space}{prefix}{}", quote(text))?,
                Term::Regex(regex) => write!(f, "{space}{prefix}{regex}")?,
            }
        }
        Ok(())
    }
}
