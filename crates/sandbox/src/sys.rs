//! The system calls of this crate, each behind a safe function. The only file here with `unsafe`.
//!
//! Everything runs in single-threaded processes (spawner, supervisor, children before exec), except the socket
//! functions, which the daemon uses too.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use libc::{c_int, c_long, c_ulong, c_void};

/// File descriptors in one message, at most; both ends refuse more.
pub(crate) const FDS_PER_MESSAGE_MAX: usize = 16;

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_long(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A path as the kernel wants it.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Which side of a [`fork`] this is.
pub(crate) enum Forked {
    Child,
    Parent { pid: i32, pidfd: OwnedFd },
}

/// Forks with extra `clone` flags (namespaces). The caller must be single-threaded.
pub(crate) fn fork(flags: c_int) -> io::Result<Forked> {
    let mut pidfd: c_int = -1;
    let flags = c_long::from(flags | libc::CLONE_PIDFD | libc::SIGCHLD);
    // SAFETY: a null stack makes clone behave as fork (the child runs on a copy of this stack); the third argument is
    // where CLONE_PIDFD stores a descriptor and outlives the call. No thread exists whose locks the child could miss.
    let pid = check_long(unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, &raw mut pidfd, 0_usize, 0_usize) })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: clone succeeded, so the kernel stored a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Forked::Parent { pid: pid as i32, pidfd })
}

/// Ends this process without running destructors or flushing what a parent had buffered.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Leaves the namespaces named by `flags` for new ones.
pub(crate) fn unshare(flags: c_int) -> io::Result<()> {
    // SAFETY: no memory is passed; the process is single-threaded.
    check(unsafe { libc::unshare(flags) }).map(drop)
}

/// Enters the namespaces of a pidfd or namespace file.
pub(crate) fn setns(fd: impl AsFd, flags: c_int) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setns(fd.as_fd().as_raw_fd(), flags) }).map(drop)
}

/// Becomes `uid:gid` for good, without supplementary groups (those are cleared by [`clear_groups`] while still root).
pub(crate) fn set_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: as above.
    check(unsafe { libc::setresuid(uid, uid, uid) }).map(drop)
}

/// Drops every supplementary group.
pub(crate) fn clear_groups() -> io::Result<()> {
    // SAFETY: a length of zero reads nothing.
    check(unsafe { libc::setgroups(0, std::ptr::null()) }).map(drop)
}

/// Empties the bounding and ambient capability sets: nothing can be gained by exec. Takes CAP_SETPCAP, so it comes
/// before [`clear_capability_sets`].
pub(crate) fn drop_bounding_set() -> io::Result<()> {
    for capability in 0..64 as c_ulong {
        // Past the kernel's last capability: EINVAL. Without CAP_SETPCAP (ordinary user, already dropped): EPERM.
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong)
}

/// Empties the permitted, effective and inheritable sets. Where no uid 0 is mapped, changing the uid does not.
pub(crate) fn clear_capability_sets() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    const LINUX_CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: LINUX_CAPABILITY_VERSION_3, pid: 0 };
    let sets = [[0_u32; 3]; 2];
    // SAFETY: header and two data structs of version 3 (three u32 each) live through the call.
    check_long(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) }).map(drop)
}

/// `prctl` with one value argument.
pub(crate) fn prctl(option: c_int, value: c_ulong) -> io::Result<()> {
    // SAFETY: used only with options that take plain values; the unused arguments are zero, as those options demand.
    check(unsafe { libc::prctl(option, value, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) }).map(drop)
}

/// How `ps` and `top` show this process: at most 15 bytes.
pub(crate) fn set_process_name(name: &std::ffi::CStr) -> io::Result<()> {
    let zero = 0 as c_ulong;
    // SAFETY: the kernel reads at most 16 bytes of a text that ends with a zero byte, during the call.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr() as c_ulong, zero, zero, zero) }).map(drop)
}

/// Installs a seccomp filter given as raw instructions (8 bytes each).
pub(crate) fn set_seccomp(program: &[u8]) -> io::Result<()> {
    let mut filters: Vec<libc::sock_filter> = program
        .chunks_exact(8)
        .map(|bytes| libc::sock_filter {
            code: u16::from_ne_bytes([bytes[0], bytes[1]]),
            jt: bytes[2],
            jf: bytes[3],
            k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        })
        .collect();
    let length = u16::try_from(filters.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let fprog = libc::sock_fprog { len: length, filter: filters.as_mut_ptr() };
    // SAFETY: the program and its instructions outlive the call, the kernel copies and verifies them.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const fprog, 0, 0) }).map(drop)
}

/// Sets soft and hard limit to `value`, or lower where the hard limit already is lower.
pub(crate) fn limit_resource(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    let value = value.min(limit.rlim_max);
    limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

/// Raises the soft limit to the hard one.
pub(crate) fn raise_soft_limit(resource: libc::__rlimit_resource_t) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` outlives the call.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

/// `mount(2)`; null pointers for `None`.
pub(crate) fn mount(
    source: Option<&CStr>,
    target: &Path,
    kind: Option<&CStr>,
    flags: c_ulong,
    options: Option<&CStr>,
) -> io::Result<()> {
    let target = c_path(target)?;
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a NUL-terminated string that outlives the call.
    check(unsafe {
        libc::mount(pointer(source), target.as_ptr(), pointer(kind), flags, pointer(options).cast::<c_void>())
    })
    .map(drop)
}

/// Clones the mount tree at `path` as a detached tree, to be attached elsewhere by [`attach`].
pub(crate) fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as u32;
    // SAFETY: `path` outlives the call; on success the descriptor is new and ours.
    let fd = check_long(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether [`protect`] covers the mounts below, too.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Top,
    Recursive,
}

/// Sets mount attributes (`MOUNT_ATTR_*`) on the tree of a descriptor, and makes its propagation private.
pub(crate) fn protect(tree: impl AsFd, attributes: u64, depth: Depth) -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    let attr = MountAttr { attr_set: attributes, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    let recursive = if depth == Depth::Recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = (libc::AT_EMPTY_PATH | recursive) as u32;
    // SAFETY: the empty path and the struct outlive the call, and its true size is passed.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches a detached tree at `target`.
pub(crate) fn attach(tree: impl AsFd, target: &Path) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: u32 = 4;
    let target = c_path(target)?;
    // SAFETY: both strings outlive the call.
    check_long(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Makes the current directory the root, and detaches the old root.
pub(crate) fn pivot_root_here() -> io::Result<()> {
    // SAFETY: both strings are static. The same directory twice stacks the old root on the new one.
    check_long(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    // SAFETY: static string; this removes the stacked old root.
    check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// Makes a character device node.
pub(crate) fn make_device(path: &Path, major: u32, minor: u32) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: `path` outlives the call.
    check(unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(major, minor)) })?;
    // SAFETY: as above; mknod obeyed the umask, this does not.
    check(unsafe { libc::chmod(path.as_ptr(), 0o666) }).map(drop)
}

/// Sets the host name of this UTS namespace.
pub(crate) fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Starts a new session and process group.
pub(crate) fn new_session() -> io::Result<()> {
    // SAFETY: no arguments.
    check(unsafe { libc::setsid() }).map(drop)
}

/// The size of a memory page in bytes.
pub(crate) fn page_bytes() -> u64 {
    // SAFETY: a plain value; this one is always known.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.try_into().unwrap_or(4096)
}

/// Sets the file mode creation mask.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: cannot fail.
    unsafe { libc::umask(mask) };
}

/// Brings the loopback device of this network namespace up.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    // SAFETY: no memory is passed; the result is checked before it is owned.
    let socket = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: a new descriptor that is ours.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as i16;
    // SAFETY: the request outlives the call and has the layout this ioctl expects.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) }).map(drop)
}

/// Closes every descriptor except those in `keep`.
pub(crate) fn close_all_except(keep: &[RawFd]) -> io::Result<()> {
    let mut sorted: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    sorted.sort_unstable();
    let mut first: u32 = 0;
    for fd in sorted {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: used only in a forked child that never again touches what it closes here.
    check_long(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Makes `target` refer to what `fd` refers to, kept over exec.
pub(crate) fn duplicate_to(fd: RawFd, target: RawFd) -> io::Result<()> {
    if fd == target {
        // SAFETY: plain flags; clears close-on-exec.
        return check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: plain descriptors.
    check(unsafe { libc::dup2(fd, target) }).map(drop)
}

/// A copy of `fd` numbered at least `minimum`, closed on exec.
pub(crate) fn duplicate_above(fd: impl AsFd, minimum: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain descriptors; the result is new and ours.
    let copy = check(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, minimum) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// An eventfd counter starting at zero, non-blocking.
pub(crate) fn event_fd() -> io::Result<OwnedFd> {
    // SAFETY: plain values; the result is new and ours.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A pair of connected unix sockets that keep message borders, closed on exec.
pub(crate) fn seqpacket_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [-1; 2];
    // SAFETY: the array outlives the call and has room for two descriptors.
    check(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) })?;
    // SAFETY: on success both are new and ours.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// A TCP socket of this process's network namespace, non-blocking, closed on exec, not connected.
pub(crate) fn tcp_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: plain values; the result is new and ours.
    let fd = check(unsafe { libc::socket(libc::AF_INET, kind, 0) })?;
    // SAFETY: as above.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An anonymous file in memory holding `content`, closed on exec.
pub(crate) fn memory_file(content: &[u8]) -> io::Result<OwnedFd> {
    // SAFETY: a static name; the result is new and ours.
    let fd = check(unsafe { libc::memfd_create(c"gust-environment".as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: as above.
    let mut file = unsafe { std::fs::File::from_raw_fd(fd) };
    io::Write::write_all(&mut file, content)?;
    Ok(file.into())
}

#[repr(C, align(8))]
struct ControlBuffer([u8; 16 + FDS_PER_MESSAGE_MAX * size_of::<RawFd>() + 16]);

/// Sends one message with descriptors. Never raises SIGPIPE.
pub(crate) fn send_message(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > FDS_PER_MESSAGE_MAX {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut control = ControlBuffer([0; _]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !fds.is_empty() {
        let payload_bytes = std::mem::size_of_val(fds) as u32;
        // SAFETY: the control buffer is aligned and larger than CMSG_SPACE of the largest list; the pointers that the
        // macros compute stay inside it.
        unsafe {
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = libc::CMSG_SPACE(payload_bytes) as _;
            let message = libc::CMSG_FIRSTHDR(&raw const header);
            (*message).cmsg_level = libc::SOL_SOCKET;
            (*message).cmsg_type = libc::SCM_RIGHTS;
            (*message).cmsg_len = libc::CMSG_LEN(payload_bytes) as _;
            let data = libc::CMSG_DATA(message).cast::<RawFd>();
            for (index, fd) in fds.iter().enumerate() {
                data.add(index).write_unaligned(fd.as_raw_fd());
            }
        }
    }
    loop {
        // SAFETY: the header and all it points to outlive the call.
        let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Receives one message; `None` at the end of the stream. A message that does not fit is an error.
pub(crate) fn receive_message(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Vec<OwnedFd>)>> {
    let mut control = ControlBuffer([0; _]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all-zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    let length = loop {
        // SAFETY: the header and all it points to outlive the call.
        let length = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        if length >= 0 {
            break length as usize;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel filled the control buffer; the macros walk only over what it wrote, and each SCM_RIGHTS
    // descriptor in it is new and owned by nobody else.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(&raw const header);
        while !message.is_null() {
            if (*message).cmsg_level == libc::SOL_SOCKET && (*message).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(message).cast::<RawFd>();
                let bytes = (*message).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for index in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            message = libc::CMSG_NXTHDR(&raw const header, message);
        }
    }
    if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too large"));
    }
    if length == 0 && fds.is_empty() {
        return Ok(None);
    }
    Ok(Some((length, fds)))
}

/// Makes a socket non-blocking and hands it to the tokio runtime this is called in.
pub(crate) fn register_async(socket: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    // SAFETY: an OwnedFd keeps its one descriptor open until it is dropped, and cannot be made to return another.
    unsafe { tokio::io::unix::AsyncFd::register(socket) }.map_err(io::Error::from)
}
