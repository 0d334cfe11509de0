//! An invocation runs on when its caller leaves, as on Lambda, without a task of its own while the caller stays.

use crate::execution::Rest;
use gust_kit::ports::{InvokeError, InvokeOutcome};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// What an invocation comes to: its outcome, and what is left to do with what has to be held meanwhile.
type End<G> = (Result<InvokeOutcome, InvokeError>, Option<(Rest, G)>);

/// An invocation that runs where it is awaited; dropped before its end, it goes on in a task. As many may as are let in
/// by the gate.
pub(crate) struct Persistent<F, G>
where
    F: Future<Output = End<G>> + Send + 'static,
    G: Send + 'static,
{
    /// `None` at its end, and while it is polled: one that panics is not polled again.
    future: Option<Pin<Box<F>>>,
}

impl<F, G> Persistent<F, G>
where
    F: Future<Output = End<G>> + Send + 'static,
    G: Send + 'static,
{
    pub(crate) fn new(future: F) -> Persistent<F, G> {
        Persistent { future: Some(Box::pin(future)) }
    }
}

impl<F, G> Future for Persistent<F, G>
where
    F: Future<Output = End<G>> + Send + 'static,
    G: Send + 'static,
{
    type Output = End<G>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<End<G>> {
        let mut future = self.future.take().expect("a future is not polled after its end");
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(end)) => Poll::Ready(end),
            Ok(Poll::Pending) => {
                self.future = Some(future);
                Poll::Pending
            }
            // It must not take its caller down, who may be serving others, too.
            Err(_) => Poll::Ready((Err(InvokeError::Sandbox("the invocation panicked".to_owned())), None)),
        }
    }
}

impl<F, G> Drop for Persistent<F, G>
where
    F: Future<Output = End<G>> + Send + 'static,
    G: Send + 'static,
{
    fn drop(&mut self) {
        let Some(future) = self.future.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        runtime.spawn(async move {
            if let (_, Some((rest, guard))) = future.await {
                rest.run().await;
                drop(guard);
            }
        });
    }
}
