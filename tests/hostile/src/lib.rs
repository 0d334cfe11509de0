//! Where bytes from strangers enter: one plain function for each door, driven by property tests in the normal test run
//! (`tests/doors.rs`) and by libFuzzer (`fuzz/`).
//!
//! A door may refuse whatever it likes; it may not panic, hang, or use memory out of proportion.

mod signature;
mod wire;

pub use signature::signature;
pub use wire::{aws_json, query, rest_json};

use gust_filter_pattern::Pattern;
use gust_policy::{Caller, Context, Kind, Policy, Request};

/// A policy document, and what it says of a request.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut context = Context::default();
    context.add("aws:username", "ann");
    let caller = Caller::User { account: "000000000000", arn: "arn:aws:iam::000000000000:user/ann", id: "AIDAANN" };
    let resource = "arn:aws:lambda:us-east-1:000000000000:function:f";
    let request = Request::new(caller, "lambda:InvokeFunction", resource, &context);
    for kind in [Kind::Identity, Kind::Trust, Kind::Resource] {
        if let Ok(policy) = Policy::parse(text, kind) {
            policy.verdict(&request);
        }
    }
}

/// A package of a function or a layer.
pub fn package(data: &[u8]) {
    // Refused or not: both are answers.
    let _ = gust_lambda::unpacked_bytes(data);
}

/// A filter pattern (the first line) and a message (the rest).
pub fn filter_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, message) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(pattern) = Pattern::parse(pattern) {
        pattern.matches(message);
    }
}
