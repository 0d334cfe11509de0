//! What is executed for a function, found before its sandbox is made, so that what is missing is said in Lambda's words.

use crate::launcher::LaunchError;
use gust_kit::ports::FunctionSpec;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Names a program that stands before the runtime's own; for managed runtimes only.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html>
pub(crate) const WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";
const NO_BOOTSTRAP: &str = "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]";

/// Where the program of a custom runtime is, inside: in the package, else in a layer.
pub(crate) fn bootstrap(spec: &FunctionSpec) -> Result<&'static str, LaunchError> {
    let layers = spec.layers_dir.as_deref().map(|folder| ("/opt/bootstrap", folder));
    for (inside, folder) in [("/var/task/bootstrap", spec.code_dir.as_path())].into_iter().chain(layers) {
        if is_executable(inside, &folder.join("bootstrap"))? {
            return Ok(inside);
        }
    }
    Err(LaunchError::InvalidEntrypoint(NO_BOOTSTRAP.to_owned()))
}

/// Whether the function's wrapper, if it has one, is there and can be executed.
pub(crate) fn check_wrapper(spec: &FunctionSpec) -> Result<(), LaunchError> {
    let Some(wrapper) = spec.environment.get(WRAPPER) else { return Ok(()) };
    let Some(path) = on_host(spec, wrapper) else { return Ok(()) };
    if is_executable(wrapper, &path)? {
        return Ok(());
    }
    Err(LaunchError::InvalidEntrypoint(format!("fork/exec {wrapper}: no such file or directory")))
}

/// Where something of the package or the layers is on the host; `None` for what is neither.
fn on_host(spec: &FunctionSpec, inside: &str) -> Option<PathBuf> {
    if let Some(rest) = inside.strip_prefix("/var/task/") {
        return Some(spec.code_dir.join(rest));
    }
    let rest = inside.strip_prefix("/opt/")?;
    // Without layers there is nothing in /opt.
    Some(spec.layers_dir.as_deref().map_or_else(|| Path::new("/nonexistent").join(rest), |folder| folder.join(rest)))
}

/// False: no such file. What is there must be allowed to be executed.
fn is_executable(inside: &str, path: &Path) -> Result<bool, LaunchError> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Ok(false),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => {
            Err(LaunchError::InvalidEntrypoint(format!("fork/exec {inside}: permission denied")))
        }
        Ok(_) => Ok(true),
        // A symbolic link may lead somewhere that exists inside only: then it is executed, and fails there if it must.
        Err(_) if fs::symlink_metadata(path).is_ok() => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LaunchError::Sandbox(format!("{}: {error}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    fn cause<T: std::fmt::Debug>(result: Result<T, LaunchError>) -> String {
        result.unwrap_err().to_string()
    }

    fn file(path: &Path, mode: u32) {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_package_without_something_to_execute_is_the_functions_fault() {
        let (code, layers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut spec = spec("f");
        spec.code_dir = code.path().to_owned();
        assert_eq!(cause(bootstrap(&spec)), NO_BOOTSTRAP);
        file(&layers.path().join("bootstrap"), 0o755);
        spec.layers_dir = Some(layers.path().to_owned());
        assert_eq!(bootstrap(&spec).unwrap(), "/opt/bootstrap");
        file(&code.path().join("bootstrap"), 0o644);
        assert_eq!(cause(bootstrap(&spec)), "fork/exec /var/task/bootstrap: permission denied");
        file(&code.path().join("bootstrap"), 0o755);
        assert_eq!(bootstrap(&spec).unwrap(), "/var/task/bootstrap");
    }

    #[test]
    fn a_wrapper_must_be_there_and_executable() {
        let (code, layers) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut spec = spec("f");
        assert!(check_wrapper(&spec).is_ok(), "none");
        spec.code_dir = code.path().to_owned();
        let with = |spec: &FunctionSpec, wrapper: &str| {
            let mut spec = spec.clone();
            spec.environment.insert(WRAPPER.to_owned(), wrapper.to_owned());
            check_wrapper(&spec)
        };
        assert_eq!(cause(with(&spec, "/opt/wrap")), "fork/exec /opt/wrap: no such file or directory");
        spec.layers_dir = Some(layers.path().to_owned());
        assert_eq!(cause(with(&spec, "/opt/wrap")), "fork/exec /opt/wrap: no such file or directory");
        file(&layers.path().join("wrap"), 0o644);
        assert_eq!(cause(with(&spec, "/opt/wrap")), "fork/exec /opt/wrap: permission denied");
        file(&layers.path().join("wrap"), 0o755);
        assert!(with(&spec, "/opt/wrap").is_ok());
        file(&code.path().join("wrap"), 0o755);
        assert!(with(&spec, "/var/task/wrap").is_ok());
        assert!(with(&spec, "/usr/bin/env").is_ok());
    }
}
