//! Every door, with good input, broken input, and input made to hurt.

use gust_hostile::{aws_json, filter_pattern, package, policy, query, rest_json, signature};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::{Duration, Instant};

type Door = fn(&[u8]);

const DOORS: [(&str, Door); 7] = [
    ("aws_json", aws_json),
    ("rest_json", rest_json),
    ("query", query),
    ("signature", signature),
    ("policy", policy),
    ("filter_pattern", filter_pattern),
    ("package", package),
];

/// Good input of all kinds: what mutations start from.
const SEEDS: [&str; 12] = [
    "\u{0}{\"logGroupName\":\"/aws/lambda/f\",\"tags\":{\"a\":\"b\"}}",
    "\u{6}{\"logGroupName\":\"g\",\"logStreamName\":\"s\",\"logEvents\":[{\"timestamp\":1700000000000,\"message\":\"x\"}]}",
    "POST /2015-03-31/functions\n{\"FunctionName\":\"f\",\"Role\":\"arn:aws:iam::000000000000:role/r\",\"Code\":{\"ZipFile\":\"UEsFBg==\"},\"Timeout\":3}",
    "GET /2015-03-31/functions/f?Qualifier=%24LATEST&x=%zz\n",
    "POST /2015-03-31/functions/f%2Fg/invocations\n{}",
    "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Key=a&Tags.member.1.Value=b",
    "Action=AssumeRole&Version=2011-06-15&RoleArn=arn&DurationSeconds=900&Tags.member.1=x&Tags.member.99999999999.Key=y",
    "GET /?a=b\nhost: h\nx-amz-date: 20150830T123600Z\nauthorization: AWS4-HMAC-SHA256 Credential=a/20150830/us-east-1/s/aws4_request, SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    "GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20150830%2Fus-east-1%2Fs%2Faws4_request&X-Amz-Date=20150830T123600Z&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=00\nhost: h",
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"lambda:*\",\"Resource\":\"arn:aws:lambda:*:${aws:username}:*\",\"Condition\":{\"ForAnyValue:StringLikeIfExists\":{\"aws:a\":[\"*\",1,true]}}}]}",
    "{ ($.a[0].b = \"x*\") && ($.c >= 1.5) || ($.d IS NULL) }\n{\"a\":[{\"b\":\"xy\"}],\"c\":2}",
    "[ip, user, ..., status=4*, bytes>100]\n127.0.0.1 - frank [10/Oct] \"GET /\" 404 1534",
];

/// How long one input may take in a debug build on a loaded machine. An exponential one takes for ever.
const TIME_MAX: Duration = Duration::from_secs(20);

fn try_all(data: &[u8]) {
    for (name, door) in DOORS {
        let started = Instant::now();
        door(data);
        assert!(started.elapsed() < TIME_MAX, "{name} took {:?} for {} bytes", started.elapsed(), data.len());
    }
}

/// `piece` over and over, with every beginning that leads somewhere.
fn repeated(piece: &str, count: usize) -> Vec<Vec<u8>> {
    let flood = piece.repeat(count);
    ["", "\u{0}", "POST /2015-03-31/functions\n", "Action=CreateRole&", "GET /?", "GET /\nhost: ", "{ $.a = ", "["]
        .iter()
        .map(|beginning| format!("{beginning}{flood}").into_bytes())
        .collect()
}

#[test]
fn good_input_passes_every_door() {
    for seed in SEEDS {
        try_all(seed.as_bytes());
    }
}

#[test]
fn floods_and_depth_do_no_harm() {
    let numbers = "9".repeat(50_000);
    for piece in [
        "[",
        "{\"a\":",
        "(",
        "((",
        "*",
        "*a",
        "${",
        "%",
        "&a=b",
        "a.member.1=",
        "x: y\n",
        "\"",
        "\\",
        "\u{0}",
        &numbers,
    ] {
        for data in repeated(piece, 100_000 / piece.len().max(1)) {
            try_all(&data);
        }
    }
}

#[test]
fn odd_numbers_and_texts_do_no_harm() {
    let values = [
        "1e999",
        "-1e999",
        "1e-999",
        "-0",
        "0.1e+00000000000000000001",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1.7976931348623157e309",
        "NaN",
        "Infinity",
        "null",
        "true",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"\u{feff}\"",
        "{\"a\":1,\"a\":2}",
        "[[]]",
        "\"\"",
        "",
    ];
    for value in values {
        for operation in 0..16u8 {
            for member in ["logGroupName", "limit", "logEvents", "startTime", "tags"] {
                let mut data = vec![operation];
                data.extend(format!("{{\"{member}\":{value},\"{member}\":{value}}}").bytes());
                try_all(&data);
            }
        }
        try_all(
            format!("POST /2015-03-31/functions\n{{\"FunctionName\":\"f\",\"MemorySize\":{value},\"Tags\":{value}}}")
                .as_bytes(),
        );
        try_all(format!("Action=AssumeRole&Version=2011-06-15&DurationSeconds={value}").as_bytes());
    }
}

proptest! {
    #[test]
    fn any_bytes(data in vec(any::<u8>(), 0..200)) {
        try_all(&data);
    }

    #[test]
    fn good_input_damaged(
        seed in prop::sample::select(SEEDS.to_vec()),
        damages in vec((any::<prop::sample::Index>(), vec(any::<u8>(), 0..4), 0usize..4), 1..6),
    ) {
        let mut data = seed.as_bytes().to_vec();
        for (at, with, removed) in damages {
            let at = at.index(data.len().max(1)).min(data.len());
            let end = (at + removed).min(data.len());
            data.splice(at..end, with);
        }
        try_all(&data);
    }

    #[test]
    fn good_inputs_crossed(
        one in prop::sample::select(SEEDS.to_vec()), other in prop::sample::select(SEEDS.to_vec()),
        at in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (one.as_bytes(), other.as_bytes());
        let data = [&one[..at.index(one.len())], &other[from.index(other.len())..]].concat();
        try_all(&data);
    }
}
