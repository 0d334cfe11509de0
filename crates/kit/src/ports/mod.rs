//! What services ask of each other: small traits, implemented by their owner, wired in the binary.

mod access;
mod credentials;
mod functions;
mod keys;
mod logs;
mod policies;
mod roles;
mod targets;
mod urls;

pub use access::{AccessRequest, Authorizer, Decision, Resource};
pub use credentials::{CredentialError, CredentialSource, Credentials, KeyOwner, RoleSession};
pub use functions::{
    AsyncEvent, Development, EventSettings, FunctionCatalog, FunctionSpec, Hold, InvokeError, InvokeFailure,
    InvokeOutcome, InvokeRequest, InvokeStream, Invoker, LogFormat, LogLevel, LogTail, Logging, Provisioned,
    ProvisionedStatus, StreamItem, ThrottleReason,
};
pub use keys::{UserKey, UserKeys};
pub use logs::{LogDestination, LogLine, LogSink};
pub use policies::{Boundary, PolicySource, PrincipalPolicies};
pub use roles::{RoleDirectory, RoleSummary, ServiceRoles};
pub use targets::{Delivery, RoleRights, Sender, Staged, Target, TargetError, TargetKind, TargetMessage, Targets};
pub use urls::{FunctionUrl, UrlAuth, UrlCors, UrlDirectory, UrlInvokeMode};
