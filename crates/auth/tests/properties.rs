//! Whatever a request holds: nothing panics, and what is signed verifies.

use gust_auth::{Claim, Head, Payload, Signer};
use http::{HeaderMap, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

const NOW_MS: i64 = 1_440_938_160_000;

fn header_map(pairs: &[(&'static str, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        if let Ok(value) = HeaderValue::try_from(value.as_str()) {
            headers.append(*name, value);
        }
    }
    headers
}

/// Texts that often look like parts of a signature.
fn authorization() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("AWS4-HMAC-SHA256".to_owned()),
        Just("Credential=".to_owned()),
        Just("a/20150830/us-east-1/s/aws4_request".to_owned()),
        Just("SignedHeaders=host;:authority;x y".to_owned()),
        Just(format!("Signature={}", "0".repeat(64))),
        Just(", ".to_owned()),
        Just(" ".to_owned()),
        "[ -~]{0,8}",
    ];
    vec(word, 0..10).prop_map(|words| words.concat())
}

fn query() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned()),
        Just("X-Amz-Credential=a%2F20150830%2Fus-east-1%2Fs%2Faws4_request".to_owned()),
        Just("X-Amz-Date=20150830T123600Z".to_owned()),
        Just("X-Amz-SignedHeaders=host".to_owned()),
        Just(format!("X-Amz-Signature={}", "f".repeat(64))),
        "X-Amz-Expires=-?[0-9]{0,20}",
        "[ -~é]{0,8}",
    ];
    vec(word, 0..10).prop_map(|words| words.join("&"))
}

proptest! {
    #[test]
    fn nothing_panics(
        authorization in authorization(),
        query in query(),
        path in ".{0,20}",
        date in prop_oneof![Just("20150830T123600Z".to_owned()), "[ -~]{0,20}"],
        body in vec(any::<u8>(), 0..20),
        with_header in any::<bool>(),
    ) {
        let mut pairs = vec![("x-amz-date", date)];
        if with_header {
            pairs.push(("authorization", authorization));
        }
        let headers = header_map(&pairs);
        let head = Head { method: "GET", path: &path, query: &query, headers: &headers, host: "h" };
        if let Ok(Some(claim)) = Claim::of(&head)
            && let Ok(checked) = claim.check(NOW_MS, &["s"])
        {
            prop_assert!(checked.verify(&head, &body, "secret").is_err());
        }
    }

    #[test]
    fn what_is_signed_verifies(
        path in "(/[ -~é]{0,8}){0,4}",
        query in "[a-zA-Z0-9=&%+ ~é/:-]{0,30}",
        value in "[ -~]{0,20}",
        body in vec(any::<u8>(), 0..40),
        service in prop_oneof![Just("lambda"), Just("s3")],
        token in proptest::option::of("[A-Za-z0-9+/=]{1,20}"),
    ) {
        let headers = header_map(&[("x-amz-meta", value)]);
        let head = Head { method: "POST", path: &path, query: &query, headers: &headers, host: "h:1" };
        let signer = Signer {
            access_key_id: "AKID",
            secret_access_key: "secret",
            session_token: token.as_deref(),
            region: "us-east-1",
            service,
        };
        let signed = signer.sign(&head, &body, NOW_MS);
        let sent = Head { headers: &signed, ..head };
        let claim = Claim::of(&sent).unwrap().unwrap();
        let checked = claim.check(NOW_MS, &[service]).unwrap();
        prop_assert_eq!(checked.check_token(token.as_deref()), Ok(()));
        prop_assert_eq!(checked.verify(&sent, &body, "secret"), Ok(Payload::Signed));
        prop_assert!(checked.verify(&sent, &body, "other").is_err());

        let presigned = signer.presign(&head, 60, NOW_MS);
        let sent = Head { query: &presigned, ..head };
        let claim = Claim::of(&sent).unwrap().unwrap();
        let checked = claim.check(NOW_MS + 59_000, &[service]).unwrap();
        prop_assert!(checked.verify(&sent, b"", "secret").is_ok());
    }
}
