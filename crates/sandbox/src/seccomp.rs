//! The system call filter of everything that runs inside a sandbox: a deny-list over what a function has no use for.
//!
//! No capability exists inside, so most of these would fail anyway; the filter takes the kernel code behind them out
//! of reach. Denied calls fail with EPERM; `clone3` with ENOSYS (its flags are in memory, where a filter cannot look),
//! so that libraries fall back to `clone`. So do calls that are newer than this list: nobody has looked at them, and
//! programs that know them can do without. Calls of another ABI (32-bit, x32) end the process or fail.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Never allowed, whatever the arguments.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
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
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
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

const NAMESPACE_FLAGS: &[libc::c_int] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
    0x80, // CLONE_NEWTIME, for unshare only; in clone these bits belong to the exit signal
];

/// The first call that this list does not know (the last it knows is mseal). The numbers are the same on every machine.
const FIRST_UNKNOWN_CALL: u32 = 463;

/// What `personality` may be asked for: what it is (all ones), Linux, and how 32-bit machines and old kernels are named.
/// The others switch off what protects a program, such as the randomisation of addresses.
const PERSONALITIES_ALLOWED: &[u32] = &[0xffff_ffff, 0, 0x0008, 0x2_0000, 0x2_0008];

const SOCKET_FAMILIES_ALLOWED: &[libc::c_int] = &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// The two filters, to be installed in this order, as raw instructions (8 bytes each).
pub(crate) fn programs() -> Result<Vec<Vec<u8>>, seccompiler::BackendError> {
    let deny = compile(deny_rules()?, libc::EPERM)?;
    let unreadable = compile(Rules::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
    Ok(vec![encode(&without_unknown_calls(deny)), encode(&unreadable)])
}

fn deny_rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, flags) in
        [(libc::SYS_clone, &NAMESPACE_FLAGS[..NAMESPACE_FLAGS.len() - 1]), (libc::SYS_unshare, NAMESPACE_FLAGS)]
    {
        let mut any = Vec::new();
        for flag in flags {
            let flag = *flag as u64;
            any.push(SeccompRule::new(vec![condition(0, SeccompCmpOp::MaskedEq(flag), flag)?])?);
        }
        rules.insert(call, any);
    }
    for call in [libc::SYS_socket, libc::SYS_socketpair] {
        let mut all = Vec::new();
        for family in SOCKET_FAMILIES_ALLOWED {
            all.push(condition(0, SeccompCmpOp::Ne, *family as u64)?);
        }
        // Of netlink only routing (protocol 0): getifaddrs and getaddrinfo ask it for the machine's addresses.
        let netlink = condition(0, SeccompCmpOp::Eq, libc::AF_NETLINK as u64)?;
        let not_routing = condition(2, SeccompCmpOp::Ne, libc::NETLINK_ROUTE as u64)?;
        rules.insert(call, vec![SeccompRule::new(all)?, SeccompRule::new(vec![netlink, not_routing])?]);
    }
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

/// Puts a check in front that fails calls nobody here knows. x32 calls are among them: they share x86_64's architecture
/// number, with bit 30 of the call set.
fn without_unknown_calls(program: BpfProgram) -> BpfProgram {
    use seccompiler::sock_filter;
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let mut checked = vec![
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: FIRST_UNKNOWN_CALL },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32 },
    ];
    checked.extend(program);
    checked
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

    #[test]
    fn programs_compile_and_fit_the_kernel_limit() {
        let programs = programs().unwrap();
        assert_eq!(programs.len(), 2);
        for program in programs {
            assert!(program.len() > 8 && program.len() / 8 <= 4096, "{}", program.len());
        }
    }

    #[test]
    fn every_denied_call_is_listed_once() {
        let mut calls = DENIED.to_vec();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), DENIED.len());
    }
}
