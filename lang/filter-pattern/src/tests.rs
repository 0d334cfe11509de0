//! The cases of `cases/*.txt` and properties that hold for every text.

use crate::Pattern;
use proptest::prelude::*;

/// A case file: `pattern P` begins a case, `yes M` and `no M` are messages that match or do not, `refused P
/// => message` is a pattern that AWS refuses. A line that begins with `#` is a comment.
fn run(name: &str, text: &str) {
    let mut pattern: Option<(String, Pattern)> = None;
    let mut checks = 0;
    for (number, line) in text.lines().enumerate() {
        let place = format!("{name}:{}", number + 1);
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "pattern" => {
                let parsed = Pattern::parse(rest).unwrap_or_else(|error| panic!("{place}: {rest}: {error}"));
                pattern = Some((rest.to_owned(), parsed));
            }
            "yes" | "no" => {
                let (source, pattern) = pattern.as_ref().unwrap_or_else(|| panic!("{place}: no pattern yet"));
                assert_eq!(pattern.matches(rest), word == "yes", "{place}: {source} against {rest}");
                let printed = pattern.to_string();
                assert_eq!(Pattern::parse(&printed).as_ref(), Ok(pattern), "{place}: {source} printed as {printed}");
            }
            "refused" => {
                let (source, message) = rest.split_once(" => ").unwrap_or_else(|| panic!("{place}: no message"));
                let error = Pattern::parse(source).expect_err(&format!("{place}: {source}"));
                assert_eq!(error.to_string(), message, "{place}: {source}");
            }
            other => panic!("{place}: unknown word {other}"),
        }
        checks += 1;
    }
    assert!(checks > 10, "{name} has lost its cases");
}

#[test]
fn terms() {
    run("terms.txt", include_str!("../cases/terms.txt"));
}

#[test]
fn regexes() {
    run("regexes.txt", include_str!("../cases/regexes.txt"));
}

#[test]
fn json() {
    run("json.txt", include_str!("../cases/json.txt"));
}

#[test]
fn fields() {
    run("fields.txt", include_str!("../cases/fields.txt"));
}

#[test]
fn size_and_depth_are_bounded() {
    assert!(Pattern::parse(&"a".repeat(1_024)).is_ok());
    assert!(Pattern::parse(&"a".repeat(1_025)).is_err());
    let nested = |depth: usize| format!("{{ {}$.a = 1{} }}", "(".repeat(depth), ")".repeat(depth));
    assert!(Pattern::parse(&nested(32)).is_ok());
    assert!(Pattern::parse(&nested(33)).is_err());
    let nested = |depth: usize| format!("[{}a = 1{}]", "(".repeat(depth), ")".repeat(depth));
    assert!(Pattern::parse(&nested(32)).is_ok());
    assert!(Pattern::parse(&nested(33)).is_err());
    assert!(Pattern::parse("%a{65535}{65535}%").is_err(), "the compiled size is bounded");
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(!Pattern::parse("{ $.a = 1 }").unwrap().matches(&deep));
}

#[test]
fn everything_is_told_apart() {
    assert!(Pattern::parse("").unwrap().matches_everything());
    assert!(Pattern::parse("  ").unwrap().matches_everything());
    assert!(!Pattern::parse("a").unwrap().matches_everything());
}

/// Texts that look like patterns, so that the parsers get beyond their first character.
fn patternish() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "$",
        ".",
        "$.a",
        "$.b[0]",
        "[*]",
        ".*",
        "['x y']",
        "=",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "\"",
        "\"a b\"",
        "\"*x\"",
        "\\",
        "%",
        "%a+%",
        "%[^a-c]{2,}%",
        "%\\d|x%",
        "...",
        ",",
        "name",
        "name = 4*",
        "w1",
        "1e3",
        "-1.5",
        "*",
        "?",
        "-",
        "ERROR",
        " ",
        "IS",
        "NULL",
        "NOT",
        "EXISTS",
        "é",
        "0",
        "\\x41",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

fn wrapped() -> impl Strategy<Value = String> {
    (patternish(), 0..3usize).prop_map(|(text, form)| match form {
        0 => text,
        1 => format!("{{{text}}}"),
        _ => format!("[{text}]"),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics(text in ".{0,60}", message in ".{0,60}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            pattern.matches(&message);
        }
    }

    #[test]
    fn what_parses_prints_and_parses_to_the_same(text in wrapped(), message in ".{0,40}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            let printed = pattern.to_string();
            let again = Pattern::parse(&printed);
            prop_assert_eq!(again.as_ref(), Ok(&pattern), "printed as {}", printed);
            prop_assert_eq!(again.unwrap().matches(&message), pattern.matches(&message));
        }
    }

    #[test]
    fn a_quoted_phrase_matches_what_contains_it(phrase in "[ -~]{1,20}", before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
        let quoted = format!("\"{}\"", phrase.replace('\\', "\\\\").replace('"', "\\\""));
        let pattern = Pattern::parse(&quoted).unwrap();
        let message = format!("{before}{phrase}{after}");
        prop_assert!(pattern.matches(&message));
    }

    #[test]
    fn numbers_compare_as_numbers(left in -1_000_000i64..1_000_000, right in -1_000_000i64..1_000_000) {
        let holds = |operator: &str| {
            let message = format!("{{\"n\":{left}}}");
            Pattern::parse(&format!("{{ $.n {operator} {right} }}")).unwrap().matches(&message)
        };
        prop_assert_eq!(holds("<"), left < right);
        prop_assert_eq!(holds("<="), left <= right);
        prop_assert_eq!(holds(">"), left > right);
        prop_assert_eq!(holds(">="), left >= right);
        prop_assert_eq!(holds("="), left == right);
        prop_assert_eq!(holds("!="), left != right);
    }
}
