//! Judges a claim: first all that needs no key, then the signature.

use crate::claim::{Claim, Head, Scheme, Scope};
use crate::key::{Derivation, hmac_matches, sha256_hex, signing_key, unhex};
use crate::refusal::MISMATCH;
use crate::time::{basic, parse_basic, parse_http};
use crate::{ALGORITHM, CLOCK_SKEW_S, PRESIGNED_S_MAX, Refusal, SIGNED_HEADERS_MAX, TERMINATOR, canonical};

/// The header that says how a body was signed.
const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// Its value for a body that was not.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// How a verified signature covers the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The body's hash is signed, and is this body's.
    Signed,
    /// The signer left the body out.
    Unsigned,
    /// The body comes in chunks (S3), each perhaps with a signature of its own that chains to this
    /// one; the text is the header's value, for example `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    Streaming(String),
}

/// A claim that is complete, timely and made for this service. Its signature is still unproven.
#[derive(Debug)]
pub struct Checked<'a> {
    claim: &'a Claim<'a>,
    /// The credential.
    pub scope: Scope<'a>,
    signed_at_s: i64,
}

impl<'a> Claim<'a> {
    /// Judges all that needs no key, in AWS's order: completeness, date, signed headers, algorithm, scope.
    ///
    /// `services` are the signing names of the service that the request addresses.
    pub fn check(&'a self, now_ms: i64, services: &[&str]) -> Result<Checked<'a>, Refusal> {
        if let Some(refusal) = self.missing() {
            return Err(refusal);
        }
        let date = self.date.as_deref().unwrap_or_default();
        let signed_at_s = parse_basic(date).or_else(|| parse_http(date)).ok_or_else(|| {
            Refusal::Incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"
            ))
        })?;
        self.check_age(signed_at_s, now_ms.div_euclid(1000))?;
        self.check_signed_headers()?;
        if !self.algorithm_is_known() {
            return Err(Refusal::Incomplete(format!(
                "Unsupported AWS 'algorithm': '{}' (only {ALGORITHM} for now). ",
                self.algorithm.as_deref().unwrap_or_default()
            )));
        }
        let scope = self.scope().ok_or_else(|| self.malformed_credential())?;
        check_scope(&scope, signed_at_s, services)?;
        Ok(Checked { claim: self, scope, signed_at_s })
    }

    /// The refusal of a credential that has not five parts.
    pub fn malformed_credential(&self) -> Refusal {
        Refusal::Incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
            self.credential.as_deref().unwrap_or_default()
        ))
    }

    fn check_age(&self, signed_at_s: i64, now_s: i64) -> Result<(), Refusal> {
        if signed_at_s > now_s + CLOCK_SKEW_S {
            return Err(Refusal::DoesNotMatch(format!(
                "Signature not yet current: {} is still later than {} ({} + {} min.)",
                basic(signed_at_s),
                basic(now_s + CLOCK_SKEW_S),
                basic(now_s),
                CLOCK_SKEW_S / 60
            )));
        }
        match (self.scheme, &self.expires) {
            (Scheme::Presigned, Some(expires)) => {
                let lifetime_s = presigned_lifetime_s(expires)?;
                if now_s > signed_at_s + lifetime_s {
                    return Err(Refusal::RequestExpired);
                }
            }
            _ if signed_at_s < now_s - CLOCK_SKEW_S => {
                return Err(Refusal::DoesNotMatch(format!(
                    "Signature expired: {} is now earlier than {} ({} - {} min.)",
                    basic(signed_at_s),
                    basic(now_s - CLOCK_SKEW_S),
                    basic(now_s),
                    CLOCK_SKEW_S / 60
                )));
            }
            _ => {}
        }
        Ok(())
    }

    fn check_signed_headers(&self) -> Result<(), Refusal> {
        let names = self.signed_headers.as_deref().unwrap_or_default();
        if names.split(';').count() > SIGNED_HEADERS_MAX {
            return Err(Refusal::DoesNotMatch(MISMATCH.to_owned()));
        }
        if names.split(';').any(|name| name.eq_ignore_ascii_case("host") || name == ":authority") {
            return Ok(());
        }
        let message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        Err(Refusal::DoesNotMatch(message.to_owned()))
    }
}

fn presigned_lifetime_s(expires: &str) -> Result<i64, Refusal> {
    let refuse = |message: &str| Refusal::Incomplete(message.to_owned());
    let lifetime_s: i64 = expires.parse().map_err(|_| refuse("X-Amz-Expires should be a number"))?;
    if lifetime_s < 0 {
        return Err(refuse("X-Amz-Expires must be non-negative"));
    }
    if lifetime_s > PRESIGNED_S_MAX {
        return Err(refuse(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than \
             604800 seconds",
        ));
    }
    Ok(lifetime_s)
}

fn check_scope(scope: &Scope<'_>, signed_at_s: i64, services: &[&str]) -> Result<(), Refusal> {
    let mut faults: Vec<String> = Vec::new();
    if gust_types::Region::parse(scope.region).is_none() {
        faults.push(format!("Credential should be scoped to a valid region, not '{}'.", scope.region));
    }
    if !services.contains(&scope.service) {
        let service = services.first().copied().unwrap_or_default();
        faults.push(format!("Credential should be scoped to correct service: '{service}'."));
    }
    if scope.terminator != TERMINATOR {
        let found = scope.terminator;
        faults.push(format!("Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{found}'."));
    }
    let date = basic(signed_at_s);
    if scope.date != &date[..8] {
        faults.push(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{}', \
             from '{date}'.",
            scope.date,
            &date[..8],
        ));
    }
    if faults.is_empty() { Ok(()) } else { Err(Refusal::DoesNotMatch(faults.join(" "))) }
}

impl Checked<'_> {
    /// Whether the session token that came with the request is `token`; a key of no session has none.
    pub fn check_token(&self, token: Option<&str>) -> Result<(), Refusal> {
        let same = match (self.claim.token(), token) {
            (None, None) => true,
            (Some(given), Some(kept)) => same_text(given, kept),
            _ => false,
        };
        if same { Ok(()) } else { Err(Refusal::UnknownKey) }
    }

    /// Compares the signature with the one that `secret` makes over `head` and `body`.
    pub fn verify(&self, head: &Head<'_>, body: &[u8], secret: &str) -> Result<Payload, Refusal> {
        let mismatch = || Refusal::DoesNotMatch(MISMATCH.to_owned());
        let signature = self.claim.signature.as_deref().and_then(unhex).ok_or_else(mismatch)?;
        let signed_headers = self.claim.signed_headers.as_deref().unwrap_or_default();
        let (payload, hash) = self.payload(head, body);
        let request = canonical::request(head, self.scope.service, signed_headers, &hash);
        let Scope { date, region, service, .. } = self.scope;
        let message = string_to_sign(self.signed_at_s, date, region, service, &request);
        let key = signing_key(Derivation { secret, date, region, service });
        if hmac_matches(&key, message.as_bytes(), &signature) { Ok(payload) } else { Err(mismatch()) }
    }

    /// What stands for the body in the canonical request.
    fn payload(&self, head: &Head<'_>, body: &[u8]) -> (Payload, String) {
        let declared = head.headers.get(CONTENT_SHA256).and_then(|value| value.to_str().ok());
        let s3 = self.scope.service.starts_with("s3");
        match declared {
            Some(UNSIGNED) => (Payload::Unsigned, UNSIGNED.to_owned()),
            Some(kind) if s3 && kind.starts_with("STREAMING-") => {
                (Payload::Streaming(kind.to_owned()), kind.to_owned())
            }
            None if s3 && self.claim.scheme == Scheme::Presigned => (Payload::Unsigned, UNSIGNED.to_owned()),
            // A declared hash is not believed: the body's own is what must have been signed.
            _ => (Payload::Signed, sha256_hex(body)),
        }
    }
}

/// What the signing key signs.
pub(crate) fn string_to_sign(signed_at_s: i64, date: &str, region: &str, service: &str, request: &str) -> String {
    let scope = format!("{date}/{region}/{service}/{TERMINATOR}");
    format!("{ALGORITHM}\n{}\n{scope}\n{}", basic(signed_at_s), sha256_hex(request.as_bytes()))
}

/// Compares secrets in a time that depends on their lengths only.
fn same_text(left: &str, right: &str) -> bool {
    let differences = left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    left.len() == right.len() && differences == 0
}
