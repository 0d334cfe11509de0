//! Ends environments that nobody needs any more, and knows when all of them have ended.
#![expect(clippy::vec_box, reason = "environments are large and move between the pool and tasks on every request")]

use crate::environment::Environment;
use gust_runtime_api::ShutdownReason;
use tokio::sync::watch;

/// The environments that are ending. Clones share it.
#[derive(Clone)]
pub(crate) struct Farewells(watch::Sender<usize>);

impl Default for Farewells {
    fn default() -> Farewells {
        Farewells(watch::Sender::new(0))
    }
}

/// Counts one until it is dropped.
struct Ending(watch::Sender<usize>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Farewells {
    /// Ends `environments`: at once, or in the background where extensions have time to end.
    pub(crate) fn say(&self, environments: Vec<Box<Environment>>) {
        for mut environment in environments {
            if !environment.has_extensions() {
                drop(environment);
                continue;
            }
            self.0.send_modify(|count| *count += 1);
            let ending = Ending(self.0.clone());
            tokio::spawn(async move {
                environment.end(ShutdownReason::Spindown).await;
                drop(environment);
                drop(ending);
            });
        }
    }

    /// Waits until all have ended. Each of them has its own time limit.
    pub(crate) async fn said(&self) {
        // The sender is a field of this very value.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}
