//! Where a response goes: collected for a caller who wants it whole, or passed on part by part.
//!
//! Nothing here holds more than one part: the runtime is asked for the next one when the caller has taken the last.

use crate::execution::Ending;
use crate::failures::PlatformFailure;
use crate::limits::STREAM_CHUNKS_MAX;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use gust_kit::ports::{InvokeError, InvokeOutcome, InvokeStream, StreamItem};
use gust_runtime_api::{Answer, RESPONSE_BYTES_MAX, STREAMED_RESPONSE_BYTES_MAX};
use tokio::sync::{mpsc, oneshot};

/// Who waits for an invocation. They may be gone: the invocation runs on, as on Lambda.
pub(crate) enum Reply {
    /// For its outcome, which the future of the invocation is.
    Whole,
    /// For each part of the response.
    Stream(StreamReply),
}

/// The near end of an [`InvokeStream`].
pub(crate) struct StreamReply {
    /// Taken when the response begins.
    begin: Option<oneshot::Sender<Result<Begin, InvokeError>>>,
    chunks: mpsc::Sender<Bytes>,
    end: oneshot::Sender<InvokeOutcome>,
}

struct Begin {
    content_type: Option<String>,
    executed_version: String,
}

/// What becomes an [`InvokeStream`] when the response begins.
pub(crate) struct StreamWaiter {
    begin: oneshot::Receiver<Result<Begin, InvokeError>>,
    chunks: mpsc::Receiver<Bytes>,
    end: oneshot::Receiver<InvokeOutcome>,
}

/// Both ends of a stream.
pub(crate) fn streaming() -> (Reply, StreamWaiter) {
    let (begin, begun) = oneshot::channel();
    let (chunks, received) = mpsc::channel(STREAM_CHUNKS_MAX);
    let (end, ended) = oneshot::channel();
    let reply = Reply::Stream(StreamReply { begin: Some(begin), chunks, end });
    (reply, StreamWaiter { begin: begun, chunks: received, end: ended })
}

impl StreamWaiter {
    /// Waits until the response begins or the invocation ends without one.
    pub(crate) async fn begun(self) -> Result<InvokeStream, InvokeError> {
        let lost = |_| InvokeError::Sandbox("the invocation's task ended".to_owned());
        let Begin { content_type, executed_version } = self.begin.await.map_err(lost)??;
        let items = stream::unfold(Some((self.chunks, self.end)), |ends| async {
            let (mut chunks, end) = ends?;
            match chunks.recv().await {
                Some(chunk) => Some((StreamItem::Chunk(chunk), Some((chunks, end)))),
                None => Some((StreamItem::End(end.await.ok()?), None)),
            }
        });
        Ok(InvokeStream { content_type, executed_version, items: Box::pin(items) })
    }
}

impl Reply {
    /// Says how it ended, or why it was not begun.
    pub(crate) fn send(self, outcome: Result<InvokeOutcome, InvokeError>) {
        match self {
            Reply::Whole => {}
            Reply::Stream(mut stream) => match outcome {
                Ok(mut outcome) => {
                    stream.begin(None, &outcome.executed_version);
                    if outcome.failure.is_none() {
                        outcome.payload = Bytes::new();
                    }
                    drop(stream.chunks);
                    drop(stream.end.send(outcome));
                }
                Err(error) => {
                    if let Some(begin) = stream.begin.take() {
                        drop(begin.send(Err(error)));
                    }
                }
            },
        }
    }
}

impl StreamReply {
    fn begin(&mut self, content_type: Option<String>, executed_version: &str) {
        if let Some(begin) = self.begin.take() {
            drop(begin.send(Ok(Begin { content_type, executed_version: executed_version.to_owned() })));
        }
    }
}

/// One invocation's response on its way to a [`Reply`].
pub(crate) struct Response<'a> {
    reply: &'a mut Reply,
    executed_version: &'a str,
    /// What the caller has not taken yet; never with a caller who wants the whole.
    pending: Option<Bytes>,
    /// What has come, for a caller who wants the whole.
    collected: BytesMut,
    total_bytes: usize,
    bytes_max: usize,
    ending: Option<Ending>,
}

impl<'a> Response<'a> {
    pub(crate) fn new(reply: &'a mut Reply, executed_version: &'a str) -> Response<'a> {
        let bytes_max = match reply {
            Reply::Whole => RESPONSE_BYTES_MAX,
            Reply::Stream(_) => STREAMED_RESPONSE_BYTES_MAX,
        };
        let collected = BytesMut::new();
        Response { reply, executed_version, pending: None, collected, total_bytes: 0, bytes_max, ending: None }
    }

    /// Whether the caller has to take something before more may come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether parts of it have come.
    pub(crate) fn is_streaming(&self) -> bool {
        self.total_bytes > 0
    }

    /// How the response ended, once everything has been taken.
    pub(crate) fn take_ending(&mut self) -> Option<Ending> {
        if self.is_waiting() { None } else { self.ending.take() }
    }

    /// Waits until the caller takes what is there, or is gone. Cancel safe.
    pub(crate) async fn deliver(&mut self) {
        if let (Some(_), Reply::Stream(stream)) = (&self.pending, &mut *self.reply) {
            let place = stream.chunks.reserve().await;
            if let (Some(chunk), Ok(place)) = (self.pending.take(), place) {
                place.send(chunk);
            }
        }
    }

    /// Takes what the runtime has said. `Closed` and `Truncated` end no response by themselves.
    pub(crate) fn take(&mut self, answer: Answer) {
        let ending = match answer {
            Answer::StreamBegun(content_type) => return self.begin(content_type),
            Answer::Chunk(chunk) => return self.add(chunk),
            Answer::StreamEnded => self.end(),
            Answer::Response(payload) => match self.reply {
                Reply::Whole => Ending::Response(payload),
                Reply::Stream(_) => {
                    self.begin(None);
                    self.add(payload);
                    self.end()
                }
            },
            Answer::Error(failure) => Ending::FunctionError(failure),
            Answer::TooLarge => too_large(RESPONSE_BYTES_MAX),
            Answer::Closed | Answer::Truncated => return,
        };
        self.ending = Some(ending);
    }

    fn begin(&mut self, content_type: Option<String>) {
        if let Reply::Stream(stream) = self.reply {
            stream.begin(content_type, self.executed_version);
        }
    }

    /// Beyond the limit nothing is kept, and the rest is read only to be thrown away.
    fn add(&mut self, mut chunk: Bytes) {
        let room = self.bytes_max.saturating_sub(self.total_bytes);
        self.total_bytes = self.total_bytes.saturating_add(chunk.len());
        match self.reply {
            Reply::Whole if chunk.len() > room => self.collected = BytesMut::new(),
            Reply::Whole => self.collected.extend_from_slice(&chunk),
            Reply::Stream(stream) => {
                chunk.truncate(room);
                let is_wanted = !chunk.is_empty() && !stream.chunks.is_closed();
                self.pending = is_wanted.then_some(chunk);
            }
        }
    }

    fn end(&mut self) -> Ending {
        match self.reply {
            _ if self.total_bytes > self.bytes_max => too_large(self.bytes_max),
            Reply::Whole => Ending::Response(std::mem::take(&mut self.collected).freeze()),
            Reply::Stream(_) => Ending::Streamed { bytes: self.total_bytes },
        }
    }
}

fn too_large(bytes_max: usize) -> Ending {
    Ending::Platform(PlatformFailure::ResponseTooLarge { bytes_max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    fn chunk(bytes: usize) -> Answer {
        Answer::Chunk(vec![b'x'; bytes].into())
    }

    fn is_too_large(ending: Option<Ending>) -> bool {
        matches!(ending, Some(Ending::Platform(PlatformFailure::ResponseTooLarge { .. })))
    }

    #[test]
    fn a_caller_who_wants_the_whole_gets_up_to_6_mib() {
        for (second, fits) in [(RESPONSE_BYTES_MAX - 10, true), (RESPONSE_BYTES_MAX - 9, false)] {
            let mut reply = Reply::Whole;
            let mut response = Response::new(&mut reply, "1");
            response.take(Answer::StreamBegun(None));
            response.take(chunk(10));
            response.take(chunk(second));
            assert!(response.take_ending().is_none());
            response.take(chunk(0));
            response.take(Answer::StreamEnded);
            match response.take_ending() {
                Some(Ending::Response(bytes)) => assert!(fits && bytes.len() == RESPONSE_BYTES_MAX),
                ending => assert!(!fits && is_too_large(ending)),
            }
        }
    }

    #[tokio::test]
    async fn a_stream_ends_at_its_limit() {
        for (more, fits) in [(0, true), (1, false)] {
            let (mut reply, waiter) = streaming();
            let mut response = Response::new(&mut reply, "1");
            response.take(Answer::StreamBegun(Some("a/b".to_owned())));
            response.total_bytes = STREAMED_RESPONSE_BYTES_MAX - 5;
            response.take(chunk(5 + more));
            response.deliver().await;
            response.take(Answer::StreamEnded);
            match response.take_ending() {
                Some(Ending::Streamed { bytes }) => assert!(fits && bytes == STREAMED_RESPONSE_BYTES_MAX),
                ending => assert!(!fits && is_too_large(ending)),
            }
            let mut stream = waiter.begun().await.unwrap();
            assert_eq!((stream.content_type.as_deref(), stream.executed_version.as_str()), (Some("a/b"), "1"));
            assert_eq!(stream.items.next().await, Some(StreamItem::Chunk("xxxxx".into())));
        }
    }

    #[tokio::test]
    async fn a_caller_who_takes_nothing_holds_up_the_rest() {
        let (mut reply, waiter) = streaming();
        let mut response = Response::new(&mut reply, "1");
        response.take(Answer::StreamBegun(None));
        for _ in 0..STREAM_CHUNKS_MAX {
            response.take(chunk(1));
            response.deliver().await;
        }
        response.take(chunk(1));
        assert!(futures_util::poll!(Box::pin(response.deliver())).is_pending());
        assert!(response.is_waiting(), "given up and still there");
        let mut stream = waiter.begun().await.unwrap();
        stream.items.next().await.unwrap();
        response.deliver().await;
        assert!(!response.is_waiting());
        drop(stream);
        response.take(chunk(1));
        assert!(!response.is_waiting(), "a caller who is gone holds nothing up");
    }
}
