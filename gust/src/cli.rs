//! The command line: every flag with its default, in the words `--help` shows.

use clap::{Args, Parser, Subcommand, ValueEnum};
use gust_sandbox::NatRange;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the invoked function failed, 4 nothing answers at the endpoint.

First steps:
  gust up                      start, and keep everything across restarts
  eval \"$(gust env)\"           point this shell's AWS tools at it
  aws lambda list-functions    any AWS tool works from here";

/// A serverless cloud in one binary: AWS Lambda and friends on your machine.
#[derive(Debug, Parser)]
#[command(name = "gust", version, about, after_help = AFTER_HELP, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start gust and serve until Ctrl-C.
    Up(Up),
    /// Turn a folder into a function and make every save live at once.
    Dev(Box<Dev>),
    /// Invoke a function and print its result.
    Invoke(Invoke),
    /// Show the logs of a function or of a log group.
    Logs(Logs),
    /// List functions or log groups.
    Ls(Ls),
    /// Show how often functions ran, failed and started, and how long that took.
    Stats(Stats),
    /// Say what this machine can do for functions, and what is wrong.
    Doctor(Doctor),
    /// Write everything that a data folder holds into one file.
    Export(Export),
    /// Make a data folder out of such a file.
    Import(Import),
    /// Print the environment that points AWS tools at gust, for a shell to evaluate.
    Env(Env),
}

/// `gust up`
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1", env = "GUST_HOST")]
    pub host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 4566, env = "GUST_PORT")]
    pub port: u16,
    /// Region of requests that name none, and of functions' environments.
    #[arg(long, default_value = "us-east-1", env = "GUST_REGION")]
    pub region: String,
    /// Account of keys that name none (12 digits).
    #[arg(long, default_value = "000000000000", env = "GUST_ACCOUNT")]
    pub account: String,
    /// Folder that keeps everything [default: $XDG_DATA_HOME/gust or ~/.local/share/gust].
    #[arg(long, value_name = "DIR", conflicts_with = "ephemeral", env = "GUST_DATA")]
    pub data: Option<PathBuf>,
    /// Keep everything in memory and forget it at the end.
    #[arg(long)]
    pub ephemeral: bool,
    /// Whose requests are served: `open` takes any key and asks no policy (development, loopback), `strict` verifies
    /// signatures and evaluates policies.
    #[arg(long, value_enum, default_value_t = Auth::Open, env = "GUST_AUTH")]
    pub auth: Auth,
    /// Host names, besides loopback and *.localhost, that requests may be addressed to.
    #[arg(long = "allow-host", value_name = "NAME")]
    pub allowed_hosts: Vec<String>,
    /// Folder with the AWS SDK for Python, for machines without a network (as `pip install --target DIR boto3` makes it).
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
    /// Folder with the AWS SDK for JavaScript, for machines without a network (as `npm install --prefix DIR` makes it).
    #[arg(long, value_name = "DIR")]
    pub sdk_node: Option<PathBuf>,
    /// Refuse to run a function on another interpreter version than its own.
    #[arg(long)]
    pub strict_runtimes: bool,
    /// What functions may reach beyond gust [default: nat as root, host as an ordinary user].
    #[arg(long, value_enum)]
    pub egress: Option<Egress>,
    /// Addresses of functions' environments with `--egress nat` [default: a private range that this machine has no route to].
    #[arg(long, value_name = "CIDR")]
    pub nat_range: Option<NatRange>,
    /// Name server of functions with `--egress nat`, up to three [default: this machine's].
    #[arg(long = "dns", value_name = "ADDRESS")]
    pub name_servers: Vec<Ipv4Addr>,
    /// When an idle environment is frozen: `lazy` within 100 ms, `immediate` before the answer is sent.
    #[arg(long, value_enum, default_value_t = Freeze::Lazy)]
    pub freeze: Freeze,
    /// Concurrent executions of the account.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,
    /// How long the first Ctrl-C or SIGTERM waits for running functions, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=900))]
    pub drain: u64,
    /// Milliseconds added to every sync of the store, to see what a slow disk would do. For experiments only: it makes
    /// everything slower and nothing safer.
    #[arg(long, hide = true, conflicts_with = "ephemeral", value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub sync_delay_ms: u64,
    /// End when standard input does, so that gust never outlives whoever started it.
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
    /// Listen beyond loopback although anybody who reaches the port can then run code on this machine.
    #[arg(long)]
    pub let_the_whole_network_run_code_on_this_machine: bool,
}

/// `--auth`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Auth {
    /// Any key is taken.
    Open,
    /// Signatures are verified.
    Strict,
}

/// `--egress`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Egress {
    /// Nothing but gust.
    None,
    /// What this machine reaches, behind its address; not the machine itself, nor other functions. Takes root.
    Nat,
    /// The host's own network, its loopback included.
    Host,
}

/// `--freeze`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Freeze {
    /// Within 100 ms of the answer.
    Lazy,
    /// Before the answer is sent.
    Immediate,
}

/// Where the gust is that a command talks to.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// URL of the gust to talk to.
    #[arg(long, env = "AWS_ENDPOINT_URL", default_value = "http://127.0.0.1:4566", value_name = "URL")]
    pub endpoint: String,
    /// Region [default: $AWS_REGION, $AWS_DEFAULT_REGION or us-east-1].
    #[arg(long)]
    pub region: Option<String>,
}

/// `gust dev`
#[derive(Debug, Args)]
pub struct Dev {
    /// The function's folder. What it holds is the package; `.gustignore` leaves out more than the usual.
    #[arg(default_value = ".", value_name = "DIR")]
    pub folder: PathBuf,
    /// Name of the function; it is made if it is missing [default: the folder's name].
    #[arg(long)]
    pub name: Option<String>,
    /// Runtime [default: the newest of this machine for the files in the folder].
    #[arg(long)]
    pub runtime: Option<String>,
    /// Handler [default: the first usual one, for example app.handler].
    #[arg(long)]
    pub handler: Option<String>,
    /// Environment variable of the function; may be repeated.
    #[arg(short, long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub variables: Vec<(String, String)>,
    /// Memory in MB.
    #[arg(long, value_name = "MB")]
    pub memory: Option<u32>,
    /// Time limit in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Execution role of a new function.
    #[arg(long, value_name = "ARN")]
    pub role: Option<String>,
    /// Invoke it after each change: a file, or JSON itself.
    #[arg(long, value_name = "FILE|JSON")]
    pub invoke: Option<String>,
    /// Let a debugger attach (debugpy, Node's inspector), at this port of the machine; without time limits.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true)]
    pub debug: Option<Option<u16>>,
    /// Start the function only when a debugger is attached.
    #[arg(long, requires = "debug")]
    pub wait: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// `gust invoke`
#[derive(Debug, Args)]
pub struct Invoke {
    /// Name, partial ARN or ARN of the function.
    pub name: String,
    /// The event: a file, `-` for standard input, or JSON itself.
    #[arg(short, long, default_value = "{}", value_name = "FILE|-|JSON")]
    pub event: String,
    /// Version or alias.
    #[arg(short, long)]
    pub qualifier: Option<String>,
    /// Show the last 4 KB of the function's log on standard error.
    #[arg(short, long, conflicts_with = "asynchronous")]
    pub log: bool,
    /// Queue the event and return at once.
    #[arg(long = "async")]
    pub asynchronous: bool,
    /// Print status, error kind, version, log and payload as one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// `gust logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// A function's name, or a log group when it begins with `/`.
    pub name: String,
    /// Go on showing new lines until Ctrl-C.
    #[arg(short, long)]
    pub follow: bool,
    /// How far back to begin: 90s, 10m, 2h, 7d.
    #[arg(short, long, default_value = "10m", value_name = "AGE", value_parser = crate::duration::parse)]
    pub since: std::time::Duration,
    /// Show only events that match this CloudWatch Logs filter pattern.
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Print one JSON object a line.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// What `gust ls` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Lambda functions.
    Functions,
    /// Log groups.
    Groups,
}

/// `gust ls`
#[derive(Debug, Args)]
pub struct Ls {
    /// What to list.
    #[arg(value_enum, default_value_t = Listing::Functions)]
    pub what: Listing,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// `gust stats`
#[derive(Debug, Args)]
pub struct Stats {
    /// Only this function (name or ARN) [default: all of the account].
    pub name: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// `gust doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// Folder that `gust up` would use.
    #[arg(long, value_name = "DIR", env = "GUST_DATA")]
    pub data: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// `gust export`
#[derive(Debug, Args)]
pub struct Export {
    /// The file to write; it must not exist.
    pub file: PathBuf,
    /// The data folder, whether its gust runs or not [default: as `gust up`].
    #[arg(long, value_name = "DIR", env = "GUST_DATA")]
    pub data: Option<PathBuf>,
}

/// `gust import`
#[derive(Debug, Args)]
pub struct Import {
    /// The file that `gust export` wrote.
    pub file: PathBuf,
    /// The data folder to make; missing or empty [default: as `gust up`].
    #[arg(long, value_name = "DIR", env = "GUST_DATA")]
    pub data: Option<PathBuf>,
}

/// `gust env`
#[derive(Debug, Args)]
pub struct Env {
    /// Account to act in (12 digits): in `--auth open` it is the access key id.
    #[arg(long, default_value = "000000000000")]
    pub account: String,
    /// Print one JSON object instead of shell commands.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub target: Target,
}

/// A size for people.
pub fn size_text(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KB", bytes / 1_024),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_data_folder_and_ephemeral_exclude_each_other() {
        assert!(Arguments::try_parse_from(["gust", "up", "--data", "x", "--ephemeral"]).is_err());
    }
}
