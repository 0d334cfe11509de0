//! Whether a policy document is well-formed. What it permits is another matter.

use crate::error::IamError;
use gust_policy::Policy;

pub use gust_policy::Kind;

/// Checks a document's form.
pub fn check(document: &str, kind: Kind) -> Result<(), IamError> {
    Policy::parse(document, kind).map(drop).map_err(|malformed| IamError::MalformedPolicy(malformed.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_that_of_the_language() {
        let good = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        check(good, Kind::Identity).unwrap();
        let error = check("{", Kind::Identity).unwrap_err();
        assert!(matches!(&error, IamError::MalformedPolicy(message) if message == "Syntax errors in policy."));
    }
}
