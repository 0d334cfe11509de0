//! How a request gets its environment: one that is idle, one that becomes free, or a new one.

use crate::engine::Inner;
use crate::environment::Environment;
use crate::limits::START_TURN_WAIT;
use crate::pool::{Counted, FunctionPool, Taken, Ticket};
use crate::start::{self, Started};
use crate::times::{Load, Situation};
use crate::turn::{Turn, cores};
use gust_kit::ports::{InvokeError, InvokeRequest, ThrottleReason};
use gust_types::{Clock, SystemClock};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// What a request gets that found nothing idle.
pub(crate) enum Next {
    /// One became free.
    Free(Box<Environment>),
    /// It may start one.
    Start(Turn),
}

/// An environment for `request`.
pub(crate) async fn acquire(
    engine: &Arc<Inner>,
    function: &Arc<FunctionPool>,
    request: &InvokeRequest,
) -> Result<Started, InvokeError> {
    loop {
        let mut environment = match function.take(request) {
            Taken::Idle(environment) => environment,
            Taken::Full => return Err(InvokeError::Throttled(ThrottleReason::CallerRateLimitExceeded)),
            Taken::Wait(ticket, situation) => match next(engine, function, ticket, situation).await? {
                Next::Free(environment) => environment,
                Next::Start(turn) => {
                    let _starting = Counted::new(function, |pool| &pool.starting);
                    return start::start(engine, function, request, turn).await;
                }
            },
        };
        if !environment.is_usable(SystemClock.now_ms(), request.function.timeout_ms) {
            engine.farewells.say(vec![environment]);
            continue;
        }
        match environment.thaw().await {
            Ok(()) => {
                environment.taken_at = Some(Instant::now());
                return Ok(Started::Ready { environment, init_us: None });
            }
            Err(error) => tracing::warn!(environment = environment.id, error, "an environment could not be thawed"),
        }
    }
}

/// How many starts share the processors, with another one.
pub(crate) fn load(engine: &Inner) -> Load {
    Load { starts: engine.turns.running() + 1, cores: cores() }
}

/// Waits for an environment that becomes free; after a while, or at once if starting one is likely to be quicker, also
/// for a turn to start one.
async fn next(
    engine: &Inner,
    function: &FunctionPool,
    ticket: Ticket,
    situation: Situation,
) -> Result<Next, InvokeError> {
    let began = Instant::now();
    let patience = function.times.patience(situation, load(engine));
    let next = wait(engine, function, ticket, patience).await;
    if let Ok(Next::Free(_)) = next {
        function.times.waited(began.elapsed());
    }
    next
}

async fn wait(
    engine: &Inner,
    function: &FunctionPool,
    mut ticket: Ticket,
    patience: Duration,
) -> Result<Next, InvokeError> {
    if !patience.is_zero()
        && let Ok(Ok(environment)) = timeout(patience, &mut ticket.environment).await
    {
        return Ok(Next::Free(environment));
    }
    let mut turn = engine.turns.take(&function.arn);
    let until = Instant::now() + START_TURN_WAIT;
    let either = async {
        tokio::select! {
            biased;
            Ok(environment) = &mut ticket.environment => Some(Next::Free(environment)),
            Ok(turn) = &mut turn => Some(Next::Start(turn)),
            else => None,
        }
    };
    let next = timeout_at(until, either).await.ok().flatten();
    if let Some(Next::Free(_)) = next {
        return next.ok_or(InvokeError::ShuttingDown);
    }
    // One may have come in this very moment.
    ticket.environment.close();
    match (ticket.environment.try_recv(), next) {
        (Ok(environment), _) => Ok(Next::Free(environment)),
        (Err(_), Some(next)) => Ok(next),
        (Err(_), None) => Err(InvokeError::Throttled(ThrottleReason::CallerRateLimitExceeded)),
    }
}

/// An environment that nobody asked for yet: for whoever comes next.
pub(crate) async fn acquire_idle(
    engine: &Arc<Inner>,
    function: &Arc<FunctionPool>,
    request: &InvokeRequest,
) -> Result<(), InvokeError> {
    let environment = match acquire(engine, function, request).await? {
        Started::Ready { environment, .. } | Started::Repeated { environment, .. } => environment,
        Started::Failed { .. } => return Ok(()),
    };
    function.announce(&environment);
    function.give_back(environment);
    Ok(())
}
