//! The file tree of a sandbox.
//!
//! A **skeleton** is a mount namespace holding what all sandboxes of one interpreter share: a small read-only root on
//! tmpfs, `/usr`, `/dev`, `/etc`. It is built once and kept by a descriptor. A sandbox copies it (one `unshare`) and
//! adds what is its own: `/var/task`, `/opt`, `/var/runtime`, `/proc` and `/tmp`. No host path but those is there.
//!
//! Deliberately absent: `/sys`, `/run`, `/home` and `/dev/shm` (Lambda has no usable `/dev/shm` either).

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use crate::network::resolver_file;
use crate::sys::{self, Depth};
use crate::{Egress, Folders};

/// `MOUNT_ATTR_*` of linux/mount.h.
const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;

/// The host's system folders, shown read-only (or as the symbolic links they are).
const SYSTEM_DIRS: &[&str] = &["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Folders of /etc that are safe to show and needed: public certificates and library alternatives.
const ETC_DIRS: &[&str] = &["ssl/certs", "pki/tls/certs", "pki/ca-trust/extracted", "ca-certificates", "alternatives"];

/// Files of /etc that are copied, if there and below [`ETC_FILE_BYTES_MAX`].
const ETC_FILES: &[&str] =
    &["ld.so.cache", "ssl/openssl.cnf", "mime.types", "protocols", "services", "gai.conf", "os-release"];
const ETC_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where the embedded files of the runtimes are.
pub(crate) const RUNTIME_DIR: &str = "/var/lang/gust";

/// Where the AWS SDK is.
pub(crate) const SDK_DIR: &str = "/var/runtime";

/// Where a sandbox for Node.js has it, as on Lambda.
pub(crate) const NODE_PATH: &str = "/var/lang/bin/node";

/// The files of the runtimes, embedded.
const RUNTIME_FILES: &[(&str, &str)] = &[
    ("bootstrap.js", include_str!("../../../runtimes/node/bootstrap.js")),
    ("runtime_errors.js", include_str!("../../../runtimes/node/runtime_errors.js")),
    ("runtime_handler.js", include_str!("../../../runtimes/node/runtime_handler.js")),
    ("runtime_invoke.js", include_str!("../../../runtimes/node/runtime_invoke.js")),
    ("runtime_logs.js", include_str!("../../../runtimes/node/runtime_logs.js")),
    ("runtime_modules.js", include_str!("../../../runtimes/node/runtime_modules.js")),
    ("runtime_streams.js", include_str!("../../../runtimes/node/runtime_streams.js")),
    ("runtime_transports.js", include_str!("../../../runtimes/node/runtime_transports.js")),
    ("bootstrap.py", include_str!("../../../runtimes/python/bootstrap.py")),
    ("rehearsal.py", include_str!("../../../runtimes/python/rehearsal.py")),
    ("runtime_logs.py", include_str!("../../../runtimes/python/runtime_logs.py")),
    ("runtime_payload.py", include_str!("../../../runtimes/python/runtime_payload.py")),
    ("runtime_transports.py", include_str!("../../../runtimes/python/runtime_transports.py")),
    ("sdk.py", include_str!("../../../runtimes/python/sdk.py")),
    ("zygote.py", include_str!("../../../runtimes/python/zygote.py")),
];

/// Names what failed, for errors that reach the user.
pub(crate) trait Step<T> {
    fn step(self, step: &str) -> Result<T, io::Error>;
}

impl<T> Step<T> for io::Result<T> {
    fn step(self, step: &str) -> Result<T, io::Error> {
        self.map_err(|error| io::Error::new(error.kind(), format!("{step}: {error}")))
    }
}

/// What distinguishes one skeleton from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SkeletonKey {
    /// An interpreter's prefix outside /usr.
    pub prefix: Option<PathBuf>,
    /// The executable of Node.js.
    pub node: Option<PathBuf>,
    pub egress: Egress,
}

/// Whether device nodes may be made (root) or must be borrowed from the host (in a user namespace of one's own).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Devices {
    Make,
    Bind,
}

/// Builds a skeleton in the current mount namespace, which must be a new one, and makes it the root. `at` is an empty
/// folder to mount on.
pub(crate) fn build_skeleton(key: &SkeletonKey, at: &Path, devices: Devices) -> io::Result<()> {
    // Taken before the root changes: the keeper of networks rewrites it when the host's name servers change.
    let resolver = at.parent().map(resolver_file).filter(|_| key.egress == Egress::Nat);
    sys::mount(None, Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE, None).step("make mounts private")?;
    let options = c"size=16m,nr_inodes=4k,mode=755";
    sys::mount(Some(c"gust"), at, Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV, Some(options))
        .step("mount root tmpfs")?;
    sys::set_umask(0o022);
    for name in ["proc", "tmp", "var/task", "var/runtime", "var/lang/gust", "var/lang/bin", "opt", "etc", "dev"] {
        make_dirs(&at.join(name))?;
    }
    // A zygote's dynamic linker never looks again into folders that were not there when it first looked.
    for name in ["var/task/lib", "opt/lib"] {
        make_dirs(&at.join(name))?;
    }
    for name in SYSTEM_DIRS {
        show_system_dir(at, name)?;
    }
    if let Some(prefix) = &key.prefix {
        show(prefix, &at.join(prefix.strip_prefix("/").unwrap_or(prefix)))?;
    }
    if let Some(node) = &key.node {
        show_node(at, node)?;
    }
    write_etc(&at.join("etc"), key.egress)?;
    if let Some(resolver) = resolver {
        show_file(&resolver, &at.join("etc/resolv.conf"))?;
    }
    for (name, content) in RUNTIME_FILES {
        fs::write(at.join(&RUNTIME_DIR[1..]).join(name), content).step("write runtime files")?;
    }
    make_dev(&at.join("dev"), devices)?;
    if devices == Devices::Bind {
        // A user namespace may mount /proc only while the host's is still to be seen.
        mount_proc(&at.join("proc"))?;
    }
    std::env::set_current_dir(at).step("enter root")?;
    sys::pivot_root_here().step("pivot root")?;
    std::env::set_current_dir("/").step("enter new root")?;
    let attributes = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV;
    sys::mount(None, Path::new("/"), None, attributes, None).step("make root read-only")
}

/// What a sandbox shows besides the skeleton: detached trees, to be opened while the host's paths are still visible.
pub(crate) struct OwnTrees {
    code: OwnedFd,
    layers: Option<OwnedFd>,
    sdk: Option<OwnedFd>,
}

impl OwnTrees {
    pub(crate) fn open(folders: &Folders) -> io::Result<OwnTrees> {
        Ok(OwnTrees {
            code: read_only_tree(&folders.code_dir)?,
            layers: folders.layers_dir.as_deref().map(read_only_tree).transpose()?,
            sdk: folders.sdk_dir.as_deref().map(read_only_tree).transpose()?,
        })
    }

    /// Mounts them in the current mount namespace.
    pub(crate) fn attach(&self) -> io::Result<()> {
        sys::attach(&self.code, Path::new("/var/task")).step("attach /var/task")?;
        if let Some(layers) = &self.layers {
            sys::attach(layers, Path::new("/opt")).step("attach /opt")?;
        }
        if let Some(sdk) = &self.sdk {
            sys::attach(sdk, Path::new(SDK_DIR)).step("attach /var/runtime")?;
        }
        Ok(())
    }
}

/// A detached copy of a host folder, to be attached elsewhere.
pub(crate) fn read_only_tree(path: &Path) -> io::Result<OwnedFd> {
    let tree = sys::clone_tree(path).step(&format!("open {}", path.display()))?;
    sys::protect(&tree, RDONLY | NOSUID | NODEV, Depth::Recursive).step("protect a package folder")?;
    Ok(tree)
}

/// `/tmp` of one sandbox.
pub(crate) struct Tmp {
    pub size_mb: u32,
    /// Ids as the current user namespace sees them.
    pub uid: u32,
    pub gid: u32,
}

/// Completes a copy of a skeleton. PID 1 of the sandbox calls it, in its own pid and mount namespaces.
pub(crate) fn assemble(trees: Option<&OwnTrees>, tmp: &Tmp, devices: Devices) -> io::Result<()> {
    if let Some(trees) = trees {
        trees.attach()?;
    }
    if devices == Devices::Make {
        mount_proc(Path::new("/proc"))?;
    }
    for name in ["kcore", "keys", "key-users", "kmsg", "sysrq-trigger", "timer_list"] {
        let path = Path::new("/proc").join(name);
        match sys::mount(Some(c"/dev/null"), &path, None, libc::MS_BIND, None) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            result => result.step("mask /proc")?,
        }
    }
    // 1777 as every program expects /tmp to be.
    let options = format!("{},mode=1777,uid={},gid={}", tmp_size(tmp.size_mb), tmp.uid, tmp.gid);
    let options = CString::new(options).expect("digits hold no NUL");
    sys::mount(Some(c"tmp"), Path::new("/tmp"), Some(c"tmpfs"), libc::MS_NOSUID | libc::MS_NODEV, Some(&options))
        .step("mount /tmp")
}

/// One inode per 16 KiB, as ext4 has it on Lambda.
fn tmp_size(size_mb: u32) -> String {
    format!("size={size_mb}m,nr_inodes={}", u64::from(size_mb) * 64)
}

/// Gives `/tmp` of the current mount namespace another size.
pub(crate) fn resize_tmp(size_mb: u32) -> io::Result<()> {
    let options = CString::new(tmp_size(size_mb)).expect("digits hold no NUL");
    let flags = libc::MS_REMOUNT | libc::MS_NOSUID | libc::MS_NODEV;
    sys::mount(None, Path::new("/tmp"), None, flags, Some(&options)).step("resize /tmp")
}

/// Read-only as a whole: /proc/sys and sysrq-trigger cannot be written, nor can a process lower its oom_score_adj. Other
/// users' processes, that is the supervisor, are not shown.
fn mount_proc(at: &Path) -> io::Result<()> {
    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    sys::mount(Some(c"proc"), at, Some(c"proc"), flags, Some(c"hidepid=invisible")).step("mount /proc")
}

fn make_dirs(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path).step("make a folder")
}

/// Shows a host folder read-only at `target`.
fn show(source: &Path, target: &Path) -> io::Result<()> {
    let tree = sys::clone_tree(source).step(&format!("open {}", source.display()))?;
    sys::protect(&tree, RDONLY | NOSUID | NODEV, Depth::Recursive).step(&format!("protect {}", source.display()))?;
    make_dirs(target)?;
    sys::attach(tree, target).step(&format!("attach {}", source.display()))
}

/// Shows one file read-only in place of the one at `target`.
fn show_file(source: &Path, target: &Path) -> io::Result<()> {
    let tree = sys::clone_tree(source).step(&format!("open {}", source.display()))?;
    sys::protect(&tree, RDONLY | NOSUID | NODEV, Depth::Top).step(&format!("protect {}", source.display()))?;
    sys::attach(tree, target).step(&format!("attach {}", source.display()))
}

/// Shows the executable of Node.js alone, wherever it is on the host: /opt and /tmp are the function's, and a folder
/// that it lies in may be somebody's home.
fn show_node(root: &Path, node: &Path) -> io::Result<()> {
    let target = root.join(&NODE_PATH[1..]);
    fs::write(&target, "").step("make a file for Node.js")?;
    show_file(node, &target)?;
    // `import` looks into the node_modules of all folders above /var/task: these lead to the layers and to the SDK.
    symlink("/opt/nodejs/node_modules", root.join("var/node_modules")).step("make a link")?;
    symlink("/var/runtime/node_modules", root.join("node_modules")).step("make a link")
}

fn show_system_dir(root: &Path, name: &str) -> io::Result<()> {
    let source = Path::new("/").join(name);
    let Ok(metadata) = fs::symlink_metadata(&source) else {
        return Ok(());
    };
    if metadata.is_symlink() {
        let link = fs::read_link(&source).step("read a link")?;
        return symlink(link, root.join(name)).step("make a link");
    }
    show(&source, &root.join(name))
}

fn write_etc(etc: &Path, egress: Egress) -> io::Result<()> {
    let write = |name: &str, content: &str| fs::write(etc.join(name), content).step("write /etc");
    write("passwd", "sbx_user1051:x:993:990::/:/sbin/nologin\n")?;
    write("group", "sbx_user1051:x:990:\n")?;
    write("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n")?;
    symlink("/usr/share/zoneinfo/UTC", etc.join("localtime")).step("write /etc")?;
    // The name by which telemetry subscribers are addressed.
    let sandbox = "127.0.0.1 sandbox.localdomain sandbox\n";
    let own_hosts = format!("127.0.0.1 localhost localhost.localdomain\n::1 localhost\n{sandbox}");
    let (hosts, resolv) = match egress {
        Egress::None | Egress::Nat => (own_hosts, String::new()),
        Egress::Host => (
            fs::read_to_string("/etc/hosts").map_or(own_hosts, |hosts| format!("{hosts}\n{sandbox}")),
            fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        ),
    };
    write("hosts", &hosts)?;
    write("resolv.conf", &resolv)?;
    for name in ETC_FILES {
        let source = Path::new("/etc").join(name);
        let Ok(metadata) = fs::metadata(&source) else { continue };
        if metadata.is_file() && metadata.len() <= ETC_FILE_BYTES_MAX {
            let target = etc.join(name);
            make_dirs(target.parent().expect("below /etc"))?;
            let content = fs::read(&source).step("read /etc")?;
            fs::write(&target, content).step("write /etc")?;
        }
    }
    for name in ETC_DIRS {
        let source = Path::new("/etc").join(name);
        if source.is_dir() {
            show(&source, &etc.join(name))?;
        }
    }
    Ok(())
}

fn make_dev(dev: &Path, devices: Devices) -> io::Result<()> {
    const NODES: &[(&str, u32, u32)] =
        &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9)];
    let options = c"size=64k,nr_inodes=32,mode=755";
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    sys::mount(Some(c"dev"), dev, Some(c"tmpfs"), flags, Some(options)).step("mount /dev")?;
    for (name, major, minor) in NODES {
        let path = dev.join(name);
        if devices == Devices::Make && sys::make_device(&path, *major, *minor).is_ok() {
            continue;
        }
        // In a user namespace, or where making nodes is forbidden: the host's own.
        drop(fs::remove_file(&path));
        fs::write(&path, "").step("make a device file")?;
        let source = sys::clone_tree(&Path::new("/dev").join(name)).step("open a device")?;
        sys::protect(&source, NOSUID | NOEXEC, Depth::Top).step("protect a device")?;
        sys::attach(source, &path).step("attach a device")?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).step("make a device link")?;
    }
    let tree = fs::File::open(dev).step("open /dev")?;
    sys::protect(tree, RDONLY | NOSUID | NOEXEC, Depth::Top).step("make /dev read-only")
}
