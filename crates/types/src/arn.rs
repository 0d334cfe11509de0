//! Account ids, regions and Amazon Resource Names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A 12-digit AWS account id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// Parses a 12-digit id; `None` for anything else.
    pub fn parse(text: &str) -> Option<AccountId> {
        (text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())).then(|| AccountId(text.into()))
    }

    /// Its 12 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A region name such as `us-east-1`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(Arc<str>);

impl Region {
    /// Parses a region name: lower-case letters, digits and hyphens, 1 to 32 characters.
    pub fn parse(text: &str) -> Option<Region> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        fits.then(|| Region(text.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition the region belongs to: `aws`, `aws-cn` or `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        match &self.0 {
            name if name.starts_with("cn-") => "aws-cn",
            name if name.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_newtype!(AccountId);
text_newtype!(Region);

/// A parsed ARN: `arn:partition:service:region:account:resource`.
///
/// Region and account are texts because both may be empty (IAM has no region, S3 neither).
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arn {
    /// `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// The service namespace, for example `lambda`.
    pub service: String,
    /// The region or an empty text.
    pub region: String,
    /// The account or an empty text.
    pub account: String,
    /// All that follows, colons included, for example `function:thumbnails:PROD`.
    pub resource: String,
}

/// A text that is no ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArnError;

impl fmt::Display for ArnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an ARN")
    }
}

impl std::error::Error for ArnError {}

impl Arn {
    /// An ARN in the partition of `region`.
    pub fn new(service: &str, region: &Region, account: &AccountId, resource: impl Into<String>) -> Arn {
        Arn {
            partition: region.partition().to_owned(),
            service: service.to_owned(),
            region: region.as_str().to_owned(),
            account: account.as_str().to_owned(),
            resource: resource.into(),
        }
    }

    /// An ARN without region (IAM, STS).
    pub fn global(service: &str, account: &AccountId, resource: impl Into<String>) -> Arn {
        Arn {
            partition: "aws".to_owned(),
            service: service.to_owned(),
            region: String::new(),
            account: account.as_str().to_owned(),
            resource: resource.into(),
        }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arn { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl FromStr for Arn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Arn, ArnError> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or(ArnError).map(str::to_owned);
        if next()? != "arn" {
            return Err(ArnError);
        }
        let arn = Arn { partition: next()?, service: next()?, region: next()?, account: next()?, resource: next()? };
        let complete = !arn.partition.is_empty() && !arn.service.is_empty() && !arn.resource.is_empty();
        complete.then_some(arn).ok_or(ArnError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_round_trips() {
        let text = "arn:aws:lambda:us-east-1:000000000000:function:a:PROD";
        let arn: Arn = text.parse().unwrap();
        assert_eq!(arn.resource, "function:a:PROD");
        assert_eq!(arn.to_string(), text);
    }

    #[test]
    fn what_is_no_arn_is_refused() {
        for text in ["", "arn", "arn:aws:lambda", "nra:aws:lambda:r:a:x", "arn::lambda:r:a:x", "arn:aws:lambda:r:a:"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }

    #[test]
    fn account_ids_have_twelve_digits() {
        assert!(AccountId::parse("000000000000").is_some());
        for text in ["", "00000000000", "0000000000000", "00000000000a"] {
            assert!(AccountId::parse(text).is_none(), "{text}");
        }
    }
}
