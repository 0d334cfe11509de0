//! Whether a Python function probably uses the SDK that the runtime provides, so that a process with it loaded is worth
//! having. A guess: a wrong one costs time or memory and changes nothing else.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files of a package that are looked at.
const FILES_MAX: usize = 64;
/// How much of a file is looked at, in bytes: imports stand at the top.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Packages whose answer is remembered. A version's folder never changes.
const REMEMBERED_MAX: usize = 4_096;

/// The packages of the SDK, by whose names others would bring their own.
const PACKAGES: [&str; 2] = ["boto3", "botocore"];

/// Remembers the answers.
#[derive(Debug, Default)]
pub(crate) struct SdkUse(Mutex<HashMap<PathBuf, bool>>);

impl SdkUse {
    /// Whether the function in `code_dir`, with these layers, seems to import the provided SDK. Reads files the first time.
    pub(crate) fn is_likely(&self, code_dir: &Path, layers_dir: Option<&Path>, handler: &str) -> bool {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(code_dir).copied();
        if let Some(answer) = remembered {
            return answer;
        }
        let answer = !brings_own(code_dir, layers_dir) && mentions(code_dir, handler);
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= REMEMBERED_MAX {
            answers.clear();
        }
        answers.insert(code_dir.to_owned(), answer);
        answer
    }
}

fn brings_own(code_dir: &Path, layers_dir: Option<&Path>) -> bool {
    let in_layers = layers_dir.map(|folder| folder.join("python"));
    let folders = std::iter::once(code_dir).chain(in_layers.as_deref());
    folders.flat_map(|folder| PACKAGES.map(|name| folder.join(name))).any(|path| path.exists())
}

/// The handler's own file first, then the others at the top of the package.
fn mentions(code_dir: &Path, handler: &str) -> bool {
    let module = handler.rsplit_once('.').map_or(handler, |(module, _)| module).replace('.', "/");
    let of_handler = code_dir.join(format!("{module}.py"));
    let entries = std::fs::read_dir(code_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let others = entries.filter(|path| path.extension().is_some_and(|extension| extension == "py"));
    std::iter::once(of_handler).chain(others.take(FILES_MAX)).any(|path| file_mentions(&path))
}

fn file_mentions(path: &Path) -> bool {
    // A package may hold anything under that name.
    let Ok(file) = File::open(path) else { return false };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut text).is_ok()
        && PACKAGES.iter().any(|name| text.windows(name.len()).any(|part| part == name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn likely(files: &[(&str, &str)], layers: &[(&str, &str)]) -> bool {
        let (code, layers) = (folder(files), folder(layers));
        SdkUse::default().is_likely(code.path(), Some(layers.path()), "src/app.handler")
    }

    #[test]
    fn a_function_that_mentions_it_uses_it() {
        assert!(likely(&[("src/app.py", "import boto3")], &[]));
        assert!(likely(&[("src/app.py", "import own"), ("own.py", "from botocore.config import Config")], &[]));
        assert!(!likely(&[("src/app.py", "import json"), ("README.md", "boto3")], &[]));
        assert!(!likely(&[("src/app.py/boto3", "boto3")], &[]));
        assert!(!likely(&[], &[]));
    }

    #[test]
    fn one_that_brings_its_own_does_not() {
        let app = ("src/app.py", "import boto3");
        assert!(!likely(&[app, ("boto3/__init__.py", "")], &[]));
        assert!(!likely(&[app], &[("python/botocore/__init__.py", "")]));
        assert!(likely(&[app], &[("python/other/__init__.py", "")]));
    }

    #[test]
    fn answers_are_remembered() {
        let code = folder(&[("app.py", "import boto3")]);
        let known = SdkUse::default();
        assert!(known.is_likely(code.path(), None, "app.handler"));
        std::fs::write(code.path().join("app.py"), "").unwrap();
        assert!(known.is_likely(code.path(), None, "app.handler"));
    }
}
