//! The answer to the port's question.

use crate::cache::Cache;
use crate::context;
use crate::parsed::{Parsed, TAG_PREFIXES};
use async_trait::async_trait;
use gust_kit::ports::{AccessRequest, Authorizer, Decision, PolicySource, Resource};
use gust_kit::{CommonError, PolicyUse, ResourceFacts};
use gust_policy::{Caller, Context, Kind, Layer, Policy, PrincipalSide, Relation, Request, Verdict};
use gust_types::{AwsError, SharedClock};
use std::sync::Arc;

/// How many principals' policies are kept parsed.
const PRINCIPALS_MAX: usize = 1_024;
/// How many resources' policies are kept parsed.
const RESOURCE_POLICIES_MAX: usize = 256;

/// Decides out of the policies that a [`PolicySource`] knows.
pub struct PolicyAuthorizer {
    source: Arc<dyn PolicySource>,
    clock: SharedClock,
    principals: Cache<u64, Parsed>,
    resources: Cache<String, Option<Policy>>,
}

/// A question with everything that the caller's side of it needs.
struct Question<'a> {
    request: &'a AccessRequest,
    caller: Caller<'a>,
    relation: Relation,
    policies: &'a Parsed,
}

impl PolicyAuthorizer {
    /// Over the policies of `source`, at the time of `clock`.
    pub fn new(source: Arc<dyn PolicySource>, clock: SharedClock) -> PolicyAuthorizer {
        let (principals, resources) = (Cache::new(PRINCIPALS_MAX), Cache::new(RESOURCE_POLICIES_MAX));
        PolicyAuthorizer { source, clock, principals, resources }
    }

    async fn answer(&self, request: &AccessRequest, resource: &dyn Resource) -> Result<Decision, AwsError> {
        let (policies, parsed) = match &request.principal {
            Some(principal) => {
                let policies = self.source.policies(principal).await.map_err(CommonError::from)?;
                let parsed = self.principals.get_or(policies.version, || Parsed::new(&policies));
                (policies, parsed)
            }
            None => Default::default(),
        };
        let issuer = request.principal.as_ref().map(context::issuer).unwrap_or_default();
        let Some(caller) = context::caller(request.principal.as_ref(), &issuer) else { return Ok(Decision::Allowed) };
        if let Some(layer) = parsed.unreadable {
            return Ok(worded(gust_policy::Decision::Denied(layer), &request.action, PolicyUse::None));
        }
        let mut context = context::context(request, &policies, &issuer, self.clock.now_ms());
        let relation = relation(request);
        let question = Question { request, caller, relation, policies: &parsed };
        let policy_use = resource.policy_use();
        if !parsed.asks_for_tags
            && let Some(decision) = question.settled(&context, policy_use)
        {
            return Ok(worded(decision, &request.action, policy_use));
        }
        let ResourceFacts { policy, tags } = resource.facts().await?;
        for (key, value) in &tags {
            for prefix in TAG_PREFIXES {
                context.add(format!("{prefix}{key}"), value.as_str());
            }
        }
        let decision = self.decide_with(&question, &context, policy, policy_use);
        Ok(worded(decision, &request.action, policy_use))
    }

    fn decide_with(
        &self,
        question: &Question<'_>,
        context: &Context,
        policy: Option<String>,
        policy_use: PolicyUse,
    ) -> gust_policy::Decision {
        let request = question.request(context);
        let verdict = match policy.map(|text| self.resource_policy(text, policy_use)) {
            None => Verdict::Silent,
            Some(policy) => match &*policy {
                Some(policy) => policy.verdict(&request),
                None => Verdict::Denies,
            },
        };
        let side = question.side(&request);
        side.decide(&question.caller, question.relation, of_resource(verdict, policy_use))
    }

    /// A resource's policy; `None` if it cannot be read: it may have denied anything.
    fn resource_policy(&self, text: String, policy_use: PolicyUse) -> Arc<Option<Policy>> {
        let kind = if policy_use == PolicyUse::MustAllow { Kind::Trust } else { Kind::Resource };
        self.resources.get_or(text.clone(), || match Policy::parse(&text, kind) {
            Ok(policy) => Some(policy),
            Err(cause) => {
                tracing::error!(%cause, "a resource's policy cannot be read: it denies everything");
                None
            }
        })
    }
}

impl Question<'_> {
    fn request<'a>(&'a self, context: &'a Context) -> Request<'a> {
        Request::new(self.caller, &self.request.action, &self.request.resource, context)
    }

    fn side(&self, request: &Request<'_>) -> PrincipalSide {
        let Parsed { identity, boundary, session, .. } = self.policies;
        PrincipalSide::new(request, identity, boundary.as_deref(), session.as_deref())
    }

    /// The answer, if nothing that the resource says can change it.
    fn settled(&self, context: &Context, policy_use: PolicyUse) -> Option<gust_policy::Decision> {
        let side = self.side(&self.request(context));
        let settled = match policy_use {
            PolicyUse::None => true,
            PolicyUse::Grants => side.is_allowed() && self.relation == Relation::SameAccount,
            PolicyUse::Decides | PolicyUse::MustAllow => false,
        };
        let silent = of_resource(Verdict::Silent, policy_use);
        (settled || side.is_denied()).then(|| side.decide(&self.caller, self.relation, silent))
    }
}

fn of_resource(verdict: Verdict, policy_use: PolicyUse) -> gust_policy::Resource {
    match policy_use {
        PolicyUse::MustAllow => gust_policy::Resource::MustAllow(verdict),
        PolicyUse::None | PolicyUse::Grants | PolicyUse::Decides => gust_policy::Resource::Says(verdict),
    }
}

/// Whether the resource is the caller's account's own. What has no account (`*`) is.
fn relation(request: &AccessRequest) -> Relation {
    let owner = request.resource.split(':').nth(4).unwrap_or_default();
    let is_account = owner.len() == 12 && owner.bytes().all(|byte| byte.is_ascii_digit());
    match &request.principal {
        Some(principal) if is_account && owner != principal.account.as_str() => Relation::OtherAccount,
        _ => Relation::SameAccount,
    }
}

/// The decision with the reason that AWS prints.
///
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
fn worded(decision: gust_policy::Decision, action: &str, policy_use: PolicyUse) -> Decision {
    match decision {
        gust_policy::Decision::Allowed => Decision::Allowed,
        // STS gives no reason where a trust policy does not let somebody in.
        gust_policy::Decision::Missing(Layer::Resource) if policy_use == PolicyUse::MustAllow => {
            Decision::NotAllowed(String::new())
        }
        gust_policy::Decision::Missing(layer) => {
            let policy = match layer {
                Layer::Identity => "identity-based policy",
                Layer::Boundary => "permissions boundary",
                Layer::Session => "session policy",
                Layer::Resource => "resource-based policy",
            };
            Decision::NotAllowed(format!("no {policy} allows the {action} action"))
        }
        gust_policy::Decision::Denied(layer) => {
            let policy = match layer {
                Layer::Identity => "an identity-based policy",
                Layer::Boundary => "a permissions boundary",
                Layer::Session => "a session policy",
                Layer::Resource => "a resource-based policy",
            };
            Decision::Denied(format!("an explicit deny in {policy}"))
        }
    }
}

/// A resource whose policy the request already holds.
struct Given<'a>(&'a AccessRequest);

#[async_trait]
impl Resource for Given<'_> {
    fn policy_use(&self) -> PolicyUse {
        PolicyUse::Decides
    }

    async fn facts(&self) -> Result<ResourceFacts, AwsError> {
        Ok(ResourceFacts { policy: self.0.resource_policy.clone(), tags: Vec::new() })
    }
}

#[async_trait]
impl Authorizer for PolicyAuthorizer {
    async fn decide(&self, request: &AccessRequest) -> Result<Decision, AwsError> {
        self.answer(request, &Given(request)).await
    }

    async fn decide_about(&self, request: &AccessRequest, resource: &dyn Resource) -> Result<Decision, AwsError> {
        self.answer(request, resource).await
    }
}

#[cfg(test)]
mod tests;
