//! The model's constraints, refused in AWS's words.
//!
//! `2 validation errors detected: Value 'x' at 'tags.1.member.key' failed to satisfy constraint: Member
//! must ...; Value ...`: scalars of a structure are reported one by one, those of a list or map
//! together with all constraints of the item, as Lambda, CloudWatch Logs and IAM do.

use crate::pattern;
use crate::schema::{ConstraintKind, MemberShape, OperationModel, ServiceModel, Shape, StructureShape, Wording};
use gust_types::{AwsError, Doc};
use std::fmt::Write;

/// How many violations one message lists: a bound on the work for a hostile request.
const VIOLATIONS_MAX: usize = 100;

/// One broken constraint.
struct Violation {
    /// The member as AWS prints it, for example `functionName` or `tags.1.member.key`.
    path: String,
    kind: ConstraintKind,
    /// The value as AWS prints it; `None` if it is absent or must not be repeated.
    value: Option<String>,
    /// The permitted values of an enum as AWS prints them.
    values: String,
    /// The whole sentence.
    message: String,
}

/// Checks an input against the constraints of its model.
///
/// The error has the service's own code for it (`ValidationException`, `InvalidParameterException`,
/// `ValidationError`) and lists everything that is wrong. What the operation words in its own way (see
/// [`Wording`]) is checked by AWS behind that common check, so it is reported only if nothing else is wrong.
pub fn validate(model: &ServiceModel, operation: &OperationModel, input: &Doc) -> Result<(), AwsError> {
    let mut found = Found { path: String::new(), violations: Vec::new() };
    found.structure(operation.input, input);
    if found.violations.is_empty() {
        return Ok(());
    }
    let (worded, common): (Vec<_>, Vec<_>) = found
        .violations
        .into_iter()
        .map(|violation| (wording(operation, &violation), violation))
        .partition(|(wording, _)| wording.is_some());
    match worded.into_iter().next() {
        Some((Some(wording), violation)) if common.is_empty() => Err(worded_error(wording, &violation)),
        _ => Err(common_error(model, common.iter().map(|(_, violation)| violation.message.as_str()).collect())),
    }
}

fn common_error(model: &ServiceModel, sentences: Vec<&str>) -> AwsError {
    let errors = if sentences.len() == 1 { "error" } else { "errors" };
    let message = format!("{} validation {errors} detected: {}", sentences.len(), sentences.join("; "));
    AwsError::sender(model.validation_code, 400, message)
}

fn worded_error(wording: &Wording, violation: &Violation) -> AwsError {
    let message = wording
        .message
        .replace("{values}", &violation.values)
        .replace("{value}", violation.value.as_deref().unwrap_or("null"));
    AwsError::sender(wording.code, 400, message)
}

fn wording(operation: &OperationModel, violation: &Violation) -> Option<&'static Wording> {
    // `tags.1.member.key` is the member `Tags.Key`.
    let parts = || {
        violation.path.split('.').filter(|part| *part != "member" && !part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let fits = |wording: &&Wording| {
        wording.constraint == violation.kind && wording.member.split('.').map(lower_first).eq(parts())
    };
    operation.wordings.iter().find(fits)
}

struct Found {
    path: String,
    violations: Vec<Violation>,
}

impl Found {
    fn structure(&mut self, shape: &StructureShape, value: &Doc) {
        for member in shape.members {
            match value.get(member.name) {
                Some(value) => self.below(&lower_first(member.name), |found| found.value(member.shape, value)),
                None if member.required => self.missing(member),
                None => {}
            }
        }
    }

    fn missing(&mut self, member: &MemberShape) {
        self.below(&lower_first(member.name), |found| {
            let path = found.path.clone();
            let message = format!("Value null at '{path}' failed to satisfy constraint: Member must not be null");
            found.push(Violation { path, kind: ConstraintKind::Required, value: None, values: String::new(), message });
        });
    }

    fn below(&mut self, part: &str, visit: impl FnOnce(&mut Found)) {
        let length = self.path.len();
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(part);
        visit(self);
        self.path.truncate(length);
    }

    fn value(&mut self, shape: &Shape, value: &Doc) {
        match (shape, value) {
            (Shape::Structure(shape), _) => self.structure(shape, value),
            (Shape::List { item, .. }, Doc::List(items)) => {
                self.own_constraints(shape, value);
                self.items(shape, value, item, items);
            }
            (Shape::Map { key, value: item, .. }, Doc::Map(entries)) => {
                self.own_constraints(shape, value);
                self.entries(shape, value, key, item, entries);
            }
            _ => self.own_constraints(shape, value),
        }
    }

    fn own_constraints(&mut self, shape: &Shape, value: &Doc) {
        // The common case first: nothing is built unless something is wrong.
        for broken in constraints(shape).filter(|constraint| !constraint.holds(value)) {
            self.broken(shape, value, broken.kind(), &broken.sentence());
        }
    }

    fn items(&mut self, shape: &Shape, value: &Doc, item: &Shape, items: &[Doc]) {
        if is_container(item) {
            for (index, inner) in items.iter().enumerate() {
                self.below(&format!("{}.member", index + 1), |found| found.value(item, inner));
            }
        } else if items.iter().any(|inner| !satisfies(item, inner)) {
            self.broken(
                shape,
                value,
                ConstraintKind::Items,
                &format!("Member must satisfy constraint: [{}]", sentences(item)),
            );
        }
    }

    fn entries(&mut self, shape: &Shape, value: &Doc, key: &Shape, item: &Shape, entries: &[(String, Doc)]) {
        if entries.iter().any(|(name, _)| !satisfies(key, &Doc::String(name.clone()))) {
            self.broken(
                shape,
                value,
                ConstraintKind::Items,
                &format!("Map keys must satisfy constraint: [{}]", sentences(key)),
            );
        }
        if is_container(item) {
            for (name, inner) in entries {
                self.below(&format!("{name}.member"), |found| found.value(item, inner));
            }
        } else if entries.iter().any(|(_, inner)| !satisfies(item, inner)) {
            self.broken(
                shape,
                value,
                ConstraintKind::Items,
                &format!("Map value must satisfy constraint: [{}]", sentences(item)),
            );
        }
    }

    fn broken(&mut self, shape: &Shape, value: &Doc, kind: ConstraintKind, constraint: &str) {
        if self.violations.len() >= VIOLATIONS_MAX {
            return;
        }
        let path = self.path.clone();
        let values = match shape {
            Shape::String { values, .. } if !values.is_empty() => format!("[{}]", values.join(", ")),
            _ => String::new(),
        };
        let value = (!is_sensitive(shape)).then(|| printed(value));
        let shown = value.as_ref().map_or(String::new(), |value| format!("'{value}' "));
        let message = format!("Value {shown}at '{path}' failed to satisfy constraint: {constraint}");
        self.push(Violation { path, kind, value, values, message });
    }

    fn push(&mut self, violation: Violation) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }
}

/// One constraint of a shape.
#[derive(Clone, Copy)]
enum Constraint {
    LengthMax(u64),
    LengthMin(u64),
    ValueMax(i64),
    ValueMin(i64),
    FloatMax(f64),
    FloatMin(f64),
    Pattern(&'static str),
    Values(&'static [&'static str]),
}

/// The constraints of a shape itself, in the order in which AWS lists them.
fn constraints(shape: &Shape) -> impl Iterator<Item = Constraint> {
    use Constraint::*;
    let found = match *shape {
        Shape::List { min, max, .. } | Shape::Map { min, max, .. } | Shape::Blob { min, max, .. } => {
            [max.map(LengthMax), min.map(LengthMin), None, None]
        }
        Shape::String { min, max, pattern, values, .. } => [
            max.map(LengthMax),
            min.map(LengthMin),
            pattern.map(Pattern),
            (!values.is_empty()).then_some(Values(values)),
        ],
        Shape::Integer { min, max } | Shape::Long { min, max } => [max.map(ValueMax), min.map(ValueMin), None, None],
        Shape::Float { min, max } => [max.map(FloatMax), min.map(FloatMin), None, None],
        Shape::Structure(_) | Shape::Boolean | Shape::Timestamp { .. } | Shape::Document | Shape::EventStream(_) => {
            [None; 4]
        }
    };
    found.into_iter().flatten()
}

impl Constraint {
    fn holds(self, value: &Doc) -> bool {
        match (self, value) {
            (Constraint::LengthMax(max), _) => length(value).is_none_or(|length| length <= max),
            (Constraint::LengthMin(min), _) => length(value).is_none_or(|length| length >= min),
            (Constraint::ValueMax(max), Doc::Integer(value)) => *value <= max,
            (Constraint::ValueMin(min), Doc::Integer(value)) => *value >= min,
            (Constraint::FloatMax(max), Doc::Float(value)) => *value <= max,
            (Constraint::FloatMin(min), Doc::Float(value)) => *value >= min,
            (Constraint::Pattern(pattern), Doc::String(text)) => pattern::matches(pattern, text),
            (Constraint::Values(values), Doc::String(text)) => values.contains(&text.as_str()),
            _ => true,
        }
    }

    fn kind(self) -> ConstraintKind {
        match self {
            Constraint::LengthMax(_) | Constraint::LengthMin(_) => ConstraintKind::Length,
            Constraint::ValueMax(_) | Constraint::ValueMin(_) | Constraint::FloatMax(_) | Constraint::FloatMin(_) => {
                ConstraintKind::Range
            }
            Constraint::Pattern(_) => ConstraintKind::Pattern,
            Constraint::Values(_) => ConstraintKind::Values,
        }
    }

    fn sentence(self) -> String {
        match self {
            Constraint::LengthMax(max) => format!("Member must have length less than or equal to {max}"),
            Constraint::LengthMin(min) => format!("Member must have length greater than or equal to {min}"),
            Constraint::ValueMax(max) => format!("Member must have value less than or equal to {max}"),
            Constraint::ValueMin(min) => format!("Member must have value greater than or equal to {min}"),
            Constraint::FloatMax(max) => format!("Member must have value less than or equal to {max}"),
            Constraint::FloatMin(min) => format!("Member must have value greater than or equal to {min}"),
            Constraint::Pattern(pattern) => format!("Member must satisfy regular expression pattern: {pattern}"),
            Constraint::Values(values) => format!("Member must satisfy enum value set: [{}]", values.join(", ")),
        }
    }
}

/// Characters of a text, bytes of a blob, items of a list, entries of a map.
fn length(value: &Doc) -> Option<u64> {
    let length = match value {
        Doc::String(text) => text.chars().count(),
        Doc::Blob(bytes) => bytes.len(),
        Doc::List(items) => items.len(),
        Doc::Map(entries) => entries.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

fn satisfies(shape: &Shape, value: &Doc) -> bool {
    constraints(shape).all(|constraint| constraint.holds(value))
}

/// Every constraint of an item, as AWS lists them when one of them is broken.
fn sentences(shape: &Shape) -> String {
    let mut text = String::new();
    for constraint in constraints(shape) {
        let _ = write!(text, "{}, ", constraint.sentence());
    }
    text + "Member must not be null"
}

fn is_container(shape: &Shape) -> bool {
    matches!(shape, Shape::Structure(_) | Shape::List { .. } | Shape::Map { .. })
}

fn is_sensitive(shape: &Shape) -> bool {
    match shape {
        Shape::String { sensitive, .. } | Shape::Map { sensitive, .. } | Shape::Blob { sensitive, .. } => *sensitive,
        Shape::List { item, .. } => is_sensitive(item),
        _ => false,
    }
}

/// A value the way AWS's Java services print it.
fn printed(value: &Doc) -> String {
    match value {
        Doc::Null | Doc::Events(_) => "null".to_owned(),
        Doc::Boolean(value) => value.to_string(),
        Doc::Integer(value) | Doc::Timestamp(value) => value.to_string(),
        Doc::Float(value) => value.to_string(),
        Doc::String(text) => text.clone(),
        Doc::Blob(bytes) => format!("java.nio.HeapByteBuffer[pos=0 lim={0} cap={0}]", bytes.len()),
        Doc::List(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(", ")),
        Doc::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}={}", printed(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn lower_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn text(text: &str) -> Doc {
        Doc::String(text.to_owned())
    }

    fn map(members: Vec<(&str, Doc)>) -> Doc {
        Doc::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn check(mut members: Vec<(&str, Doc)>, expected: &str) {
        if members.iter().all(|(name, _)| *name != "Name") {
            members.push(("Name", text("a")));
        }
        members.retain(|(_, value)| *value != Doc::Null);
        let outcome = validate(&fixture::MODEL, &fixture::OP_PUT_THING, &map(members));
        assert_eq!(outcome.map_or_else(|error| format!("{} {error}", error.status), |()| "ok".to_owned()), expected);
    }

    const ONE: &str = "400 ValidationException: 1 validation error detected: ";

    #[test]
    fn boundaries() {
        check(
            vec![("Name", text("ab-é"))],
            &format!(
                "{ONE}Value 'ab-é' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z-]+"
            ),
        );
        check(vec![("Name", text(&"a".repeat(8)))], "ok");
        check(
            vec![("Name", text(&"a".repeat(9)))],
            &format!(
                "{ONE}Value 'aaaaaaaaa' at 'name' failed to satisfy constraint: Member must have length less than or equal to 8"
            ),
        );
        check(
            vec![("Name", Doc::Null)],
            &format!("{ONE}Value null at 'name' failed to satisfy constraint: Member must not be null"),
        );
        check(vec![("Size", Doc::Integer(1))], "ok");
        check(
            vec![("Size", Doc::Integer(0))],
            &format!(
                "{ONE}Value '0' at 'size' failed to satisfy constraint: Member must have value greater than or equal to 1"
            ),
        );
        check(
            vec![("Size", Doc::Integer(11))],
            &format!(
                "{ONE}Value '11' at 'size' failed to satisfy constraint: Member must have value less than or equal to 10"
            ),
        );
        check(vec![("Kind", text("big"))], "ok");
        check(
            vec![("Kind", text("huge"))],
            &format!(
                "{ONE}Value 'huge' at 'kind' failed to satisfy constraint: Member must satisfy enum value set: [big, small]"
            ),
        );
    }

    #[test]
    fn several_violations_are_listed() {
        check(
            vec![("Name", text("")), ("Size", Doc::Integer(0))],
            "400 ValidationException: 3 validation errors detected: \
             Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; \
             Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z-]+; \
             Value '0' at 'size' failed to satisfy constraint: Member must have value greater than or equal to 1",
        );
    }

    #[test]
    fn collections() {
        check(
            vec![("Kinds", Doc::List(vec![text("big"), text("foo")]))],
            &format!(
                "{ONE}Value '[big, foo]' at 'kinds' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [big, small], Member must not be null]"
            ),
        );
        check(
            vec![("Kinds", Doc::List(vec![]))],
            &format!(
                "{ONE}Value '[]' at 'kinds' failed to satisfy constraint: Member must have length greater than or equal to 1"
            ),
        );
        check(
            vec![("Tags", Doc::List(vec![map(vec![("Key", text("a"))]), map(vec![("Key", text(""))]), map(vec![])]))],
            "400 ValidationException: 2 validation errors detected: \
             Value '' at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; \
             Value null at 'tags.3.member.key' failed to satisfy constraint: Member must not be null",
        );
        check(
            vec![("Labels", map(vec![("B", text("x"))]))],
            &format!(
                "{ONE}Value '{{B=x}}' at 'labels' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 8, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [a-z-]+, Member must not be null]"
            ),
        );
    }

    #[test]
    fn sensitive_values_are_not_repeated() {
        check(
            vec![("Secret", text("hunter2"))],
            &format!(
                "{ONE}Value at 'secret' failed to satisfy constraint: Member must have length less than or equal to 4"
            ),
        );
    }

    #[test]
    fn the_list_is_bounded() {
        let tags = Doc::List(vec![map(vec![]); 1000]);
        let outcome =
            validate(&fixture::MODEL, &fixture::OP_PUT_THING, &map(vec![("Name", text("a")), ("Tags", tags)]));
        assert!(outcome.unwrap_err().message.starts_with(&format!("{VIOLATIONS_MAX} validation errors detected: ")));
    }

    #[test]
    fn an_operation_may_have_its_own_words() {
        check(vec![("Mood", text("odd"))], "400 MoodException: odd is none of [big, small]");
        check(
            vec![("Mood", text("odd")), ("Size", Doc::Integer(0))],
            &format!(
                "{ONE}Value '0' at 'size' failed to satisfy constraint: Member must have value greater than or equal to 1"
            ),
        );
        let long = "x".repeat(1001);
        let tags = Doc::List(vec![map(vec![("Key", text("k")), ("Value", text(&long))])]);
        check(vec![("Tags", tags)], &format!("400 TagValueException: The tag's value is too long: {long}"));
    }
}
