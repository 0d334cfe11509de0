//! Errors of the wire layer itself: what AWS's front ends say before a service sees a request.

use gust_types::AwsError;

/// A body or member that does not have the shape the model gives it (JSON protocols).
pub fn serialization(message: impl Into<String>) -> AwsError {
    AwsError::sender("SerializationException", 400, message)
}

/// A form member that does not have the shape the model gives it (query protocol).
pub fn malformed_input(message: impl Into<String>) -> AwsError {
    AwsError::sender("MalformedInput", 400, message)
}

/// A form or query that cannot be decoded.
/// Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>
pub fn malformed_query() -> AwsError {
    AwsError::sender("MalformedQueryString", 404, "The query string contains a syntax error.")
}

/// `an Integer`, `a String`: how the messages name a type.
pub fn with_article(type_name: &str) -> String {
    let article = if type_name.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {type_name}")
}
