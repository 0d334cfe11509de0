//! Who may do what: the question that the gateway asks of the policies.

use crate::Principal;
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
    /// `no identity-based policy allows the lambda:InvokeFunction action`.
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

/// Evaluates policies. Implemented by the iam service; with `--auth open` nobody is asked.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// Decides. Errors: the policies could not be read; the caller is then refused with that error.
    async fn decide(&self, request: &AccessRequest) -> Result<Decision, AwsError>;
}
