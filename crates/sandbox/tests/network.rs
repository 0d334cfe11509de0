//! Environments with a network: they reach what lies beyond the host, behind its address, and nothing else; afterwards
//! the host is as it was.
//!
//! A network namespace stands for the host and another one for the internet, so that nothing here touches the machine.
//! `ip` and `nsenter` make them (iproute2, util-linux); gust itself needs neither.
#![allow(missing_docs)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::*;
use gust_sandbox::{Egress, NatConfig, NetworkFacts, SandboxSpec, Spawner, SpawnerConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The host's address towards the internet, and a machine there.
const HOST: &str = "203.0.113.1";
const OUTSIDE: &str = "203.0.113.2";
/// Another address of the host's.
const HOST_LAN: &str = "192.168.77.1";
/// Metadata services of clouds, which here are on the machine outside.
const METADATA: &[&str] = &["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"];

/// Answers every connection and datagram with the address that it came from, and says so.
const SERVER: &str = r#"
import socket, sys, threading
def stream(server):
    while True:
        connection, peer = server.accept()
        print(peer[0], flush=True)
        with connection:
            connection.sendall(peer[0].encode())
            connection.recv(1)
def datagrams(server):
    while True:
        _, peer = server.recvfrom(2048)
        print(peer[0], flush=True)
        server.sendto(peer[0].encode(), peer)
for place in sys.argv[1:]:
    address, port = place.rsplit(":", 1)
    server = socket.create_server((address, int(port)))
    threading.Thread(target=stream, args=(server,)).start()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, int(port)))
    threading.Thread(target=datagrams, args=(server,)).start()
print("ready", flush=True)
"#;

/// Names of the tables of nf_tables.
const TABLES: &str = r#"
import re, socket, struct
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.send(struct.pack("=IHHIIBBH", 20, 10 << 8 | 1, 0x301, 1, 0, 0, 0, 0))
print(sorted(name.decode() for name in re.findall(rb"gust-[\w-]+", netlink.recv(65536))))
"#;

/// A firewall as Docker sets it up: it drops what is forwarded.
const DROPPING_CHAIN: &str = r#"
import socket, struct
def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
def message(kind, flags, family, resource, body=b""):
    return struct.pack("=IHHIIBBH", 20 + len(body), kind, flags | 1, 0, 0, family, 0, socket.htons(resource)) + body
def number(value):
    return struct.pack(">I", value)
table = attribute(1, b"gust-test-filter\0")
hook = attribute(0x8004, attribute(1, number(2)) + attribute(2, number(0)))
chain = table + attribute(3, b"FORWARD\0") + hook + attribute(5, number(0)) + attribute(7, b"filter\0")
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
netlink.send(message(16, 0, 0, 10) + message(10 << 8, 0x400, 2, 0, table) + message(10 << 8 | 3, 0x400, 2, 0, chain) + message(17, 0, 0, 10))
"#;

const CONNECT: &str = r#"
import errno, socket
def stream(host, port):
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            return connection.recv(100).decode()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def datagram(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(1)
        server.connect((host, port))
        try:
            server.send(b"hello")
            return server.recv(100).decode()
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
def own():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return probe.getsockname()[0]
"#;

const REFUSED: &[&str] = &["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH"];

fn refused(answer: &Value) -> bool {
    answer.as_str().is_some_and(|answer| REFUSED.contains(&answer))
}

fn places(addresses: &[&str]) -> Vec<String> {
    addresses.iter().flat_map(|address| [53, 80, 7000].map(|port| format!("{address}:{port}"))).collect()
}

/// Runs a program to its end; its output.
fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A host with a network behind it, and gust on that host.
struct Net {
    host: String,
    outside: String,
    servers: Vec<Child>,
    folder: TempDir,
}

impl Net {
    fn new() -> Net {
        assert!(is_root(), "the sandbox tests need root: run them with sudo, or in a container as root");
        let name = unique("gt");
        let net = Net {
            host: format!("{name}-host"),
            outside: format!("{name}-out"),
            servers: Vec::new(),
            folder: TempDir::new().unwrap(),
        };
        for namespace in [&net.host, &net.outside] {
            run("ip", &["netns", "add", namespace]);
            run("ip", &["-n", namespace, "link", "set", "lo", "up"]);
        }
        let words =
            ["-n", &net.host, "link", "add", "wan", "type", "veth", "peer", "name", "lan", "netns", &net.outside];
        run("ip", &words);
        for (namespace, device, address) in [(&net.host, "wan", HOST), (&net.outside, "lan", OUTSIDE)] {
            run("ip", &["-n", namespace, "address", "add", &format!("{address}/24"), "dev", device]);
            run("ip", &["-n", namespace, "link", "set", device, "up"]);
        }
        run("ip", &["-n", &net.host, "address", "add", &format!("{HOST_LAN}/32"), "dev", "lo"]);
        run("ip", &["-n", &net.host, "route", "add", "default", "via", OUTSIDE]);
        for address in METADATA {
            run("ip", &["-n", &net.outside, "address", "add", &format!("{address}/32"), "dev", "lo"]);
        }
        net
    }

    fn config(&self, data_id: &str, nat: NatConfig) -> SpawnerConfig {
        let plain = config(self.folder.path(), data_id);
        let spawner = plain.executable.as_ref().unwrap().display().to_string();
        let script = format!("#!/bin/sh\nexec nsenter --net=/run/netns/{} {spawner} \"$@\"\n", self.host);
        let path = self.folder.path().join("spawner");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        SpawnerConfig { executable: Some(path), nat, ..plain }
    }

    async fn world(&self, nat: NatConfig) -> World {
        let data_id = unique("test");
        let spawner = Spawner::start(self.config(&data_id, nat)).await.unwrap();
        World { spawner, data_id, state: TempDir::new().unwrap() }
    }

    /// Serves at these places in a namespace; the addresses of who comes are read from its output.
    fn serve(&mut self, namespace: &str, places: &[String]) -> BufReader<std::process::ChildStdout> {
        let mut server = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{namespace}"))
            .args(["python3", "-c", SERVER])
            .args(places)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut came = BufReader::new(server.stdout.take().unwrap());
        self.servers.push(server);
        let mut line = String::new();
        came.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        came
    }

    fn serve_outside(&mut self) -> BufReader<std::process::ChildStdout> {
        let addresses: Vec<_> = METADATA.iter().copied().chain([OUTSIDE]).collect();
        self.serve(&self.outside.clone(), &places(&addresses))
    }

    fn serve_on_host(&mut self) -> BufReader<std::process::ChildStdout> {
        self.serve(&self.host.clone(), &places(&[HOST, HOST_LAN, "127.0.0.1"]))
    }

    fn on_host(&self, arguments: &[&str]) -> String {
        let namespace = format!("--net=/run/netns/{}", self.host);
        run("nsenter", &[&[namespace.as_str()], arguments].concat())
    }

    fn devices(&self) -> Vec<String> {
        let list = run("ip", &["-n", &self.host, "-o", "link"]);
        list.lines().map(|line| line.split(": ").nth(1).unwrap().split('@').next().unwrap().to_owned()).collect()
    }

    fn tables(&self) -> String {
        self.on_host(&["python3", "-c", TABLES]).trim().to_owned()
    }

    fn forwards(&self, device: &str) -> bool {
        self.on_host(&["cat", &format!("/proc/sys/net/ipv4/conf/{device}/forwarding")]).trim() == "1"
    }

    /// Nothing of gust's is left on the host.
    async fn is_as_before(&self) {
        let gusts = |device: &String| device.starts_with("gust-");
        eventually("gust's device is gone", || !self.devices().iter().any(gusts)).await;
        eventually("gust's table is gone", || self.tables() == "[]").await;
        eventually("the device of the host forwards no more", || !self.forwards("wan")).await;
        assert!(!self.forwards("all"));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for server in &mut self.servers {
            drop(server.kill());
            drop(server.wait());
        }
        for namespace in [&self.host, &self.outside] {
            drop(Command::new("ip").args(["netns", "delete", namespace]).status());
        }
    }
}

fn nat(spec: &mut SandboxSpec) {
    spec.egress = Egress::Nat;
}

async fn connect(function: &mut Function, expression: &str) -> Value {
    function.evaluate(&format!("{CONNECT}\nresult = {expression}")).await
}

async fn facts(world: &World) -> NetworkFacts {
    world.spawner.prepare_network().await.unwrap()
}

#[tokio::test]
async fn a_function_reaches_the_outside_behind_the_hosts_address() {
    let mut net = Net::new();
    let mut came = net.serve_outside();
    let world = net.world(NatConfig::default()).await;
    assert_eq!(facts(&world).await.dropping_chains, Vec::<String>::new());
    let mut function = world.python_with(EVALUATE, nat).await;
    assert_eq!(connect(&mut function, &format!("stream({OUTSIDE:?}, 7000)")).await, json!(HOST));
    assert_eq!(connect(&mut function, &format!("datagram({OUTSIDE:?}, 7000)")).await, json!(HOST));
    let mut line = String::new();
    came.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), HOST);
    // Its own address is of the range, and its listeners are where they always are.
    let own = connect(&mut function, "own()").await;
    assert!(own.as_str().unwrap().starts_with("10.200."), "{own}");
    let api = function.evaluate("import os; result = os.environ['AWS_LAMBDA_RUNTIME_API']").await;
    assert_eq!(api, json!("127.0.0.1:9001"));
    // No IPv6 but loopback's, and nobody waits for it.
    let ipv6 = "import errno, socket\ntry:\n  socket.create_connection(('2001:db8::1', 80), 5)\nexcept OSError as error:\n  result = errno.errorcode[error.errno]";
    assert_eq!(function.evaluate(ipv6).await, json!("ENETUNREACH"));
    let mut program = world.script("cat /proc/net/dev | grep -c eth0", nat).await;
    assert_eq!(program.output_to_end().await, "1\n");
}

#[tokio::test]
async fn the_host_and_the_clouds_metadata_are_out_of_reach() {
    let mut net = Net::new();
    let _outside = net.serve_outside();
    let _host = net.serve_on_host();
    let world = net.world(NatConfig::default()).await;
    let range = facts(&world).await.range.to_string();
    let start = range.trim_end_matches("0.0/16");
    let mut function = world.python_with(EVALUATE, nat).await;
    let gateways = [format!("{start}0.1"), format!("{start}0.2"), format!("{start}9.9")];
    let addresses = ["127.0.0.1", "127.0.0.53", HOST, HOST_LAN].into_iter().chain(gateways.iter().map(String::as_str));
    for address in addresses {
        for way in ["stream", "datagram"] {
            for port in [7000, 53] {
                let answer = connect(&mut function, &format!("{way}({address:?}, {port})")).await;
                // The kernel sends few errors a second to one address: a datagram may get none.
                let is_refused = refused(&answer) || (way == "datagram" && answer == json!("timed out"));
                assert!(is_refused, "{way} {address} {port}: {answer}");
            }
        }
    }
    for address in METADATA {
        let answer = connect(&mut function, &format!("stream({address:?}, 80)")).await;
        assert!(refused(&answer), "{address}: {answer}");
    }
    assert_eq!(connect(&mut function, &format!("stream({OUTSIDE:?}, 80)")).await, json!(HOST), "all else is");
}

#[tokio::test]
async fn environments_reach_neither_each_other_nor_are_reached_by_the_host() {
    let net = Net::new();
    let world = net.world(NatConfig::default()).await;
    let listening = "import socket\nkept = []\ndef handler(event, context):\n    scope = {'kept': kept}\n    exec(event, scope)\n    return scope.get('result')\n";
    let mut one = world.python_with(listening, nat).await;
    let mut two = world.python_with(EVALUATE, nat).await;
    one.evaluate("import socket; kept.append(socket.create_server(('0.0.0.0', 7000)))").await;
    let address = connect(&mut one, "own()").await;
    let address = address.as_str().unwrap();
    assert_ne!(connect(&mut two, "own()").await, json!(address));
    let answer = connect(&mut two, &format!("stream({address:?}, 7000)")).await;
    assert!(refused(&answer), "{answer}");
    let from_host = net.on_host(&["python3", "-c", &format!("{CONNECT}\nprint(stream({address:?}, 7000))")]);
    assert!(REFUSED.contains(&from_host.trim()) || from_host.trim() == "EPERM", "{from_host}");
    // Nor from outside, by somebody who sends packets for that address to the host.
    run("ip", &["-n", &net.outside, "route", "add", "10.200.0.0/16", "via", HOST]);
    let code = format!("{CONNECT}\nsocket.setdefaulttimeout(1)\nprint(stream({address:?}, 7000))");
    let code = code.replace("timeout=5", "timeout=1");
    let from_outside = run("nsenter", &[&format!("--net=/run/netns/{}", net.outside), "python3", "-c", &code]);
    assert_eq!(from_outside.trim(), "timed out");
}

#[tokio::test]
async fn name_servers_are_reached_where_they_are_and_on_their_port_only() {
    let mut net = Net::new();
    let _outside = net.serve_outside();
    let _host = net.serve_on_host();
    let servers = [HOST_LAN, METADATA[0], OUTSIDE];
    let named =
        NatConfig { name_servers: servers.iter().map(|one| one.parse().unwrap()).collect(), ..NatConfig::default() };
    let world = net.world(named).await;
    assert_eq!(facts(&world).await.name_servers.len(), 3);
    let mut function = world.python_with(EVALUATE, nat).await;
    let file = function.evaluate("result = open('/etc/resolv.conf').read()").await;
    let lines: Vec<_> = file.as_str().unwrap().lines().filter(|line| line.starts_with("nameserver")).collect();
    assert_eq!(lines, servers.map(|server| format!("nameserver {server}")));
    for server in servers {
        for way in ["stream", "datagram"] {
            let answer = connect(&mut function, &format!("{way}({server:?}, 53)")).await;
            assert!(!refused(&answer), "{way} {server}: {answer}");
        }
    }
    for (server, port) in [(HOST_LAN, 7000), (METADATA[0], 7000), (METADATA[0], 80)] {
        let answer = connect(&mut function, &format!("stream({server:?}, {port})")).await;
        assert!(refused(&answer), "{server} {port}: {answer}");
    }
}

#[tokio::test]
async fn a_burst_gets_addresses_of_its_own_and_leaves_no_connection_behind() {
    let mut net = Net::new();
    let _outside = net.serve_outside();
    let world = net.world(NatConfig::default()).await;
    let mut functions = Vec::new();
    for _ in 0..12 {
        functions.push(world.python_with(EVALUATE, nat).await);
    }
    let mut addresses = Vec::new();
    for function in &mut functions {
        assert_eq!(connect(function, &format!("stream({OUTSIDE:?}, 7000)")).await, json!(HOST));
        addresses.push(connect(function, "own()").await.as_str().unwrap().to_owned());
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), functions.len());
    let known = || net.on_host(&["cat", "/proc/net/nf_conntrack"]);
    let is_known = |address: &String| known().contains(&format!("src={address} "));
    assert!(addresses.iter().all(is_known), "{}", known());
    for function in &functions {
        function.sandbox.kill().await.unwrap();
    }
    eventually("connections forgotten", || !addresses.iter().any(is_known)).await;
}

#[tokio::test]
async fn a_firewall_that_drops_what_the_host_forwards_is_named() {
    let net = Net::new();
    net.on_host(&["python3", "-c", DROPPING_CHAIN]);
    let world = net.world(NatConfig::default()).await;
    assert_eq!(facts(&world).await.dropping_chains, ["ip gust-test-filter FORWARD"]);
}

#[tokio::test]
async fn the_host_is_as_before_after_the_end() {
    let net = Net::new();
    assert!(!net.forwards("wan"));
    let world = net.world(NatConfig::default()).await;
    let _function = world.python_with(EVALUATE, nat).await;
    assert!(net.forwards("wan") && !net.forwards("all"));
    assert_eq!(net.devices().iter().filter(|device| device.starts_with("gust-")).count(), 1, "{:?}", net.devices());
    assert_eq!(net.tables(), format!("['gust-{}']", world.data_id));
    world.spawner.shutdown().await.unwrap();
    assert!(!net.devices().iter().any(|device| device.starts_with("gust-")));
    assert_eq!(net.tables(), "[]");
    net.is_as_before().await;
}

#[tokio::test]
async fn a_killed_spawner_leaves_nothing_and_its_successor_has_a_network() {
    let net = Net::new();
    let config = net.config("same", NatConfig::default());
    let spawner = Spawner::start(config.clone()).await.unwrap();
    let world = World { spawner, data_id: "same".to_owned(), state: TempDir::new().unwrap() };
    let function = world.python_with(EVALUATE, nat).await;
    kill_hard(world.spawner.pid());
    world.spawner.ended().await;
    drop(function);
    // At once, while its keeper may still be there.
    let spawner = Spawner::start(config).await.unwrap();
    let world = World { spawner, data_id: "same".to_owned(), state: TempDir::new().unwrap() };
    let mut function = world.python_with(EVALUATE, nat).await;
    let own = connect(&mut function, "own()").await;
    assert!(own.as_str().unwrap().starts_with("10."), "{own}");
    kill_hard(world.spawner.pid());
    net.is_as_before().await;
}

#[tokio::test]
async fn a_killed_keeper_ends_its_environments_and_the_next_ones_have_a_network_again() {
    let mut net = Net::new();
    let _outside = net.serve_outside();
    let world = net.world(NatConfig::default()).await;
    let function = world.python_with(EVALUATE, nat).await;
    let without = world.python_with(EVALUATE, |_| {}).await;
    for keeper in keepers(&world) {
        kill_hard(keeper);
    }
    tokio::time::timeout(DEADLINE, function.sandbox.wait()).await.expect("it ends");
    assert_eq!(without.sandbox.try_wait(), None);
    let mut next = world.python_with(EVALUATE, nat).await;
    assert_eq!(connect(&mut next, &format!("stream({OUTSIDE:?}, 7000)")).await, json!(HOST));
    world.spawner.shutdown().await.unwrap();
    net.is_as_before().await;
}

#[tokio::test]
async fn what_a_killed_keeper_left_is_put_back_by_the_next_spawner() {
    let net = Net::new();
    let config = net.config("same", NatConfig::default());
    let spawner = Spawner::start(config.clone()).await.unwrap();
    let world = World { spawner, data_id: "same".to_owned(), state: TempDir::new().unwrap() };
    facts(&world).await;
    let keepers = keepers(&world);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(world.spawner.pid() as i32).unwrap(),
        rustix::process::Signal::STOP,
    )
    .unwrap();
    for keeper in keepers {
        kill_hard(keeper);
    }
    kill_hard(world.spawner.pid());
    eventually("gust's table is gone with its owner", || net.tables() == "[]").await;
    assert!(net.forwards("wan"), "nobody was left to put it back");
    let next = Spawner::start(config).await.unwrap();
    net.is_as_before().await;
    next.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_host_that_forwards_already_is_not_changed_and_new_devices_are_noticed_elsewhere() {
    let net = Net::new();
    let world = net.world(NatConfig::default()).await;
    facts(&world).await;
    run("ip", &["-n", &net.host, "link", "add", "late", "type", "veth", "peer", "name", "other"]);
    assert!(!net.forwards("late"));
    run("ip", &["-n", &net.host, "address", "add", "198.51.100.1/24", "dev", "late"]);
    eventually("a device with an address forwards", || net.forwards("late")).await;
    // Somebody else needs forwarding now: it is theirs.
    net.on_host(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    world.spawner.shutdown().await.unwrap();
    assert!(net.forwards("wan") && net.forwards("late") && net.forwards("all"));
}

#[tokio::test]
async fn where_there_can_be_no_network_functions_have_none_unless_they_must() {
    let net = Net::new();
    run("ip", &["-n", &net.host, "route", "add", "10.200.7.0/24", "via", OUTSIDE]);
    let taken = NatConfig { range: Some("10.200.0.0/16".parse().unwrap()), ..NatConfig::default() };
    let world = net.world(taken.clone()).await;
    let refusal = world.spawner.prepare_network().await.unwrap_err().to_string();
    assert!(refusal.contains("10.200.0.0/16 overlaps this machine's route to 10.200.7.0/24"), "{refusal}");
    let mut function = world.python_with(EVALUATE, nat).await;
    let answer = connect(&mut function, &format!("stream({OUTSIDE:?}, 7000)")).await;
    assert_eq!(answer, json!("ENETUNREACH"));
    let world = net.world(NatConfig { required: true, ..taken }).await;
    let package = package(&[("lambda_function.py", EVALUATE)]);
    let mut must = spec(package.path(), python_program());
    nat(&mut must);
    let error = world.spawner.create(must).await.unwrap_err().to_string();
    assert!(error.contains("overlaps"), "{error}");
    // By itself gust goes out of the way.
    let world = net.world(NatConfig::default()).await;
    assert_eq!(facts(&world).await.range.to_string(), "10.201.0.0/16");
}

/// The processes that make networks.
fn keepers(world: &World) -> Vec<u32> {
    let below = sandbox_processes_below(world.spawner.pid()).into_iter();
    let found: Vec<u32> = below.filter(|pid| name_of(*pid) == "gust-network").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found
}

fn kill_hard(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
