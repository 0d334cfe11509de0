//! The signatures that AWS publishes, verified and made anew.
//!
//! Sources (documented): the Signature Version 4 test suite
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>) and S3's examples
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>).

use gust_auth::{Claim, Head, Payload, Refusal, Signer};
use http::{HeaderMap, HeaderName};

const SUITE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const S3_SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// 2015-08-30T12:36:00Z
const SUITE_NOW_MS: i64 = 1_440_938_160_000;
/// 2013-05-24T00:00:00Z
const S3_NOW_MS: i64 = 1_369_353_600_000;

fn header_map(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

fn verify(head: &Head<'_>, body: &[u8], service: &str, secret: &str, now_ms: i64) -> Result<Payload, Refusal> {
    let claim = Claim::of(head)?.ok_or(Refusal::MissingToken)?;
    claim.check(now_ms, &[service])?.verify(head, body, secret)
}

struct Vector {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    signed: &'static str,
    body: &'static str,
    signature: &'static str,
}

const BASE: Vector = Vector {
    name: "get-vanilla",
    method: "GET",
    path: "/",
    query: "",
    headers: &[],
    signed: "host;x-amz-date",
    body: "",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
};

const SUITE: &[Vector] = &[
    BASE,
    Vector { name: "get-relative", path: "/example/..", ..BASE },
    Vector { name: "get-relative-relative", path: "/example1/example2/../..", ..BASE },
    Vector { name: "get-slash", path: "//", ..BASE },
    Vector { name: "get-slash-dot-slash", path: "/./", ..BASE },
    Vector {
        name: "get-vanilla-query-order-key-case",
        query: "Param2=value2&Param1=value1",
        signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ..BASE
    },
    Vector {
        name: "post-vanilla",
        method: "POST",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ..BASE
    },
    Vector {
        name: "post-x-www-form-urlencoded",
        method: "POST",
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        signed: "content-type;host;x-amz-date",
        body: "Param1=value1",
        signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ..BASE
    },
    Vector {
        name: "get-header-value-order",
        headers: &[
            ("my-header1", "value4"),
            ("my-header1", "value1"),
            ("my-header1", "value3"),
            ("my-header1", "value2"),
        ],
        signed: "host;my-header1;x-amz-date",
        signature: "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ..BASE
    },
    Vector {
        name: "get-header-value-trim",
        headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
        signed: "host;my-header1;my-header2;x-amz-date",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ..BASE
    },
    Vector {
        name: "get-unreserved",
        path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ..BASE
    },
    Vector {
        name: "get-utf8",
        path: "/\u{1234}",
        signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ..BASE
    },
    Vector {
        name: "get-space",
        path: "/example space/",
        signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ..BASE
    },
];

#[test]
fn the_test_suite_verifies() {
    for vector in SUITE {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
            vector.signed, vector.signature
        );
        let mut pairs = vec![("x-amz-date", "20150830T123600Z"), ("authorization", authorization.as_str())];
        pairs.extend(vector.headers);
        let headers = header_map(&pairs);
        let head = Head {
            method: vector.method,
            path: vector.path,
            query: vector.query,
            headers: &headers,
            host: "example.amazonaws.com",
        };
        let result = verify(&head, vector.body.as_bytes(), "service", SUITE_SECRET, SUITE_NOW_MS);
        assert_eq!(result, Ok(Payload::Signed), "{}", vector.name);
        let other = verify(&head, b"another body", "service", SUITE_SECRET, SUITE_NOW_MS);
        assert!(matches!(other, Err(Refusal::DoesNotMatch(_))), "{}", vector.name);
    }
}

#[test]
fn the_iam_example_is_signed_as_published() {
    let headers = header_map(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8")]);
    let head = Head {
        method: "GET",
        path: "/",
        query: "Action=ListUsers&Version=2010-05-08",
        headers: &headers,
        host: "iam.amazonaws.com",
    };
    let signer = Signer {
        access_key_id: "AKIDEXAMPLE",
        secret_access_key: SUITE_SECRET,
        session_token: None,
        region: "us-east-1",
        service: "iam",
    };
    let signed = signer.sign(&head, b"", SUITE_NOW_MS);
    assert_eq!(
        signed["authorization"],
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn s3_examples_verify() {
    let host = "examplebucket.s3.amazonaws.com";
    let get = header_map(&[
        ("range", "bytes=0-9"),
        ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("x-amz-date", "20130524T000000Z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;\
             x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
    ]);
    let head = Head { method: "GET", path: "/test.txt", query: "", headers: &get, host };
    assert_eq!(verify(&head, b"", "s3", S3_SECRET, S3_NOW_MS), Ok(Payload::Signed));

    let none = HeaderMap::new();
    let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F\
                 aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
                 aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let head = Head { method: "GET", path: "/test.txt", query, headers: &none, host };
    assert_eq!(verify(&head, b"", "s3", S3_SECRET, S3_NOW_MS), Ok(Payload::Unsigned));
    assert_eq!(verify(&head, b"", "s3", S3_SECRET, S3_NOW_MS + 86_400_000), Ok(Payload::Unsigned));
    assert_eq!(verify(&head, b"", "s3", S3_SECRET, S3_NOW_MS + 86_401_000), Err(Refusal::RequestExpired));
}

#[test]
fn the_seed_of_a_chunked_upload_verifies() {
    let headers = header_map(&[
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=\
             content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;\
             x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        ),
    ]);
    let head = Head {
        method: "PUT",
        path: "/examplebucket/chunkObject.txt",
        query: "",
        headers: &headers,
        host: "s3.amazonaws.com",
    };
    let payload = verify(&head, b"any", "s3", S3_SECRET, S3_NOW_MS);
    assert_eq!(payload, Ok(Payload::Streaming("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned())));
}

const SIGNER: Signer<'static> = Signer {
    access_key_id: "ASIAEXAMPLE",
    secret_access_key: "secret",
    session_token: Some("a/token+with=signs"),
    region: "eu-west-1",
    service: "lambda",
};

fn signed_head<'a>(headers: &'a HeaderMap, query: &'a str) -> Head<'a> {
    Head { method: "POST", path: "/2015-03-31/functions/a%3Ab/invocations", query, headers, host: "127.0.0.1:4566" }
}

fn refusal(headers: &HeaderMap, now_ms: i64) -> String {
    match verify(&signed_head(headers, ""), b"{}", "lambda", "secret", now_ms) {
        Err(Refusal::DoesNotMatch(message) | Refusal::Incomplete(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_signed_here_verifies_here() {
    let none = HeaderMap::new();
    let signed = SIGNER.sign(&signed_head(&none, "Qualifier=%24LATEST"), b"{}", SUITE_NOW_MS);
    let head = signed_head(&signed, "Qualifier=%24LATEST");
    assert_eq!(verify(&head, b"{}", "lambda", "secret", SUITE_NOW_MS), Ok(Payload::Signed));
    let claim = Claim::of(&head).unwrap().unwrap();
    let checked = claim.check(SUITE_NOW_MS, &["lambda"]).unwrap();
    assert_eq!(checked.check_token(Some("a/token+with=signs")), Ok(()));
    assert_eq!(checked.check_token(Some("a/token+with=signz")), Err(Refusal::UnknownKey));
    assert_eq!(checked.check_token(None), Err(Refusal::UnknownKey));

    let query = SIGNER.presign(&signed_head(&none, "a=b"), 60, SUITE_NOW_MS);
    let head = signed_head(&none, &query);
    assert_eq!(verify(&head, b"", "lambda", "secret", SUITE_NOW_MS + 60_000), Ok(Payload::Signed));
    assert_eq!(verify(&head, b"", "lambda", "secret", SUITE_NOW_MS + 61_000), Err(Refusal::RequestExpired));
    let changed = query.replace("a=b", "a=c");
    let result = verify(&signed_head(&none, &changed), b"", "lambda", "secret", SUITE_NOW_MS);
    assert!(matches!(result, Err(Refusal::DoesNotMatch(_))));
}

#[test]
fn every_part_that_is_signed_counts() {
    let none = HeaderMap::new();
    let signed = SIGNER.sign(&signed_head(&none, ""), b"{}", SUITE_NOW_MS);
    let head = signed_head(&signed, "");
    let mut other_token = signed.clone();
    other_token.insert("x-amz-security-token", "other".parse().unwrap());
    let changed = [
        Head { method: "PUT", ..head },
        Head { path: "/2015-03-31/functions/a%3Ac/invocations", ..head },
        Head { query: "x=", ..head },
        Head { host: "127.0.0.1:4567", ..head },
        Head { headers: &other_token, ..head },
    ];
    for head in changed {
        let result = verify(&head, b"{}", "lambda", "secret", SUITE_NOW_MS);
        assert!(matches!(result, Err(Refusal::DoesNotMatch(_))), "{head:?}");
    }
    for (body, secret) in [("{ }", "secret"), ("{}", "Secret")] {
        let result = verify(&head, body.as_bytes(), "lambda", secret, SUITE_NOW_MS);
        assert!(matches!(result, Err(Refusal::DoesNotMatch(_))), "{body} {secret}");
    }
}

#[test]
fn a_streaming_mark_does_not_hide_the_body_from_other_services() {
    let marked = header_map(&[("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")]);
    let signed = SIGNER.sign(&signed_head(&marked, ""), b"{}", SUITE_NOW_MS);
    let head = signed_head(&signed, "");
    assert_eq!(verify(&head, b"{}", "lambda", "secret", SUITE_NOW_MS), Ok(Payload::Signed));
    assert!(verify(&head, b"[]", "lambda", "secret", SUITE_NOW_MS).is_err());
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    let signed = SIGNER.sign(&signed_head(&HeaderMap::new(), ""), b"{}", SUITE_NOW_MS);
    for skew_ms in [-900_000, 900_000] {
        assert!(verify(&signed_head(&signed, ""), b"{}", "lambda", "secret", SUITE_NOW_MS + skew_ms).is_ok());
    }
    assert_eq!(
        refusal(&signed, SUITE_NOW_MS + 901_000),
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    );
    assert_eq!(
        refusal(&signed, SUITE_NOW_MS - 901_000),
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    );
}

#[test]
fn malformed_parts_are_refused_in_aws_words() {
    let rest = "SignedHeaders=host;x-amz-date, Signature=ab";
    let with =
        |authorization: String, date: &str| header_map(&[("authorization", &authorization), ("x-amz-date", date)]);
    let good_date = "20150830T123600Z";
    for (authorization, date, expected) in [
        (
            format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE, {rest}"),
            good_date,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'AKIDEXAMPLE'",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential=a/foobar/Wrong_Region/s/aws5_request, {rest}"),
            good_date,
            "Credential should be scoped to a valid region, not 'Wrong_Region'. Credential should be scoped to correct \
             service: 'lambda'. Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'. \
             Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: 'foobar' != \
             '20150830', from '20150830T123600Z'.",
        ),
        (
            format!("AWS4-HMAC-SHA256 Credential=a/20150830/us-east-1/lambda/aws4_request, {rest}"),
            "2015/08/30",
            "Date must be in ISO-8601 'basic format'. Got '2015/08/30'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (
            format!("AWS4-HMAC-SHA1 Credential=a/20150830/us-east-1/lambda/aws4_request, {rest}"),
            good_date,
            "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1' (only AWS4-HMAC-SHA256 for now). ",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=x-amz-date, Signature=ab".to_owned(),
            good_date,
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
    ] {
        assert_eq!(refusal(&with(authorization, date), SUITE_NOW_MS), expected);
    }
}

#[test]
fn a_presigned_life_is_a_week_at_most() {
    let none = HeaderMap::new();
    for (lifetime_s, fits) in [(604_800, true), (604_801, false)] {
        let query = SIGNER.presign(&signed_head(&none, ""), lifetime_s, SUITE_NOW_MS);
        assert_eq!(verify(&signed_head(&none, &query), b"", "lambda", "secret", SUITE_NOW_MS).is_ok(), fits);
    }
}
