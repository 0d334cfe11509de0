//! Who may do what: the question that the gateway asks of the policies.

use crate::{PolicyUse, Principal, ResourceFacts};
use async_trait::async_trait;
use gust_types::AwsError;

/// One question: may this caller do this to that?
#[derive(Debug, Clone, PartialEq)]
pub struct AccessRequest {
    /// Who asks; `None` is anybody at all (a function URL without authentication).
    pub principal: Option<Principal>,
    /// The action, for example `lambda:InvokeFunction`.
    pub action: String,
    /// The resource's ARN, or `*` for an action that has no resource.
    pub resource: String,
    /// Condition keys and their values, for example `("lambda:FunctionUrlAuthType", "NONE")`. The global ones
    /// (`aws:PrincipalArn`, `aws:CurrentTime` ...) are added by whoever answers.
    pub context: Vec<(String, Vec<String>)>,
    /// The policy that the resource itself carries, as JSON.
    pub resource_policy: Option<String>,
}

/// The answer, with the reason that AWS prints in its refusals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// No policy allows it; the text follows `because`, for example
    /// `no identity-based policy allows the lambda:InvokeFunction action`. Empty where AWS gives no reason.
    NotAllowed(String),
    /// A policy denies it; the text follows `with`, for example `an explicit deny in an identity-based policy`.
    Denied(String),
}

impl Decision {
    /// Whether it may.
    pub fn is_allowed(&self) -> bool {
        *self == Decision::Allowed
    }
}

/// The resource that a request is about, read only if the answer depends on it.
#[async_trait]
pub trait Resource: Send + Sync {
    /// What its policy has to say.
    fn policy_use(&self) -> PolicyUse;

    /// Its policy and its tags.
    async fn facts(&self) -> Result<ResourceFacts, AwsError>;
}

/// Evaluates policies. With `--auth open` nobody is asked.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Decides. Errors: the policies could not be read; the caller is then refused with that error.
    async fn decide(&self, request: &AccessRequest) -> Result<Decision, AwsError>;

    /// Decides where the resource's policy and tags have not been read yet: they come from `resource`, and only if the
    /// policies of the caller leave a question. `request.resource_policy` is not looked at.
    async fn decide_about(&self, request: &AccessRequest, resource: &dyn Resource) -> Result<Decision, AwsError> {
        let ResourceFacts { policy, tags } = resource.facts().await?;
        let mut request = AccessRequest { resource_policy: policy, ..request.clone() };
        request.context.extend(tags.into_iter().map(|(key, value)| (format!("aws:ResourceTag/{key}"), vec![value])));
        self.decide(&request).await
    }
}
