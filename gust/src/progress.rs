//! How waiting looks on a terminal.

use indicatif::ProgressStyle;

/// For what has no known end.
pub fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}").expect("the template is constant and valid")
}

/// For what has a known number of steps.
pub fn bar() -> ProgressStyle {
    ProgressStyle::with_template("{bar:24.cyan/dim} {pos}/{len} {msg}").expect("the template is constant and valid")
}

#[cfg(test)]
mod tests {
    #[test]
    fn templates_are_valid() {
        super::spinner();
        super::bar();
    }
}
