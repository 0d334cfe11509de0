//! What an installation shows while it runs, and what it complained about.

use indicatif::ProgressBar;
use std::io::IsTerminal;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;

/// How much of a complaint is kept, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1_024;

/// A bar of `steps`, or one without an end; one line in the log where there is no terminal.
pub fn bar(message: &'static str, steps: Option<usize>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        tracing::info!("{message}");
        return ProgressBar::hidden();
    }
    let bar = match steps {
        Some(steps) => ProgressBar::new(steps as u64).with_style(crate::progress::bar()),
        None => ProgressBar::new_spinner().with_style(crate::progress::spinner()),
    };
    bar.set_message(message);
    bar
}

/// A program's standard error.
pub struct Complaint(Option<ChildStderr>);

impl Complaint {
    /// To be read while the program runs.
    pub fn of(errors: Option<ChildStderr>) -> Complaint {
        Complaint(errors)
    }

    /// Reads to the end. What exceeds the bound is read as well, so that the program never blocks on a full pipe.
    pub async fn read(self) -> String {
        let mut text = Vec::new();
        if let Some(mut errors) = self.0 {
            let kept = (&mut errors).take(COMPLAINT_BYTES_MAX).read_to_end(&mut text).await;
            let rest = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            if kept.is_err() || rest.is_err() {
                tracing::debug!("an installation closed its standard error early");
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
