//! What holds of every policy and every request.

use gust_policy::{Caller, Context, Kind, Policy, PrincipalSide, Relation, Request, Resource, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

const ANN: Caller<'_> = Caller::User { account: "000000000000", arn: "arn:aws:iam::000000000000:user/ann", id: "A" };

fn action() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["*", "s3:*", "s3:Get*", "S3:GETOBJECT", "lambda:Invoke?unction", "iam:PassRole"])
        .prop_map(str::to_owned)
}

fn resource() -> impl Strategy<Value = String> {
    let texts = ["*", "arn:aws:s3:::a/*", "arn:aws:s3:::${aws:username}/*", "arn:aws:lambda:*:*:function:f"];
    prop::sample::select(texts.to_vec()).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"StringEquals": {"aws:username": "ann"}}),
        json!({"StringNotLike": {"aws:username": ["a*", "b"]}}),
        json!({"Null": {"aws:none": "true"}}),
        json!({"ForAllValues:StringLike": {"aws:TagKeys": ["t*"]}}),
        json!({"NumericLessThanIfExists": {"test:size": 5}}),
    ])
}

fn statement() -> impl Strategy<Value = Value> {
    (any::<bool>(), any::<bool>(), any::<bool>(), action(), resource(), condition()).prop_map(
        |(allow, not_action, not_resource, action, resource, condition)| {
            let effect = if allow { "Allow" } else { "Deny" };
            let action_key = if not_action { "NotAction" } else { "Action" };
            let resource_key = if not_resource { "NotResource" } else { "Resource" };
            json!({"Effect": effect, action_key: action, resource_key: [resource], "Condition": condition})
        },
    )
}

fn statements() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(statement(), 1..5)
}

fn policy(statements: &[Value]) -> Arc<Policy> {
    let document = json!({"Version": "2012-10-17", "Statement": statements});
    Arc::new(Policy::parse(&document.to_string(), Kind::Identity).unwrap())
}

fn is_allowed(policies: &[Arc<Policy>], action: &str, resource: &str) -> bool {
    let mut context = Context::default();
    context.add("aws:username", "ann");
    context.add("aws:TagKeys", "team");
    let request = Request::new(ANN, action, resource, &context);
    let side = PrincipalSide::new(&request, policies, None, None);
    side.decide(&ANN, Relation::SameAccount, Resource::Says(Verdict::Silent)) == gust_policy::Decision::Allowed
}

proptest! {
    #[test]
    fn what_no_policy_allows_is_not_allowed(action in action(), resource in resource()) {
        prop_assert!(!is_allowed(&[], &action, &resource));
    }

    #[test]
    fn a_denial_added_never_allows(
        before in statements(), mut added in statement(), action in action(), resource in resource(),
    ) {
        added["Effect"] = json!("Deny");
        let with: Vec<Value> = before.iter().cloned().chain([added.clone()]).collect();
        let was = is_allowed(&[policy(&before)], &action, &resource);
        prop_assert!(was || !is_allowed(&[policy(&with)], &action, &resource), "in the same document");
        prop_assert!(was || !is_allowed(&[policy(&before), policy(&[added])], &action, &resource), "in another one");
    }

    #[test]
    fn an_allowance_added_never_forbids(
        before in statements(), mut added in statement(), action in action(), resource in resource(),
    ) {
        added["Effect"] = json!("Allow");
        let with: Vec<Value> = before.iter().cloned().chain([added]).collect();
        let was = is_allowed(&[policy(&before)], &action, &resource);
        prop_assert!(!was || is_allowed(&[policy(&with)], &action, &resource));
    }

    #[test]
    fn the_order_of_statements_does_not_matter(statements in statements(), action in action(), resource in resource()) {
        let reversed: Vec<Value> = statements.iter().rev().cloned().collect();
        prop_assert_eq!(
            is_allowed(&[policy(&statements)], &action, &resource),
            is_allowed(&[policy(&reversed)], &action, &resource)
        );
    }

    #[test]
    fn a_boundary_only_takes_away(
        identity in statements(), boundary in statements(), action in action(), resource in resource(),
    ) {
        let context = Context::default();
        let request = Request::new(ANN, &action, &resource, &context);
        let (identity, boundary) = ([policy(&identity)], [policy(&boundary)]);
        let free = PrincipalSide::new(&request, &identity, None, None).is_allowed();
        let bound = PrincipalSide::new(&request, &identity, Some(&boundary), None).is_allowed();
        prop_assert!(free || !bound);
        prop_assert!(!PrincipalSide::new(&request, &identity, Some(&[]), None).is_allowed());
    }

    #[test]
    fn reading_never_panics(text in any::<String>(), json in r#"[\[\]{}",:a-zA-Z0-9*$ ]{0,200}"#) {
        for kind in [Kind::Identity, Kind::Trust, Kind::Resource] {
            let _ = Policy::parse(&text, kind);
            let _ = Policy::parse(&json, kind);
        }
    }

    /// Good documents with one piece replaced by anything: read or refused, and never a panic in evaluation.
    #[test]
    fn damaged_documents_never_panic(statements in statements(), at in any::<prop::sample::Index>(), damage in ".{0,3}") {
        let text = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        let damaged: String = chars[..at].iter().copied().chain(damage.chars()).chain(chars[at + 1..].iter().copied()).collect();
        if let Ok(policy) = Policy::parse(&damaged, Kind::Identity) {
            let context = Context::default();
            policy.verdict(&Request::new(ANN, "s3:GetObject", "arn:aws:s3:::a/b", &context));
        }
    }
}
