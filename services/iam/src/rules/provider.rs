//! What an OpenID Connect provider may look like.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html>; the texts of
//! refusals are inferred.

use crate::error::IamError;
use crate::limits::{CLIENT_IDS_MAX, THUMBPRINTS_MAX};

/// A provider's URL as it is kept and shown: without `https://`.
pub fn stored_url(url: &str) -> Result<String, IamError> {
    let rest = url.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    let is_host = |rest: &&str| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@'))
    };
    let refuse = || IamError::Validation("Invalid Open ID Connect Provider URL".to_owned());
    rest.filter(is_host).map(str::to_owned).ok_or_else(refuse)
}

/// The audiences of a new provider, each once.
pub fn checked_client_ids(given: Option<Vec<String>>) -> Result<Vec<String>, IamError> {
    let mut ids: Vec<String> = Vec::new();
    for id in given.unwrap_or_default() {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    check_client_ids(&ids)?;
    Ok(ids)
}

/// Checks how many audiences there are.
pub fn check_client_ids(ids: &[String]) -> Result<(), IamError> {
    if ids.len() <= CLIENT_IDS_MAX {
        return Ok(());
    }
    Err(IamError::Quota { quota: "ClientIdsPerOpenIdConnectProvider", max: CLIENT_IDS_MAX })
}

/// Checks thumbprints: 40 hexadecimal digits each.
pub fn checked_thumbprints(thumbprints: Vec<String>) -> Result<Vec<String>, IamError> {
    if thumbprints.len() > THUMBPRINTS_MAX {
        let message = format!("Thumbprint list must contain at most {THUMBPRINTS_MAX} entries.");
        return Err(IamError::InvalidInput(message));
    }
    match thumbprints.iter().find(|print| !print.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(print) => Err(IamError::InvalidInput(format!("Thumbprint {print} is not valid."))),
        None => Ok(thumbprints),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_without_scheme() {
        assert_eq!(stored_url("https://a.example/x/").unwrap(), "a.example/x");
        for url in ["http://a.example", "https://", "https:///x", "a.example", "https://a b", "https://a?x", ""] {
            assert!(stored_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn lists_are_bounded() {
        let ids = |count: usize| Some((0..count).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(checked_client_ids(ids(CLIENT_IDS_MAX)).unwrap().len(), CLIENT_IDS_MAX);
        assert!(checked_client_ids(ids(CLIENT_IDS_MAX + 1)).is_err());
        assert_eq!(checked_client_ids(Some(vec!["a".to_owned(), "a".to_owned()])).unwrap(), ["a"]);
        assert!(checked_thumbprints(vec!["0".repeat(40); THUMBPRINTS_MAX]).is_ok());
        assert!(checked_thumbprints(vec!["0".repeat(40); THUMBPRINTS_MAX + 1]).is_err());
        assert!(checked_thumbprints(vec!["x".repeat(40)]).is_err());
    }
}
