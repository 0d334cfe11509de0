//! What an operation needs to be allowed, as its service says it.
//!
//! Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>

use gust_types::Doc;

/// One action on one resource that the caller must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// For example `lambda:InvokeFunction`.
    pub action: String,
    /// The resource's ARN, or `*` for an action that has no resource.
    pub resource: String,
    /// Condition keys that only the service knows, for example `("iam:PassedToService", ["lambda.amazonaws.com"])`.
    pub context: Vec<(String, Vec<String>)>,
    /// What the resource's own policy has to say.
    pub policy_use: PolicyUse,
}

/// What the policy that a resource carries has to say of whether somebody may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PolicyUse {
    /// It carries none.
    #[default]
    None,
    /// It only ever allows, as a function's: it need not be read where the caller's own policies allow already.
    Grants,
    /// It allows and denies.
    Decides,
    /// It must allow, as a role's trust policy.
    MustAllow,
}

impl Need {
    /// `action` on `resource`.
    pub fn new(action: impl Into<String>, resource: impl Into<String>) -> Need {
        Need { action: action.into(), resource: resource.into(), context: Vec::new(), policy_use: PolicyUse::None }
    }

    /// On a resource with a policy of its own.
    pub fn with_policy(self, policy_use: PolicyUse) -> Need {
        Need { policy_use, ..self }
    }

    /// With another condition key.
    pub fn with(mut self, key: impl Into<String>, values: Vec<String>) -> Need {
        self.context.push((key.into(), values));
        self
    }

    /// With `aws:RequestTag/...` and `aws:TagKeys`, as a request that sets `tags` has them; unchanged without tags.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
    pub fn with_request_tags<'a>(mut self, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Need {
        let mut keys = Vec::new();
        for (key, value) in tags {
            self.context.push((format!("aws:RequestTag/{key}"), vec![value.to_owned()]));
            keys.push(key.to_owned());
        }
        if keys.is_empty() { self } else { self.with("aws:TagKeys", keys) }
    }
}

/// What is known of a resource besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFacts {
    /// The policy that it carries, as JSON.
    pub policy: Option<String>,
    /// Its tags (`aws:ResourceTag/...`).
    pub tags: Vec<(String, String)>,
}

/// The tags in a request's member: a map of keys and values, or a list of structures with `Key` and `Value`.
pub fn request_tags<'a>(input: &'a Doc, member: &str) -> Vec<(&'a str, &'a str)> {
    let pair = |key: Option<&'a Doc>, value: Option<&'a Doc>| Some((key?.as_str()?, value?.as_str()?));
    match input.get(member) {
        Some(Doc::Map(entries)) => {
            entries.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
        }
        Some(Doc::List(entries)) => entries.iter().filter_map(|tag| pair(tag.get("Key"), tag.get("Value"))).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Doc {
        Doc::String(text.to_owned())
    }

    #[test]
    fn tags_are_read_in_both_forms() {
        let tag = Doc::Map(vec![("Key".to_owned(), text("a")), ("Value".to_owned(), text("b"))]);
        let list = Doc::Map(vec![("Tags".to_owned(), Doc::List(vec![tag, Doc::Null]))]);
        let map = Doc::Map(vec![("Tags".to_owned(), Doc::Map(vec![("a".to_owned(), text("b"))]))]);
        for input in [list, map] {
            assert_eq!(request_tags(&input, "Tags"), [("a", "b")]);
            assert!(request_tags(&input, "Other").is_empty());
        }
        let need = Need::new("a:B", "*").with_request_tags([("team", "x")]);
        let expected = [("aws:RequestTag/team", "x"), ("aws:TagKeys", "team")];
        assert_eq!(need.context, expected.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])));
        assert!(Need::new("a:B", "*").with_request_tags([]).context.is_empty());
    }
}
