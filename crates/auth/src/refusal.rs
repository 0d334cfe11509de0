//! Why a request is not let in, and how each protocol spells that.

use gust_types::{AwsError, Fault};
use std::borrow::Cow;

/// Why a request is refused before its operation is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It carries no signature at all.
    MissingToken,
    /// Its signature lacks a part, or a part cannot be read; the text is AWS's message.
    Incomplete(String),
    /// It was signed for something else, or at another time, or with another secret; AWS's message.
    DoesNotMatch(String),
    /// The key, or the session token with it, is none that gust knows.
    UnknownKey,
    /// The session has ended.
    ExpiredToken,
    /// A presigned request is older than it was to live.
    RequestExpired,
}

/// A code, its HTTP status, and a message where the protocol words it in its own way.
#[derive(Debug, Clone, Copy)]
struct Row {
    code: &'static str,
    status: u16,
    message: &'static str,
}

/// How one family of protocols spells the refusals.
///
/// Sources: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
#[derive(Debug)]
pub struct Spelling {
    missing_token: Row,
    incomplete: Row,
    does_not_match: Row,
    unknown_key: Row,
    expired_token: Row,
    request_expired: Row,
}

const UNKNOWN_KEY: &str = "The security token included in the request is invalid.";
const EXPIRED_TOKEN: &str = "The security token included in the request is expired";
/// The message of a signature that was made over something else.
pub(crate) const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. \
     Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

const fn row(code: &'static str, status: u16, message: &'static str) -> Row {
    Row { code, status, message }
}

impl Spelling {
    /// `awsJson1_0` and `awsJson1_1`: every refusal is a 400.
    pub const AWS_JSON: Spelling = Spelling {
        missing_token: row("MissingAuthenticationTokenException", 400, "Missing Authentication Token"),
        incomplete: row("IncompleteSignatureException", 400, ""),
        does_not_match: row("InvalidSignatureException", 400, ""),
        unknown_key: row("UnrecognizedClientException", 400, UNKNOWN_KEY),
        expired_token: row("ExpiredTokenException", 400, EXPIRED_TOKEN),
        request_expired: row("InvalidSignatureException", 400, "Signature expired"),
    };

    /// `restJson1`: the same codes, as 403.
    pub const REST_JSON: Spelling = Spelling {
        missing_token: row("MissingAuthenticationTokenException", 403, "Missing Authentication Token"),
        incomplete: row("IncompleteSignatureException", 403, ""),
        does_not_match: row("InvalidSignatureException", 403, ""),
        unknown_key: row("UnrecognizedClientException", 403, UNKNOWN_KEY),
        expired_token: row("ExpiredTokenException", 403, EXPIRED_TOKEN),
        request_expired: row("InvalidSignatureException", 403, "Signature expired"),
    };

    /// `query`: codes without `Exception`.
    pub const QUERY: Spelling = Spelling {
        missing_token: row("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        incomplete: row("IncompleteSignature", 400, ""),
        does_not_match: row("SignatureDoesNotMatch", 403, ""),
        unknown_key: row("InvalidClientTokenId", 403, UNKNOWN_KEY),
        expired_token: row("ExpiredToken", 403, EXPIRED_TOKEN),
        request_expired: row("RequestExpired", 400, "Request has expired."),
    };

    /// `restXml` as S3 speaks it.
    pub const REST_XML: Spelling = Spelling {
        missing_token: row("AccessDenied", 403, "Access Denied"),
        incomplete: row("AuthorizationHeaderMalformed", 400, ""),
        does_not_match: row("SignatureDoesNotMatch", 403, ""),
        unknown_key: row(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        expired_token: row("ExpiredToken", 400, "The provided token has expired."),
        request_expired: row("AccessDenied", 403, "Request has expired"),
    };

    /// The refusal as a client of this protocol sees it.
    pub fn error(&self, refusal: &Refusal) -> AwsError {
        let (row, message) = match refusal {
            Refusal::MissingToken => (self.missing_token, None),
            Refusal::Incomplete(message) => (self.incomplete, Some(message)),
            Refusal::DoesNotMatch(message) => (self.does_not_match, Some(message)),
            Refusal::UnknownKey => (self.unknown_key, None),
            Refusal::ExpiredToken => (self.expired_token, None),
            Refusal::RequestExpired => (self.request_expired, None),
        };
        AwsError {
            code: Cow::Borrowed(row.code),
            status: row.status,
            fault: Fault::Sender,
            message: message.cloned().unwrap_or_else(|| row.message.to_owned()),
            fields: Vec::new(),
            headers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_codes() {
        let codes = |refusal: &Refusal| {
            [Spelling::AWS_JSON, Spelling::REST_JSON, Spelling::QUERY, Spelling::REST_XML].map(|spelling| {
                let error = spelling.error(refusal);
                (error.code.into_owned(), error.status)
            })
        };
        let expect = |rows: [(&str, u16); 4]| rows.map(|(code, status)| (code.to_owned(), status));
        assert_eq!(
            codes(&Refusal::UnknownKey),
            expect([
                ("UnrecognizedClientException", 400),
                ("UnrecognizedClientException", 403),
                ("InvalidClientTokenId", 403),
                ("InvalidAccessKeyId", 403),
            ])
        );
        assert_eq!(
            codes(&Refusal::DoesNotMatch(MISMATCH.to_owned())),
            expect([
                ("InvalidSignatureException", 400),
                ("InvalidSignatureException", 403),
                ("SignatureDoesNotMatch", 403),
                ("SignatureDoesNotMatch", 403),
            ])
        );
    }

    #[test]
    fn a_refusal_with_a_message_keeps_it() {
        let error = Spelling::QUERY.error(&Refusal::Incomplete("why".to_owned()));
        assert_eq!(error.message, "why");
        assert_eq!(error.fault, Fault::Sender);
    }
}
