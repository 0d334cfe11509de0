//! The links in `Code.Location`: signed, and good for ten minutes.
//!
//! A link names the package by its SHA-256; its token is an HMAC over that and the time it ends, made with a
//! key that only this gust's store holds.

use crate::limits;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Where the gateway hands requests to [`crate::Lambda::download`].
pub const LINK_PATH: &str = "/_gust/code/";
/// The size of the signing key in bytes.
pub const SECRET_BYTES: usize = 32;

/// Makes and checks links.
pub struct LinkSigner {
    secret: [u8; SECRET_BYTES],
}

impl LinkSigner {
    /// A signer with this key.
    pub fn new(secret: [u8; SECRET_BYTES]) -> LinkSigner {
        LinkSigner { secret }
    }

    /// A link to the zip `sha256` on the gust that is reached at `origin`.
    pub fn link(&self, origin: &str, sha256: &str, now_ms: i64) -> String {
        let expires_at_ms = now_ms + limits::CODE_LINK_MS;
        let token: String =
            self.mac(sha256, expires_at_ms).finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{origin}{LINK_PATH}{sha256}?expires={expires_at_ms}&token={token}")
    }

    /// The SHA-256 of the zip that the path and query of a link lead to; `None` if the link is not good (any more).
    pub fn check<'a>(&self, path_and_query: &'a str, now_ms: i64) -> Option<&'a str> {
        let (sha256, query) = path_and_query.strip_prefix(LINK_PATH)?.split_once('?')?;
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let expires_at_ms: i64 = value("expires")?.parse().ok()?;
        let token = bytes_of_hex(value("token")?)?;
        // Compares in constant time.
        self.mac(sha256, expires_at_ms).verify_slice(&token).ok()?;
        (now_ms < expires_at_ms).then_some(sha256)
    }

    fn mac(&self, sha256: &str, expires_at_ms: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(format!("gust code link\n{sha256}\n{expires_at_ms}").as_bytes());
        mac
    }
}

fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 128 || !text.is_ascii() {
        return None;
    }
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn path(link: &str) -> &str {
        link.strip_prefix("http://127.0.0.1:4566").unwrap()
    }

    #[test]
    fn a_link_is_good_for_ten_minutes() {
        let signer = LinkSigner::new([7; 32]);
        let link = signer.link("http://127.0.0.1:4566", SHA, 1_000);
        assert_eq!(signer.check(path(&link), 1_000), Some(SHA));
        assert_eq!(signer.check(path(&link), 600_999), Some(SHA));
        assert_eq!(signer.check(path(&link), 601_000), None);
    }

    #[test]
    fn a_changed_link_is_not_good() {
        let signer = LinkSigner::new([7; 32]);
        let link = signer.link("http://127.0.0.1:4566", SHA, 1_000);
        let good = path(&link);
        for bad in [
            good.replace("expires=601000", "expires=901000"),
            good.replace("/0011", "/1111"),
            good[..good.len() - 2].to_owned(),
            format!("{good}00"),
            good.split('?').next().unwrap().to_owned(),
            good.replace("token=", "tokens="),
            good.replace("/code/", "/other/"),
            String::new(),
            "/_gust/code/?expires=é&token=é".to_owned(),
        ] {
            assert_eq!(signer.check(&bad, 1_000), None, "{bad}");
        }
        assert_eq!(LinkSigner::new([8; 32]).check(good, 1_000), None);
    }
}
