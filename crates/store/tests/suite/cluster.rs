//! A private PostgreSQL for one test process: its own data, sockets and port, gone at the end.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Stops the server and removes its data when dropped, also when a test panics.
pub struct Cluster {
    folder: TempDir,
    binaries: PathBuf,
    port: u16,
}

impl Cluster {
    /// Starts a server that syncs like one in production.
    ///
    /// # Panics
    /// If PostgreSQL is not installed: the tests need it (Debian: `apt-get install postgresql`).
    pub fn start() -> Cluster {
        let binaries = binaries().expect("PostgreSQL is not installed: no initdb in PATH or /usr/lib/postgresql/*/bin (Debian: apt-get install postgresql)");
        let folder = tempfile::Builder::new().prefix("gust-pg-").tempdir().unwrap();
        if is_root() {
            let user = ordinary_user();
            chown(folder.path(), Some(user.0), Some(user.1)).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let mut cluster = Cluster { folder, binaries, port: 0 };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &["--no-sync", "--auth=trust", "--username=gust", "--encoding=UTF8", "--locale=C", "-D", &data],
        );
        // Another process may take the port between the question and the start: ask again then.
        for attempt in 0.. {
            cluster.port = free_port();
            let sockets = cluster.folder.path().display();
            let settings = format!(
                "-c port={} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets} -c fsync=on",
                cluster.port
            );
            let log = cluster.folder.path().join("log").display().to_string();
            let started =
                cluster.try_run("pg_ctl", &["start", "-w", "-t", "60", "-D", &data, "-l", &log, "-o", &settings]);
            match started {
                Ok(()) => return cluster,
                Err(error) if attempt == 4 => panic!("{error}\n{}", fs::read_to_string(&log).unwrap_or_default()),
                Err(_) => {}
            }
        }
        unreachable!("the loop returns or panics")
    }

    /// What to connect with, over TCP.
    pub fn config(&self) -> String {
        format!("host=127.0.0.1 port={} user=gust dbname=postgres", self.port)
    }

    /// Kills the server's connections and starts it again, as a crash would.
    pub fn crash_and_restart(&self) {
        let data = self.data();
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["restart", "-w", "-t", "60", "-m", "immediate", "-D", &data, "-l", &log]);
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        self.try_run(program, arguments).unwrap();
    }

    fn try_run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let binary = self.binaries.join(program);
        let mut command = if is_root() {
            // PostgreSQL refuses to run as root.
            let user = ordinary_user();
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={}", user.0), format!("--regid={}", user.1), "--clear-groups".to_owned()]);
            command.arg(binary);
            command
        } else {
            Command::new(binary)
        };
        // A file rather than a pipe: the server inherits it and would keep a pipe open.
        let output = self.folder.path().join("output");
        let file = fs::File::create(&output).unwrap();
        command.args(arguments).current_dir("/").stdout(file.try_clone().unwrap()).stderr(file);
        let status = command.status().map_err(|error| format!("{program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        Err(format!("{program}: {status}\n{}", fs::read_to_string(output).unwrap_or_default()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data();
        if let Err(error) = self.try_run("pg_ctl", &["stop", "-w", "-t", "60", "-m", "immediate", "-D", &data]) {
            eprintln!("the test's PostgreSQL could not be stopped: {error}");
        }
    }
}

/// The folder of the newest PostgreSQL's programs.
fn binaries() -> Option<PathBuf> {
    let versioned = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versioned.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let has_all = |folder: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    folders.into_iter().find(has_all)
}

fn is_root() -> bool {
    process_uid() == 0
}

/// The uid of this process: the owner of its own /proc folder.
fn process_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").map_or(0, |metadata| metadata.uid())
}

/// uid and gid of `postgres`, or of `nobody`.
fn ordinary_user() -> (u32, u32) {
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("every Linux has the user nobody")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
