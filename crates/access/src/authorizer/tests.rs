//! Decisions over policies that are given here.

use super::*;
use gust_kit::ports::{Boundary, PrincipalPolicies};
use gust_kit::{Principal, PrincipalKind};
use gust_store::StoreError;
use gust_types::{AccountId, ManualClock};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";
const INVOKE: &str = "lambda:InvokeFunction";

/// One answer for everybody.
#[derive(Default)]
struct Source {
    answer: Mutex<Arc<PrincipalPolicies>>,
}

#[async_trait]
impl PolicySource for Source {
    async fn policies(&self, _: &Principal) -> Result<Arc<PrincipalPolicies>, StoreError> {
        Ok(self.answer.lock().unwrap().clone())
    }
}

struct Thing {
    policy_use: PolicyUse,
    facts: ResourceFacts,
    asked: AtomicUsize,
}

#[async_trait]
impl Resource for Thing {
    fn policy_use(&self) -> PolicyUse {
        self.policy_use
    }

    async fn facts(&self) -> Result<ResourceFacts, AwsError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.facts.clone())
    }
}

fn thing(policy_use: PolicyUse, policy: Option<&str>, tags: &[(&str, &str)]) -> Thing {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Thing { policy_use, facts: ResourceFacts { policy: policy.map(str::to_owned), tags }, asked: AtomicUsize::new(0) }
}

fn ann() -> Principal {
    Principal {
        kind: PrincipalKind::User,
        arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
        user_id: "AIDAANN".to_owned(),
        ..Principal::root(AccountId::parse("000000000000").unwrap(), None)
    }
}

fn request(resource: &str) -> AccessRequest {
    AccessRequest {
        principal: Some(ann()),
        action: INVOKE.to_owned(),
        resource: resource.to_owned(),
        context: Vec::new(),
        resource_policy: None,
    }
}

fn allow(statement: &str) -> Arc<str> {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"lambda:*",{statement}}}]}}"#).into()
}

/// Answers as `identity` says.
fn authorizer(version: u64, identity: Vec<Arc<str>>) -> (PolicyAuthorizer, Arc<Source>) {
    let source = Arc::new(Source::default());
    *source.answer.lock().unwrap() = Arc::new(PrincipalPolicies { version, identity, ..Default::default() });
    (PolicyAuthorizer::new(source.clone(), Arc::new(ManualClock::at(1_700_000_000_000))), source)
}

fn grant(to: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"a","Effect":"Allow","Principal":{{"AWS":"{to}"}},"Action":"{INVOKE}","Resource":"*"}}]}}"#
    )
}

#[tokio::test]
async fn what_the_callers_policies_allow_needs_no_look_at_the_resource() {
    let (authorizer, _) = authorizer(1, vec![allow(r#""Resource":"*""#)]);
    for (policy_use, asked) in [(PolicyUse::None, 0), (PolicyUse::Grants, 0), (PolicyUse::Decides, 1)] {
        let thing = thing(policy_use, None, &[]);
        assert_eq!(authorizer.decide_about(&request(FUNCTION), &thing).await.unwrap(), Decision::Allowed);
        assert_eq!(thing.asked.load(Ordering::SeqCst), asked, "{policy_use:?}");
    }
}

#[tokio::test]
async fn a_new_version_of_the_policies_counts_at_once() {
    let (authorizer, source) = authorizer(1, vec![]);
    let thing = thing(PolicyUse::None, None, &[]);
    let why = format!("no identity-based policy allows the {INVOKE} action");
    let refused = authorizer.decide_about(&request(FUNCTION), &thing).await.unwrap();
    assert_eq!(refused, Decision::NotAllowed(why));
    let identity = vec![allow(r#""Resource":"*""#)];
    *source.answer.lock().unwrap() = Arc::new(PrincipalPolicies { version: 2, identity, ..Default::default() });
    assert_eq!(authorizer.decide_about(&request(FUNCTION), &thing).await.unwrap(), Decision::Allowed);
}

#[tokio::test]
async fn a_resources_policy_can_let_a_user_in() {
    let (authorizer, _) = authorizer(1, vec![]);
    let granted = thing(PolicyUse::Grants, Some(&grant("arn:aws:iam::000000000000:user/ann")), &[]);
    assert_eq!(authorizer.decide_about(&request(FUNCTION), &granted).await.unwrap(), Decision::Allowed);
    let given = AccessRequest { resource_policy: granted.facts.policy.clone(), ..request(FUNCTION) };
    assert_eq!(authorizer.decide(&given).await.unwrap(), Decision::Allowed);
}

#[tokio::test]
async fn another_accounts_resource_must_let_its_callers_in() {
    let (authorizer, _) = authorizer(1, vec![allow(r#""Resource":"*""#)]);
    let other = request("arn:aws:lambda:us-east-1:111111111111:function:f");
    let refused = authorizer.decide_about(&other, &thing(PolicyUse::Grants, None, &[])).await.unwrap();
    assert_eq!(refused, Decision::NotAllowed(format!("no resource-based policy allows the {INVOKE} action")));
    let granted = thing(PolicyUse::Grants, Some(&grant("000000000000")), &[]);
    assert_eq!(authorizer.decide_about(&other, &granted).await.unwrap(), Decision::Allowed);
    // A resource that carries no policy lets in nobody from elsewhere.
    let refused = authorizer.decide_about(&other, &thing(PolicyUse::None, None, &[])).await.unwrap();
    assert!(!refused.is_allowed());
}

#[tokio::test]
async fn tags_of_the_resource_are_read_only_where_a_policy_asks_for_them() {
    let statement = r#""Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}"#;
    let (authorizer, _) = authorizer(1, vec![allow(statement)]);
    for (tag, is_allowed) in [("blue", true), ("red", false)] {
        let thing = thing(PolicyUse::None, None, &[("team", tag)]);
        let decision = authorizer.decide_about(&request(FUNCTION), &thing).await.unwrap();
        assert_eq!((decision.is_allowed(), thing.asked.load(Ordering::SeqCst)), (is_allowed, 1));
    }
}

#[tokio::test]
async fn what_cannot_be_read_denies() {
    let (authorizer, source) = authorizer(1, vec!["{".into(), allow(r#""Resource":"*""#)]);
    let thing_ = thing(PolicyUse::None, None, &[]);
    let denied = Decision::Denied("an explicit deny in an identity-based policy".to_owned());
    assert_eq!(authorizer.decide_about(&request(FUNCTION), &thing_).await.unwrap(), denied);
    let identity = vec![allow(r#""Resource":"*""#)];
    let boundary = Boundary::Unknown;
    *source.answer.lock().unwrap() =
        Arc::new(PrincipalPolicies { version: 2, identity, boundary, ..Default::default() });
    let why = format!("no permissions boundary allows the {INVOKE} action");
    assert_eq!(authorizer.decide_about(&request(FUNCTION), &thing_).await.unwrap(), Decision::NotAllowed(why));
    let identity = vec![allow(r#""Resource":"*""#)];
    *source.answer.lock().unwrap() = Arc::new(PrincipalPolicies { version: 3, identity, ..Default::default() });
    let broken = thing(PolicyUse::Decides, Some("{"), &[]);
    let denied = Decision::Denied("an explicit deny in a resource-based policy".to_owned());
    assert_eq!(authorizer.decide_about(&request(FUNCTION), &broken).await.unwrap(), denied);
}

#[tokio::test]
async fn a_trust_policy_that_lets_nobody_in_is_refused_without_a_reason() {
    let (authorizer, _) = authorizer(1, vec![]);
    let role = AccessRequest { action: "sts:AssumeRole".to_owned(), ..request("arn:aws:iam::000000000000:role/r") };
    let trust = |principal: &str| {
        format!(r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"sts:AssumeRole"}}}}"#)
    };
    for (principal, expected) in [
        ("arn:aws:iam::000000000000:user/ann", Decision::Allowed),
        ("arn:aws:iam::000000000000:user/bob", Decision::NotAllowed(String::new())),
        ("000000000000", Decision::NotAllowed("no identity-based policy allows the sts:AssumeRole action".to_owned())),
    ] {
        let thing = thing(PolicyUse::MustAllow, Some(&trust(principal)), &[]);
        assert_eq!(authorizer.decide_about(&role, &thing).await.unwrap(), expected, "{principal}");
    }
}

#[tokio::test]
async fn strangers_need_the_resources_policy_and_gust_itself_needs_nothing() {
    let (authorizer, _) = authorizer(1, vec![]);
    let stranger =
        |policy: Option<String>| AccessRequest { principal: None, resource_policy: policy, ..request(FUNCTION) };
    assert_eq!(authorizer.decide(&stranger(Some(grant("*")))).await.unwrap(), Decision::Allowed);
    assert!(!authorizer.decide(&stranger(None)).await.unwrap().is_allowed());
    assert!(!authorizer.decide(&stranger(Some(grant("000000000000")))).await.unwrap().is_allowed());
    let internal = Principal::internal(AccountId::parse("000000000000").unwrap());
    let inside = AccessRequest { principal: Some(internal), ..request(FUNCTION) };
    assert_eq!(authorizer.decide(&inside).await.unwrap(), Decision::Allowed);
}
