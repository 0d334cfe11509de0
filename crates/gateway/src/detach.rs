//! Lets an operation finish although its client has gone.

use crate::limits::DETACHED_MAX;
use futures_util::future::BoxFuture;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::runtime::Handle;

static DETACHED: AtomicUsize = AtomicUsize::new(0);

/// A future that runs where it is awaited, without a task of its own; dropped before its end, it is moved to a
/// task and goes on there.
pub(crate) struct Finish<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Finish<T> {
    pub fn new(future: BoxFuture<'static, T>) -> Finish<T> {
        Finish(Some(future))
    }
}

impl<T: Send + 'static> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Taken out while it runs: one that panics is not to be polled again.
        let mut future = self.0.take().expect("a future is not polled after its end");
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        let Some(future) = self.0.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let Some(place) = Place::take() else {
            tracing::warn!("an operation without a client was given up: {DETACHED_MAX} others go on without theirs");
            return;
        };
        runtime.spawn(async move {
            let _place = place;
            future.await
        });
    }
}

/// One of the places for detached operations.
struct Place;

impl Place {
    fn take() -> Option<Place> {
        let taken = DETACHED.fetch_add(1, Ordering::Relaxed);
        let place = Place;
        (taken < DETACHED_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        DETACHED.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn it_finishes_where_it_is_awaited() {
        assert_eq!(Finish::new(Box::pin(async { 7 })).await, 7);
    }

    #[tokio::test]
    async fn it_finishes_after_it_was_dropped() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        let mut future = Finish::new(Box::pin(async move {
            gone.await.unwrap();
            done.send(7).unwrap();
        }));
        assert!(futures_util::poll!(&mut future).is_pending());
        drop(future);
        go.send(()).unwrap();
        assert_eq!(finished.await.unwrap(), 7);
    }
}
