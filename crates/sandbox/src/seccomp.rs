//! The system call filter of everything that runs inside a sandbox: a deny-list over what a function has no use for.
//!
//! No capability exists inside, so most of these would fail anyway; the filter takes the kernel code behind them out
//! of reach. Denied calls fail with EPERM; `clone3` with ENOSYS (its flags are in memory, where a filter cannot look),
//! so that libraries fall back to `clone`. So do calls that are newer than this list: nobody has looked at them, and
//! programs that know them can do without. Calls of another ABI (32-bit, x32) end the process or fail.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Never allowed, whatever the arguments, not even to the spawner.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
];

/// What making a sandbox takes, and nothing in it may do.
const DENIED_LAST: &[libc::c_long] = &[
    libc::SYS_chroot,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_umount2,
];

const NAMESPACE_FLAGS: libc::c_int = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;
/// For unshare only; in clone these bits belong to the exit signal.
const CLONE_NEWTIME: libc::c_int = 0x80;

/// The first call that this list does not know (the last it knows is mseal). The numbers are the same on every machine.
const FIRST_UNKNOWN_CALL: u32 = 463;

/// What `personality` may be asked for: what it is (all ones), Linux, and how 32-bit machines and old kernels are named.
/// The others switch off what protects a program, such as the randomisation of addresses.
const PERSONALITIES_ALLOWED: &[u32] = &[0xffff_ffff, 0, 0x0008, 0x2_0000, 0x2_0008];

const SOCKET_FAMILIES_ALLOWED: &[libc::c_int] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// The filter as raw instructions (8 bytes each), in two parts.
///
/// The kernel checks and translates a filter each time one is installed, which takes longer than most of the other steps
/// of a start. So the large part is installed once, in the spawner, and inherited by all it forks; what has to be denied
/// after the sandbox is made is short.
#[derive(Debug, Clone)]
pub(crate) struct Filters {
    /// For the spawner, and thereby for everything.
    pub first: Vec<u8>,
    /// For each process of a sandbox, before the first byte of a function's code.
    pub last: Vec<u8>,
}

pub(crate) fn filters() -> Result<Filters, seccompiler::BackendError> {
    let first = with_checks_in_front(compile(deny_rules()?, libc::EPERM)?);
    Ok(Filters { first: encode(&first), last: encode(&last()) })
}

fn deny_rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let other_personality = PERSONALITIES_ALLOWED.iter().map(|one| condition(0, SeccompCmpOp::Ne, u64::from(*one)));
    rules.insert(libc::SYS_personality, vec![SeccompRule::new(other_personality.collect::<Result<_, _>>()?)?]);
    // Limits of other processes: the supervisor's, where it has the same uid. Reading them is harmless.
    let of_another = condition(0, SeccompCmpOp::Ne, 0)?;
    let set = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(vec![of_another, set])?]);
    Ok(rules)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    #[cfg(target_arch = "x86_64")]
    let architecture = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    let architecture = TargetArch::aarch64;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), architecture)?.try_into()
}

const LOAD_WORD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`; of an argument its lower half, as little-endian machines have it.
const CALL: u32 = 0;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_2: u32 = 32;

const ALLOW: sock_filter = sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
const REFUSE: sock_filter = sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | libc::EPERM as u32 };
const UNKNOWN: sock_filter =
    sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32 };

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: offset }
}

/// Skips instructions: `jt` of them if the condition holds, else `jf`.
fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Puts checks in front that fail calls nobody here knows, and clone3. x32 calls are among the unknown: they share
/// x86_64's architecture number, with bit 30 of the call set.
fn with_checks_in_front(program: BpfProgram) -> BpfProgram {
    let mut checked = vec![
        load(CALL),
        jump(JUMP_IF_AT_LEAST, FIRST_UNKNOWN_CALL, 2, 0),
        jump(JUMP_IF_EQUAL, libc::SYS_clone3 as u32, 1, 0),
        jump(JUMP, 1, 0, 0),
        UNKNOWN,
    ];
    checked.extend(program);
    checked
}

/// The short part. The other has checked the architecture.
fn last() -> BpfProgram {
    let mut program = vec![load(CALL)];
    for call in DENIED_LAST {
        program.extend([jump(JUMP_IF_EQUAL, *call as u32, 0, 1), REFUSE]);
    }
    for (call, flags) in [(libc::SYS_clone, NAMESPACE_FLAGS), (libc::SYS_unshare, NAMESPACE_FLAGS | CLONE_NEWTIME)] {
        program.extend([load(CALL), jump(JUMP_IF_EQUAL, call as u32, 0, 3)]);
        program.extend([load(ARGUMENT_0), jump(JUMP_IF_ANY_BIT, flags as u32, 0, 1), REFUSE]);
    }
    let mut families = vec![load(ARGUMENT_0)];
    for family in SOCKET_FAMILIES_ALLOWED {
        families.extend([jump(JUMP_IF_EQUAL, *family as u32, 0, 1), ALLOW]);
    }
    // Of netlink only routing (protocol 0): getifaddrs and getaddrinfo ask it for the machine's addresses.
    families.extend([jump(JUMP_IF_EQUAL, libc::AF_NETLINK as u32, 1, 0), REFUSE, load(ARGUMENT_2)]);
    families.extend([jump(JUMP_IF_EQUAL, libc::NETLINK_ROUTE as u32, 0, 1), ALLOW, REFUSE]);
    let others = u8::try_from(families.len()).expect("a short program");
    program.extend([load(CALL), jump(JUMP_IF_EQUAL, libc::SYS_socket as u32, 1, 0)]);
    program.push(jump(JUMP_IF_EQUAL, libc::SYS_socketpair as u32, 0, others));
    program.extend(families);
    program.push(ALLOW);
    program
}

fn encode(program: &BpfProgram) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for filter in program {
        bytes.extend(filter.code.to_ne_bytes());
        bytes.extend([filter.jt, filter.jf]);
        bytes.extend(filter.k.to_ne_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers to a call with three arguments.
    fn run(program: &[u8], call: libc::c_long, arguments: [u64; 3]) -> u32 {
        let words: Vec<&[u8]> = program.chunks(8).collect();
        let mut data = [0_u8; 64];
        data[..4].copy_from_slice(&(call as u32).to_ne_bytes());
        #[cfg(target_arch = "x86_64")]
        data[4..8].copy_from_slice(&0xc000_003e_u32.to_ne_bytes());
        #[cfg(target_arch = "aarch64")]
        data[4..8].copy_from_slice(&0xc000_00b7_u32.to_ne_bytes());
        for (index, argument) in arguments.iter().enumerate() {
            data[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_ne_bytes());
        }
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let word = words[at];
            let k = u32::from_ne_bytes(word[4..].try_into().unwrap());
            let skip = |holds: bool| usize::from(if holds { word[2] } else { word[3] });
            at += 1 + match u16::from_ne_bytes([word[0], word[1]]) {
                LOAD_WORD => {
                    value = u32::from_ne_bytes(data[k as usize..k as usize + 4].try_into().unwrap());
                    0
                }
                JUMP => k as usize,
                JUMP_IF_EQUAL => skip(value == k),
                JUMP_IF_AT_LEAST => skip(value >= k),
                0x25 => skip(value > k),
                JUMP_IF_ANY_BIT => skip(value & k != 0),
                // And with a constant.
                0x54 => {
                    value &= k;
                    0
                }
                RETURN => return k,
                other => panic!("instruction {other:#x}"),
            };
        }
    }

    const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const NOT_KNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

    #[test]
    fn the_first_part_leaves_what_making_a_sandbox_takes() {
        let first = filters().unwrap().first;
        assert!(first.len() / 8 <= 4096);
        for call in DENIED {
            assert_eq!(run(&first, *call, [0; 3]), REFUSED, "{call}");
        }
        for call in DENIED_LAST.iter().chain(&[libc::SYS_clone, libc::SYS_unshare, libc::SYS_socket, libc::SYS_read]) {
            assert_eq!(run(&first, *call, [NAMESPACE_FLAGS as u64, 0, 0]), ALLOWED, "{call}");
        }
        for call in [libc::SYS_clone3, FIRST_UNKNOWN_CALL.into(), 0x4000_0000, 5000] {
            assert_eq!(run(&first, call, [0; 3]), NOT_KNOWN, "{call}");
        }
        assert_eq!(run(&first, libc::SYS_personality, [0, 0, 0]), ALLOWED);
        assert_eq!(run(&first, libc::SYS_personality, [0x004_0000, 0, 0]), REFUSED);
    }

    #[test]
    fn the_last_part_denies_it() {
        let last = filters().unwrap().last;
        for call in DENIED_LAST {
            assert_eq!(run(&last, *call, [0; 3]), REFUSED, "{call}");
        }
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
        for (call, arguments, expected) in [
            (libc::SYS_read, [0; 3], ALLOWED),
            (libc::SYS_clone, [thread, 0, 0], ALLOWED),
            (libc::SYS_clone, [thread | libc::CLONE_NEWUSER as u64, 0, 0], REFUSED),
            // A signal number.
            (libc::SYS_clone, [0x80, 0, 0], ALLOWED),
            (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0], ALLOWED),
            (libc::SYS_unshare, [0x80, 0, 0], REFUSED),
            (libc::SYS_unshare, [libc::CLONE_NEWNET as u64, 0, 0], REFUSED),
            (libc::SYS_socket, [libc::AF_UNIX as u64, 1, 0], ALLOWED),
            (libc::SYS_socketpair, [libc::AF_UNIX as u64, 1, 0], ALLOWED),
            (libc::SYS_socket, [libc::AF_INET6 as u64, 2, 17], ALLOWED),
            (libc::SYS_socket, [libc::AF_VSOCK as u64, 1, 0], REFUSED),
            (libc::SYS_socketpair, [libc::AF_ALG as u64, 1, 0], REFUSED),
            (libc::SYS_socket, [libc::AF_NETLINK as u64, 3, 0], ALLOWED),
            (libc::SYS_socket, [libc::AF_NETLINK as u64, 3, 12], REFUSED),
        ] {
            assert_eq!(run(&last, call, arguments), expected, "{call} {arguments:x?}");
        }
    }

    #[test]
    fn every_denied_call_is_listed_once() {
        let mut calls = [DENIED, DENIED_LAST].concat();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), DENIED.len() + DENIED_LAST.len());
    }
}
