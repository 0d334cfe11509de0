//! Texts of a policy with wildcards and policy variables.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html>

use crate::Context;
use std::borrow::Cow;

/// How a text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// `*` and `?` stand for other characters.
    pub wildcards: bool,
    /// `${...}` stands for something else (policies of version 2012-10-17).
    pub variables: bool,
    /// Whether wildcards stop at colons.
    pub colons: Colons,
}

/// Whether wildcards stop at the colons of an ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colons {
    /// A text like any other.
    Free,
    /// Resource elements: in the first five parts a wildcard stays within its part, but for a `*` at the part's end.
    Resource,
    /// ARN operators: each of the six parts is compared for itself.
    Separate,
}

/// A text to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    has_variables: bool,
}

/// Kept as they are written, so that a parsed policy takes about as much memory as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Wild(Wild),
    Variable(Box<Variable>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wild {
    /// `*`
    Any,
    /// `*` that stays within its part of an ARN.
    AnyInPart,
    /// `?`
    One,
    /// `?` that is no colon.
    OneInPart,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    key: String,
    default: Option<String>,
}

/// One step of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    Wild(Wild),
}

/// How many colons an ARN has before its last part.
const ARN_COLONS: usize = 5;

impl Template {
    /// Reads a text.
    pub fn new(text: &str, style: Style) -> Template {
        let mut builder = Builder::default();
        let (mut rest, mut colons) = (text, 0);
        while let Some(first) = rest.chars().next() {
            if let Some((meaning, after)) = style.variables.then(|| variable(rest)).flatten() {
                match meaning {
                    Meaning::Literal(char) => builder.text.push(char),
                    Meaning::Variable(variable) => builder.push(Piece::Variable(Box::new(variable))),
                }
                rest = after;
                continue;
            }
            rest = &rest[first.len_utf8()..];
            colons += usize::from(first == ':');
            let in_part = style.colons != Colons::Free && colons < ARN_COLONS;
            let ends_part = style.colons == Colons::Resource && (rest.is_empty() || rest.starts_with(':'));
            match first {
                '*' if style.wildcards && in_part && !ends_part => builder.push(Piece::Wild(Wild::AnyInPart)),
                '*' if style.wildcards => builder.push(Piece::Wild(Wild::Any)),
                '?' if style.wildcards && in_part => builder.push(Piece::Wild(Wild::OneInPart)),
                '?' if style.wildcards => builder.push(Piece::Wild(Wild::One)),
                other => builder.text.push(other),
            }
        }
        let mut pieces = builder.finish();
        // Several stars in a row are one; so the work of a match stays small.
        pieces.dedup_by(|next, piece| {
            *piece == Piece::Wild(Wild::Any) && matches!(next, Piece::Wild(Wild::Any | Wild::AnyInPart))
        });
        let has_variables = pieces.iter().any(|piece| matches!(piece, Piece::Variable(_)));
        Template { pieces, has_variables }
    }

    /// Whether `text` is what the template describes. A variable that the request does not define makes it match
    /// nothing.
    pub fn matches(&self, text: &str, context: &Context) -> bool {
        self.resolved(context).is_some_and(|pieces| matches(&pieces, text))
    }

    /// Whether the request defines all of its variables.
    pub fn is_defined(&self, context: &Context) -> bool {
        self.resolved(context).is_some()
    }

    /// The template's own text, where it has no wildcards.
    pub fn text(&self, context: &Context) -> Option<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => Some(text.to_string()),
            Piece::Wild(_) | Piece::Variable(_) => None,
        };
        self.resolved(context)?.iter().map(text).collect()
    }

    /// Its variables, for what it may depend on.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(variable.key.as_str()),
            _ => None,
        })
    }

    fn resolved(&self, context: &Context) -> Option<Cow<'_, [Piece]>> {
        if !self.has_variables {
            return Some(Cow::Borrowed(&self.pieces));
        }
        let mut builder = Builder::default();
        for piece in &self.pieces {
            match piece {
                // What a variable stands for is text, wildcards in it included.
                Piece::Variable(variable) => {
                    let value = context.value(&variable.key).or(variable.default.as_deref())?;
                    builder.text.push_str(value);
                }
                Piece::Text(text) => builder.text.push_str(text),
                Piece::Wild(_) => builder.push(piece.clone()),
            }
        }
        Some(Cow::Owned(builder.finish()))
    }
}

/// Gathers text between other pieces.
#[derive(Default)]
struct Builder {
    pieces: Vec<Piece>,
    text: String,
}

impl Builder {
    fn push(&mut self, piece: Piece) {
        self.end_text();
        self.pieces.push(piece);
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.text).into_boxed_str()));
        }
    }

    fn finish(mut self) -> Vec<Piece> {
        self.end_text();
        self.pieces
    }
}

/// What `${...}` stands for.
enum Meaning {
    Literal(char),
    Variable(Variable),
}

/// A variable at the start of `text`, and what follows it. What is no variable is text.
fn variable(text: &str) -> Option<(Meaning, &str)> {
    let (inside, after) = text.strip_prefix("${")?.split_once('}')?;
    let meaning = match inside {
        "*" | "?" | "$" => Meaning::Literal(inside.chars().next()?),
        _ => {
            let (key, default) = match inside.split_once(',') {
                Some((key, default)) => {
                    let default = default.trim().strip_prefix('\'')?.strip_suffix('\'')?;
                    (key.trim(), Some(default.to_owned()))
                }
                None => (inside, None),
            };
            Meaning::Variable(Variable { key: key.to_owned(), default })
        }
    };
    Some((meaning, after))
}

fn matches(pieces: &[Piece], text: &str) -> bool {
    // The plain beginning decides nearly always, and without any memory.
    let (pieces, text) = match pieces.split_first() {
        Some((Piece::Text(beginning), rest)) => match text.strip_prefix(&**beginning) {
            Some(text) => (rest, text),
            None => return false,
        },
        _ => (pieces, text),
    };
    match pieces {
        [] => text.is_empty(),
        [Piece::Wild(Wild::Any)] => true,
        rest => simulate(&tokens(rest), text),
    }
}

fn tokens(pieces: &[Piece]) -> Vec<Token> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => tokens.extend(text.chars().map(Token::Char)),
            Piece::Wild(wild) => tokens.push(Token::Wild(*wild)),
            // None is left: [`Template::resolved`] has put its value in its place.
            Piece::Variable(_) => {}
        }
    }
    tokens
}

/// Follows all ways of matching at once: `is_at[i]` says that what was read so far fits the first `i` tokens.
fn simulate(tokens: &[Token], text: &str) -> bool {
    let mut is_at = vec![false; tokens.len() + 1];
    let mut next = is_at.clone();
    is_at[0] = true;
    skip_stars(tokens, &mut is_at);
    for char in text.chars() {
        next.fill(false);
        for (index, token) in tokens.iter().enumerate().filter(|(index, _)| is_at[*index]) {
            match token {
                Token::Char(expected) => next[index + 1] |= char == *expected,
                Token::Wild(Wild::One) => next[index + 1] = true,
                Token::Wild(Wild::OneInPart) => next[index + 1] |= char != ':',
                Token::Wild(Wild::Any) => next[index] = true,
                Token::Wild(Wild::AnyInPart) => next[index] |= char != ':',
            }
        }
        skip_stars(tokens, &mut next);
        std::mem::swap(&mut is_at, &mut next);
    }
    is_at[tokens.len()]
}

/// A star may stand for nothing.
fn skip_stars(tokens: &[Token], is_at: &mut [bool]) {
    for (index, token) in tokens.iter().enumerate() {
        if is_at[index] && matches!(token, Token::Wild(Wild::Any | Wild::AnyInPart)) {
            is_at[index + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GLOB: Style = Style { wildcards: true, variables: false, colons: Colons::Free };
    const ARN: Style = Style { wildcards: true, variables: true, colons: Colons::Resource };

    fn fits(pattern: &str, style: Style, text: &str) -> bool {
        let mut context = Context::default();
        context.add("aws:username", "ann*");
        context.add("aws:PrincipalTag/team", "blue");
        Template::new(pattern, style).matches(text, &context)
    }

    #[test]
    fn wildcards_stand_for_other_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything:at/all", true),
            ("a*c", "abbbc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("", "", true),
            ("", "a", false),
            ("${aws:username}", "${aws:username}", true),
        ] {
            assert_eq!(fits(pattern, GLOB, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn wildcards_in_arns_stay_within_their_part_unless_they_end_it() {
        let function = "arn:aws:lambda:us-east-1:000000000000:function:thumbs";
        for (pattern, text, expected) in [
            (function, function, true),
            ("arn:aws:lambda:*:*:function:*", function, true),
            ("arn:aws:lambda:us-*-1:000000000000:function:thumbs", function, true),
            ("arn:aws:lambda:us-*t:function:thumbs", function, false),
            ("arn:aws:lam*:function:thumbs", function, true),
            ("arn:aws:lambda:*", function, true),
            ("arn:aws:lambda:us-east-?:000000000000:function:thum?s", function, true),
            ("arn:aws:lambda?us-east-1:000000000000:function:thumbs", function, false),
            (
                "arn:aws:lambda:us-east-1:000000000000:function:th*",
                "arn:aws:lambda:us-east-1:000000000000:function:th:1",
                true,
            ),
            ("arn:aws:lambda:us-east-1:000000000000:func*s", function, true),
            ("arn:aws:lambda:us-east-1:000000000000:function:THUMBS", function, false),
            ("*", "*", true),
            ("*", function, true),
        ] {
            assert_eq!(fits(pattern, ARN, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn variables_stand_for_text() {
        for (pattern, text, expected) in [
            ("user/${aws:username}", "user/ann*", true),
            ("user/${aws:username}", "user/anna", false),
            ("${aws:PrincipalTag/team}-*", "blue-x", true),
            ("${aws:principaltag/TEAM}", "blue", true),
            ("${aws:PrincipalTag/none}", "", false),
            ("${aws:PrincipalTag/none, 'everybody'}", "everybody", true),
            ("${aws:PrincipalTag/team, 'everybody'}", "blue", true),
            ("${aws:PrincipalTag/none,''}x", "x", true),
            ("a${*}b", "a*b", true),
            ("a${*}b", "axb", false),
            ("${?}${$}", "?$", true),
            ("${open", "${open", true),
            ("${aws:a, broken}", "${aws:a, broken}", true),
        ] {
            assert_eq!(fits(pattern, ARN, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_their_number() {
        let pattern = Template::new(&"*a".repeat(3_000), GLOB);
        assert!(!pattern.matches(&"a".repeat(2_900), &Context::default()));
        assert!(fits(&"*".repeat(100_000), GLOB, "x"));
    }

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..])),
            (Some('?'), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(expected), Some(char)) if expected == char => naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_naive_matcher(pattern in "[ab*?]{0,10}", text in "[ab]{0,12}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(fits(&pattern, GLOB, &text), naive(&p, &t));
        }

        #[test]
        fn an_arn_never_matches_more_than_the_same_glob(pattern in "[ab:*?]{0,12}", text in "[ab:]{0,12}") {
            prop_assert!(!fits(&pattern, ARN, &text) || fits(&pattern, GLOB, &text));
        }

        #[test]
        fn it_never_panics(pattern in any::<String>(), text in any::<String>()) {
            fits(&pattern, ARN, &text);
        }
    }
}
