//! What becomes of input members that gust does not act upon: never silence.

use crate::schema::{OperationModel, Treatment};
use gust_types::{AwsError, Doc};

/// A member that was accepted without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warning {
    /// The member's path, for example `VpcConfig`.
    pub member: &'static str,
    /// Why it has no effect.
    pub reason: &'static str,
}

/// Refuses members that the operation refuses, by name, and lists those it accepts without effect.
///
/// A member counts as used if it is present with a value that says something: not an empty text, list
/// or structure.
pub fn check_members(operation: &OperationModel, input: &Doc) -> Result<Vec<Warning>, AwsError> {
    let mut warnings = Vec::new();
    for policy in operation.members {
        if !is_used(input, policy.member.split('.')) {
            continue;
        }
        match policy.treatment {
            Treatment::Accepted => warnings.push(Warning { member: policy.member, reason: policy.reason }),
            Treatment::Refused => {
                let message =
                    format!("gust does not support {} of {}: {}", policy.member, operation.route.name, policy.reason);
                return Err(AwsError::sender("NotImplemented", 501, message));
            }
        }
    }
    Ok(warnings)
}

fn is_used<'a>(value: &Doc, mut path: impl Iterator<Item = &'a str> + Clone) -> bool {
    if let Doc::List(items) = value {
        return items.iter().any(|item| is_used(item, path.clone()));
    }
    match path.next() {
        Some(name) => value.get(name).is_some_and(|value| is_used(value, path)),
        None => says_something(value),
    }
}

fn says_something(value: &Doc) -> bool {
    match value {
        Doc::Null | Doc::Events(_) => false,
        Doc::String(text) => !text.is_empty(),
        Doc::Blob(bytes) => !bytes.is_empty(),
        Doc::List(items) => items.iter().any(says_something),
        Doc::Map(entries) => entries.iter().any(|(_, value)| says_something(value)),
        Doc::Boolean(_) | Doc::Integer(_) | Doc::Float(_) | Doc::Timestamp(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn text(text: &str) -> Doc {
        Doc::String(text.to_owned())
    }

    fn input(members: Vec<(&str, Doc)>) -> Doc {
        Doc::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    #[test]
    fn accepted_members_warn_and_refused_ones_fail() {
        let put = &fixture::OP_PUT_THING;
        assert_eq!(check_members(put, &input(vec![("Name", text("a"))])).unwrap(), []);
        let warnings = check_members(put, &input(vec![("Note", text("x"))])).unwrap();
        assert_eq!(warnings, [Warning { member: "Note", reason: "nobody reads it" }]);
        let error = check_members(put, &input(vec![("Nested", input(vec![("Count", Doc::Integer(0))]))])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "NotImplemented: gust does not support Nested.Count of PutThing: it cannot count"
        );
        assert_eq!(error.status, 501);
    }

    #[test]
    fn empty_values_say_nothing() {
        let put = &fixture::OP_PUT_THING;
        assert_eq!(check_members(put, &input(vec![("Note", text("")), ("Nested", input(vec![]))])).unwrap(), []);
    }
}
