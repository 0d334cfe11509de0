//! The functions of the soak, how they are called, what they should answer, and how they change.

use super::Counters;
use super::sample::{self, Sample};
use crate::context::Context;
use crate::http::Answer;
use crate::process;
use crate::row;
use crate::rows::functions::Gust;
use crate::target::Function;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Between two changes.
const CHANGE_PAUSE: Duration = Duration::from_millis(250);
/// Functions that exist for a moment only.
const SHORT_LIVED: u64 = 8;
/// One of a few thousand calls: what runs into its time limit of a second blocks a worker so long, and an event that
/// fails is tried again for minutes.
const RARE: u64 = 1;
/// Signatures are good for 15 minutes.
const SIGNATURE_AGE_MAX: Duration = Duration::from_secs(300);
/// Environments of deleted functions end within it.
const SETTLE: Duration = Duration::from_secs(15);

const PYTHON: &str = "import sys\nVERSION = 0\ndef handler(event, context):\n    kind = event.get('kind')\n    if kind == 'error':\n        raise ValueError('as asked')\n    if kind == 'sleep':\n        import time\n        time.sleep(30)\n    if kind == 'print':\n        print('a line of log', event)\n    return event\n";
const NODE: &[u8] = b"exports.handler = async (event) => { if (event.kind === 'error') throw new Error('as asked'); if (event.kind === 'print') console.log('a line of log'); return event; };\n";

/// What a call should give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// 200 and the event; it counts for the latencies.
    Echo,
    /// 200 with a function error.
    Error,
    /// 202.
    Accepted,
}

/// One call, signed ahead.
pub struct Call<'a> {
    /// What it is, for messages.
    pub name: &'a str,
    kind: &'a Prepared,
    world: &'a World,
}

struct Prepared {
    name: String,
    function: &'static str,
    invocation: &'static str,
    event: &'static [u8],
    expected: Expected,
    weight: u64,
    /// The signed request and when it was signed.
    signed: std::sync::RwLock<(std::sync::Arc<Vec<u8>>, Instant)>,
}

/// A gust with functions.
pub struct World {
    gust: Gust,
    data_id: String,
    calls: Vec<Prepared>,
    weights: u64,
}

impl Call<'_> {
    /// The complete request.
    pub fn request(&self) -> std::sync::Arc<Vec<u8>> {
        let signed = self.kind.signed.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if signed.1.elapsed() < SIGNATURE_AGE_MAX {
            return signed.0;
        }
        let request = std::sync::Arc::new(self.world.sign(self.kind));
        *self.kind.signed.write().unwrap_or_else(std::sync::PoisonError::into_inner) =
            (request.clone(), Instant::now());
        request
    }

    /// Whether the answer counts for the latencies; an error says how it is wrong.
    pub fn judge(&self, answer: &Answer) -> Result<bool, String> {
        let failed = answer.header("x-amz-function-error").is_some();
        let is_right = match self.kind.expected {
            Expected::Echo => answer.status == 200 && !failed && is_echo(&answer.body, self.kind.event),
            Expected::Error => answer.status == 200 && failed,
            Expected::Accepted => answer.status == 202,
        };
        match is_right {
            true => Ok(self.kind.expected == Expected::Echo),
            false => {
                let body = String::from_utf8_lossy(&answer.body).chars().take(120).collect::<String>();
                Err(format!("{}: {} {body}", self.name, answer.status))
            }
        }
    }
}

/// Whether `body` says the same as the event, in whatever layout.
fn is_echo(body: &[u8], event: &[u8]) -> bool {
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let said = value(body);
    said.is_some() && (said == value(event) || said.and_then(|said| said.get("event").cloned()) == value(event))
}

impl World {
    /// Starts gust and makes the functions.
    pub fn open(context: &Context) -> io::Result<World> {
        let gust = Gust::start(context, &[])?;
        let data_id = data_id(&gust)?;
        let mut world = World { gust, data_id, calls: Vec::new(), weights: 0 };
        let target = &world.gust.target;
        let files = [("app.py", PYTHON.as_bytes(), 0o644)];
        for name in ["steady-python", "changing-code", "changing-configuration"] {
            target.create(&Function::new(name, &context.python_runtime, "app.handler", &files))?;
        }
        let mut short = Function::new("short-limit", &context.python_runtime, "app.handler", &files);
        short.timeout_s = 1;
        target.create(&short)?;
        world.add("steady-python", "RequestResponse", br#"{"kind":"echo","n":1}"#, Expected::Echo, 1_600)?;
        world.add("steady-python", "RequestResponse", br#"{"kind":"error"}"#, Expected::Error, 100)?;
        world.add("steady-python", "RequestResponse", br#"{"kind":"print"}"#, Expected::Echo, 100)?;
        world.add("steady-python", "Event", br#"{"kind":"echo","n":2}"#, Expected::Accepted, 200)?;
        world.add("changing-code", "RequestResponse", br#"{"kind":"echo","n":3}"#, Expected::Echo, 400)?;
        world.add("changing-configuration", "RequestResponse", br#"{"kind":"echo","n":4}"#, Expected::Echo, 400)?;
        world.add("short-limit", "RequestResponse", br#"{"kind":"sleep"}"#, Expected::Error, RARE)?;
        world.add("steady-python", "Event", br#"{"kind":"error"}"#, Expected::Accepted, RARE)?;
        if let Some(node) = &context.node {
            let function = [("index.js", NODE, 0o644)];
            world.gust.target.create(&Function::new("steady-node", &node.runtime, "index.handler", &function))?;
            world.add("steady-node", "RequestResponse", br#"{"kind":"echo","n":5}"#, Expected::Echo, 400)?;
            world.add("steady-node", "RequestResponse", br#"{"kind":"error"}"#, Expected::Error, 50)?;
        }
        if let Some(bootstrap) = &context.rust_bootstrap {
            let bytes = std::fs::read(bootstrap)?;
            let function = [("bootstrap", &bytes[..], 0o755)];
            world.gust.target.create(&Function::new("steady-rust", "provided.al2023", "bootstrap", &function))?;
            world.add("steady-rust", "RequestResponse", br#"{"kind":"echo","n":6}"#, Expected::Echo, 400)?;
        }
        Ok(world)
    }

    fn add(
        &mut self,
        function: &'static str,
        invocation: &'static str,
        event: &'static [u8],
        expected: Expected,
        weight: u64,
    ) -> io::Result<()> {
        let name = format!("{function} {invocation} {}", String::from_utf8_lossy(event));
        let signed = std::sync::RwLock::new((std::sync::Arc::new(Vec::new()), Instant::now()));
        let call = Prepared { name, function, invocation, event, expected, weight, signed };
        let request = std::sync::Arc::new(self.sign(&call));
        *call.signed.write().map_err(|_| io::Error::other("a signer panicked"))? = (request, Instant::now());
        self.weights += call.weight;
        self.calls.push(call);
        Ok(())
    }

    fn sign(&self, call: &Prepared) -> Vec<u8> {
        self.gust.target.invocation(call.function, call.invocation, call.event)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.gust.target.address
    }

    /// The call that a random number chooses.
    pub fn call(&self, random: u64) -> Call<'_> {
        let mut rest = random % self.weights.max(1);
        for kind in &self.calls {
            if rest < kind.weight {
                return Call { name: &kind.name, kind, world: self };
            }
            rest -= kind.weight;
        }
        Call { name: &self.calls[0].name, kind: &self.calls[0], world: self }
    }

    /// Changes functions until told to stop.
    pub fn change(&self, context: &Context, stop: &AtomicBool, changes: &AtomicU64) -> io::Result<()> {
        let target = &self.gust.target;
        for number in 1u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let code = PYTHON.replace("VERSION = 0", &format!("VERSION = {number}"));
            let files = [("app.py", code.as_bytes(), 0o644)];
            match number % 4 {
                0 => target.update_code("changing-code", &files)?,
                1 => target.refresh("changing-configuration", u32::try_from(number).unwrap_or(u32::MAX))?,
                2 => target.create(&Function::new(
                    &short_lived(number),
                    &context.python_runtime,
                    "app.handler",
                    &files,
                ))?,
                _ => self.use_and_delete(number)?,
            }
            changes.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(CHANGE_PAUSE);
        }
        Ok(())
    }

    /// Invokes the function that was just made, and deletes an older one.
    fn use_and_delete(&self, number: u64) -> io::Result<()> {
        let target = &self.gust.target;
        let path = format!("/2015-03-31/functions/{}/invocations", short_lived(number - 1));
        crate::target::expect(&target.send("POST", &path, br#"{"kind":"print"}"#)?, 200)?;
        let old = number.saturating_sub(1 + SHORT_LIVED * 4);
        if old > 0 { target.delete(&short_lived(old)) } else { Ok(()) }
    }

    /// What is held now.
    pub fn sample(&self, invokes: u64, elapsed: Duration, rate: f64, mut latencies: Vec<f64>) -> io::Result<Sample> {
        let target = &self.gust.target;
        let family = process::family(target.pid());
        let own: HashSet<u32> = family.iter().copied().filter(|pid| is_own(*pid, target.pid())).collect();
        let (all, own_holdings) = (process::holdings(&family), process::holdings(&own));
        let spawner = own.iter().find(|pid| **pid != target.pid()).copied().unwrap_or(target.pid());
        let mounts = std::fs::read_to_string(format!("/proc/{spawner}/mountinfo")).unwrap_or_default().lines().count();
        latencies.sort_by(f64::total_cmp);
        let queued = target.health()?["invocations"]["queued"].as_f64().unwrap_or(0.0);
        Ok(Sample {
            invokes,
            elapsed_s: elapsed.as_secs_f64(),
            rate,
            p50_us: row::quantile(&latencies, 0.5),
            p99_us: row::quantile(&latencies, 0.99),
            memory_mib: all.pss_kib as f64 / 1024.0,
            daemon_mib: process::pss_kib(target.pid()) as f64 / 1024.0,
            descriptors: own_holdings.descriptors as f64,
            threads: all.threads as f64,
            processes: all.processes as f64,
            mounts: mounts as f64,
            cgroups: sample::cgroups(&self.data_id) as f64,
            networks: all.networks as f64,
            disk_mib: sample::bytes_below(self.gust.folder.path()) as f64 / 1_048_576.0,
            queued,
        })
    }

    /// Deletes all functions, waits, and takes what is left.
    pub fn settle_and_sample(&self, counters: &Counters) -> io::Result<Sample> {
        let target = &self.gust.target;
        let answer = target.send("GET", "/2015-03-31/functions", b"")?;
        let said: serde_json::Value = serde_json::from_slice(&answer.body)?;
        for function in said["Functions"].as_array().into_iter().flatten() {
            if let Some(name) = function["FunctionName"].as_str()
                && let Err(error) = target.delete(name)
            {
                counters.count_wrong(format!("{name} could not be deleted: {error}"));
            }
        }
        std::thread::sleep(SETTLE);
        self.sample(counters.done.load(Ordering::Relaxed), Duration::ZERO, 0.0, Vec::new())
    }
}

fn short_lived(number: u64) -> String {
    format!("short-lived-{number}")
}

/// Whether the process is the daemon, or its spawner: the child with the same program.
fn is_own(pid: u32, daemon: u32) -> bool {
    let program = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    pid == daemon || (program(pid) == program(daemon) && parent(pid) == Some(daemon))
}

fn parent(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The id of the data folder, which the names of its cgroups carry.
fn data_id(gust: &Gust) -> io::Result<String> {
    let text = std::fs::read_to_string(gust.folder.path().join("id"))?;
    Ok(text.trim().to_owned())
}
