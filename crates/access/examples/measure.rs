//! What a decision costs on the warm path: `cargo run --release -p gust-access --example measure`.

use async_trait::async_trait;
use gust_access::PolicyAuthorizer;
use gust_kit::ports::{AccessRequest, Authorizer, PolicySource, PrincipalPolicies, Resource};
use gust_kit::{PolicyUse, Principal, PrincipalKind, ResourceFacts};
use gust_store::StoreError;
use gust_types::{AccountId, AwsError, SystemClock};
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: u32 = 100_000;

struct Same(Arc<PrincipalPolicies>);

#[async_trait]
impl PolicySource for Same {
    async fn policies(&self, _: &Principal) -> Result<Arc<PrincipalPolicies>, StoreError> {
        Ok(self.0.clone())
    }
}

struct Function;

#[async_trait]
impl Resource for Function {
    fn policy_use(&self) -> PolicyUse {
        PolicyUse::Grants
    }

    async fn facts(&self) -> Result<ResourceFacts, AwsError> {
        unreachable!("the caller's own policies allow it")
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let statement =
        |action: &str, resource: &str| format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#);
    let function = "arn:aws:lambda:us-east-1:000000000000:function:thumbnails";
    let one = vec![statement("lambda:InvokeFunction", function)];
    let mut twenty: Vec<String> =
        (0..19).map(|number| statement("s3:Get*", &format!("arn:aws:s3:::bucket-{number}/*"))).collect();
    twenty.extend(one.clone());
    for (name, statements) in [("1 statement", one), ("20 statements", twenty)] {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","));
        let policies = PrincipalPolicies { version: 1, identity: vec![document.into()], ..Default::default() };
        let authorizer = PolicyAuthorizer::new(Arc::new(Same(Arc::new(policies))), Arc::new(SystemClock));
        let root = Principal::root(AccountId::parse("000000000000").expect("twelve digits"), None);
        let arn = "arn:aws:sts::000000000000:assumed-role/worker/session".to_owned();
        let request = AccessRequest {
            principal: Some(Principal { kind: PrincipalKind::AssumedRole, arn, ..root }),
            action: "lambda:InvokeFunction".to_owned(),
            resource: function.to_owned(),
            context: vec![("aws:SourceIp".to_owned(), vec!["127.0.0.1".to_owned()])],
            resource_policy: None,
        };
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let decision = authorizer.decide_about(&request, &Function).await.expect("it is answered");
            assert!(decision.is_allowed());
        }
        println!("{name}: {} ns a decision", begun.elapsed().as_nanos() / u128::from(ROUNDS));
    }
}
