//! What one environment's HTTP runtime is doing, shared between gust and the runtime's requests.
//!
//! The runtime asks for the next event, answers it, asks again; anything out of that order is refused,
//! as Lambda refuses it.

use crate::{Answer, FunctionFailure, Invocation, Ready};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// Where the runtime is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// It has not asked for an event yet.
    Initialising,
    /// It reported that it cannot start.
    InitFailed,
    /// It may ask for an event, and perhaps has.
    Idle,
    /// It has this event, or will get it when it asks.
    Invoking(String),
    /// It streams its response to this event.
    Streaming,
    /// It has answered the last event and not yet asked for the next.
    Responded,
}

impl Phase {
    /// The name by which Lambda's refusals call it.
    fn name(&self) -> &'static str {
        match self {
            Phase::Initialising => "RuntimeStarted",
            Phase::InitFailed => "RuntimeInitError",
            Phase::Idle => "RuntimeReady",
            Phase::Invoking(_) => "RuntimeRunning",
            Phase::Streaming => "RuntimeInvocationResponse",
            Phase::Responded => "RuntimeResponseSent",
        }
    }
}

/// Why a request of the runtime is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not now: 403.
    State {
        /// The phase it is in.
        from: &'static str,
        /// The phase it asked for.
        to: &'static str,
    },
    /// Not this request: 400.
    RequestId,
    /// An answer to an attempt that is over, under the same request id: 410.
    Over,
}

struct State {
    phase: Phase,
    /// The runtime's waiting request for the next event.
    waiting: Option<oneshot::Sender<Invocation>>,
    /// An event that the runtime has not asked for yet.
    queued: Option<Invocation>,
    init_failure: Option<FunctionFailure>,
    /// What gust has not taken yet.
    answer: Option<Answer>,
    /// Of the last event.
    invocation_id: Option<String>,
    /// Whether a streamed response ended without an end, behind `answer`.
    is_broken_off: bool,
}

/// The state, and two bells: for the one that waits for it on gust's side, and for a streaming runtime whose
/// last chunk has been taken.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Notify,
    taken: Notify,
}

/// A response that is being streamed. Dropped before its end, it was broken off.
pub(crate) struct Stream<'a> {
    shared: &'a Shared,
    has_ended: bool,
}

impl Stream<'_> {
    /// Hands over a part, as soon as the one before it has been taken.
    pub(crate) async fn put(&self, answer: Answer) {
        self.put_in(Phase::Streaming, answer).await;
    }

    /// Hands over the end.
    pub(crate) async fn end(mut self, answer: Answer) {
        self.put_in(Phase::Responded, answer).await;
        self.has_ended = true;
    }

    async fn put_in(&self, phase: Phase, answer: Answer) {
        let mut answer = Some(answer);
        loop {
            {
                let mut state = self.shared.lock();
                if state.answer.is_none() {
                    state.answer = answer.take();
                    state.phase = phase;
                    break;
                }
            }
            self.shared.taken.notified().await;
        }
        self.shared.changed.notify_one();
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut state = self.shared.lock();
        if state.phase == Phase::Streaming {
            state.phase = Phase::Responded;
            state.is_broken_off = true;
            drop(state);
            self.shared.changed.notify_one();
        }
    }
}

/// What a request for the next event got.
pub(crate) enum Next<'a> {
    Now(Invocation),
    Wait(WaitingNext<'a>),
}

/// A request for the next event that waits. If it is given up, an event that was already on its way to
/// it goes back to the queue.
pub(crate) struct WaitingNext<'a> {
    shared: &'a Shared,
    receiver: Option<oneshot::Receiver<Invocation>>,
}

impl WaitingNext<'_> {
    /// The event; `None` if a newer request took this one's place.
    pub(crate) async fn event(mut self) -> Option<Invocation> {
        let receiver = self.receiver.as_mut()?;
        let event = receiver.await.ok();
        self.receiver = None;
        event
    }
}

impl Drop for WaitingNext<'_> {
    fn drop(&mut self) {
        let Some(mut receiver) = self.receiver.take() else { return };
        receiver.close();
        if let Ok(event) = receiver.try_recv() {
            self.shared.lock().queued = Some(event);
        }
    }
}

impl Shared {
    pub(crate) fn new() -> Shared {
        let state = State {
            phase: Phase::Initialising,
            waiting: None,
            queued: None,
            init_failure: None,
            answer: None,
            invocation_id: None,
            is_broken_off: false,
        };
        Shared { state: Mutex::new(state), changed: Notify::new(), taken: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- gust's side: one waiter

    pub(crate) async fn ready(&self) -> Ready {
        loop {
            {
                let state = self.lock();
                match (&state.phase, &state.init_failure) {
                    (Phase::Initialising, _) => {}
                    (_, Some(failure)) => return Ready::Failed(failure.clone()),
                    (_, None) => return Ready::Ready,
                }
            }
            self.changed.notified().await;
        }
    }

    pub(crate) fn begin(&self, invocation: Invocation) {
        let mut state = self.lock();
        state.phase = Phase::Invoking(invocation.request_id.clone());
        state.invocation_id.clone_from(&invocation.invocation_id);
        state.answer = None;
        state.is_broken_off = false;
        state.queued = match state.waiting.take() {
            // The request may just have been given up: then the event waits for the next one.
            Some(waiting) => waiting.send(invocation).err(),
            None => Some(invocation),
        };
    }

    pub(crate) async fn answer(&self) -> Answer {
        loop {
            if let Some(answer) = self.take_answer() {
                return answer;
            }
            self.changed.notified().await;
        }
    }

    fn take_answer(&self) -> Option<Answer> {
        let mut state = self.lock();
        match state.answer.take() {
            Some(answer) => {
                drop(state);
                self.taken.notify_one();
                Some(answer)
            }
            None => std::mem::take(&mut state.is_broken_off).then_some(Answer::Truncated),
        }
    }

    /// Waits until the runtime asks for the next event.
    pub(crate) async fn settled(&self) {
        while self.lock().phase == Phase::Responded {
            self.changed.notified().await;
        }
    }

    // ---- the runtime's side

    pub(crate) fn next(&self) -> Result<Next<'_>, Refusal> {
        let mut state = self.lock();
        match &state.phase {
            Phase::InitFailed | Phase::Streaming => return Err(refused(&state.phase, "RuntimeReady")),
            Phase::Invoking(_) => {
                return match state.queued.take() {
                    Some(invocation) => Ok(Next::Now(invocation)),
                    None => Err(refused(&state.phase, "RuntimeReady")),
                };
            }
            Phase::Initialising | Phase::Idle | Phase::Responded => {}
        }
        // Initialised, or done with the last event: somebody may wait for either.
        let is_news = state.phase != Phase::Idle;
        state.phase = Phase::Idle;
        let (sender, receiver) = oneshot::channel();
        state.waiting = Some(sender);
        drop(state);
        if is_news {
            self.changed.notify_one();
        }
        Ok(Next::Wait(WaitingNext { shared: self, receiver: Some(receiver) }))
    }

    /// Whether the runtime may answer `request_id` now.
    pub(crate) fn may_answer(&self, request_id: &str, to: &'static str) -> Result<(), Refusal> {
        let state = self.lock();
        match &state.phase {
            Phase::Invoking(current) if current == request_id && state.queued.is_none() => Ok(()),
            Phase::Invoking(_) => Err(Refusal::RequestId),
            phase => Err(refused(phase, to)),
        }
    }

    /// Whether a runtime that sends the invocation's own id back sends the right one.
    pub(crate) fn is_current(&self, invocation_id: &str) -> Result<(), Refusal> {
        match &self.lock().invocation_id {
            Some(current) if current != invocation_id => Err(Refusal::Over),
            _ => Ok(()),
        }
    }

    pub(crate) fn answered(&self, request_id: &str, to: &'static str, answer: Answer) -> Result<(), Refusal> {
        self.may_answer(request_id, to)?;
        let mut state = self.lock();
        state.phase = Phase::Responded;
        state.answer = Some(answer);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Begins to stream the response to `request_id`.
    pub(crate) fn stream(&self, request_id: &str, to: &'static str) -> Result<Stream<'_>, Refusal> {
        self.may_answer(request_id, to)?;
        self.lock().phase = Phase::Streaming;
        Ok(Stream { shared: self, has_ended: false })
    }

    pub(crate) fn may_fail_init(&self) -> Result<(), Refusal> {
        let state = self.lock();
        match &state.phase {
            Phase::Initialising => Ok(()),
            phase => Err(refused(phase, "RuntimeInitError")),
        }
    }

    pub(crate) fn init_failed(&self, failure: FunctionFailure) -> Result<(), Refusal> {
        self.may_fail_init()?;
        let mut state = self.lock();
        state.phase = Phase::InitFailed;
        state.init_failure = Some(failure);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }
}

fn refused(phase: &Phase, to: &'static str) -> Refusal {
    Refusal::State { from: phase.name(), to }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str) -> Invocation {
        Invocation { request_id: id.to_owned(), ..Invocation::default() }
    }

    #[tokio::test]
    async fn an_event_is_not_lost_when_the_request_for_it_is_given_up() {
        let shared = Shared::new();
        let Ok(Next::Wait(waiting)) = shared.next() else { panic!("an event came from nowhere") };
        shared.begin(event("1"));
        drop(waiting);
        let Ok(Next::Now(got)) = shared.next() else { panic!("the event was lost") };
        assert_eq!(got.request_id, "1");
    }

    #[tokio::test]
    async fn a_newer_request_for_the_next_event_takes_the_place_of_the_older() {
        let shared = Shared::new();
        let Ok(Next::Wait(older)) = shared.next() else { panic!() };
        let Ok(Next::Wait(newer)) = shared.next() else { panic!() };
        shared.begin(event("1"));
        assert!(older.event().await.is_none());
        assert_eq!(newer.event().await.unwrap().request_id, "1");
    }

    #[tokio::test]
    async fn what_is_out_of_order_is_refused() {
        let shared = Shared::new();
        let answer = |id: &str| shared.answered(id, "X", Answer::TooLarge);
        assert_eq!(answer("1"), Err(Refusal::State { from: "RuntimeStarted", to: "X" }));
        let Ok(Next::Wait(waiting)) = shared.next() else { panic!() };
        assert_eq!(shared.ready().await, Ready::Ready);
        assert_eq!(shared.may_fail_init(), Err(Refusal::State { from: "RuntimeReady", to: "RuntimeInitError" }));
        shared.begin(event("1"));
        waiting.event().await.unwrap();
        assert_eq!(answer("2"), Err(Refusal::RequestId));
        assert!(shared.next().is_err());
        assert_eq!(answer("1"), Ok(()));
        assert_eq!(answer("1"), Err(Refusal::State { from: "RuntimeResponseSent", to: "X" }));
        assert_eq!(shared.answer().await, Answer::TooLarge);
        let settled = shared.settled();
        tokio::pin!(settled);
        assert!(futures_util::poll!(settled.as_mut()).is_pending());
        let _waiting = shared.next();
        settled.await;
    }

    #[tokio::test]
    async fn an_answer_to_an_earlier_attempt_is_told_from_one_to_this() {
        let shared = Shared::new();
        let Ok(Next::Wait(waiting)) = shared.next() else { panic!() };
        shared.begin(Invocation { invocation_id: Some("second".to_owned()), ..event("1") });
        waiting.event().await.unwrap();
        assert_eq!(shared.is_current("first"), Err(Refusal::Over));
        assert_eq!(shared.is_current("second"), Ok(()));
    }

    async fn streaming(shared: &Shared) -> Stream<'_> {
        let Ok(Next::Wait(waiting)) = shared.next() else { panic!() };
        shared.begin(event("1"));
        waiting.event().await.unwrap();
        shared.stream("1", "X").unwrap()
    }

    #[tokio::test]
    async fn a_streaming_runtime_waits_until_its_chunk_is_taken() {
        let shared = Shared::new();
        let stream = streaming(&shared).await;
        stream.put(Answer::Chunk("a".into())).await;
        let mut put = Box::pin(stream.put(Answer::Chunk("b".into())));
        assert!(futures_util::poll!(put.as_mut()).is_pending());
        assert_eq!(shared.answer().await, Answer::Chunk("a".into()));
        put.as_mut().await;
        drop(put);
        assert_eq!(shared.answered("1", "X", Answer::TooLarge).unwrap_err(), refused(&Phase::Streaming, "X"));
        assert!(shared.next().is_err());
        let end = stream.end(Answer::StreamEnded);
        tokio::pin!(end);
        assert!(futures_util::poll!(end.as_mut()).is_pending());
        assert_eq!(shared.answer().await, Answer::Chunk("b".into()));
        end.await;
        assert_eq!(shared.answer().await, Answer::StreamEnded);
        assert!(shared.next().is_ok());
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_noticed_behind_its_last_chunk() {
        let shared = Shared::new();
        let stream = streaming(&shared).await;
        stream.put(Answer::Chunk("a".into())).await;
        drop(stream);
        assert_eq!(shared.answer().await, Answer::Chunk("a".into()));
        assert_eq!(shared.answer().await, Answer::Truncated);
        assert!(shared.next().is_ok());
    }

    #[tokio::test]
    async fn a_failed_initialisation_ends_the_runtime() {
        let shared = Shared::new();
        let failure = FunctionFailure { body: "{}".into(), error_type: None };
        shared.init_failed(failure.clone()).unwrap();
        assert_eq!(shared.ready().await, Ready::Failed(failure));
        assert!(shared.next().is_err());
    }
}
