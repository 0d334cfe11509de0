//! A function's name in every form that AWS takes: name, partial ARN, full ARN, each with or without a
//! qualifier.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>.

use crate::error::{LambdaError, ParameterError, ValidationError};
use crate::limits;
use crate::model::{FunctionId, Qualifier};
use gust_kit::Call;
use gust_types::{AccountId, Region};

/// The pattern that refusals quote.
const PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";

/// A text taken apart: `[arn:partition:lambda:][region:][account:][function:]name[:qualifier]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts<'a> {
    region: Option<&'a str>,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

fn take_apart(text: &str) -> Option<Parts<'_>> {
    let mut parts: Vec<&str> = text.split(':').collect();
    if parts.first() == Some(&"arn") {
        if parts.len() < 4 || parts[2] != "lambda" {
            return None;
        }
        parts.drain(..3);
    }
    // Each of these is optional, and what looks like one is the name if no name follows it.
    let mut next_if = |fits: fn(&str) -> bool| {
        let name_follows = parts.len() > 1 && !parts[1].starts_with('$');
        (name_follows && fits(parts[0])).then(|| parts.remove(0))
    };
    let region = next_if(is_region);
    let account = next_if(|part| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let _ = next_if(|part| part == "function");
    let (name, qualifier) = match parts[..] {
        [name] => (name, None),
        [name, qualifier] => (name, Some(qualifier)),
        _ => return None,
    };
    let fits = is_word(name, b".") && qualifier.is_none_or(|qualifier| is_word(qualifier, b"$."));
    fits.then_some(Parts { region, account, name, qualifier })
}

fn is_word(text: &str, also: &[u8]) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || also.contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// `us-east-1`, `us-gov-west-1`, `us-isob-east-1`, `eusc-de-east-1`.
fn is_region(part: &str) -> bool {
    let words: Vec<&str> = part.split('-').collect();
    let Some((number, words)) = words.split_last() else { return false };
    let lower = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=4).contains(&words.len())
        && words.iter().all(lower)
        && number.len() == 1
        && number.as_bytes()[0].is_ascii_digit()
}

/// A function that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionReference {
    /// Which function.
    pub id: FunctionId,
    /// Which version or alias, if the request says.
    pub qualifier: Option<Qualifier>,
}

/// The function that `text` and the request's separate `qualifier` name for `call`.
///
/// `action` is the IAM action that a refusal names.
/// Errors: another account, another region, a qualifier that differs from the name's, a text that is no
/// name at all.
pub fn resolve(
    text: &str,
    qualifier: Option<&str>,
    call: &Call,
    action: &'static str,
) -> Result<FunctionReference, LambdaError> {
    let parts = take_apart(text).ok_or_else(|| malformed(text))?;
    let id = owned(&parts, call, action)?;
    if let (Some(derived), Some(given)) = (parts.qualifier, qualifier)
        && derived != given
    {
        return Err(ParameterError::QualifierMismatch.into());
    }
    let qualifier = qualifier.or(parts.qualifier).map(Qualifier::parse);
    Ok(FunctionReference { id, qualifier })
}

/// The same for an operation that works on whole functions: no qualifier but `$LATEST` is taken.
pub fn resolve_unqualified(text: &str, call: &Call, action: &'static str) -> Result<FunctionId, LambdaError> {
    match resolve(text, None, call, action)? {
        FunctionReference { id, qualifier: None | Some(Qualifier::Latest) } => Ok(id),
        FunctionReference { .. } => Err(ParameterError::QualifierNotAllowed.into()),
    }
}

/// The function that CreateFunction is to make: no qualifier, no dots, and a bounded name.
pub fn resolve_new(text: &str, call: &Call) -> Result<FunctionId, LambdaError> {
    let parts = take_apart(text).filter(|parts| parts.qualifier.is_none() && !parts.name.contains('.'));
    let id = owned(&parts.ok_or_else(|| malformed(text))?, call, "CreateFunction")?;
    if id.name.len() > limits::FUNCTION_NAME_CHARS_MAX {
        return Err(ParameterError::NameTooLong { name: id.name.to_string() }.into());
    }
    Ok(id)
}

/// The ARN that a request names, whosever it is.
///
/// Errors: a text that is no name at all.
pub fn arn(text: &str, qualifier: Option<&str>, call: &Call) -> Result<String, LambdaError> {
    let parts = take_apart(text).ok_or_else(|| malformed(text))?;
    let account = parts.account.and_then(AccountId::parse).unwrap_or_else(|| call.account().clone());
    let region = parts.region.and_then(Region::parse).unwrap_or_else(|| call.region.clone());
    let qualifier = qualifier.or(parts.qualifier).map(Qualifier::parse);
    Ok(FunctionId { account, region, name: parts.name.into() }.qualified_arn(qualifier.as_ref()))
}

fn malformed(text: &str) -> LambdaError {
    ValidationError::FunctionName { value: text.to_owned(), pattern: PATTERN }.into()
}

fn owned(parts: &Parts<'_>, call: &Call, action: &'static str) -> Result<FunctionId, LambdaError> {
    let owner = match parts.account {
        Some(account) => AccountId::parse(account).ok_or_else(|| malformed(parts.name))?,
        None => call.account().clone(),
    };
    let id = FunctionId { account: owner, region: call.region.clone(), name: parts.name.into() };
    if !call.reaches(&id.account) {
        let region = parts.region.and_then(Region::parse).unwrap_or(id.region);
        let resource = FunctionId { region, ..id }.arn();
        return Err(LambdaError::AccessDenied { principal: call.principal.arn.clone(), action, resource });
    }
    if let Some(region) = parts.region
        && region != id.region.as_str()
    {
        return Err(LambdaError::NotReachable { region: region.to_owned(), here: id.region.to_string() });
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::call;
    use gust_types::Doc;

    fn found(text: &str, qualifier: Option<&str>) -> Result<(String, Option<String>), String> {
        resolve(text, qualifier, &call(), "GetFunction")
            .map(|it| (it.id.name.to_string(), it.qualifier.map(|it| it.to_string())))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_leads_to_the_function() {
        let full = "arn:aws:lambda:us-east-1:000000000000:function:thumbs";
        for text in ["thumbs", "function:thumbs", "000000000000:function:thumbs", "000000000000:thumbs", full] {
            assert_eq!(found(text, None), Ok(("thumbs".to_owned(), None)), "{text}");
            let prod = Ok(("thumbs".to_owned(), Some("PROD".to_owned())));
            assert_eq!(found(&format!("{text}:PROD"), None), prod, "{text}");
            assert_eq!(found(&format!("{text}:PROD"), Some("PROD")), prod, "{text}");
            assert_eq!(found(text, Some("PROD")), prod, "{text}");
            assert_eq!(found(&format!("{text}:$LATEST"), None).unwrap().1.as_deref(), Some("$LATEST"));
        }
    }

    /// What the model's pattern lets through has a meaning here, whatever parts it is made of.
    #[test]
    fn all_that_the_model_accepts_is_understood() {
        let get = crate::api::MODEL.operation("GetFunction").unwrap();
        let parts: [&[&str]; 6] = [
            &["", "arn:aws:lambda:", "arn::lambda:", "arn:aws-cn:lambda:", "arn:aws:s3:"],
            &["", "us-east-1:", "us-gov-west-1:", "us-isob-east-1:", "eusc-de-east-1:", "us-east-11:", "us:"],
            &["", "000000000000:", "00000000000:", "0000000000000:"],
            &["", "function:", "layer:"],
            &["a", "function", "000000000000", "us-east-1", "a.b", "a b", "A_-9"],
            &["", ":$LATEST", ":$LATEST.PUBLISHED", ":1", ":PROD-a_b", ":a.b", ":"],
        ];
        let mut texts = vec![String::new()];
        for choices in parts {
            texts = texts.iter().flat_map(|text| choices.iter().map(move |choice| format!("{text}{choice}"))).collect();
        }
        let mut accepted = 0;
        for text in texts {
            let input = Doc::Map(vec![("FunctionName".to_owned(), Doc::String(text.clone()))]);
            if gust_wire::validate(&crate::api::MODEL, get, &input).is_ok() {
                accepted += 1;
                assert!(take_apart(&text).is_some(), "{text}");
            }
        }
        assert!(accepted > 1_000, "{accepted}");
    }

    #[test]
    fn a_prefix_can_be_a_name_as_well() {
        for text in ["function", "us-east-1", "123456789012", "arn-maker"] {
            assert_eq!(found(text, None), Ok((text.to_owned(), None)));
        }
        assert_eq!(found("function:1", None), Ok(("1".to_owned(), None)));
        assert_eq!(found("function:$LATEST", None), Ok(("function".to_owned(), Some("$LATEST".to_owned()))));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ":", "a:b:c", "a b", "arn:aws:s3:::a", "arn:aws:lambda", "arn:a", "a:", ":a", "é", "a:b c"] {
            let refused = found(text, None);
            assert!(
                refused.clone().is_err_and(|error| error.contains("regular expression pattern")),
                "{text}: {refused:?}"
            );
        }
    }

    #[test]
    fn other_accounts_and_regions_are_refused() {
        let error = found("arn:aws:lambda:us-east-1:111111111111:function:a", None).unwrap_err();
        assert_eq!(
            error,
            "User: arn:aws:iam::000000000000:root is not authorized to perform: lambda:GetFunction on resource: \
             arn:aws:lambda:us-east-1:111111111111:function:a because no resource-based policy allows the lambda:GetFunction action"
        );
        assert!(found("111111111111:function:a", None).is_err());
        let error = found("arn:aws:lambda:eu-west-1:000000000000:function:a", None).unwrap_err();
        assert_eq!(error, "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')");
    }

    #[test]
    fn another_accounts_function_is_reached_once_it_was_granted() {
        let granted = Call { granted_account: AccountId::parse("111111111111"), ..call() };
        let text = "arn:aws:lambda:us-east-1:111111111111:function:a:1";
        let found = resolve(text, None, &granted, "GetFunction").unwrap();
        assert_eq!(found.id.qualified_arn(found.qualifier.as_ref()), text);
        assert_eq!(arn(text, None, &call()).unwrap(), text);
        assert!(resolve("222222222222:a", None, &granted, "GetFunction").is_err());
        assert_eq!(resolve("a", None, &granted, "GetFunction").unwrap().id, crate::tests::function_id("a"));
    }

    #[test]
    fn qualifiers_must_agree() {
        let error = found("a:1", Some("2")).unwrap_err();
        assert_eq!(error, "The derived qualifier from the function name does not match the specified qualifier.");
        assert!(resolve_unqualified("a:1", &call(), "UpdateFunctionCode").is_err());
        assert!(resolve_unqualified("a:$LATEST", &call(), "UpdateFunctionCode").is_ok());
    }

    #[test]
    fn new_names_are_plain_and_bounded() {
        let longest = "n".repeat(64);
        assert!(resolve_new(&longest, &call()).is_ok());
        let error = resolve_new(&format!("{longest}n"), &call()).unwrap_err().to_string();
        assert!(error.ends_with(
            "at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
        ));
        assert!(resolve_new(&format!("arn:aws:lambda:us-east-1:000000000000:function:{longest}"), &call()).is_ok());
        for text in ["a:1", "a:$LATEST", "a.b"] {
            assert!(resolve_new(text, &call()).is_err(), "{text}");
        }
    }
}
