//! Roles, as far as those need them who let somebody act in one.

use async_trait::async_trait;
use gust_store::StoreError;

/// A role that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSummary {
    /// Its ARN.
    pub arn: String,
    /// Its unique id: `AROA...`.
    pub role_id: String,
    /// How long a session of it may last, in seconds.
    pub max_session_duration_s: u32,
    /// Who may assume it, as JSON.
    pub trust_policy: String,
    /// Its tags.
    pub tags: Vec<(String, String)>,
}

/// Finds roles. Implemented by the iam service.
#[async_trait]
pub trait RoleDirectory: Send + Sync + 'static {
    /// The role with this ARN; `None` if there is none, or the text is no role's ARN.
    async fn role(&self, role_arn: &str) -> Result<Option<RoleSummary>, StoreError>;
}

/// Tells whether one of AWS's services may act in a role, as far as the role's trust policy says. Implemented by the iam
/// service.
#[async_trait]
pub trait ServiceRoles: Send + Sync + 'static {
    /// Whether `service` (for example `lambda.amazonaws.com`) may assume the role on behalf of `source_arn`. It may not
    /// assume a role that does not exist.
    async fn may_assume(&self, service: &str, role_arn: &str, source_arn: &str) -> Result<bool, StoreError>;
}
