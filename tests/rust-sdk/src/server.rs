//! A gust of our own: the real binary on a free port.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running gust, killed if it is dropped early.
pub struct Server {
    child: Child,
    /// Where it serves.
    pub url: String,
}

impl Server {
    /// Starts `$GUST_BINARY` and waits until it serves.
    pub fn start() -> Result<Server, Box<dyn Error>> {
        let binary = std::env::var("GUST_BINARY").map_err(|_| "GUST_BINARY names the binary to test")?;
        let mut child =
            Command::new(binary).args(["up", "--ephemeral", "--port", "0"]).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("gust has no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let url = loop {
            let line = lines.next().ok_or("gust ended before it served")??;
            if let Some(at) = line.find("http://") {
                break line[at..].split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Server { child, url })
    }

    /// Ends it gracefully.
    pub fn stop(mut self) -> Result<(), Box<dyn Error>> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("gust ended with {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` both are no more than questions to a process that has gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
