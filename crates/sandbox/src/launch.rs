//! Turns a [`SandboxSpec`] into what the spawner is sent: checks it, decides how the program starts, makes the pipes.

use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::mounts::{NODE_PATH, RUNTIME_DIR};
use crate::protocol::{Create, RuntimeFds, Start, ZygoteKey};
use crate::spec::EXTENSIONS_MAX;
use crate::sys;
use crate::zygotes::LIBRARY_PATH;
use crate::{Egress, Folders, Program, RuntimeTransport, SandboxError, SandboxSpec, Sizes};

/// Largest environment in bytes, names, values and separators together.
const ENVIRONMENT_BYTES_MAX: usize = 256 * 1024;
const ID_LENGTH_MAX: usize = 64;
const HOSTNAME_LENGTH_MAX: usize = 63;

/// A request for a sandbox with both ends of everything that connects it.
pub(crate) struct Launch {
    pub create: Create,
    /// For the spawner: environment, output, log, channel, extensions' output.
    pub fds: Vec<OwnedFd>,
    pub output: OwnedFd,
    pub extension_output: Option<OwnedFd>,
    pub log: Option<OwnedFd>,
    pub channel: Option<UnixStream>,
}

/// What a specification says of its function.
pub(crate) fn folders(spec: &SandboxSpec) -> Folders {
    Folders { code_dir: spec.code_dir.clone(), layers_dir: spec.layers_dir.clone(), sdk_dir: spec.sdk_dir.clone() }
}

/// `folders`: what is shown from the start; `None` for a sandbox that gets a function later.
pub(crate) fn prepare(spec: &SandboxSpec, as_root: bool, folders: Option<Folders>) -> Result<Launch, SandboxError> {
    check(spec)?;
    if spec.egress == Egress::Nat && !as_root {
        return Err(SandboxError::InvalidSpec("egress nat takes root: use host or none".to_owned()));
    }
    if let Some(folders) = &folders {
        check_folders(folders)?;
    }
    let Begin { start, runtime_fds, prefix, node } = begin(spec, as_root, folders.is_none());
    let sizes = Sizes { memory_mb: spec.memory_mb, tmp_mb: spec.tmp_mb };
    // The memory limit of Node.js is among its arguments.
    let is_sized = folders.is_some() || node.is_some();
    let environment = environment(&variables(spec, &start))?;
    let (output, output_writer) = pipe()?;
    let mut fds = vec![environment, output_writer];
    let mut log = None;
    let mut channel = None;
    if runtime_fds.has_log() {
        let (reader, writer) = pipe()?;
        log = Some(reader);
        fds.push(writer);
    }
    if runtime_fds.has_channel() {
        let (here, there) = UnixStream::pair().map_err(SandboxError::io("make the channel"))?;
        here.set_nonblocking(true).map_err(SandboxError::io("make the channel"))?;
        channel = Some(here);
        fds.push(there.into());
    }
    let mut extension_output = None;
    if !spec.extensions.is_empty() {
        let (reader, writer) = pipe()?;
        extension_output = Some(reader);
        fds.push(writer);
    }
    let create = Create {
        id: spec.id.clone(),
        start,
        runtime_fds,
        folders,
        prefix,
        node,
        sizes: is_sized.then_some(sizes),
        pids_max: spec.pids_max,
        egress: spec.egress,
        hostname: spec.hostname.clone(),
        init_boost: spec.init_boost,
        extensions: spec.extensions.clone(),
    };
    Ok(Launch { create, fds, output, extension_output, log, channel })
}

/// A name that becomes part of file names.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), SandboxError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > ID_LENGTH_MAX || !name.bytes().all(legal) {
        return Err(SandboxError::InvalidSpec(format!("{what} {name:?}: 1 to {ID_LENGTH_MAX} of [A-Za-z0-9_-]")));
    }
    Ok(())
}

/// Whether a function may have this memory and this `/tmp`.
pub(crate) fn check_sizes(sizes: Sizes) -> Result<(), SandboxError> {
    check_range("memory_mb", sizes.memory_mb, 64..=1_048_576)?;
    check_range("tmp_mb", sizes.tmp_mb, 1..=1_048_576)
}

fn check_range(name: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), SandboxError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(SandboxError::InvalidSpec(format!("{name} {value}: not in {} to {}", range.start(), range.end())))
}

fn check(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let invalid = |message: String| Err(SandboxError::InvalidSpec(message));
    check_name("id", &spec.id)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if spec.hostname.is_empty() || spec.hostname.len() > HOSTNAME_LENGTH_MAX || !spec.hostname.bytes().all(legal) {
        return invalid(format!("hostname {:?}: 1 to {HOSTNAME_LENGTH_MAX} of [A-Za-z0-9.-]", spec.hostname));
    }
    check_sizes(Sizes { memory_mb: spec.memory_mb, tmp_mb: spec.tmp_mb })?;
    check_range("pids_max", spec.pids_max, 1..=32_768)?;
    if spec.extensions.len() > EXTENSIONS_MAX {
        return invalid(format!("{} extensions: at most {EXTENSIONS_MAX}", spec.extensions.len()));
    }
    if let Some(path) = spec.extensions.iter().find(|path| !path.starts_with('/')) {
        return invalid(format!("{path:?}: not an absolute path"));
    }
    if let Program::Exec { path, .. } = &spec.program
        && !path.starts_with('/')
    {
        return invalid(format!("{path:?}: not an absolute path"));
    }
    Ok(())
}

pub(crate) fn check_folders(folders: &Folders) -> Result<(), SandboxError> {
    let all = [Some(&folders.code_dir), folders.layers_dir.as_ref(), folders.sdk_dir.as_ref()];
    match all.into_iter().flatten().find(|folder| !folder.is_absolute()) {
        Some(folder) => Err(SandboxError::InvalidSpec(format!("{}: not an absolute path", folder.display()))),
        None => Ok(()),
    }
}

/// True if a variable has its effect when a program is executed, so that a forked one would miss it.
fn acts_at_exec(name: &str) -> bool {
    name == "AWS_LAMBDA_EXEC_WRAPPER"
        || name == "GLIBC_TUNABLES"
        || ["PYTHON", "LD_", "MALLOC_"].iter().any(|prefix| name.starts_with(prefix))
}

/// How a program begins, and what it needs from outside of /usr for that.
struct Begin {
    start: Start,
    runtime_fds: RuntimeFds,
    prefix: Option<PathBuf>,
    node: Option<PathBuf>,
}

fn begin(spec: &SandboxSpec, as_root: bool, is_vacant: bool) -> Begin {
    match &spec.program {
        Program::Exec { .. } if is_vacant => {
            Begin { start: Start::Stub, runtime_fds: RuntimeFds::Channel, prefix: None, node: None }
        }
        Program::Exec { path, args } => {
            let argv = std::iter::once(path.clone()).chain(args.iter().cloned()).collect();
            let start = Start::Exec { path: path.clone(), argv };
            Begin { start, runtime_fds: RuntimeFds::None, prefix: None, node: None }
        }
        Program::Python { interpreter, transport } => {
            let outside = |path: &Path| (!path.starts_with("/usr")).then(|| path.to_owned());
            let runtime_fds = runtime_fds(*transport);
            let fresh = spec.env.iter().any(|(name, _)| acts_at_exec(name))
                || *transport == RuntimeTransport::Http
                // Its start waits for the extensions.
                || !spec.extensions.is_empty();
            // Entering another user namespace from a zygote takes root.
            let start = if as_root && !fresh {
                let sdk = if spec.preload_sdk { spec.sdk_dir.clone() } else { None };
                Start::Zygote(ZygoteKey { interpreter: interpreter.path.clone(), sdk })
            } else {
                let python = interpreter.path.display().to_string();
                exec(spec, vec![python, "-S".to_owned(), format!("{RUNTIME_DIR}/bootstrap.py")])
            };
            Begin { start, runtime_fds, prefix: outside(&interpreter.prefix), node: None }
        }
        Program::Node { interpreter, transport } => Begin {
            start: exec(spec, node_arguments(spec)),
            runtime_fds: runtime_fds(*transport),
            prefix: None,
            node: Some(interpreter.path.clone()),
        },
    }
}

fn runtime_fds(transport: RuntimeTransport) -> RuntimeFds {
    match transport {
        RuntimeTransport::Channel => RuntimeFds::LogAndChannel,
        RuntimeTransport::Http => RuntimeFds::Log,
    }
}

/// Executes `argv`, through the function's wrapper if it has one.
///
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html>
fn exec(spec: &SandboxSpec, mut argv: Vec<String>) -> Start {
    if let Some((_, wrapper)) = spec.env.iter().find(|(name, _)| name == "AWS_LAMBDA_EXEC_WRAPPER") {
        argv.insert(0, wrapper.clone());
    }
    Start::Exec { path: argv[0].clone(), argv }
}

/// Node.js with the limits that Lambda gives it: a tenth of the memory is left to the young generation (half of it, three
/// semi-spaces) and to buffers outside of the heap. Who sets one of these in NODE_OPTIONS gets V8's defaults for the
/// other. Source: Lambda's base images, `/var/runtime/bootstrap`.
fn node_arguments(spec: &SandboxSpec) -> Vec<String> {
    let mut argv = vec![NODE_PATH.to_owned(), "--expose-gc".to_owned()];
    argv.extend(["--max-http-header-size", "81920"].map(str::to_owned));
    let options = spec.env.iter().find(|(name, _)| name == "NODE_OPTIONS").map_or("", |(_, value)| value);
    let options = options.replace('_', "-");
    if !options.contains("--max-semi-space-size") && !options.contains("--max-old-space-size") {
        let new_space_mb = spec.memory_mb / 10;
        argv.push(format!("--max-semi-space-size={}", (new_space_mb / 6).max(1)));
        argv.push(format!("--max-old-space-size={}", spec.memory_mb - new_space_mb));
    }
    argv.push(format!("{RUNTIME_DIR}/bootstrap.js"));
    argv
}

/// The function's variables. A forked Python has the search path for libraries of its zygote; one that is executed,
/// for whatever reason, needs it as a variable.
fn variables(spec: &SandboxSpec, start: &Start) -> Vec<(String, String)> {
    let mut variables = spec.env.clone();
    let is_executed_python = matches!((&spec.program, start), (Program::Python { .. }, Start::Exec { .. }));
    if is_executed_python && !variables.iter().any(|(name, _)| name == "LD_LIBRARY_PATH") {
        variables.push(("LD_LIBRARY_PATH".to_owned(), LIBRARY_PATH.to_owned()));
    }
    variables
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
    use crate::{Interpreter, Language};

    fn spec(env: &[(&str, &str)], transport: RuntimeTransport) -> SandboxSpec {
        let interpreter = Interpreter {
            language: Language::Python,
            version: (3, 12, 1),
            path: "/opt/py/bin/python3.12".into(),
            prefix: "/opt/py".into(),
        };
        of(Program::Python { interpreter, transport }, env)
    }

    fn of(program: Program, env: &[(&str, &str)]) -> SandboxSpec {
        SandboxSpec {
            id: "a".to_owned(),
            program,
            code_dir: "/code".into(),
            layers_dir: None,
            sdk_dir: None,
            preload_sdk: false,
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            memory_mb: 128,
            tmp_mb: 512,
            pids_max: 1024,
            egress: Egress::None,
            hostname: "h".to_owned(),
            init_boost: false,
            extensions: Vec::new(),
        }
    }

    #[test]
    fn only_variables_that_act_at_exec_avoid_the_zygote() {
        let zygote = |env: &[(&str, &str)]| {
            matches!(begin(&spec(env, RuntimeTransport::Channel), true, false).start, Start::Zygote(_))
        };
        assert!(zygote(&[("MY_PYTHON", "1"), ("PATH", "/bin")]));
        for name in ["PYTHONPATH", "LD_PRELOAD", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "AWS_LAMBDA_EXEC_WRAPPER"] {
            assert!(!zygote(&[(name, "x")]), "{name}");
        }
        assert!(!matches!(begin(&spec(&[], RuntimeTransport::Http), true, false).start, Start::Zygote(_)));
        assert!(!matches!(begin(&spec(&[], RuntimeTransport::Channel), false, false).start, Start::Zygote(_)));
    }

    #[test]
    fn only_an_executed_python_is_told_where_libraries_are() {
        let library_path = |env: &[(&str, &str)], as_root: bool| {
            let spec = spec(env, RuntimeTransport::Channel);
            let variables = variables(&spec, &begin(&spec, as_root, false).start);
            variables.into_iter().find(|(name, _)| name == "LD_LIBRARY_PATH").map(|(_, value)| value)
        };
        assert_eq!(library_path(&[], true), None);
        assert_eq!(library_path(&[], false).as_deref(), Some(LIBRARY_PATH));
        assert_eq!(library_path(&[("PYTHONPATH", "/opt")], true).as_deref(), Some(LIBRARY_PATH));
        assert_eq!(library_path(&[("LD_LIBRARY_PATH", "/own")], false).as_deref(), Some("/own"));
    }

    #[test]
    fn a_wrapper_gets_the_runtime_as_arguments() {
        let spec = spec(&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrap")], RuntimeTransport::Channel);
        let begin = begin(&spec, true, false);
        let Start::Exec { path, argv } = begin.start else { panic!("expected a fresh interpreter") };
        assert_eq!(path, "/opt/wrap");
        assert_eq!(argv, ["/opt/wrap", "/opt/py/bin/python3.12", "-S", "/var/lang/gust/bootstrap.py"]);
        assert_eq!(begin.prefix, Some(PathBuf::from("/opt/py")));
        assert_eq!(begin.runtime_fds, RuntimeFds::LogAndChannel);
    }

    #[test]
    fn node_gets_its_heap_by_memory_size_unless_the_function_says_otherwise() {
        let interpreter = Interpreter {
            language: Language::Node,
            version: (20, 1, 0),
            path: "/home/ann/.nvm/versions/node/v20.1.0/bin/node".into(),
            prefix: "/home/ann/.nvm/versions/node/v20.1.0".into(),
        };
        let argv = |env: &[(&str, &str)], memory_mb: u32| {
            let program = Program::Node { interpreter: interpreter.clone(), transport: RuntimeTransport::Channel };
            let begin = begin(&SandboxSpec { memory_mb, ..of(program, env) }, true, false);
            assert_eq!((begin.prefix, begin.node.as_ref()), (None, Some(&interpreter.path)));
            let Start::Exec { argv, .. } = begin.start else { panic!("expected a program") };
            argv
        };
        assert_eq!(
            argv(&[], 1024),
            [
                "/var/lang/bin/node",
                "--expose-gc",
                "--max-http-header-size",
                "81920",
                "--max-semi-space-size=17",
                "--max-old-space-size=922",
                "/var/lang/gust/bootstrap.js"
            ]
        );
        assert!(argv(&[], 128).contains(&"--max-old-space-size=116".to_owned()));
        for options in ["--max-old-space-size=50", "--trace-gc --max_semi_space_size=1"] {
            assert!(!argv(&[("NODE_OPTIONS", options)], 128).iter().any(|argument| argument.contains("space-size")));
        }
        assert_eq!(argv(&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/wrap")], 128)[..2], ["/opt/wrap", "/var/lang/bin/node"]);
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
        let with_nat = SandboxSpec { egress: Egress::Nat, ..good.clone() };
        let refusal = prepare(&with_nat, false, None).err().unwrap().to_string();
        assert!(refusal.contains("nat") && refusal.contains("use host or none"), "{refusal}");
        refused(|spec| spec.extensions = vec!["extensions/x".to_owned()]);
        refused(|spec| spec.extensions = vec!["/opt/extensions/x".to_owned(); EXTENSIONS_MAX + 1]);
        let relative = SandboxSpec { code_dir: "code".into(), ..good.clone() };
        assert!(check_folders(&folders(&good)).is_ok() && check_folders(&folders(&relative)).is_err());
        assert!(environment(&[("A=B".to_owned(), String::new())]).is_err());
        assert!(environment(&[("A".to_owned(), "\0".to_owned())]).is_err());
    }
}
