//! `gust dev`: a folder becomes a function, and every save is live at once.

mod debug;
mod function;
mod guess;
mod own_gust;
mod package;
mod session;
mod snapshot;
mod tree;
mod watch;

use crate::cli;
use crate::client::{Client, Outgoing, encode, now_ms, service_error};
use crate::commands::invoke::read_event;
use crate::commands::logs::Follower;
use crate::failure::{Context, Failure};
use debug::Debugger;
use function::{Function, Wish};
use guess::Language;
use http::Method;
use owo_colors::OwoColorize;
use package::Packer;
use session::Session;
use snapshot::Snapshots;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tree::{Difference, Tree, TreeError};
use watch::Watcher;

/// Pause between two looks for new log lines.
const LOG_PAUSE_MS: u64 = 200;
/// Looks at a tree whose folders change while it is looked at.
const LOOKS_MAX: usize = 10;
/// Names of changed files that are shown.
const NAMES_SHOWN_MAX: usize = 3;

/// Develops until Ctrl-C.
pub async fn run(flags: cli::Dev) -> Result<(), Failure> {
    let root =
        flags.folder.canonicalize().map_err(|cause| Failure::usage(format!("{}: {cause}", flags.folder.display())))?;
    let tree = Tree::scan(&root).map_err(|cause| Failure::usage(format!("{}: {cause}", root.display())))?;
    let client = Arc::new(Client::new(&flags.target)?);
    let name = function_name(&flags, &root)?;
    let own_gust = own_gust::find_or_start(&client).await?;
    let outcome = develop(&flags, client, root, tree, &name, own_gust.is_some()).await;
    if let Some(own_gust) = own_gust {
        own_gust.stop().await;
    }
    outcome
}

async fn develop(
    flags: &cli::Dev,
    client: Arc<Client>,
    root: PathBuf,
    tree: Tree,
    name: &str,
    is_own_gust: bool,
) -> Result<(), Failure> {
    let mut watcher = Watcher::new()?;
    watcher.follow(&tree.folders)?;
    let door = open_door(&client, flags).await?;
    let mut packer = Packer::default();
    let function = match Function::find(&client, name).await? {
        Some(function) => function.configure(&client, flags).await?,
        None => create(&client, flags, &root, &tree, name, &mut packer, door.is_some()).await?,
    };
    let way = match door {
        Some(session) => {
            let snapshots = Snapshots::new(session.folder().to_owned());
            Way::Door(Box::new(ThroughDoor { session, snapshots, debugger: debugger(flags, &function).await? }))
        }
        None => Way::Upload,
    };
    let (invoke, invoking) = (flags.invoke.clone(), None);
    let mut work = Work { client, root, function, way, packer, tree: Tree::default(), invoke, invoking };
    let debug_port = work.publish(&tree).await?;
    work.tree = tree;
    work.introduce(is_own_gust, debug_port).await;
    let follower = Follower::new(work.function.log_group.clone(), now_ms());
    let logs = tokio::spawn(follow(work.client.clone(), follower));
    work.invoke();
    work.prepare();
    let outcome = work.until_stopped(&mut watcher).await;
    logs.abort();
    match is_own_gust {
        true => anstream::println!("stopped, and gust with it"),
        false => work.leave().await,
    }
    outcome
}

fn function_name(flags: &cli::Dev, root: &Path) -> Result<String, Failure> {
    if let Some(name) = &flags.name {
        return Ok(name.clone());
    }
    let folder = root.file_name().unwrap_or_default().to_string_lossy();
    guess::function_name(&folder)
        .ok_or_else(|| Failure::usage("its name makes no function's name: name it with --name"))
}

/// The session, if gust is on this machine, ours, and lets developers in.
async fn open_door(client: &Client, flags: &cli::Dev) -> Result<Option<Session>, Failure> {
    let health = own_gust::health(client).await?;
    let why_not = match health["dev_socket"].as_str() {
        Some(socket) => match Session::open(Path::new(socket)).await {
            Ok(session) => return Ok(Some(session)),
            Err(failure) => failure.message,
        },
        None => "it has no door for developers (--auth strict)".to_owned(),
    };
    if flags.debug.is_some() {
        let text = format!("--debug needs a gust of the same user on this machine: {why_not}");
        return Err(Failure::new(text));
    }
    anstream::eprintln!("{} every save is uploaded, which takes longer: {why_not}", "note:".yellow());
    Ok(None)
}

async fn create(
    client: &Client,
    flags: &cli::Dev,
    root: &Path,
    tree: &Tree,
    name: &str,
    packer: &mut Packer,
    has_door: bool,
) -> Result<Function, Failure> {
    let wish = wish(client, flags, root, tree, name).await?;
    let placeholder;
    let zip = match packer.pack(tree) {
        Ok(zip) => zip,
        // Only an upload has this limit; through the door the function runs all the same.
        Err(failure) if has_door && failure.message.contains("50 MB") => {
            placeholder = package::placeholder()?;
            &placeholder
        }
        Err(failure) => return Err(failure),
    };
    Function::create(client, &wish, zip, flags).await
}

/// What the new function is to be: by the flags, or else by the files.
async fn wish(client: &Client, flags: &cli::Dev, root: &Path, tree: &Tree, name: &str) -> Result<Wish, Failure> {
    let unclear = |guess::Unclear(text): guess::Unclear| Failure::usage(format!("{}: {text}", root.display()));
    let files = tree.top_files();
    let language = match &flags.runtime {
        Some(runtime) => Language::of_runtime(runtime),
        None => Some(guess::language(&files).map_err(unclear)?),
    };
    let handler = match (&flags.handler, language) {
        (Some(handler), _) => handler.clone(),
        (None, Some(language)) => {
            let read = |file: &str| std::fs::read_to_string(&tree.files.get(file)?.source).ok();
            guess::handler(language, &files, read).map_err(unclear)?
        }
        (None, None) => return Err(Failure::usage("name the --handler")),
    };
    let runtime = match (&flags.runtime, language) {
        (Some(runtime), _) => runtime.clone(),
        (None, Some(Language::Custom)) => "provided.al2023".to_owned(),
        (None, Some(language)) => newest_runtime(client, language).await?,
        (None, None) => return Err(Failure::usage("name the --runtime")),
    };
    if language == Some(Language::Custom) && tree.files.get("bootstrap").is_some_and(|file| !file.is_executable) {
        return Err(Failure::usage("its bootstrap is not executable").hint("chmod +x bootstrap"));
    }
    Ok(Wish { name: name.to_owned(), runtime, handler })
}

/// The newest runtime of the language that this gust runs exactly, or else nearly.
async fn newest_runtime(client: &Client, language: Language) -> Result<String, Failure> {
    let runtimes = own_gust::runtimes(client).await?;
    let version = |name: &str| {
        let number = |text: &str| text.trim_end_matches(".x").parse::<u32>().unwrap_or_default();
        let text = name.trim_start_matches(language.runtime_prefix());
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        (number(major), number(minor))
    };
    let newest = |fit: &str| {
        let fitting =
            runtimes.iter().filter(|(name, found)| name.starts_with(language.runtime_prefix()) && found == fit);
        fitting.map(|(name, _)| name.clone()).max_by_key(|name| version(name))
    };
    newest("exact").or_else(|| newest("nearest")).ok_or_else(|| {
        let text = format!("no interpreter for {} was found on this machine", language.runtime_prefix());
        Failure::new(text).hint("`gust doctor` says where it looks; or name the --runtime")
    })
}

async fn debugger(flags: &cli::Dev, function: &Function) -> Result<Option<Debugger>, Failure> {
    let Some(port) = flags.debug else { return Ok(None) };
    let language = Language::of_runtime(&function.runtime);
    let language = language.ok_or_else(|| Failure::usage(format!("--debug cannot debug {}", function.runtime)))?;
    Debugger::prepare(language, port, flags.wait, &function.environment).await.map(Some)
}

async fn follow(client: Arc<Client>, mut follower: Follower) {
    loop {
        if let Err(failure) = follower.show_new(&client).await {
            tracing::debug!(cause = %failure, "the log could not be read");
        }
        sleep(Duration::from_millis(LOG_PAUSE_MS)).await;
    }
}

/// How new code gets to gust.
enum Way {
    /// Straight from a copy of the folder.
    Door(Box<ThroughDoor>),
    /// As a zip through the AWS API.
    Upload,
}

struct ThroughDoor {
    session: Session,
    snapshots: Snapshots,
    debugger: Option<Debugger>,
}

/// A folder under development.
struct Work {
    client: Arc<Client>,
    root: PathBuf,
    function: Function,
    way: Way,
    packer: Packer,
    /// What runs now.
    tree: Tree,
    invoke: Option<String>,
    invoking: Option<JoinHandle<()>>,
}

impl Work {
    /// Has the function run `tree`. Returns the debugger's port, if there is one.
    async fn publish(&mut self, tree: &Tree) -> Result<Option<u16>, Failure> {
        match &mut self.way {
            Way::Door(door) => {
                let package = door.debugger.as_ref().map_or_else(|| tree.clone(), |debugger| debugger.add_to(tree));
                let folder = door.snapshots.take(package).await.context("cannot copy the code")?;
                let order = door.debugger.as_ref().map(Debugger::order);
                door.session.serve(&self.function.arn, &folder, order).await
            }
            Way::Upload => {
                let zip = self.packer.pack(tree)?;
                self.function.upload(&self.client, zip).await.map(|()| None)
            }
        }
    }

    async fn introduce(&self, is_own_gust: bool, debug_port: Option<u16>) {
        let Function { name, runtime, handler, is_new, .. } = &self.function;
        let made = if *is_new { "new function" } else { "function" };
        anstream::println!("{} {made} {} ({runtime}, {handler})", "gust dev:".bold(), name.cyan().bold());
        let own = if is_own_gust { ", of its own and only as long as this runs" } else { "" };
        let endpoint = self.client.endpoint().to_string();
        let endpoint = endpoint.trim_end_matches('/');
        let flag = if endpoint.ends_with(":4566") { String::new() } else { format!(" --endpoint {endpoint}") };
        let files =
            format!("{} ({} files, {})", self.root.display(), self.tree.files.len(), cli::size_text(self.tree.bytes));
        let mut rows = vec![
            ("gust", format!("{endpoint}{own}")),
            ("watches", files),
            ("try", format!("gust invoke {name}{flag} -e '{{}}'")),
        ];
        rows.extend(self.function.url(&self.client).await.map(|url| ("url", url)));
        rows.extend(debug_port.map(|port| ("debug", self.attach_text(port))));
        for (head, text) in rows {
            anstream::println!("  {:<9}{text}", head.dimmed());
        }
        anstream::println!("  {:<9}every save is live at once; Ctrl-C stops", "use".dimmed());
    }

    fn attach_text(&self, port: u16) -> String {
        let root = self.root.display();
        match Language::of_runtime(&self.function.runtime) {
            Some(Language::Python) => format!("attach debugpy to 127.0.0.1:{port}; {root} is /var/task there"),
            Some(Language::Node) => format!("attach to Node at 127.0.0.1:{port}; {root} is /var/task there"),
            _ => format!("127.0.0.1:{port} leads to that port inside"),
        }
    }

    /// Publishes every change until a signal comes.
    async fn until_stopped(&mut self, watcher: &mut Watcher) -> Result<(), Failure> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        // What changed while the function was being made.
        self.look(watcher, Instant::now()).await?;
        loop {
            let began = tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                began = watcher.changed() => began?,
            };
            self.look(watcher, began).await?;
        }
    }

    /// What can be done ahead of the next change.
    fn prepare(&mut self) {
        if let Way::Door(door) = &mut self.way {
            door.snapshots.prepare();
        }
    }

    /// Looks at the folder, and publishes what has changed since `began`.
    async fn look(&mut self, watcher: &mut Watcher, began: Instant) -> Result<(), Failure> {
        let tree = match self.scan(watcher)? {
            Ok(tree) => tree,
            Err(TreeError::Gone) => {
                say_trouble(&format!("{} is gone: the last code runs on until it is back", self.root.display()));
                // Its return is seen above it.
                let above = self.root.ancestors().skip(1).find(|above| above.is_dir()).map(Path::to_owned);
                watcher.follow(&above.into_iter().collect::<BTreeSet<_>>())?;
                return Ok(());
            }
            Err(cause) => {
                say_trouble(&format!("not taken over, the last code runs on: {cause}"));
                return Ok(());
            }
        };
        let difference = tree.difference(&self.tree);
        if difference.is_empty() {
            return Ok(());
        }
        if tree.files.is_empty() {
            say_trouble("nothing is left in it: the last code runs on");
            return Ok(());
        }
        match self.publish(&tree).await {
            Ok(_) => say_live(&difference, began),
            Err(failure) if failure.message == session::GONE => return Err(failure),
            Err(failure) => {
                say_trouble(&format!("not taken over, the last code runs on: {failure}"));
                return Ok(());
            }
        }
        self.tree = tree;
        self.invoke();
        self.prepare();
        Ok(())
    }

    /// The tree, and everything in it is being watched.
    fn scan(&self, watcher: &mut Watcher) -> Result<Result<Tree, TreeError>, Failure> {
        let mut looks = 0;
        loop {
            let tree = match Tree::scan(&self.root) {
                Ok(tree) => tree,
                Err(cause) => return Ok(Err(cause)),
            };
            looks += 1;
            // In a new folder more may have appeared before it was watched.
            if !watcher.follow(&tree.folders)? || looks == LOOKS_MAX {
                return Ok(Ok(tree));
            }
        }
    }

    /// `--invoke`: runs the function and shows what comes of it, beside everything else. What still runs from the change
    /// before is no longer waited for.
    fn invoke(&mut self) {
        let Some(event) = self.invoke.clone() else { return };
        if let Some(before) = self.invoking.take() {
            before.abort();
        }
        let (client, name) = (self.client.clone(), self.function.name.clone());
        self.invoking = Some(tokio::spawn(async move { show_invocation(&client, &name, &event).await }));
    }

    /// Leaves the function with the last code, also without us.
    async fn leave(&mut self) {
        let name = self.function.name.clone();
        if matches!(self.way, Way::Upload) {
            anstream::println!("stopped; {name} keeps the last code");
            return;
        }
        // While it is still served through the door, so that the code before never runs again.
        let uploaded = match self.packer.pack(&self.tree) {
            Ok(zip) => self.function.upload(&self.client, zip).await,
            Err(failure) => Err(failure),
        };
        match uploaded {
            Ok(()) => anstream::println!("stopped; {name} keeps the last code"),
            Err(failure) => say_trouble(&format!("stopped; {name} runs what was deployed before: {failure}")),
        }
    }
}

async fn show_invocation(client: &Client, name: &str, event: &str) {
    let began = Instant::now();
    let outcome = async {
        let path = format!("/2015-03-31/functions/{}/invocations", encode(name));
        let headers = vec![("content-type", "application/json".to_owned())];
        let body = read_event(event)?;
        let answer =
            client.send(Outgoing { service: "lambda", method: Method::POST, path: &path, headers, body }).await?;
        if answer.head.status.is_success() { Ok(answer) } else { Err(service_error(&answer)) }
    };
    match outcome.await {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let failed = answer.header("x-amz-function-error").is_some();
            let text = if failed { text.red().to_string() } else { text };
            let took = format!("({} ms)", began.elapsed().as_millis());
            anstream::println!("{} {text} {}", "=>".bold(), took.dimmed());
        }
        Err(failure) => say_trouble(&format!("it could not be invoked: {failure}")),
    }
}

fn say_trouble(text: &str) {
    anstream::eprintln!("{} {text}", "dev:".red().bold());
}

fn say_live(difference: &Difference, began: Instant) {
    let took_ms = began.elapsed().as_millis();
    anstream::println!("{} {}", changes_text(difference), format!("live in {took_ms} ms").green());
}

fn changes_text(difference: &Difference) -> String {
    let gone = difference.removed.iter().map(|path| format!("{path} (deleted)"));
    let names: Vec<String> = difference.changed.iter().cloned().chain(gone).collect();
    match names.len().checked_sub(NAMES_SHOWN_MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES_SHOWN_MAX].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_and_many_are_counted() {
        let names = |count: usize| (0..count).map(|number| format!("{number}.py")).collect();
        let of = |changed, removed| changes_text(&Difference { changed, removed });
        assert_eq!(of(names(1), Vec::new()), "0.py");
        assert_eq!(of(names(2), names(1)), "0.py, 1.py, 0.py (deleted)");
        assert_eq!(of(names(3), names(2)), "0.py, 1.py, 2.py and 2 more");
        assert_eq!(
            ["512 B", "2 KB", "1.5 MB"],
            [512, 2_048, 1_572_864].map(cli::size_text).each_ref().map(String::as_str)
        );
    }
}
