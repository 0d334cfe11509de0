//! Turns a [`SandboxSpec`] into what the spawner is sent: checks it, decides how the program starts, makes the pipes.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::mounts::RUNTIME_DIR;
use crate::protocol::{Create, RuntimeFds, Start};
use crate::sys;
use crate::{Program, RuntimeTransport, SandboxError, SandboxSpec};

/// Largest environment in bytes, names, values and separators together.
const ENVIRONMENT_BYTES_MAX: usize = 256 * 1024;
const ID_LENGTH_MAX: usize = 64;
const HOSTNAME_LENGTH_MAX: usize = 63;

/// A request for a sandbox with both ends of everything that connects it.
pub(crate) struct Launch {
    pub create: Create,
    /// For the spawner: environment, output, log, channel.
    pub fds: Vec<OwnedFd>,
    pub output: OwnedFd,
    pub log: Option<OwnedFd>,
    pub channel: Option<UnixStream>,
}

pub(crate) fn prepare(spec: &SandboxSpec, as_root: bool) -> Result<Launch, SandboxError> {
    check(spec)?;
    let (start, runtime_fds, prefix) = start(spec, as_root);
    let environment = environment(&spec.env)?;
    let (output, output_writer) = pipe()?;
    let mut fds = vec![environment, output_writer];
    let mut log = None;
    let mut channel = None;
    if runtime_fds != RuntimeFds::None {
        let (reader, writer) = pipe()?;
        log = Some(reader);
        fds.push(writer);
    }
    if runtime_fds == RuntimeFds::LogAndChannel {
        let (here, there) = UnixStream::pair().map_err(SandboxError::io("make the channel"))?;
        here.set_nonblocking(true).map_err(SandboxError::io("make the channel"))?;
        channel = Some(here);
        fds.push(there.into());
    }
    let create = Create {
        id: spec.id.clone(),
        start,
        runtime_fds,
        code_dir: spec.code_dir.clone(),
        layers_dir: spec.layers_dir.clone(),
        sdk_dir: spec.sdk_dir.clone(),
        prefix,
        memory_mb: spec.memory_mb,
        tmp_mb: spec.tmp_mb,
        pids_max: spec.pids_max,
        egress: spec.egress,
        hostname: spec.hostname.clone(),
    };
    Ok(Launch { create, fds, output, log, channel })
}

/// A name that becomes part of file names.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), SandboxError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > ID_LENGTH_MAX || !name.bytes().all(legal) {
        return Err(SandboxError::InvalidSpec(format!("{what} {name:?}: 1 to {ID_LENGTH_MAX} of [A-Za-z0-9_-]")));
    }
    Ok(())
}

fn check(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let invalid = |message: String| Err(SandboxError::InvalidSpec(message));
    check_name("id", &spec.id)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if spec.hostname.is_empty() || spec.hostname.len() > HOSTNAME_LENGTH_MAX || !spec.hostname.bytes().all(legal) {
        return invalid(format!("hostname {:?}: 1 to {HOSTNAME_LENGTH_MAX} of [A-Za-z0-9.-]", spec.hostname));
    }
    for (name, value, range) in [
        ("memory_mb", spec.memory_mb, 64..=1_048_576),
        ("tmp_mb", spec.tmp_mb, 1..=1_048_576),
        ("pids_max", spec.pids_max, 1..=32_768),
    ] {
        if !range.contains(&value) {
            return invalid(format!("{name} {value}: not in {} to {}", range.start(), range.end()));
        }
    }
    for folder in [Some(&spec.code_dir), spec.layers_dir.as_ref(), spec.sdk_dir.as_ref()].into_iter().flatten() {
        if !folder.is_absolute() {
            return invalid(format!("{}: not an absolute path", folder.display()));
        }
    }
    if let Program::Exec { path, .. } = &spec.program
        && !path.starts_with('/')
    {
        return invalid(format!("{path:?}: not an absolute path"));
    }
    Ok(())
}

/// True if a variable has its effect when a program is executed, so that a forked one would miss it.
fn acts_at_exec(name: &str) -> bool {
    name == "AWS_LAMBDA_EXEC_WRAPPER"
        || name == "GLIBC_TUNABLES"
        || ["PYTHON", "LD_", "MALLOC_"].iter().any(|prefix| name.starts_with(prefix))
}

fn start(spec: &SandboxSpec, as_root: bool) -> (Start, RuntimeFds, Option<PathBuf>) {
    let (interpreter, transport) = match &spec.program {
        Program::Exec { path, args } => {
            let argv = std::iter::once(path.clone()).chain(args.iter().cloned()).collect();
            return (Start::Exec { path: path.clone(), argv }, RuntimeFds::None, None);
        }
        Program::Python { interpreter, transport } => (interpreter, *transport),
    };
    let outside = |path: &Path| (!path.starts_with("/usr")).then(|| path.to_owned());
    let prefix = outside(&interpreter.prefix);
    let runtime_fds = match transport {
        RuntimeTransport::Channel => RuntimeFds::LogAndChannel,
        RuntimeTransport::Http => RuntimeFds::Log,
    };
    let fresh = spec.env.iter().any(|(name, _)| acts_at_exec(name)) || transport == RuntimeTransport::Http;
    // Entering another user namespace from a zygote takes root.
    if as_root && !fresh {
        return (Start::Zygote { interpreter: interpreter.path.clone() }, runtime_fds, prefix);
    }
    let python = interpreter.path.display().to_string();
    let mut argv = vec![python, "-S".to_owned(), format!("{RUNTIME_DIR}/bootstrap.py")];
    if let Some((_, wrapper)) = spec.env.iter().find(|(name, _)| name == "AWS_LAMBDA_EXEC_WRAPPER") {
        // https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
        argv.insert(0, wrapper.clone());
    }
    (Start::Exec { path: argv[0].clone(), argv }, runtime_fds, prefix)
}

/// The environment as NUL-terminated `NAME=value`, in a memory file.
fn environment(variables: &[(String, String)]) -> Result<OwnedFd, SandboxError> {
    let mut block = Vec::new();
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(SandboxError::InvalidSpec(format!("environment variable {name:?}: illegal name or value")));
        }
        block.extend(name.as_bytes());
        block.push(b'=');
        block.extend(value.as_bytes());
        block.push(0);
    }
    if block.len() > ENVIRONMENT_BYTES_MAX {
        return Err(SandboxError::InvalidSpec(format!("environment larger than {ENVIRONMENT_BYTES_MAX} bytes")));
    }
    sys::memory_file(&block).map_err(SandboxError::io("write the environment"))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), SandboxError> {
    let (reader, writer) = std::io::pipe().map_err(SandboxError::io("make a pipe"))?;
    rustix::io::ioctl_fionbio(&reader, true)
        .map_err(|error| SandboxError::Io { step: "make a pipe", source: error.into() })?;
    Ok((reader.into(), writer.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Egress, Interpreter};

    fn spec(env: &[(&str, &str)], transport: RuntimeTransport) -> SandboxSpec {
        let interpreter =
            Interpreter { version: (3, 12, 1), path: "/opt/py/bin/python3.12".into(), prefix: "/opt/py".into() };
        SandboxSpec {
            id: "a".to_owned(),
            program: Program::Python { interpreter, transport },
            code_dir: "/code".into(),
            layers_dir: None,
            sdk_dir: None,
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            memory_mb: 128,
            tmp_mb: 512,
            pids_max: 1024,
            egress: Egress::None,
            hostname: "h".to_owned(),
        }
    }

    #[test]
    fn only_variables_that_act_at_exec_avoid_the_zygote() {
        let zygote =
            |env: &[(&str, &str)]| matches!(start(&spec(env, RuntimeTransport::Channel), true).0, Start::Zygote { .. });
        assert!(zygote(&[("MY_PYTHON", "1"), ("PATH", "/bin")]));
        for name in ["PYTHONPATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "AWS_LAMBDA_EXEC_WRAPPER"] {
            assert!(!zygote(&[(name, "x")]), "{name}");
        }
        assert!(!matches!(start(&spec(&[], RuntimeTransport::Http), true).0, Start::Zygote { .. }));
        assert!(!matches!(start(&spec(&[], RuntimeTransport::Channel), false).0, Start::Zygote { .. }));
    }

    #[test]
    fn a_wrapper_gets_the_runtime_as_arguments() {
        let spec = spec(&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrap")], RuntimeTransport::Channel);
        let (Start::Exec { path, argv }, RuntimeFds::LogAndChannel, Some(prefix)) = start(&spec, true) else {
            panic!("expected a fresh interpreter");
        };
        assert_eq!(path, "/opt/wrap");
        assert_eq!(argv, ["/opt/wrap", "/opt/py/bin/python3.12", "-S", "/var/lang/gust/bootstrap.py"]);
        assert_eq!(prefix, PathBuf::from("/opt/py"));
    }

    #[test]
    fn bad_specifications_are_refused() {
        let good = spec(&[], RuntimeTransport::Channel);
        assert!(check(&good).is_ok());
        let refused = |change: fn(&mut SandboxSpec)| {
            let mut spec = good.clone();
            change(&mut spec);
            assert!(matches!(check(&spec), Err(SandboxError::InvalidSpec(_))), "{spec:?}");
        };
        refused(|spec| spec.id = "../x".to_owned());
        refused(|spec| spec.id = String::new());
        refused(|spec| spec.hostname = "a b".to_owned());
        refused(|spec| spec.memory_mb = 63);
        refused(|spec| spec.tmp_mb = 0);
        refused(|spec| spec.code_dir = "code".into());
        assert!(environment(&[("A=B".to_owned(), String::new())]).is_err());
        assert!(environment(&[("A".to_owned(), "\0".to_owned())]).is_err());
    }
}
