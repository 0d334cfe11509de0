//! The floor "spawn" of the benchmarks: clone with the namespaces of a sandbox, exec, exit, reaped.
//!
//! Prints the milliseconds from clone to the end of the program that its first argument names; with a number behind it,
//! from the first clone to the end of the last of so many, which are made one after the other and not waited for between.
//! No mounts, no cgroup, no seccomp: what a sandbox adds to this is its own cost.

use std::ffi::{CStr, CString};
use std::time::Instant;

fn main() {
    let program = std::env::args().nth(1).expect("usage: spawn_floor PROGRAM [COUNT]");
    let count: usize = std::env::args().nth(2).map_or(1, |text| text.parse().expect("COUNT is a number"));
    let program = CString::new(program).expect("an argument holds no zero byte");
    let begun = Instant::now();
    for _ in 0..count {
        spawn(&program);
    }
    for _ in 0..count {
        reap();
    }
    println!("{:.3}", begun.elapsed().as_secs_f64() * 1e3);
}

fn spawn(program: &CStr) {
    let arguments = [program.as_ptr(), std::ptr::null()];
    let environment = [std::ptr::null()];
    let spaces = libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWNET;
    // SAFETY: this process has one thread, and the child only makes system calls before exec: it closes its standard
    // streams, so that what the program complains about is not seen, and executes with arrays that end in null.
    #[allow(unsafe_code)]
    let pid = unsafe {
        let pid = libc::syscall(libc::SYS_clone, i64::from(spaces | libc::SIGCHLD), 0, 0, 0, 0);
        if pid == 0 {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
            for stream in 0..3 {
                libc::dup2(null, stream);
            }
            libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr());
            libc::_exit(127);
        }
        pid
    };
    assert!(pid > 0, "clone failed: {}", std::io::Error::last_os_error());
}

fn reap() {
    let mut status = 0;
    // SAFETY: -1 means any child of ours, and `status` is ours to write.
    #[allow(unsafe_code)]
    let reaped = unsafe { libc::waitpid(-1, &raw mut status, 0) };
    assert!(reaped > 0 && libc::WEXITSTATUS(status) != 127, "the program could not be executed");
}
