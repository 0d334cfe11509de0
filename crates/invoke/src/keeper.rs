//! Freezes and ends idle environments when their time has come: one task a pool, while the pool has any that wait for
//! something.

use crate::environment::Environment;
use crate::limits::FREEZE_AFTER;
use crate::pool::{FunctionPool, Shelf, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What there is to do about an idle environment.
enum Due {
    /// It is announced, and comes back.
    Freeze(Box<Environment>),
    End(Box<Environment>),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing.
    Rest,
}

/// How long an environment runs idly before it is frozen.
fn freeze_after(idle_timeout: Duration) -> Duration {
    FREEZE_AFTER.min(idle_timeout)
}

/// An environment has become idle, or settled: the keeper looks in time.
pub(crate) fn wake(pool: &Arc<FunctionPool>, state: &mut State, since: Instant, is_settled: bool) {
    let wait = if is_settled { pool.idle_timeout } else { freeze_after(pool.idle_timeout) };
    let due = since + wait;
    match state.keeper_until {
        None => {
            state.keeper_until = Some(due);
            tokio::spawn(keep(pool.clone()));
        }
        Some(until) if due < until => {
            state.keeper_until = Some(due);
            pool.keeper.notify_one();
        }
        Some(_) => {}
    }
}

/// When something is next to be done on a shelf. Those that are kept ready are frozen too, and never end.
fn next_of(shelf: &Shelf, idle_timeout: Duration) -> Option<Instant> {
    let freezes = [&shelf.provisioned, &shelf.on_demand].into_iter().filter_map(|idle| idle.freezes_since());
    let freezes = freezes.map(|since| since + freeze_after(idle_timeout));
    let ends = shelf.on_demand.settled_since().map(|since| since + idle_timeout);
    freezes.chain(ends).min()
}

/// Takes out what is due, one at a time: the others can be taken meanwhile.
fn next(pool: &FunctionPool, now: Instant) -> Due {
    let mut state = pool.lock();
    let idle_timeout = pool.idle_timeout;
    let mut next_look: Option<Instant> = None;
    for shelf in state.all_mut() {
        let Some(due) = next_of(shelf, idle_timeout) else { continue };
        if due > now {
            next_look = Some(next_look.map_or(due, |other| other.min(due)));
            continue;
        }
        if let Some(ended) = now.checked_sub(idle_timeout).and_then(|since| shelf.on_demand.take_to_end(since)) {
            return Due::End(ended);
        }
        let since = now.checked_sub(freeze_after(idle_timeout));
        for is_provisioned in [true, false] {
            let found = since.and_then(|since| shelf.idle(is_provisioned).take_to_freeze(since));
            if let Some((_, environment)) = found {
                shelf.expect();
                return Due::Freeze(environment);
            }
        }
    }
    state.keeper_until = next_look;
    match next_look {
        Some(until) => Due::Wait(until),
        None => {
            state.tidy();
            Due::Rest
        }
    }
}

async fn keep(pool: Arc<FunctionPool>) {
    loop {
        match next(&pool, Instant::now()) {
            Due::End(environment) => pool.farewells.say(vec![environment]),
            Due::Freeze(mut environment) => {
                environment.freeze().await;
                if environment.is_frozen {
                    pool.put(environment);
                } else {
                    // One that cannot be frozen is ended rather than looked at for ever.
                    pool.withdraw(&environment);
                    pool.farewells.say(vec![environment]);
                }
            }
            Due::Wait(until) => {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = pool.keeper.notified() => {}
                }
            }
            Due::Rest => return,
        }
    }
}
