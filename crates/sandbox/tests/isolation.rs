//! What a function cannot see, touch or become. Every test runs in a forked and in an executed interpreter.
#![allow(missing_docs)]

mod common;

use common::*;
use serde_json::{Value, json};

/// One function forked from the zygote, one executed (a PYTHON* variable asks for that).
async fn both(world: &World) -> Vec<Function> {
    let forked = world.python(EVALUATE).await;
    let executed =
        world.python_with(EVALUATE, |spec| spec.env.push(("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()))).await;
    vec![forked, executed]
}

/// Runs the code in both kinds and demands the same answer of each.
async fn check(world: &World, code: &str, expected: Value) {
    for (kind, mut function) in ["forked", "executed"].iter().zip(both(world).await) {
        assert_eq!(function.evaluate(code).await, expected, "{kind}");
    }
}

#[tokio::test]
async fn sees_only_its_own_processes() {
    let world = World::new().await;
    check(
        &world,
        "import os; pids = [int(p) for p in os.listdir('/proc') if p.isdigit()]; result = pids == [os.getpid()]",
        json!(true),
    )
    .await;
}

#[tokio::test]
async fn cannot_signal_the_host_or_its_supervisor() {
    let world = World::new().await;
    let code = format!(
        r#"
import os
def attempt(pid):
    try:
        os.kill(pid, 9)
        return "killed"
    except OSError as error:
        return type(error).__name__
result = [attempt(pid) for pid in (1, {}, {})]
"#,
        std::process::id(),
        world.spawner.pid()
    );
    check(&world, &code, json!(["PermissionError", "ProcessLookupError", "ProcessLookupError"])).await;
}

#[tokio::test]
async fn sees_no_other_files_of_the_host() {
    let world = World::new().await;
    let code = format!(
        r#"
import os
hidden = ["{}", "/root/.bashrc", "/home", "/sys", "/run", "/boot", "/etc/shadow", "/etc/hostname", "/dev/shm",
          "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/tty", "/dev/mem", "/var/log"]
result = [[path for path in hidden if os.path.exists(path)],
          sorted(set(os.listdir("/")) - {{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "root"}})]
"#,
        world.state.path().display()
    );
    check(&world, &code, json!([[], ["dev", "etc", "opt", "proc", "tmp", "usr", "var"]])).await;
}

#[tokio::test]
async fn can_write_nowhere_but_tmp() {
    let world = World::new().await;
    let code = r#"
import os
def attempt(path):
    try:
        with open(path, "w") as file:
            file.write("1")
        return "written"
    except OSError as error:
        return error.errno in (1, 2, 13, 30)
paths = ["/x", "/var/task/x", "/var/runtime/x", "/opt/x", "/usr/x", "/etc/passwd", "/dev/x", "/proc/sys/kernel/hostname",
         "/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/var/lang/gust/bootstrap.py", "/tmp/x"]
result = [attempt(path) for path in paths]
"#;
    let mut expected = vec![json!(true); 11];
    // Masked: the write goes to /dev/null, or is refused as read-only.
    expected.push(json!("written"));
    for mut function in both(&world).await {
        let mut result = function.evaluate(code).await;
        if result[8] == json!("written") {
            result[8] = json!(true);
        }
        assert_eq!(result, Value::Array(expected.clone()));
    }
}

#[tokio::test]
async fn masked_kernel_files_are_empty() {
    let world = World::new().await;
    // Not every kernel has all of them.
    let code = r#"
import os
paths = ["/proc/" + name for name in ("kcore", "keys", "key-users", "timer_list", "kmsg")]
result = [path for path in paths if os.path.exists(path) and open(path, "rb").read(64)]
"#;
    check(&world, code, json!([])).await;
}

#[tokio::test]
async fn reaches_gust_but_not_the_hosts_loopback() {
    let world = World::new().await;
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let code = format!(
        r#"
import socket, os
def attempt(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return "connected"
    except OSError as error:
        return type(error).__name__
result = [attempt({}), attempt(9001), attempt(4566), [name for _, name in socket.if_nameindex()],
          os.environ["AWS_LAMBDA_RUNTIME_API"], os.environ["AWS_ENDPOINT_URL"], socket.gethostname()]
"#,
        host.local_addr().unwrap().port()
    );
    for mut function in both(&world).await {
        let result = function.evaluate(&code).await;
        let expected = json!([
            "ConnectionRefusedError",
            "connected",
            "connected",
            ["lo"],
            "127.0.0.1:9001",
            "http://127.0.0.1:4566",
            "gust-test"
        ]);
        assert_eq!(result, expected);
        assert!(function.sandbox.runtime_api.as_ref().unwrap().accept().is_ok(), "the connection arrived here");
    }
}

#[tokio::test]
async fn has_only_its_own_environment() {
    let world = World::new().await;
    let code = r#"
import os
names = set(os.environ) | {entry.split("=")[0] for entry in open("/proc/self/environ").read().split("\0") if entry}
result = sorted(names - {"LC_CTYPE", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE",
                         "_GUST_CHANNEL_FD", "_GUST_LOG_FD"})
"#;
    let expected = json!(["AWS_ENDPOINT_URL", "AWS_LAMBDA_RUNTIME_API", "PATH", "_HANDLER"]);
    check(&world, code, expected).await;
}

#[tokio::test]
async fn inherits_no_descriptor() {
    let world = World::new().await;
    let code = r#"
import os
result = []
for fd in range(1024):
    try:
        link = os.readlink("/proc/self/fd/%d" % fd)
    except OSError:
        continue
    result.append([fd, link.split(":")[0]])
"#;
    check(&world, code, json!([[0, "/dev/null"], [1, "pipe"], [2, "pipe"], [3, "socket"], [4, "pipe"]])).await;
}

#[tokio::test]
async fn has_no_privilege() {
    let world = World::new().await;
    let code = r#"
import os
status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
zero = all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
result = [zero, status["NoNewPrivs"], status["Seccomp"], status["Uid"], status["Gid"], status["Groups"].strip(),
          open("/proc/self/uid_map").read().split()[0], os.getpid() == os.getsid(0), status["SigBlk"],
          int(status["SigIgn"], 16) & ~0x1001000, os.umask(0o22), open("/proc/self/oom_score_adj").read().strip()]
"#;
    let expected = json!([
        true,
        "1",
        "2",
        "993\t993\t993\t993",
        "990\t990\t990\t990",
        "",
        "993",
        true,
        "0000000000000000",
        0,
        0o22,
        "500"
    ]);
    check(&world, code, expected).await;
}

#[tokio::test]
async fn dangerous_system_calls_are_denied() {
    let world = World::new().await;
    let code = r#"
import ctypes, errno, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *args):
    answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(arg) for arg in args])
    return "allowed" if answer >= 0 else errno.errorcode[ctypes.get_errno()]
x86 = platform.machine() == "x86_64"
denied = {"mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "ptrace": 101, "bpf": 321, "keyctl": 250,
          "add_key": 248, "setns": 308, "io_uring_setup": 425, "userfaultfd": 323, "perf_event_open": 298,
          "process_vm_readv": 310, "open_by_handle_at": 304, "kexec_load": 246, "init_module": 175, "reboot": 169,
          "syslog": 103, "settimeofday": 164, "swapon": 167, "acct": 163, "open_tree": 428, "fsopen": 430}
def family(number):
    try:
        socket.socket(number, socket.SOCK_DGRAM).close()
        return "allowed"
    except OSError as error:
        return errno.errorcode[error.errno]
result = {
    "denied": sorted({call(number) for number in denied.values()}) if x86 else ["EPERM"],
    "clone3": call(435, 0, 0),
    "unshare user": call(272 if x86 else 97, 0x10000000),
    "clone user": call(56 if x86 else 220, 0x10000000 | 17, 0, 0, 0, 0),
    "x32 getpid": call(0x40000000 + 39) if x86 else "ENOSYS",
    "families": [family(number) for number in (1, 2, 10, 17, 38, 40)],
}
"#;
    let expected = json!({
        "denied": ["EPERM"], "clone3": "ENOSYS", "unshare user": "EPERM", "clone user": "EPERM", "x32 getpid": "ENOSYS",
        "families": ["allowed", "allowed", "allowed", "EPERM", "EPERM", "EPERM"],
    });
    check(&world, code, expected).await;
}

#[tokio::test]
async fn functions_are_different_host_users_and_share_no_tmp() {
    let world = World::new().await;
    let (mut one, mut other) = (world.python(EVALUATE).await, world.python(EVALUATE).await);
    one.evaluate("open('/tmp/secret', 'w').write('x')").await;
    let seen = other.evaluate("import os; result = os.listdir('/tmp')").await;
    assert_eq!(seen, json!([]));
    let mut uids = Vec::new();
    for pid in sandbox_processes_below(world.spawner.pid()) {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let uid: u32 = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:\t"))
            .unwrap()
            .split('\t')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        uids.push(uid);
    }
    let mut sandboxed: Vec<u32> = uids.into_iter().filter(|uid| *uid != 0).collect();
    sandboxed.sort_unstable();
    // Two functions and two supervisors, four different users.
    assert_eq!(sandboxed.len(), 4, "{sandboxed:?}");
    sandboxed.dedup();
    assert_eq!(sandboxed.len(), 4, "{sandboxed:?}");
    assert!(sandboxed.iter().all(|uid| (2_000_000_000..2_000_065_536).contains(uid)), "{sandboxed:?}");
}

#[tokio::test]
async fn shares_the_hosts_network_only_when_asked() {
    let world = World::new().await;
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut function = world.python_with(EVALUATE, |spec| spec.egress = gust_sandbox::Egress::Host).await;
    let code = format!(
        "import socket, os; socket.create_connection(('127.0.0.1', {}), 2).close(); result = os.environ['AWS_LAMBDA_RUNTIME_API']",
        host.local_addr().unwrap().port()
    );
    let address = function.evaluate(&code).await;
    let listener = function.sandbox.runtime_api.as_ref().unwrap().local_addr().unwrap();
    assert_eq!(address, json!(listener.to_string()));
}

#[tokio::test]
async fn layers_and_sdk_are_where_lambda_has_them() {
    let world = World::new().await;
    let layers = package(&[("python/from_layer.py", "name = 'layer'"), ("lib/x", "")]);
    let sdk = package(&[("from_sdk.py", "name = 'sdk'")]);
    std::fs::set_permissions(layers.path().join("python"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let mut function = world
        .python_with(EVALUATE, |spec| {
            spec.layers_dir = Some(layers.path().to_owned());
            spec.sdk_dir = Some(sdk.path().to_owned());
        })
        .await;
    let result =
        function.evaluate("import from_layer, from_sdk; result = [from_layer.__file__, from_sdk.__file__]").await;
    assert_eq!(result, json!(["/opt/python/from_layer.py", "/var/runtime/from_sdk.py"]));
}
