//! What is told about extensions, and what they are told.

/// What an extension is told about the function when it registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionFacts {
    /// Its name without qualifier.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// Its handler.
    pub handler: String,
    /// The owner, told to those who ask for it.
    pub account_id: String,
}

/// Why an environment ends, as a SHUTDOWN event says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownReason {
    /// It is not needed any more.
    Spindown,
    /// An invocation's time was up.
    Timeout,
    /// The runtime or an extension failed.
    Failure,
}

impl ShutdownReason {
    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ShutdownReason::Spindown => "spindown",
            ShutdownReason::Timeout => "timeout",
            ShutdownReason::Failure => "failure",
        }
    }
}

/// Why an extension brings its environment down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionFailure {
    /// For example `Extension.Crash`.
    pub error_type: &'static str,
    /// What follows `Error: `.
    pub cause: String,
}

/// How the process of an external extension ended, or that it could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It could not be executed; the text says why.
    NotStarted {
        /// The reason.
        cause: String,
        /// Whether it is the permission that is missing.
        is_permission: bool,
    },
    /// It exited with this status.
    Exited(i32),
    /// A signal ended it; its name.
    Signalled(String),
}

/// One line of the summary that is logged after initialisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionSummary {
    /// Its name.
    pub name: String,
    /// `Ready`, `LaunchError` ...
    pub state: &'static str,
    /// What it registered for.
    pub events: Vec<&'static str>,
    /// What it failed with.
    pub error_type: Option<String>,
}
