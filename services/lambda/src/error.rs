//! Lambda's errors: what happened, and how AWS words it.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html> and each operation's page. Texts
//! that no page shows were taken from what AWS is known to answer; those nobody has reported are marked
//! "inferred".

mod attached;

pub use attached::AttachedError;

use crate::limits;
use gust_kit::CommonError;
use gust_kit::ports::{InvokeError, ThrottleReason};
use gust_store::StoreError;
use gust_types::AwsError;

/// Why an operation of Lambda was refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LambdaError {
    /// No such function, or no such version or alias of it.
    #[error("Function not found: {arn}")]
    FunctionNotFound {
        /// The ARN asked for, with its qualifier if it has one.
        arn: String,
    },
    /// The ARN names another region.
    #[error("Functions from '{region}' are not reachable in this region ('{here}')")]
    NotReachable {
        /// The ARN's region.
        region: String,
        /// The region of the call.
        here: String,
    },
    /// The ARN names another account.
    #[error(
        "User: {principal} is not authorized to perform: lambda:{action} on resource: {resource} because no resource-based policy allows the lambda:{action} action"
    )]
    AccessDenied {
        /// Who asked.
        principal: String,
        /// The IAM action.
        action: &'static str,
        /// The function's ARN.
        resource: String,
    },
    /// The name is taken.
    #[error("Function already exist: {name}")]
    FunctionExists {
        /// The name.
        name: String,
    },
    /// There is no such alias, for who asks for it by name.
    #[error("Cannot find alias arn: {arn}")]
    AliasNotFound {
        /// Its ARN.
        arn: String,
    },
    /// There is no such alias, for who changes it.
    #[error("Alias not found: {arn}")]
    AliasToUpdateNotFound {
        /// Its ARN.
        arn: String,
    },
    /// The alias exists.
    #[error("Alias already exists: {arn}")]
    AliasExists {
        /// Its ARN.
        arn: String,
    },
    /// The function has as many aliases as gust keeps (inferred wording).
    #[error("Alias limit exceeded: a function can have at most {} aliases.", limits::ALIASES_MAX)]
    TooManyAliases,
    /// An alias leads to the version that was to be deleted.
    #[error("Unable to delete version because the following aliases reference it: [{aliases}]")]
    VersionHasAliases {
        /// Their names, separated by commas.
        aliases: String,
    },
    /// `$LATEST` cannot share an alias. AWS sends no Type with this one.
    #[error("$LATEST is not supported for an alias pointing to more than 1 version")]
    LatestWithRouting,
    /// The function is not Active.
    #[error(
        "The operation cannot be performed at this time. The function is currently in the following state: {state}"
    )]
    NotActive {
        /// Its state.
        state: &'static str,
    },
    /// The last update has not settled.
    #[error("The operation cannot be performed at this time. An update is in progress for resource: {arn}")]
    UpdateInProgress {
        /// The function's ARN.
        arn: String,
    },
    /// The RevisionId is not the latest.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )]
    RevisionMismatch,
    /// A parameter has a wrong value.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A value breaks a constraint that the model does not carry.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// A layer, a policy, a URL or a setting of a function.
    #[error(transparent)]
    Attached(#[from] AttachedError),
    /// The packages of the account would exceed their sum.
    #[error("Code storage limit exceeded.")]
    CodeStorageExceeded,
    /// A zip is too large to be uploaded directly.
    #[error("Request must be smaller than {} bytes for the {operation} operation", limits::ZIP_REQUEST_BYTES_MAX)]
    ZipTooLarge {
        /// The operation.
        operation: &'static str,
    },
    /// A synchronous payload is too large.
    #[error("Request must be smaller than {} bytes for the InvokeFunction operation", limits::PAYLOAD_SYNC_BYTES_MAX)]
    PayloadTooLarge,
    /// An asynchronous payload is too large.
    #[error("{bytes} byte payload is too large for the Event invocation type (limit {limit} bytes)")]
    EventTooLarge {
        /// Its size.
        bytes: usize,
        /// What the operation allows.
        limit: usize,
    },
    /// The payload is no JSON.
    #[error("Could not parse request body into json: Could not parse payload into json: {reason}")]
    PayloadNotJson {
        /// What is wrong and where.
        reason: String,
    },
    /// The client context is no base64 of a JSON object.
    #[error("Client context must be a valid Base64-encoded JSON object.")]
    ClientContextInvalid,
    /// The client context is too long (inferred wording).
    #[error("Client context must be at most {} bytes long.", limits::CLIENT_CONTEXT_BYTES_MAX)]
    ClientContextTooLong,
    /// A concurrency limit is reached.
    #[error("Rate Exceeded.")]
    Throttled(ThrottleReason),
    /// There is no interpreter for the function's runtime.
    #[error("{0}")]
    RuntimeUnavailable(String),
    /// The machine cannot start an environment.
    #[error("gust could not start an execution environment; its log says why.")]
    Sandbox(String),
    /// The function is part of a loop that has reached it too often (inferred wording).
    ///
    /// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>
    #[error("The function was stopped because it is invoked in a recursive loop.")]
    RecursiveLoop,
    /// gust is shutting down.
    #[error("gust is shutting down.")]
    ShuttingDown,
    /// An error that is not Lambda's own.
    #[error(transparent)]
    Common(#[from] CommonError),
}

/// Why a parameter is refused: all of them are `InvalidParameterValueException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Something that cannot be a dead-letter queue (inferred wording).
    #[error("The dead-letter target {arn} is invalid: it has to be an Amazon SQS queue or an Amazon SNS topic.")]
    DeadLetterTarget {
        /// What was given.
        arn: String,
    },
    /// A dead-letter queue that does not exist (inferred wording).
    #[error("The dead-letter target {arn} does not exist.")]
    DeadLetterMissing {
        /// What was given.
        arn: String,
    },
    /// A dead-letter queue that the function's role may not send to. AWS's words, as its users report them.
    #[error("The provided execution role does not have permissions to call {action} on {service}")]
    DeadLetterNotAllowed {
        /// The operation.
        action: String,
        /// `SQS` or `SNS`.
        service: String,
    },
    /// The role does not exist, or does not trust Lambda.
    #[error("The role defined for the function cannot be assumed by Lambda.")]
    RoleNotAssumable,
    /// A plain name is too long.
    #[error(
        "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to {}",
        limits::FUNCTION_NAME_CHARS_MAX
    )]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// Name and Qualifier disagree.
    #[error("The derived qualifier from the function name does not match the specified qualifier.")]
    QualifierMismatch,
    /// The operation takes whole functions only.
    #[error(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN."
    )]
    QualifierNotAllowed,
    /// `$LATEST` cannot be deleted alone.
    #[error("$LATEST version cannot be deleted without deleting the function.")]
    LatestNotDeletable,
    /// DeleteFunction does not delete aliases.
    #[error("Deletion of aliases is not currently supported.")]
    AliasNotDeletable,
    /// The code is not what PublishVersion was told it is.
    #[error(
        "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the CodeSHA256 in $LATEST."
    )]
    CodeSha256Differs {
        /// What was given.
        given: String,
        /// What it is.
        current: String,
    },
    /// An alias would lead to more than two versions.
    #[error("Number of items in AdditionalVersionWeights cannot be greater than {}", limits::ADDITIONAL_VERSIONS_MAX)]
    TooManyVersionWeights,
    /// An alias would lead to the same version twice.
    #[error(
        "Invalid function version {version}. Function version {version} is already included in routing configuration."
    )]
    VersionRoutedTwice {
        /// The version.
        version: u64,
    },
    /// The two versions of an alias run in different roles (documented rule, inferred wording).
    #[error("The function versions of an alias must have the same execution role.")]
    RoutedRolesDiffer,
    /// A reservation would leave too little to the account's other functions.
    #[error(
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{minimum}]."
    )]
    TooLittleUnreserved {
        /// What has to be left.
        minimum: u64,
    },
    /// A reservation would be less than what is provisioned within it (inferred spacing).
    #[error(
        " ReservedConcurrentExecutions  {reserved} should not be lower than function's total provisioned concurrency [{provisioned}]."
    )]
    ReservedBelowProvisioned {
        /// What was asked for.
        reserved: u32,
        /// What is provisioned.
        provisioned: u64,
    },
    /// Provisioned concurrency for `$LATEST`, or for an alias that leads to it.
    #[error("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")]
    ProvisionedUnpublished,
    /// `$LATEST`, where a version or an alias has to be named.
    #[error("The function resource provided must be an alias or a published version.")]
    NeitherAliasNorVersion,
    /// Provisioned concurrency of an alias cannot be changed while it leads to two versions.
    #[error("Invalid alias configuration for Provisioned Concurrency")]
    ProvisionedRouting,
    /// More than the function's reservation.
    #[error(
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )]
    ProvisionedBeyondReserved,
    /// More than the account has.
    #[error("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{limit}].")]
    ProvisionedBeyondAccount {
        /// What it has.
        limit: u64,
    },
    /// Provisioned concurrency would leave too little to the account's other functions.
    #[error(
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [{minimum}]."
    )]
    TooLittleUnprovisioned {
        /// What has to be left.
        minimum: u64,
    },
    /// Nobody knows for which tenant environments would have to be started (documented rule, inferred wording).
    #[error("Provisioned concurrency is not supported for functions that are enabled with tenancy configuration.")]
    ProvisionedWithTenants,
    /// A function that is isolated by tenant was invoked for nobody.
    #[error(
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
    )]
    TenantRequired,
    /// A function that is not isolated by tenant was invoked for one (inferred wording).
    #[error(
        "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."
    )]
    TenantNotAllowed,
    /// Nobody can name a tenant to a function URL (documented rule, inferred wording).
    #[error("Function URLs are not supported for functions that are enabled with tenancy configuration.")]
    UrlWithTenants,
    /// A zip function lacks runtime or handler.
    #[error("Runtime and Handler are mandatory parameters for functions created with deployment packages.")]
    RuntimeAndHandlerRequired,
    /// AWS has retired the runtime and gust has nothing to run it with.
    #[error(
        "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. We recommend you use the new runtime ({successor}) while creating or updating functions."
    )]
    RuntimeRetired {
        /// The runtime.
        runtime: &'static str,
        /// What to use instead.
        successor: &'static str,
    },
    /// The variables are too large together.
    #[error(
        "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: {measured}"
    )]
    EnvironmentTooLarge {
        /// The JSON object that was measured.
        measured: String,
    },
    /// Variables that Lambda sets itself.
    #[error(
        "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: {keys}"
    )]
    EnvironmentReserved {
        /// Their names, separated by commas.
        keys: String,
    },
    /// A variable's value cannot be given to a process (inferred wording).
    #[error("Environment variable {key} contains a NUL character.")]
    EnvironmentNul {
        /// Its name.
        key: String,
    },
    /// The package is no zip, is damaged, or holds what must not be unpacked.
    #[error("Could not unzip uploaded file. Please check your file, then try to upload again.")]
    NotUnzippable,
    /// The package holds nothing.
    #[error("Uploaded file must be a non-empty zip")]
    EmptyZip,
    /// The package is too large unpacked.
    #[error("Unzipped size must be smaller than {} bytes", limits::UNZIPPED_BYTES_MAX)]
    UnzippedTooLarge,
    /// No code was given.
    #[error("Please provide a source for function code.")]
    CodeMissing,
    /// A zip and something else were given.
    #[error("Please do not provide other FunctionCode parameters when providing a ZipFile.")]
    CodeAmbiguous,
    /// An image was given for a zip function.
    #[error("Please don't provide ImageUri when updating a function with packageType Zip.")]
    ImageForZip,
    /// Log levels need JSON.
    #[error(
        "LogLevel is not supported when LogFormat is set to \"Text\". Remove LogLevel from your request or change the LogFormat to \"Json\" and try again."
    )]
    LogLevelWithText,
    /// Too many tags (inferred wording).
    #[error("Number of tags exceeds resource tag limit.")]
    TooManyTags,
    /// A tag key that AWS keeps for itself (inferred wording).
    #[error("Tag keys starting with aws: are reserved for system use: {key}")]
    TagKeyReserved {
        /// The key.
        key: String,
    },
    /// No tags to set.
    #[error("An error occurred and the request cannot be processed.")]
    NoTags,
    /// Tags belong to whole functions.
    #[error("Tags on function aliases and versions are not supported. Please specify a function ARN.")]
    TagsOnQualifier,
    /// The marker is none that a listing returned (inferred wording).
    #[error("The Marker is not valid.")]
    MarkerInvalid,
    /// AWS has this and gust has not.
    #[error("gust does not support {member}: {reason}")]
    Unsupported {
        /// The member's path.
        member: &'static str,
        /// Why, in a clause.
        reason: String,
    },
}

/// Constraints beyond the model: all of them are `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidationError {
    /// A number is too great.
    #[error("'{member}' value failed to satisfy constraint: Member must have value less than or equal to {maximum}")]
    TooGreat {
        /// The member.
        member: &'static str,
        /// What is allowed.
        maximum: i32,
    },
    /// A function's name in a form that the operation does not take.
    #[error(
        "1 validation error detected: Value '{value}' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
    )]
    FunctionName {
        /// What was given.
        value: String,
        /// The pattern.
        pattern: &'static str,
    },
    /// A resource that has no tags.
    #[error(
        "1 validation error detected: Value '{value}' at 'resource' failed to satisfy constraint: Member must satisfy regular expression pattern: {pattern}"
    )]
    TaggableResource {
        /// What was given.
        value: String,
        /// The pattern.
        pattern: &'static str,
    },
    /// No tag keys to remove.
    #[error(
        "1 validation error detected: Value null at 'tagKeys' failed to satisfy constraint: Member must not be null"
    )]
    NoTagKeys,
}

impl From<StoreError> for LambdaError {
    fn from(error: StoreError) -> LambdaError {
        LambdaError::Common(CommonError::Store(error))
    }
}

impl From<InvokeError> for LambdaError {
    fn from(error: InvokeError) -> LambdaError {
        match error {
            InvokeError::Throttled(reason) => LambdaError::Throttled(reason),
            InvokeError::RuntimeUnavailable(message) => LambdaError::RuntimeUnavailable(message),
            InvokeError::Sandbox(cause) => LambdaError::Sandbox(cause),
            InvokeError::RecursiveLoop => LambdaError::RecursiveLoop,
            InvokeError::ShuttingDown => LambdaError::ShuttingDown,
        }
    }
}

impl From<LambdaError> for AwsError {
    fn from(error: LambdaError) -> AwsError {
        let message = error.to_string();
        let user = |code, status| AwsError::sender(code, status, message.clone()).with_field("Type", "User");
        let service = |code, status| AwsError::receiver(code, status, message.clone()).with_field("Type", "Service");
        match error {
            LambdaError::FunctionNotFound { .. }
            | LambdaError::AliasNotFound { .. }
            | LambdaError::AliasToUpdateNotFound { .. }
            | LambdaError::NotReachable { .. } => user("ResourceNotFoundException", 404),
            LambdaError::LatestWithRouting => AwsError::sender("InvalidParameterValueException", 400, message),
            LambdaError::TooManyAliases => user("AliasLimitExceededException", 400),
            // AWS sends no Type with these two: they come from the layer in front of Lambda.
            LambdaError::AccessDenied { .. } => AwsError::sender("AccessDeniedException", 403, message),
            LambdaError::Validation(_) => AwsError::sender("ValidationException", 400, message),
            LambdaError::FunctionExists { .. }
            | LambdaError::AliasExists { .. }
            | LambdaError::VersionHasAliases { .. }
            | LambdaError::NotActive { .. }
            | LambdaError::UpdateInProgress { .. } => user("ResourceConflictException", 409),
            LambdaError::RevisionMismatch => user("PreconditionFailedException", 412),
            LambdaError::Parameter(_) => user("InvalidParameterValueException", 400),
            LambdaError::Attached(ref error) => {
                let (code, status) = error.code_and_status();
                user(code, status)
            }
            LambdaError::CodeStorageExceeded => user("CodeStorageExceededException", 400),
            // The API pages call it RequestTooLargeException; the service answers with this code.
            LambdaError::ZipTooLarge { .. } | LambdaError::PayloadTooLarge | LambdaError::EventTooLarge { .. } => {
                user("RequestEntityTooLargeException", 413)
            }
            LambdaError::PayloadNotJson { .. }
            | LambdaError::ClientContextInvalid
            | LambdaError::ClientContextTooLong => user("InvalidRequestContentException", 400),
            LambdaError::Throttled(reason) => {
                user("TooManyRequestsException", 429).with_field("Reason", reason.as_str())
            }
            LambdaError::RuntimeUnavailable(_) => service("InvalidRuntimeException", 502),
            LambdaError::Sandbox(ref cause) => {
                tracing::error!(cause, "no execution environment could be started");
                service("ServiceException", 500)
            }
            LambdaError::RecursiveLoop => user("RecursiveInvocationException", 400),
            LambdaError::ShuttingDown => service("ServiceUnavailableException", 503),
            LambdaError::Common(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_types::{Doc, Fault};

    #[track_caller]
    fn check(error: impl Into<LambdaError>, code: &str, status: u16, text: &str) {
        let error: AwsError = error.into().into();
        assert_eq!((error.code.as_ref(), error.status, error.message.as_str()), (code, status, text));
        assert_eq!(error.fault, if status < 500 { Fault::Sender } else { Fault::Receiver });
    }

    #[test]
    fn errors_read_as_aws_words_them() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:a".to_owned();
        check(
            LambdaError::FunctionNotFound { arn: arn.clone() },
            "ResourceNotFoundException",
            404,
            "Function not found: arn:aws:lambda:us-east-1:000000000000:function:a",
        );
        check(
            LambdaError::FunctionExists { name: "a".into() },
            "ResourceConflictException",
            409,
            "Function already exist: a",
        );
        check(
            ValidationError::TooGreat { member: "MemorySize", maximum: 10_240 },
            "ValidationException",
            400,
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
        );
        check(
            LambdaError::EventTooLarge { bytes: 1_048_577, limit: 1_048_576 },
            "RequestEntityTooLargeException",
            413,
            "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)",
        );
        check(
            ParameterError::UnzippedTooLarge,
            "InvalidParameterValueException",
            400,
            "Unzipped size must be smaller than 262144000 bytes",
        );
        check(
            LambdaError::ZipTooLarge { operation: "CreateFunction" },
            "RequestEntityTooLargeException",
            413,
            "Request must be smaller than 70167211 bytes for the CreateFunction operation",
        );
        check(
            InvokeError::RecursiveLoop,
            "RecursiveInvocationException",
            400,
            "The function was stopped because it is invoked in a recursive loop.",
        );
        check(LambdaError::ShuttingDown, "ServiceUnavailableException", 503, "gust is shutting down.");
    }

    #[test]
    fn a_throttle_says_why() {
        let error: AwsError =
            LambdaError::from(InvokeError::Throttled(ThrottleReason::ConcurrentInvocationLimitExceeded)).into();
        assert_eq!(
            (error.code.as_ref(), error.status, error.message.as_str()),
            ("TooManyRequestsException", 429, "Rate Exceeded.")
        );
        let reason = Doc::String("ConcurrentInvocationLimitExceeded".to_owned());
        assert_eq!(error.fields, [("Type", Doc::String("User".to_owned())), ("Reason", reason)]);
    }
}
