//! Why a command ends with another exit code than 0, as the user reads it.

use std::fmt;

/// The command failed.
pub const EXIT_FAILED: u8 = 1;
/// The command line or the configuration is wrong.
pub const EXIT_USAGE: u8 = 2;
/// The invoked function failed.
pub const EXIT_FUNCTION_FAILED: u8 = 3;
/// Nothing answers at the endpoint.
pub const EXIT_UNREACHABLE: u8 = 4;

/// The end of a command that did not succeed.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The process's exit code.
    pub exit_code: u8,
    /// What is wrong: one line, lower case, no full stop. Empty: all has been said already.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// The command could not do what it should.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { exit_code: EXIT_FAILED, message: message.into(), hint: None }
    }

    /// The command line or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit_code: EXIT_USAGE, ..Failure::new(message) }
    }

    /// Ends with `exit_code` and without another word.
    pub fn silent(exit_code: u8) -> Failure {
        Failure { exit_code, ..Failure::new("") }
    }

    /// Adds what the user can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Adds "what was tried" to a low-level error.
pub trait Context<T> {
    /// `tried` reads like "cannot open the store".
    fn context(self, tried: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, tried: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|cause| Failure::new(format!("{tried}: {cause}")))
    }
}
