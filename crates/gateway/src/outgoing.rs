//! The body of a response: whole, or sent while it is made.

use crate::watch::Running;
use bytes::Bytes;
use futures_util::StreamExt;
use gust_wire::{BodyStream, StreamCut};
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// What the HTTP server sends.
pub(crate) enum Outgoing {
    /// All of it; `None` once it has been sent.
    Whole(Option<Bytes>),
    /// Part by part, no faster than the client takes it. The request counts as running until the end.
    Stream {
        /// The parts; `None` once they have ended.
        parts: Option<BodyStream>,
        /// Keeps the connection from being taken for idle.
        running: Option<Running>,
    },
}

impl Outgoing {
    pub fn new(body: Bytes, stream: Option<BodyStream>) -> Outgoing {
        match stream {
            None => Outgoing::Whole((!body.is_empty()).then_some(body)),
            parts => Outgoing::Stream { parts, running: None },
        }
    }

    /// Lets the request run until the body has been sent, if that is not at once.
    pub fn hold(&mut self, request: Running) {
        if let Outgoing::Stream { running, .. } = self {
            *running = Some(request);
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = StreamCut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StreamCut>>> {
        match &mut *self {
            Outgoing::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Outgoing::Stream { parts, running } => {
                let Some(BodyStream(stream)) = parts else { return Poll::Ready(None) };
                let polled = stream.poll_next_unpin(cx);
                if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
                    (*parts, *running) = (None, None);
                }
                polled.map(|part| part.map(|part| part.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Outgoing::Whole(None) | Outgoing::Stream { parts: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Outgoing::Stream { .. } => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Activity;
    use futures_util::stream;
    use http_body_util::BodyExt;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_whole_body_knows_its_size() {
        let mut body = Outgoing::new(Bytes::from_static(b"abc"), None);
        assert_eq!(body.size_hint().exact(), Some(3));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
        assert!(body.is_end_stream() && body.frame().await.is_none());
        assert!(Outgoing::new(Bytes::new(), None).is_end_stream());
    }

    #[tokio::test]
    async fn a_stream_runs_until_its_end_or_its_break() {
        for cut in [false, true] {
            let activity = Arc::new(Activity::default());
            let end = if cut { vec![Err(StreamCut)] } else { vec![] };
            let parts = stream::iter([Ok(Bytes::from_static(b"a"))]).chain(stream::iter(end));
            let mut body = Outgoing::new(Bytes::new(), Some(BodyStream(Box::pin(parts))));
            body.hold(activity.begin());
            assert_eq!(body.size_hint().exact(), None);
            assert!(body.frame().await.unwrap().is_ok());
            assert!(activity.is_running());
            assert_eq!(body.frame().await.map(|frame| frame.is_err()), cut.then_some(true));
            assert!(!activity.is_running() && body.is_end_stream() && body.frame().await.is_none());
        }
    }
}
