//! Turns to start an environment: a burst starts no more at a time than the cores can usefully start.
//!
//! A request that has to wait for its turn takes an environment instead that becomes free meanwhile.

use crate::environment::Environment;
use crate::limits::{START_TURN_HELD_MAX, START_TURN_WAIT, STARTS_PER_CORE_MAX};
use crate::pool::FunctionPool;
use gust_kit::ports::{InvokeError, InvokeRequest, ThrottleReason};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// All turns of an engine.
pub(crate) struct Turns(Arc<Semaphore>);

/// The turn to start an environment, until it is dropped or has been held for [`START_TURN_HELD_MAX`].
pub(crate) struct Turn(JoinHandle<()>);

/// What a request that found no idle environment gets.
pub(crate) enum Next {
    /// It may start one.
    Start(Turn),
    /// One became free first.
    Free(Box<Environment>),
}

/// How many environments start at a time by default.
pub(crate) fn starts_max_default() -> usize {
    STARTS_PER_CORE_MAX * std::thread::available_parallelism().map_or(1, usize::from)
}

impl Turns {
    pub(crate) fn new(starts_max: usize) -> Turns {
        Turns(Arc::new(Semaphore::new(starts_max)))
    }

    /// Waits for a turn or for a free environment that may serve `request`, whichever comes first.
    pub(crate) async fn next(&self, function: &FunctionPool, request: &InvokeRequest) -> Result<Next, InvokeError> {
        if let Ok(permit) = self.0.clone().try_acquire_owned() {
            return Ok(Next::Start(Turn::held(permit)));
        }
        let mut free = function.wait_for_free(request);
        let turn = async {
            tokio::select! {
                Ok(environment) = &mut free => Some(Next::Free(environment)),
                permit = self.0.clone().acquire_owned() => permit.ok().map(|permit| Next::Start(Turn::held(permit))),
            }
        };
        let next = timeout(START_TURN_WAIT, turn).await.ok().flatten();
        if let Some(Next::Free(_)) = next {
            return next.ok_or(InvokeError::ShuttingDown);
        }
        // One may have come in this very moment.
        free.close();
        match (free.try_recv(), next) {
            (Ok(environment), _) => Ok(Next::Free(environment)),
            (Err(_), Some(next)) => Ok(next),
            (Err(_), None) => Err(InvokeError::Throttled(ThrottleReason::CallerRateLimitExceeded)),
        }
    }
}

impl Turn {
    fn held(permit: OwnedSemaphorePermit) -> Turn {
        Turn(tokio::spawn(async move {
            sleep(START_TURN_HELD_MAX).await;
            drop(permit);
        }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.abort();
    }
}
