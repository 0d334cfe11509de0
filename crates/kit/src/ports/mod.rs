//! What services ask of each other: small traits, implemented by their owner, wired in the binary.

mod credentials;
mod functions;
mod logs;
mod roles;

pub use credentials::{CredentialError, CredentialSource, Credentials, KeyOwner, RoleSession};
pub use functions::{
    AsyncEvent, FunctionCatalog, FunctionSpec, InvokeError, InvokeFailure, InvokeOutcome, InvokeRequest, Invoker,
    LogFormat, LogLevel, LogTail, Logging, ThrottleReason,
};
pub use logs::{LogDestination, LogLine, LogSink};
pub use roles::{RoleDirectory, RoleSummary};
