//! The condition keys of one request.

/// Keys and values; keys are not distinguished by case.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    entries: Vec<(String, Vec<String>)>,
}

impl Context {
    /// A context of `entries`; of two with one key the first counts.
    pub fn new(entries: Vec<(String, Vec<String>)>) -> Context {
        Context { entries }
    }

    /// Adds a key with one value. A key that is there already stays as it is.
    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.entries.push((key.into(), vec![value.into()]));
    }

    /// The values of a key; `None` if the request has none.
    pub fn values(&self, key: &str) -> Option<&[String]> {
        let entry = self.entries.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        entry.map(|(_, values)| values.as_slice()).filter(|values| !values.is_empty())
    }

    /// The value of a key that has exactly one: what a policy variable stands for.
    pub fn value(&self, key: &str) -> Option<&str> {
        match self.values(key)? {
            [value] => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case_and_the_first_counts() {
        let mut context = Context::new(vec![
            ("aws:TagKeys".to_owned(), vec!["a".to_owned(), "b".to_owned()]),
            ("aws:Empty".to_owned(), vec![]),
        ]);
        context.add("aws:username", "ann");
        context.add("AWS:UserName", "eve");
        assert_eq!(context.value("aws:UserName"), Some("ann"));
        assert_eq!(context.values("aws:tagkeys").map(<[String]>::len), Some(2));
        assert_eq!((context.value("aws:TagKeys"), context.values("aws:Empty")), (None, None));
    }
}
