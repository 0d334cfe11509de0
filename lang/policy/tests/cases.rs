//! Whole decisions, as data: `tests/cases/*.json`. Each file is about one subject and says where its expectations come
//! from.

use gust_policy::{
    Caller, Context, Decision, Kind, Layer, Policy, PrincipalSide, Relation, Request, Resource, Verdict,
};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn caller(value: &Value) -> Caller<'_> {
    let account = value["account"].as_str().unwrap_or("000000000000");
    match text(value, "kind") {
        "anybody" => Caller::Anybody,
        "service" => Caller::Service(text(value, "name")),
        "root" => Caller::Root { account },
        "user" => Caller::User { account, arn: text(value, "arn"), id: "AIDAEXAMPLE" },
        "session" => {
            Caller::Session { account, arn: text(value, "arn"), issuer: text(value, "issuer"), id: "AROAEXAMPLE:s" }
        }
        other => panic!("{other}"),
    }
}

fn context(value: &Value) -> Context {
    let one = |value: &Value| value.as_str().expect("a text").to_owned();
    let values = |value: &Value| value.as_array().map_or_else(|| vec![one(value)], |all| all.iter().map(one).collect());
    let entries = value.as_object().into_iter().flatten();
    Context::new(entries.map(|(key, value)| (key.clone(), values(value))).collect())
}

fn policies(value: &Value) -> Option<Vec<Arc<Policy>>> {
    let parse = |document: &Value| Arc::new(Policy::parse(&document.to_string(), Kind::Identity).expect("a policy"));
    value.as_array().map(|all| all.iter().map(parse).collect())
}

fn decision(decision: Decision) -> String {
    let name = |layer| match layer {
        Layer::Identity => "identity",
        Layer::Boundary => "boundary",
        Layer::Session => "session",
        Layer::Resource => "resource",
    };
    match decision {
        Decision::Allowed => "allowed".to_owned(),
        Decision::Missing(layer) => format!("not allowed by {}", name(layer)),
        Decision::Denied(layer) => format!("denied by {}", name(layer)),
    }
}

/// A request of the case: the file's policies, the case's own before them.
fn run(file: &Value, case: &Value) -> String {
    let get = |name: &str| if case[name].is_null() { &file[name] } else { &case[name] };
    let caller = caller(get("caller"));
    let context = context(get("context"));
    let request = Request::new(caller, text(case, "action"), get("resource").as_str().expect("a resource"), &context);
    let identity = policies(get("identity")).unwrap_or_default();
    let (boundary, session) = (policies(get("boundary")), policies(get("session")));
    let side = PrincipalSide::new(&request, &identity, boundary.as_deref(), session.as_deref());
    let relation = if get("relation") == "other account" { Relation::OtherAccount } else { Relation::SameAccount };
    let said = |document: &Value, kind| {
        let policy = Policy::parse(&document.to_string(), kind).expect("a resource's policy");
        policy.verdict(&request)
    };
    let resource = match (get("resource_policy"), get("trust")) {
        (Value::Null, Value::Null) => Resource::Says(Verdict::Silent),
        (Value::Null, trust) => Resource::MustAllow(said(trust, Kind::Trust)),
        (policy, _) => Resource::Says(said(policy, Kind::Resource)),
    };
    decision(side.decide(request.caller(), relation, resource))
}

#[test]
fn all_cases_are_decided_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(file["source"].as_str().is_some_and(|source| !source.is_empty()), "{path:?} has no source");
        for case in file["cases"].as_array().unwrap() {
            assert_eq!(run(&file, case), text(case, "expect"), "{path:?}: {case}");
            count += 1;
        }
    }
    assert!(count > 60, "only {count} cases were found");
}
