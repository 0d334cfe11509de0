//! The model's regular expressions, compiled once each.
//!
//! They are written for Java. Rust's classes `\w`, `\d` and `\s` mean all of Unicode and are spelled out as
//! the ASCII ones that Java means; `$` in Java also matches before a final line feed, but AWS matches whole
//! texts.

use crate::schema::{ServiceModel, Shape, StructureShape};
use fancy_regex::Regex;
use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::{OnceLock, RwLock};

/// One entry for each pattern of the linked models that was ever asked for: bounded by the models.
/// The key is the pattern's address, which is quicker to look up than its text.
type Compiled = RwLock<HashMap<usize, &'static Option<Regex>>>;

/// Whether the whole of `text` matches `pattern`. A pattern that does not compile refuses nothing (the tests
/// of the services see to it that there is none); a match that gives up after too much backtracking fails.
pub fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: OnceLock<Compiled> = OnceLock::new();
    let compiled = COMPILED.get_or_init(Compiled::default);
    let key = pattern.as_ptr().addr();
    let known = compiled.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&key).copied();
    let regex = known.unwrap_or_else(|| {
        let mut compiled = compiled.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        compiled.entry(key).or_insert_with(|| Box::leak(Box::new(compile(pattern).ok())))
    });
    regex.as_ref().is_none_or(|regex| regex.is_match(text).unwrap_or(false))
}

/// Compiles a pattern of a model, anchored on both sides.
fn compile(pattern: &str) -> Result<Regex, String> {
    let anchored = |text: &str| Regex::new(&format!("\\A(?:{text})\\z")).map_err(|error| error.to_string());
    let translated = translate(pattern);
    // Counted repetitions of big classes can be too large for the automaton. Their upper bound is dropped
    // then: nearly every shape that has one says its greatest length as well.
    anchored(&translated).or_else(|_| anchored(&without_large_counts(&translated)))
}

/// The patterns of a model that do not compile, with the reason: for a test of each service, because such a
/// pattern refuses nothing.
pub fn broken_patterns(model: &ServiceModel) -> Vec<String> {
    let mut broken = Vec::new();
    let mut seen: Vec<*const StructureShape> = Vec::new();
    let mut open: Vec<&'static Shape> = Vec::new();
    let mut structures: Vec<&'static StructureShape> =
        model.operations.iter().map(|operation| operation.input).collect();
    while let Some(structure) = structures.pop() {
        if seen.contains(&std::ptr::from_ref(structure)) {
            continue;
        }
        seen.push(structure);
        open.extend(structure.members.iter().map(|member| member.shape));
        while let Some(shape) = open.pop() {
            match shape {
                Shape::Structure(inner) => structures.push(inner),
                Shape::List { item, .. } => open.push(item),
                Shape::Map { key, value, .. } => open.extend([*key, *value]),
                Shape::String { pattern: Some(pattern), .. } => {
                    broken.extend(
                        compile(pattern).err().map(|reason| format!("{}: {pattern}: {reason}", structure.name)),
                    );
                }
                _ => {}
            }
        }
    }
    broken
}

/// All characters beyond the first 65,536, which Java's models write as pairs of surrogates (some of them in
/// the wrong order).
const ASTRAL: [&str; 2] = ["\\uD800\\uDC00-\\uDBFF\\uDFFF", "\\uD800\\uDBFF-\\uDC00\\uDFFF"];

/// Spells a Java pattern for Rust.
fn translate(pattern: &str) -> String {
    let [astral, swapped] = ASTRAL;
    let pattern = pattern.replace(astral, "\\x{10000}-\\x{10FFFF}").replace(swapped, "\\x{10000}-\\x{10FFFF}");
    // A look-ahead that is repeated says the same as one.
    let pattern = pattern.replace("(?!\\.)+", "(?!\\.)");
    let mut text = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                let is_set = escape(&mut letters, in_class, &mut text);
                // In Java a hyphen after a set stands for itself.
                if is_set && in_class && letters.next_if_eq(&'-').is_some() {
                    text.push_str("\\-");
                }
            }
            // A bracket inside a class stands for itself in these models.
            '[' if in_class => text.push_str("\\["),
            '[' | ']' => {
                in_class = letter == '[';
                text.push(letter);
            }
            other => text.push(other),
        }
    }
    text
}

/// Translates what follows a backslash; whether it was a set of characters.
fn escape(letters: &mut Peekable<Chars<'_>>, in_class: bool, text: &mut String) -> bool {
    let Some(letter) = letters.next() else {
        text.push_str("\\\\");
        return false;
    };
    let (is_negative, set) = match letter {
        'w' | 'W' => (letter == 'W', "A-Za-z0-9_"),
        'd' | 'D' => (letter == 'D', "0-9"),
        's' | 'S' => (letter == 'S', " \\t\\n\\x0B\\x0C\\r"),
        'p' | 'P' if letters.peek() == Some(&'{') => {
            let name: String = letters.by_ref().skip(1).take_while(|letter| *letter != '}').collect();
            match java_property(&name) {
                Some(set) => (letter == 'P', set),
                None => {
                    text.push_str(&format!("\\{letter}{{{name}}}"));
                    return true;
                }
            }
        }
        '0' => {
            let digits: String = std::iter::from_fn(|| letters.next_if(|letter| letter.is_digit(8))).take(3).collect();
            text.push_str(&format!("\\x{{{:x}}}", u32::from_str_radix(&digits, 8).unwrap_or_default()));
            return false;
        }
        other => {
            text.push('\\');
            text.push(other);
            return false;
        }
    };
    match (in_class, is_negative) {
        (true, false) => text.push_str(set),
        (_, true) => text.push_str(&format!("[^{set}]")),
        (false, false) => text.push_str(&format!("[{set}]")),
    }
    true
}

/// The sets that Java means by these names: ASCII, where Rust would take all of Unicode or knows no such name.
fn java_property(name: &str) -> Option<&'static str> {
    Some(match name {
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "Alpha" => "A-Za-z",
        "Digit" => "0-9",
        "Alnum" => "A-Za-z0-9",
        "XDigit" => "0-9A-Fa-f",
        "Punct" => "!-/:-@\\[-`{-~",
        "Graph" => "!-~",
        "Print" => " -~",
        "Space" => " \\t\\n\\x0B\\x0C\\r",
        "LD" => "\\p{L}\\p{Nd}",
        "all" => "\\x{0}-\\x{10FFFF}",
        _ => return None,
    })
}

/// `{1,65535}` becomes `{1,}`.
fn without_large_counts(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        text.push('{');
        rest = after;
        let count = after.split_once('}').and_then(|(count, tail)| Some((count.split_once(',')?, tail)));
        if let Some(((least, most), tail)) = count
            && let (Ok(least), Ok(most)) = (least.parse::<u32>(), most.parse::<u32>())
            && most > 100
        {
            text.push_str(&format!("{},}}", least.min(100)));
            rest = tail;
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_match_in_ascii() {
        for (pattern, text, expected) in [
            ("[a-z]+", "abc", true),
            ("[a-z]+", "abc\n", false),
            ("[a-z]+$", "abc\n", false),
            ("a|b", "ab", false),
            ("\\w+", "é", false),
            ("[\\w+=,.@-]+", "a_B9+=,.@-", true),
            ("\\d{12}", "123456789012", true),
            ("\\d{2}", "१२", false),
            ("[\\u0009\\u000A\\u000D\\u0020-\\u00FF]+", "tab\tand é", true),
            ("[\\p{L}\\p{M}\\p{Z}\\p{S}\\p{N}\\p{P}]*", "Grüße, 2×", true),
            ("(?!-)[a-z-]+(?<!-)", "a-b", true),
            ("(?!-)[a-z-]+(?<!-)", "-ab", false),
            ("[^\\s]+", "a b", false),
            ("[\\.\\-_/#A-Za-z0-9]+", "/aws/lambda/x", true),
            ("\\$LATEST", "$LATEST", true),
            (".*", "a\nb", false),
            ("[\\w-.~]+", "a-b.c~", true),
            ("[\\w-/]+", "0", true),
            ("[\\p{L}\\p{N}-_]+", "ä-1_", true),
            ("\\p{XDigit}{4}", "09aF", true),
            ("\\p{XDigit}{4}", "09ag", false),
            ("(\\p{LD}|\\p{Punct}| )+", "Ab 1!]", true),
            ("[^/\\000-\\037]+", "a\u{1f}", false),
            ("[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\r]*", "a😀", true),
            ("(\\/(?!\\.)+[^*/]+){1,4}", "/a/b", true),
            ("(\\/(?!\\.)+[^*/]+){1,4}", "/a/.b", false),
            (".{1,100000}", "a", true),
            (".{1,100000}", "", false),
        ] {
            assert!(compile(pattern).is_ok(), "{pattern}: {:?}", compile(pattern));
            assert_eq!(matches(pattern, text), expected, "{pattern} {text:?}");
        }
    }
}
