//! What `gust up` says on standard output.

use crate::cli::Auth;
use crate::config::Config;
use crate::machine;
use gust_kit::ports::Credentials;
use gust_sandbox::{Capabilities, Egress, Enforcement, Interpreter, Language};
use owo_colors::OwoColorize;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// gust serves.
pub fn serving(config: &Config, address: SocketAddr, folder: &Path, capabilities: &Capabilities) {
    let url = format!("http://{address}");
    anstream::println!("{} {} serves {}", "gust".bold(), env!("CARGO_PKG_VERSION"), url.cyan().bold());
    let data = match config.is_ephemeral() {
        true => "nowhere (--ephemeral): all is forgotten at the end".to_owned(),
        false => folder.display().to_string(),
    };
    let auth = match (config.auth, address.ip().is_loopback()) {
        (Auth::Open, true) => "open: any key is taken, from this machine only",
        (Auth::Open, false) => "open: ANYBODY who reaches this address can run code here",
        (Auth::Strict, true) => "strict: signatures are verified, policies evaluated",
        (Auth::Strict, false) => "strict: signatures are verified, policies evaluated; plain HTTP: put TLS before it",
    };
    let egress = match config.egress {
        Egress::Nat => "functions reach what this machine does, but not the machine (--egress nat)",
        Egress::None => "functions reach gust and nothing else (--egress none)",
        Egress::Host => "functions share this machine's network (--egress host)",
    };
    let weak = capabilities.guarantees.iter().filter(|guarantee| guarantee.enforcement != Enforcement::Kernel).count();
    let sandbox = match weak {
        0 => machine::mode_text(capabilities.mode).to_owned(),
        weak => format!("{}; {weak} weaker guarantees, see `gust doctor`", machine::mode_text(capabilities.mode)),
    };
    for (name, text) in [("data", data.as_str()), ("auth", auth), ("sandbox", &sandbox), ("network", egress)] {
        anstream::println!("  {:<9}{text}", name.dimmed());
    }
    let flag = if address.port() == 4566 { String::new() } else { format!(" --endpoint {url}") };
    anstream::println!(
        "  {:<9}eval \"$(gust env{flag})\" points this shell's AWS tools here; Ctrl-C stops",
        "use".dimmed()
    );
}

/// The root key was made. On standard error, so that it does not end in a log of standard output by accident.
pub fn root_key(key: &Credentials) {
    anstream::eprintln!("{}", "The root key of this gust. It is shown now and never again:".bold());
    anstream::eprintln!("  export AWS_ACCESS_KEY_ID={}", key.access_key_id);
    anstream::eprintln!("  export AWS_SECRET_ACCESS_KEY={}", key.secret_access_key);
}

/// The interpreters that were found.
pub fn interpreters(found: &[Interpreter]) {
    for (language, title) in [(Language::Python, "python"), (Language::Node, "node")] {
        let of_language = found.iter().filter(|interpreter| interpreter.language == language);
        let mut versions: Vec<_> = of_language.map(|interpreter| interpreter.version).collect();
        versions.sort_unstable();
        versions.dedup();
        let list: Vec<String> =
            versions.iter().map(|(major, minor, micro)| format!("{major}.{minor}.{micro}")).collect();
        let text = match list.is_empty() {
            true => format!("none found: {} runtimes cannot run", language.name()),
            false => list.join(", "),
        };
        anstream::println!("  {:<9}{text}", title.dimmed());
    }
}

/// The first signal came.
pub fn draining(running: usize, limit: Duration) {
    let noun = if running == 1 { "invocation" } else { "invocations" };
    anstream::println!(
        "stopping: waiting for {running} running {noun}, at most {} s; Ctrl-C again stops at once",
        limit.as_secs()
    );
}

/// Everything has ended.
pub fn drained(cut_connections: usize, all_finished: bool) {
    if !all_finished {
        anstream::println!(
            "{}",
            "some functions were still running and were ended; accepted events run after the next start".yellow()
        );
    }
    if cut_connections > 0 {
        tracing::info!(cut_connections, "connections were cut");
    }
    anstream::println!("stopped");
}

/// The second signal came.
pub fn stopped_at_once() {
    anstream::println!("stopped at once: running functions are ended");
}
