//! Conditions: what must hold of a request besides action and resource.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html>,
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html>

use crate::Context;
use crate::template::{Colons, Style, Template};
use crate::values::{Network, boolean, moment_ms, number};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::cmp::Ordering;

/// One key of one operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    key: String,
    operator: Operator,
    expected: Expected,
}

/// An operator's name taken apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operator {
    quantifier: Quantifier,
    test: Test,
    is_negated: bool,
    /// A key that the request does not have makes the condition hold.
    if_exists: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// The key has one value.
    Plain,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    Null,
    Text,
    TextIgnoringCase,
    TextLike,
    Number(&'static [Ordering]),
    Date(&'static [Ordering]),
    Bool,
    Binary,
    Address,
    Arn,
}

#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Texts(Vec<Template>),
    Numbers(Vec<f64>),
    Dates(Vec<i64>),
    Bools(Vec<bool>),
    Binaries(Vec<Vec<u8>>),
    Networks(Vec<Network>),
    Arns(Vec<Template>),
}

const EQUAL: &[Ordering] = &[Ordering::Equal];
const LESS: &[Ordering] = &[Ordering::Less];
const LESS_OR_EQUAL: &[Ordering] = &[Ordering::Less, Ordering::Equal];
const GREATER: &[Ordering] = &[Ordering::Greater];
const GREATER_OR_EQUAL: &[Ordering] = &[Ordering::Greater, Ordering::Equal];

impl Operator {
    /// Reads an operator's name, for example `ForAnyValue:StringNotLikeIfExists`; `None` if there is no such operator.
    pub fn parse(name: &str) -> Option<Operator> {
        let (quantifier, name) = match name.split_once(':') {
            Some((prefix, name)) if prefix.eq_ignore_ascii_case("ForAllValues") => (Quantifier::All, name),
            Some((prefix, name)) if prefix.eq_ignore_ascii_case("ForAnyValue") => (Quantifier::Any, name),
            Some(_) => return None,
            None => (Quantifier::Plain, name),
        };
        let name = name.to_ascii_lowercase();
        let (name, if_exists) = match name.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        let (test, is_negated) = test(name)?;
        if test == Test::Null && (if_exists || quantifier != Quantifier::Plain) {
            return None;
        }
        Some(Operator { quantifier, test, is_negated, if_exists })
    }
}

fn test(name: &str) -> Option<(Test, bool)> {
    Some(match name {
        "null" => (Test::Null, false),
        "stringequals" => (Test::Text, false),
        "stringnotequals" => (Test::Text, true),
        "stringequalsignorecase" => (Test::TextIgnoringCase, false),
        "stringnotequalsignorecase" => (Test::TextIgnoringCase, true),
        "stringlike" => (Test::TextLike, false),
        "stringnotlike" => (Test::TextLike, true),
        "numericequals" => (Test::Number(EQUAL), false),
        "numericnotequals" => (Test::Number(EQUAL), true),
        "numericlessthan" => (Test::Number(LESS), false),
        "numericlessthanequals" => (Test::Number(LESS_OR_EQUAL), false),
        "numericgreaterthan" => (Test::Number(GREATER), false),
        "numericgreaterthanequals" => (Test::Number(GREATER_OR_EQUAL), false),
        "dateequals" => (Test::Date(EQUAL), false),
        "datenotequals" => (Test::Date(EQUAL), true),
        "datelessthan" => (Test::Date(LESS), false),
        "datelessthanequals" => (Test::Date(LESS_OR_EQUAL), false),
        "dategreaterthan" => (Test::Date(GREATER), false),
        "dategreaterthanequals" => (Test::Date(GREATER_OR_EQUAL), false),
        "bool" => (Test::Bool, false),
        "binaryequals" => (Test::Binary, false),
        "ipaddress" => (Test::Address, false),
        "notipaddress" => (Test::Address, true),
        "arnequals" | "arnlike" => (Test::Arn, false),
        "arnnotequals" | "arnnotlike" => (Test::Arn, true),
        _ => return None,
    })
}

impl Condition {
    /// The condition that `key` compares with one of `values`; `None` if a value cannot be one for this operator.
    pub fn new(operator: Operator, key: &str, values: &[&str], variables: bool) -> Option<Condition> {
        let template = |wildcards, colons| {
            let style = Style { wildcards, variables, colons };
            values.iter().map(|value| Template::new(value, style)).collect()
        };
        let expected = match operator.test {
            Test::Text | Test::TextIgnoringCase => Expected::Texts(template(false, Colons::Free)),
            Test::TextLike => Expected::Texts(template(true, Colons::Free)),
            Test::Arn => Expected::Arns(template(true, Colons::Separate)),
            Test::Number(_) => Expected::Numbers(values.iter().map(|value| number(value)).collect::<Option<_>>()?),
            Test::Date(_) => Expected::Dates(values.iter().map(|value| moment_ms(value)).collect::<Option<_>>()?),
            Test::Bool | Test::Null => {
                Expected::Bools(values.iter().map(|value| boolean(value)).collect::<Option<_>>()?)
            }
            Test::Binary => {
                Expected::Binaries(values.iter().map(|value| STANDARD.decode(value).ok()).collect::<Option<_>>()?)
            }
            Test::Address => {
                Expected::Networks(values.iter().map(|value| Network::parse(value)).collect::<Option<_>>()?)
            }
        };
        Some(Condition { key: key.to_owned(), operator, expected })
    }

    /// The keys that it looks at.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let templates: &[Template] = match &self.expected {
            Expected::Texts(templates) | Expected::Arns(templates) => templates,
            _ => &[],
        };
        std::iter::once(self.key.as_str()).chain(templates.iter().flat_map(Template::variables))
    }

    /// Whether it holds.
    pub fn holds(&self, context: &Context) -> bool {
        let Operator { quantifier, test, is_negated, if_exists } = self.operator;
        let values = context.values(&self.key);
        if let (Test::Null, Expected::Bools(expected)) = (test, &self.expected) {
            return expected.contains(&values.is_none());
        }
        let fits = |value: &String| self.fits(value, context);
        match (values, quantifier) {
            (None, _) if if_exists => true,
            (None, Quantifier::Plain) => is_negated,
            (None, Quantifier::All) => true,
            (None, Quantifier::Any) => false,
            (Some(values), Quantifier::All) => values.iter().all(|value| fits(value) != is_negated),
            (Some(values), Quantifier::Any) => values.iter().any(|value| fits(value) != is_negated),
            // A key of many values without a quantifier is not defined by AWS; here one value is enough, and for a
            // negated operator none may be equal (inferred).
            (Some(values), Quantifier::Plain) => values.iter().any(fits) != is_negated,
        }
    }

    /// Whether `value` is one of the expected ones.
    fn fits(&self, value: &str, context: &Context) -> bool {
        match (&self.expected, self.operator.test) {
            (Expected::Texts(expected), Test::TextIgnoringCase) => expected
                .iter()
                .any(|template| template.text(context).is_some_and(|text| text.to_lowercase() == value.to_lowercase())),
            (Expected::Texts(expected), _) => expected.iter().any(|template| template.matches(value, context)),
            (Expected::Arns(expected), _) => {
                is_arn(value) && expected.iter().any(|template| template.matches(value, context))
            }
            (Expected::Numbers(expected), Test::Number(orders)) => number(value).is_some_and(|value| {
                expected.iter().any(|other| value.partial_cmp(other).is_some_and(|order| orders.contains(&order)))
            }),
            (Expected::Dates(expected), Test::Date(orders)) => {
                moment_ms(value).is_some_and(|value| expected.iter().any(|other| orders.contains(&value.cmp(other))))
            }
            (Expected::Bools(expected), _) => boolean(value).is_some_and(|value| expected.contains(&value)),
            (Expected::Binaries(expected), _) => STANDARD.decode(value).is_ok_and(|value| expected.contains(&value)),
            (Expected::Networks(expected), _) => {
                value.parse().is_ok_and(|address| expected.iter().any(|network| network.contains(address)))
            }
            (Expected::Numbers(_) | Expected::Dates(_), _) => false,
        }
    }
}

/// Whether a text has the six parts of an ARN.
fn is_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.splitn(6, ':').count() == 6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Context::new(vec![
            ("aws:username".to_owned(), list(&["Ann"])),
            ("aws:TagKeys".to_owned(), list(&["team", "cost"])),
            ("aws:CurrentTime".to_owned(), list(&["2024-05-01T12:00:00Z"])),
            ("aws:EpochTime".to_owned(), list(&["1714564800"])),
            ("aws:SourceIp".to_owned(), list(&["203.0.113.9"])),
            ("aws:MultiFactorAuthPresent".to_owned(), list(&["false"])),
            ("aws:PrincipalArn".to_owned(), list(&["arn:aws:iam::000000000000:role/team/worker"])),
            ("test:Size".to_owned(), list(&["512"])),
            ("test:Key".to_owned(), list(&["AQID"])),
        ])
    }

    fn holds(operator: &str, key: &str, values: &[&str]) -> bool {
        let operator = Operator::parse(operator).unwrap_or_else(|| panic!("{operator}"));
        Condition::new(operator, key, values, true).unwrap().holds(&context())
    }

    #[test]
    fn every_operator_compares_as_documented() {
        let role = "arn:aws:iam::000000000000:role/*";
        for (operator, key, values, expected) in [
            ("StringEquals", "aws:UserName", &["Bob", "Ann"][..], true),
            ("StringEquals", "aws:username", &["ann"], false),
            ("StringEquals", "aws:username", &["A*"], false),
            ("StringNotEquals", "aws:username", &["Bob", "Ann"], false),
            ("StringNotEquals", "aws:username", &["Bob"], true),
            ("StringEqualsIgnoreCase", "aws:username", &["ANN"], true),
            ("StringNotEqualsIgnoreCase", "aws:username", &["ANN"], false),
            ("StringLike", "aws:username", &["A?n"], true),
            ("StringNotLike", "aws:username", &["A*"], false),
            ("StringEquals", "aws:username", &["${aws:username}"], true),
            ("NumericEquals", "test:Size", &["512.0"], true),
            ("NumericNotEquals", "test:Size", &["512"], false),
            ("NumericLessThan", "test:Size", &["512"], false),
            ("NumericLessThanEquals", "test:Size", &["512"], true),
            ("NumericGreaterThan", "test:Size", &["128"], true),
            ("NumericGreaterThanEquals", "test:Size", &["513"], false),
            ("NumericEquals", "aws:username", &["1"], false),
            ("NumericNotEquals", "aws:username", &["1"], true),
            ("DateLessThan", "aws:CurrentTime", &["2024-05-02"], true),
            ("DateGreaterThan", "aws:CurrentTime", &["2024-05-02T00:00:00Z"], false),
            ("DateEquals", "aws:CurrentTime", &["2024-05-01T12:00:00Z"], true),
            ("DateNotEquals", "aws:CurrentTime", &["2024-05-01T12:00:00Z"], false),
            ("DateGreaterThanEquals", "aws:EpochTime", &["2024-05-01T12:00:00Z"], true),
            ("DateLessThanEquals", "aws:EpochTime", &["1714564799"], false),
            ("Bool", "aws:MultiFactorAuthPresent", &["False"], true),
            ("Bool", "aws:MultiFactorAuthPresent", &["true"], false),
            ("BinaryEquals", "test:Key", &["AQID"], true),
            ("BinaryEquals", "test:Key", &["AQIE"], false),
            ("IpAddress", "aws:SourceIp", &["10.0.0.0/8", "203.0.113.0/24"], true),
            ("NotIpAddress", "aws:SourceIp", &["203.0.113.0/24"], false),
            ("ArnLike", "aws:PrincipalArn", &[role], true),
            ("ArnEquals", "aws:PrincipalArn", &[role], true),
            ("ArnNotLike", "aws:PrincipalArn", &[role], false),
            ("ArnLike", "aws:PrincipalArn", &["arn:aws:iam::*:role/worker"], false),
            ("ArnLike", "aws:PrincipalArn", &["arn:aws:iam::*"], false),
            ("ArnLike", "aws:PrincipalArn", &["arn:*:iam::0*:role/*er"], true),
            ("ArnLike", "aws:username", &["*"], false),
            ("Null", "aws:username", &["true"], false),
            ("Null", "aws:username", &["false"], true),
            ("Null", "test:None", &["true"], true),
            ("Null", "test:None", &["false"], false),
            ("stringequals", "aws:username", &["Ann"], true),
        ] {
            assert_eq!(holds(operator, key, values), expected, "{operator} {key} {values:?}");
        }
    }

    #[test]
    fn a_missing_key_decides_by_the_operator() {
        for (operator, expected) in [
            ("StringEquals", false),
            ("StringNotEquals", true),
            ("StringEqualsIfExists", true),
            ("StringNotEqualsIfExists", true),
            ("NumericLessThan", false),
            ("ForAllValues:StringEquals", true),
            ("ForAnyValue:StringEquals", false),
            ("ForAnyValue:StringNotEquals", false),
            ("ForAnyValue:StringEqualsIfExists", true),
        ] {
            let value = if operator.contains("Numeric") { "1" } else { "a" };
            assert_eq!(holds(operator, "test:None", &[value]), expected, "{operator}");
        }
    }

    #[test]
    fn keys_of_many_values_are_quantified() {
        for (operator, values, expected) in [
            ("ForAllValues:StringEquals", &["team", "cost", "more"][..], true),
            ("ForAllValues:StringEquals", &["team"], false),
            ("ForAnyValue:StringEquals", &["team"], true),
            ("ForAnyValue:StringLike", &["x*"], false),
            ("ForAllValues:StringNotEquals", &["other"], true),
            ("ForAllValues:StringNotEquals", &["team"], false),
            ("ForAnyValue:StringNotEquals", &["team"], true),
            ("ForAnyValue:StringNotEquals", &["team", "cost"], false),
            ("StringEquals", &["team"], true),
            ("StringNotEquals", &["team"], false),
        ] {
            assert_eq!(holds(operator, "aws:TagKeys", values), expected, "{operator} {values:?}");
        }
    }

    #[test]
    fn what_is_no_operator_or_no_value_is_not_taken() {
        for name in [
            "",
            "StringSimilar",
            "NullIfExists",
            "ForAllValues:Null",
            "ForSomeValues:StringEquals",
            "String",
            "IfExists",
        ] {
            assert_eq!(Operator::parse(name), None, "{name}");
        }
        for (name, value) in [
            ("NumericEquals", "many"),
            ("DateEquals", "soon"),
            ("Bool", "yes"),
            ("Null", "maybe"),
            ("IpAddress", "here"),
            ("BinaryEquals", "%"),
        ] {
            assert_eq!(Condition::new(Operator::parse(name).unwrap(), "k", &[value], true), None, "{name}");
        }
    }

    #[test]
    fn keys_include_those_of_variables() {
        let operator = Operator::parse("StringEquals").unwrap();
        let condition = Condition::new(operator, "aws:ResourceTag/a", &["${aws:PrincipalTag/b}"], true).unwrap();
        assert_eq!(condition.keys().collect::<Vec<_>>(), ["aws:ResourceTag/a", "aws:PrincipalTag/b"]);
        let old = Condition::new(operator, "aws:username", &["${aws:username}"], false).unwrap();
        assert!(!old.holds(&context()), "version 2008-10-17 has no variables");
    }
}
