//! The format of the data as a whole: an older gust refuses what a newer one wrote.

use crate::StoreError;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The newest format that this gust reads and the one it writes.
///
/// It changes when keys or files are laid out anew; records carry versions of their own.
pub const DATA_FORMAT: u32 = 1;

/// The file that holds the format, in words a person can read.
const FORMAT_FILE: &str = "format";

/// Checks the format of the data in `folder` and marks it if it is new. Blocks; durable on return.
///
/// Errors: [`StoreError::FormatTooNew`]; [`StoreError::Unavailable`] if the mark cannot be read or written.
pub fn check_folder_format(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => check_format(&text).map_err(|error| match error {
            StoreError::Unavailable(text) => StoreError::Unavailable(format!("{}: {text}", path.display())),
            other => other,
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write_format(folder).map_err(|error| failed(&path, &error))
        }
        Err(error) => Err(failed(&path, &error)),
    }
}

/// Checks a mark.
pub(crate) fn check_format(text: &str) -> Result<(), StoreError> {
    let number = text.trim().strip_prefix("gust ").and_then(|number| number.parse::<u32>().ok());
    match number {
        None => Err(StoreError::Unavailable("this is no format of gust's data".to_owned())),
        Some(found) if found > DATA_FORMAT => Err(StoreError::FormatTooNew { found, known: DATA_FORMAT }),
        Some(_) => Ok(()),
    }
}

/// The mark of this gust.
pub(crate) fn format_text() -> String {
    format!("gust {DATA_FORMAT}\n")
}

fn write_format(folder: &Path) -> std::io::Result<()> {
    let draft = folder.join("format.new");
    let mut file = File::create(&draft)?;
    file.write_all(format_text().as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(FORMAT_FILE))?;
    File::open(folder)?.sync_all()
}

fn failed(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_folder_is_refused_and_an_unreadable_mark_too() {
        let folder = tempfile::tempdir().unwrap();
        check_folder_format(folder.path()).unwrap();
        check_folder_format(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(FORMAT_FILE)).unwrap(), "gust 1\n");
        fs::write(folder.path().join(FORMAT_FILE), "gust 2\n").unwrap();
        let error = check_folder_format(folder.path()).unwrap_err();
        assert!(matches!(error, StoreError::FormatTooNew { found: 2, known: 1 }), "{error}");
        fs::write(folder.path().join(FORMAT_FILE), "").unwrap();
        assert!(matches!(check_folder_format(folder.path()), Err(StoreError::Unavailable(_))));
    }
}
