//! Errors of layers, policies, URLs and settings.

use crate::limits;

/// What is wrong with a layer, a policy, a URL or a setting of a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachedError {
    /// There is no such thing.
    #[error("The resource you requested does not exist.")]
    NoResource,
    /// No such version of a layer, where its policy is asked for.
    #[error("Layer version {arn} does not exist.")]
    LayerVersionMissing {
        /// The version's ARN.
        arn: String,
    },
    /// No such version of a layer, where a function asks for it.
    #[error("Layer version {arn} does not exist.")]
    LayerUnknown {
        /// The version's ARN.
        arn: String,
    },
    /// The number of no version.
    #[error("Layer Version Cannot be less than 1")]
    LayerVersionTooSmall,
    /// More layers than a function may have.
    #[error("Cannot reference more than {} layers.", limits::LAYERS_MAX)]
    TooManyLayers,
    /// Two versions of one layer.
    #[error(
        "Two different versions of the same layer are not allowed to be referenced in the same function. {one} and {other} are versions of the same layer."
    )]
    LayerTwice {
        /// The first ARN.
        one: String,
        /// The second ARN.
        other: String,
    },
    /// A layer of another region.
    #[error("Layers are not in the same region as the function. Layers are expected to be in region {region}.")]
    LayerElsewhere {
        /// The function's region.
        region: String,
    },
    /// Code and layers are too large together.
    #[error(
        "Function code combined with layers exceeds the maximum allowed size of {} bytes. The actual size is {bytes} bytes.",
        limits::UNZIPPED_BYTES_MAX
    )]
    LayersTooLarge {
        /// Their size.
        bytes: u64,
    },
    /// No policy, where one is to be changed or shown.
    #[error("No policy is associated with the given resource.")]
    NoPolicy,
    /// No policy, because there is no function.
    #[error("No policy found for: {arn}")]
    NoPolicyFor {
        /// The function's ARN.
        arn: String,
    },
    /// No such statement.
    #[error("Statement {sid} is not found in resource policy.")]
    StatementMissing {
        /// Its id.
        sid: String,
    },
    /// The statement's id is taken.
    #[error(
        "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
    )]
    StatementExists {
        /// Its id.
        sid: String,
    },
    /// The policy would become too long.
    #[error("The final policy size ({bytes}) is bigger than the limit ({}).", limits::POLICY_BYTES_MAX)]
    PolicyTooLong {
        /// How long, as JSON.
        bytes: usize,
    },
    /// The RevisionId is not the latest of the layer's policy.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the latest Revision Id"
    )]
    LayerRevisionMismatch,
    /// No such alias.
    #[error("Cannot find alias arn: {arn}")]
    AliasMissing {
        /// The alias' ARN.
        arn: String,
    },
    /// A policy for `$LATEST` is that of the function.
    #[error("We currently do not support adding policies for $LATEST.")]
    PolicyForLatest,
    /// Neither a service, nor an account, nor a user or role.
    #[error("The provided principal was invalid. Please check the principal and try again.")]
    PrincipalInvalid,
    /// A condition that fits another action.
    #[error("FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action")]
    UrlAuthTypeWithoutUrl,
    /// A condition that fits another action (inferred wording).
    #[error("InvokedViaFunctionUrl is only supported for lambda:InvokeFunction action")]
    ViaUrlWithoutInvoke,
    /// No function to keep a setting for.
    #[error("The function doesn't exist.")]
    NoFunction,
    /// An event invoke config that says nothing.
    #[error("You must specify at least one of error handling or destination setting.")]
    EventConfigEmpty,
    /// No event invoke config.
    #[error("The function {arn} doesn't have an EventInvokeConfig")]
    NoEventConfig {
        /// The ARN with its qualifier.
        arn: String,
    },
    /// A function that does not exist as a destination.
    #[error("The destination ARN {arn} is invalid.")]
    DestinationMissing {
        /// Its ARN.
        arn: String,
    },
    /// A destination that the function's role may not send to. AWS's words, as its users report them.
    #[error("The function's execution role does not have permissions to call {action} on {arn}")]
    DestinationNotAllowed {
        /// The operation.
        action: String,
        /// The destination.
        arn: String,
    },
    /// The function itself as a destination.
    #[error("You can't specify the function as a destination for itself.")]
    DestinationIsItself,
    /// Something that cannot be a destination.
    #[error(
        "The provided destination config DestinationConfig(onSuccess={on_success}, onFailure={on_failure}) is invalid."
    )]
    DestinationInvalid {
        /// As AWS prints it.
        on_success: String,
        /// As AWS prints it.
        on_failure: String,
    },
    /// No provisioned concurrency.
    #[error("No Provisioned Concurrency Config found for this function")]
    NoProvisionedConcurrency,
    /// An alias of a version that has provisioned concurrency.
    #[error("Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version")]
    AliasToProvisionedVersion,
    /// A version of an alias that has provisioned concurrency.
    #[error("Version is pointed by a Provisioned Concurrency alias")]
    VersionOfProvisionedAlias,
    /// No function or alias to make a URL for.
    #[error("Function does not exist")]
    NoFunctionForUrl,
    /// There is a URL already.
    #[error(
        "Failed to create function url config for [functionArn = {arn}]. Error message:  FunctionUrlConfig exists for this Lambda function"
    )]
    UrlExists {
        /// The ARN of function or alias.
        arn: String,
    },
    /// `Manual` without a build (inferred wording).
    #[error("You must specify RuntimeVersionArn when UpdateRuntimeOn is Manual.")]
    RuntimeVersionRequired,
    /// A build without `Manual` (inferred wording).
    #[error("You can specify RuntimeVersionArn only when UpdateRuntimeOn is Manual.")]
    RuntimeVersionNotAllowed,
    /// A build that gust does not have (inferred wording).
    #[error("The runtime version {arn} does not exist. gust has one version of the function's runtime: {here}.")]
    RuntimeVersionUnknown {
        /// What was asked for.
        arn: String,
        /// What there is.
        here: String,
    },
    /// An alias where only versions have the setting (inferred wording).
    #[error("The function resource provided must be $LATEST or a published version.")]
    NotForAliases,
}

impl AttachedError {
    /// The code and the HTTP status with which AWS answers.
    pub fn code_and_status(&self) -> (&'static str, u16) {
        match self {
            AttachedError::NoResource
            | AttachedError::LayerVersionMissing { .. }
            | AttachedError::NoPolicy
            | AttachedError::NoPolicyFor { .. }
            | AttachedError::StatementMissing { .. }
            | AttachedError::AliasMissing { .. }
            | AttachedError::NoFunction
            | AttachedError::NoEventConfig { .. }
            | AttachedError::NoFunctionForUrl => ("ResourceNotFoundException", 404),
            AttachedError::StatementExists { .. }
            | AttachedError::UrlExists { .. }
            | AttachedError::AliasToProvisionedVersion
            | AttachedError::VersionOfProvisionedAlias => ("ResourceConflictException", 409),
            AttachedError::NoProvisionedConcurrency => ("ProvisionedConcurrencyConfigNotFoundException", 404),
            AttachedError::PolicyTooLong { .. } => ("PolicyLengthExceededException", 400),
            AttachedError::LayerRevisionMismatch => ("PreconditionFailedException", 412),
            _ => ("InvalidParameterValueException", 400),
        }
    }
}
