//! The gust that runs the function: one that answers, or one of our own that ends with us.

use crate::client::Client;
use crate::failure::{Context, EXIT_UNREACHABLE, Failure};
use http::Uri;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a gust of our own may take to serve.
const START_MS_MAX: u64 = 30_000;
/// How long it may take to end.
const STOP_MS_MAX: u64 = 10_000;
/// How long the search for interpreters is waited for.
const RUNTIMES_MS_MAX: u64 = 15_000;
/// How many of its last lines are shown if it does not start.
const LINES_SHOWN_MAX: usize = 20;

/// A gust that was started here and ends with us, even if we are killed: it ends when its standard input does.
pub struct OwnGust {
    child: Child,
}

/// Makes sure that a gust answers at the client's endpoint; starts one there if the endpoint is on this machine and
/// nothing listens.
///
/// Errors: nothing answers and nothing can be started.
pub async fn find_or_start(client: &Client) -> Result<Option<OwnGust>, Failure> {
    match health(client).await {
        Ok(_) => Ok(None),
        Err(failure) if failure.exit_code == EXIT_UNREACHABLE && is_loopback(client.endpoint()) => {
            OwnGust::start(client).await.map(Some)
        }
        Err(failure) => Err(failure),
    }
}

/// What `/_gust/health` says.
///
/// Errors: nothing answers, or something else than gust.
pub async fn health(client: &Client) -> Result<Value, Failure> {
    let answer = client.get("/_gust/health").await?;
    let health: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.head.status.is_success() && health["status"] == "ok" && health["version"].is_string() {
        return Ok(health);
    }
    Err(Failure::new(format!("what answers at {} is no gust", client.endpoint()))
        .hint("name another with --endpoint URL"))
}

/// Which runtimes it can run: name and fit (`exact`, `nearest`, `missing`). Waits, within bounds, while it still looks.
pub async fn runtimes(client: &Client) -> Result<Vec<(String, String)>, Failure> {
    let deadline = Instant::now() + Duration::from_millis(RUNTIMES_MS_MAX);
    loop {
        let health = health(client).await?;
        if let Some(runtimes) = health["runtimes"].as_object() {
            let fit = |fit: &Value| fit.as_str().unwrap_or_default().to_owned();
            return Ok(runtimes.iter().map(|(name, value)| (name.clone(), fit(value))).collect());
        }
        if Instant::now() > deadline {
            return Err(Failure::new("gust still looks for interpreters").hint("name the --runtime"));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl OwnGust {
    async fn start(client: &Client) -> Result<OwnGust, Failure> {
        let host = client.endpoint().host().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
        let host = if host.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { host };
        let port = client.endpoint().port_u16().unwrap_or(80).to_string();
        let executable = std::env::current_exe().context("cannot find gust's own program")?;
        let mut command = Command::new(executable);
        command.args(["up", "--ephemeral", "--end-with-stdin", "--drain", "0", "--host", host, "--port", &port]);
        if std::env::var_os("GUST_LOG").is_none() {
            command.env("GUST_LOG", "warn");
        }
        // Ctrl-C is for us; we end it in our own time.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("cannot start a gust of our own")?;
        let output = child.stdout.take().ok_or_else(|| Failure::new("its output cannot be read"))?;
        let mut lines = BufReader::new(output).lines();
        let mut said = Vec::new();
        let serves = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains(" serves ") {
                    return true;
                }
                said.push(line);
            }
            false
        };
        if timeout(Duration::from_millis(START_MS_MAX), serves).await != Ok(true) {
            let tail = said.split_off(said.len().saturating_sub(LINES_SHOWN_MAX)).join("\n");
            let text = format!("a gust of our own did not start {tail}");
            return Err(Failure::new(text.trim_end().to_owned()).hint("start one with `gust up` to see why"));
        }
        // A full pipe would make it wait.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(OwnGust { child })
    }

    /// Ends it and waits for its end.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It fails if it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(Duration::from_millis(STOP_MS_MAX), self.child.wait()).await.is_err() {
            tracing::warn!("the gust of our own did not end in time and is killed");
        }
    }
}

fn is_loopback(endpoint: &Uri) -> bool {
    let host = endpoint.host().unwrap_or_default().trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|host| host.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gust_is_started_on_this_machine_only() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4566", true),
            ("http://[::1]:4566", true),
            ("http://localhost:1", true),
            ("http://10.0.0.1:4566", false),
            ("http://localhost.example:4566", false),
        ] {
            assert_eq!(is_loopback(&endpoint.parse().unwrap()), expected, "{endpoint}");
        }
    }
}
