//! Where services send what became of an event: a function's destinations and dead-letter queues.
//!
//! The kinds are closed. Whoever owns a kind implements [`Target`] for it, and the binary wires it into [`Targets`]. A
//! kind that nobody has wired is refused by its name when it is configured. What is sent is prepared first, outside of
//! any transaction, and then written by the transaction that settles the event: it arrives exactly once.

use crate::ports::{AccessRequest, Authorizer, RoleDirectory};
use crate::{Principal, PrincipalKind, Session};
use async_trait::async_trait;
use bytes::Bytes;
use gust_store::{StoreError, Tx};
use gust_types::{AccountId, Arn, Region};
use std::sync::Arc;

/// A kind of resource that takes what became of an event.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A Lambda function.
    Function,
    /// An SQS queue.
    Queue,
    /// An SNS topic.
    Topic,
    /// An EventBridge event bus.
    EventBus,
    /// An S3 bucket.
    Bucket,
}

const KINDS: [TargetKind; 5] =
    [TargetKind::Function, TargetKind::Queue, TargetKind::Topic, TargetKind::EventBus, TargetKind::Bucket];

impl TargetKind {
    /// The kind that an ARN's service tells; `None` for any other service, and what is no ARN.
    pub fn of(arn: &str) -> Option<TargetKind> {
        let service = arn.strip_prefix("arn:")?.split(':').nth(1)?;
        KINDS.into_iter().find(|kind| kind.service() == service)
    }

    /// The service in its ARNs.
    pub fn service(self) -> &'static str {
        match self {
            TargetKind::Function => "lambda",
            TargetKind::Queue => "sqs",
            TargetKind::Topic => "sns",
            TargetKind::EventBus => "events",
            TargetKind::Bucket => "s3",
        }
    }

    /// The action that sends to it, for example `sqs:SendMessage`.
    pub fn action(self) -> &'static str {
        match self {
            TargetKind::Function => "lambda:InvokeFunction",
            TargetKind::Queue => "sqs:SendMessage",
            TargetKind::Topic => "sns:Publish",
            TargetKind::EventBus => "events:PutEvents",
            TargetKind::Bucket => "s3:PutObject",
        }
    }

    /// Its name in sentences, in the plural.
    pub fn plural(self) -> &'static str {
        match self {
            TargetKind::Function => "functions",
            TargetKind::Queue => "SQS queues",
            TargetKind::Topic => "SNS topics",
            TargetKind::EventBus => "EventBridge event buses",
            TargetKind::Bucket => "S3 buckets",
        }
    }
}

/// The function on whose behalf something is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Its owner.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// Its name.
    pub function: String,
    /// Its execution role, which must be allowed to send.
    pub role_arn: String,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetMessage {
    /// The record of an invocation: one JSON object.
    Record {
        /// Whether the invocation succeeded.
        is_success: bool,
        /// The record.
        json: Bytes,
    },
    /// An event that could not be processed, as it came.
    ///
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>
    DeadLetter {
        /// The event: the body.
        event: Bytes,
        /// The attribute `RequestID` (String).
        request_id: String,
        /// The attribute `ErrorCode` (Number): an HTTP status.
        error_code: u16,
        /// The attribute `ErrorMessage` (String): at most 1 KiB.
        error_message: String,
    },
}

/// Something that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where to.
    pub arn: String,
    /// On whose behalf.
    pub sender: Sender,
    /// What.
    pub message: TargetMessage,
    /// The tracing header that goes with it, its lineage included.
    pub trace_header: Option<String>,
    /// When, in milliseconds since the epoch.
    pub sent_at_ms: i64,
}

/// Writes a delivery into somebody's transaction.
pub type Write = Arc<dyn Fn(&mut dyn Tx) -> Result<(), StoreError> + Send + Sync>;

/// A delivery that is ready to be written.
#[derive(Clone)]
pub struct Staged {
    /// How much it writes, about.
    pub bytes: usize,
    /// Writes it, and wakes whoever works it off. May run more than once, as all that a transaction runs.
    pub write: Write,
}

/// Why something cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No such resource.
    #[error("it does not exist")]
    Missing,
    /// The sender's role may not.
    #[error("the execution role is not allowed to call {action}")]
    NotAllowed {
        /// The action it would need.
        action: &'static str,
    },
    /// The target takes less.
    #[error("{bytes} bytes are more than the {bytes_max} bytes that it takes")]
    TooLarge {
        /// What was to be sent.
        bytes: usize,
        /// What it takes.
        bytes_max: usize,
    },
    /// Nothing in gust is of this kind; `None` is no kind at all.
    #[error("{} do not exist yet", .0.map_or("resources of this kind", TargetKind::plural))]
    Unsupported(Option<TargetKind>),
    /// It cannot be said now: the text is for the log.
    #[error("{0}")]
    Unavailable(String),
}

impl TargetError {
    /// Whether trying again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, TargetError::Unavailable(_))
    }
}

/// Takes what became of events. Implemented by the owner of each kind.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// Whether `sender` may send to `arn`: it exists, and its role is allowed to. Asked when it is configured.
    async fn check(&self, arn: &str, sender: &Sender) -> Result<(), TargetError>;

    /// Prepares a delivery, with the checks of [`Target::check`] and those of sizes; nothing is sent yet.
    async fn stage(&self, delivery: &Delivery) -> Result<Staged, TargetError>;
}

/// All kinds that there are.
#[derive(Clone, Default)]
pub struct Targets {
    kinds: Vec<(TargetKind, Arc<dyn Target>)>,
}

impl Targets {
    /// The kinds that are wired.
    pub fn new(kinds: impl IntoIterator<Item = (TargetKind, Arc<dyn Target>)>) -> Targets {
        Targets { kinds: kinds.into_iter().collect() }
    }

    /// Whoever takes what is sent to `arn`.
    ///
    /// Errors: [`TargetError::Unsupported`].
    pub fn of(&self, arn: &str) -> Result<&Arc<dyn Target>, TargetError> {
        let kind = TargetKind::of(arn).ok_or(TargetError::Unsupported(None))?;
        let wired = self.kinds.iter().find(|(known, _)| *known == kind);
        wired.map(|(_, target)| target).ok_or(TargetError::Unsupported(Some(kind)))
    }
}

/// Tells whether the execution role of a function may do something. Nobody asks with `--auth open`.
pub struct RoleRights {
    authorizer: Arc<dyn Authorizer>,
    roles: Arc<dyn RoleDirectory>,
}

impl RoleRights {
    /// Over the policies that `authorizer` evaluates, for the roles of `roles`.
    pub fn new(authorizer: Arc<dyn Authorizer>, roles: Arc<dyn RoleDirectory>) -> RoleRights {
        RoleRights { authorizer, roles }
    }

    /// Refuses what the role of `sender` may not do to `arn`, whose own policy is `resource_policy`.
    pub async fn check(
        &self,
        sender: &Sender,
        action: &'static str,
        arn: &str,
        resource_policy: Option<String>,
    ) -> Result<(), TargetError> {
        let unavailable = |cause: String| TargetError::Unavailable(cause);
        let role = self.roles.role(&sender.role_arn).await.map_err(|error| unavailable(error.to_string()))?;
        let Some(role) = role else { return Err(TargetError::NotAllowed { action }) };
        let request = AccessRequest {
            principal: Some(session_of(&role.arn, &role.role_id, sender)),
            action: action.to_owned(),
            resource: arn.to_owned(),
            context: Vec::new(),
            resource_policy,
        };
        let decision = self.authorizer.decide(&request).await.map_err(|error| unavailable(error.to_string()))?;
        if decision.is_allowed() { Ok(()) } else { Err(TargetError::NotAllowed { action }) }
    }
}

/// The session in which a function acts.
fn session_of(role_arn: &str, role_id: &str, sender: &Sender) -> Principal {
    let role: Option<Arn> = role_arn.parse().ok();
    let account = role.as_ref().and_then(|role| AccountId::parse(&role.account));
    let account = account.unwrap_or_else(|| sender.account.clone());
    let partition = sender.region.partition();
    let name = role_arn.rsplit('/').next().unwrap_or_default();
    Principal {
        kind: PrincipalKind::AssumedRole,
        arn: format!("arn:{partition}:sts::{account}:assumed-role/{name}/{}", sender.function),
        user_id: format!("{role_id}:{}", sender.function),
        account,
        access_key_id: None,
        session: Some(Arc::new(Session { issuer_arn: role_arn.to_owned(), ..Session::default() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_the_service_of_the_arn() {
        for (arn, kind) in [
            ("arn:aws:lambda:us-east-1:000000000000:function:f:PROD", Some(TargetKind::Function)),
            ("arn:aws:sqs:us-east-1:000000000000:q", Some(TargetKind::Queue)),
            ("arn:aws-cn:sns:cn-north-1:000000000000:t", Some(TargetKind::Topic)),
            ("arn:aws:events:us-east-1:000000000000:event-bus/default", Some(TargetKind::EventBus)),
            ("arn:aws:s3:::bucket", Some(TargetKind::Bucket)),
            ("arn:aws:iam::000000000000:role/r", None),
            ("sqs", None),
            ("", None),
        ] {
            assert_eq!(TargetKind::of(arn), kind, "{arn}");
        }
    }

    #[test]
    fn what_nobody_has_wired_is_refused_by_its_name() {
        let refusal = |arn: &str| Targets::default().of(arn).map(|_| ()).unwrap_err().to_string();
        assert_eq!(refusal("arn:aws:sqs:us-east-1:000000000000:q"), "SQS queues do not exist yet");
        assert_eq!(refusal("arn:aws:iam::000000000000:role/r"), "resources of this kind do not exist yet");
    }
}
