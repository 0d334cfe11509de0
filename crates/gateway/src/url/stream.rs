//! A response that is sent while the function still writes it (InvokeMode `RESPONSE_STREAM`).

use super::refusal::Refusal;
use super::reply::{self, PRELUDE_CONTENT_TYPE, PRELUDE_END, Reply};
use crate::limits::PRELUDE_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use gust_kit::ports::{InvokeStream, StreamItem};
use gust_wire::{BodyStream, StreamCut};

/// Waits for the head of a response: for its prelude, or its first bytes. Until then a failure is a plain 502; later
/// ones can only cut the connection. `None` in place of a body: the response is complete as it is.
pub async fn begin(stream: InvokeStream) -> Result<(Reply, Option<BodyStream>), Refusal> {
    let InvokeStream { content_type, items, .. } = stream;
    match content_type {
        Some(kind) if is_prelude(&kind) => with_prelude(items).await,
        Some(kind) => without_prelude(items, kind).await,
        // A runtime that answers as a whole: what it gives is the body, a status in it or not (inferred).
        None => without_prelude(items, "application/json".to_owned()).await,
    }
}

fn is_prelude(content_type: &str) -> bool {
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(PRELUDE_CONTENT_TYPE)
}

async fn with_prelude(mut items: BoxStream<'static, StreamItem>) -> Result<(Reply, Option<BodyStream>), Refusal> {
    let mut read = BytesMut::new();
    loop {
        let Some(StreamItem::Chunk(chunk)) = items.next().await else { return Err(Refusal::FunctionFailed) };
        // The end may have begun in the last chunk.
        let from = read.len().saturating_sub(PRELUDE_END.len() - 1);
        read.extend_from_slice(&chunk);
        if let Some(at) = reply::find_prelude(&read[from..]) {
            let end = from + at;
            let reply = reply::from_prelude(&read[..end])?;
            let rest = read.freeze().slice(end + PRELUDE_END.len()..);
            return Ok((reply, Some(body(rest, items))));
        }
        if read.len() > PRELUDE_BYTES_MAX {
            return Err(Refusal::FunctionFailed);
        }
    }
}

async fn without_prelude(
    mut items: BoxStream<'static, StreamItem>,
    content_type: String,
) -> Result<(Reply, Option<BodyStream>), Refusal> {
    let headers = vec![("content-type".to_owned(), content_type)];
    let reply = Reply { status: 200, headers, body: Bytes::new() };
    match items.next().await {
        Some(StreamItem::Chunk(first)) => Ok((reply, Some(body(first, items)))),
        Some(StreamItem::End(outcome)) if outcome.failure.is_none() => Ok((reply, None)),
        Some(StreamItem::End(_)) | None => Err(Refusal::FunctionFailed),
    }
}

/// What has been read and what follows. A failure, or an invocation that is lost, cuts it.
fn body(first: Bytes, items: BoxStream<'static, StreamItem>) -> BodyStream {
    let first = (!first.is_empty()).then_some(Ok(first));
    let rest = stream::unfold(Some(items), |items| async {
        let mut items = items?;
        match items.next().await {
            Some(StreamItem::Chunk(chunk)) => Some((Ok(chunk), Some(items))),
            Some(StreamItem::End(outcome)) if outcome.failure.is_none() => None,
            Some(StreamItem::End(_)) | None => {
                // What has been said so far, the head at least, leaves before the cut takes the connection away.
                tokio::task::yield_now().await;
                Some((Err(StreamCut), None))
            }
        }
    });
    BodyStream(Box::pin(stream::iter(first).chain(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gust_kit::ports::{InvokeFailure, InvokeOutcome};

    fn end(failure: Option<InvokeFailure>) -> StreamItem {
        StreamItem::End(InvokeOutcome {
            payload: Bytes::new(),
            failure,
            log_tail: Bytes::new(),
            executed_version: "1".to_owned(),
            duration_us: 1,
            init_us: None,
        })
    }

    /// `status|content type|parts`, the parts with a `!` where the body is cut; or `refused`.
    async fn shown(content_type: Option<&str>, chunks: &[&'static [u8]], last: Option<StreamItem>) -> String {
        let chunks: Vec<StreamItem> =
            chunks.iter().map(|chunk| StreamItem::Chunk(Bytes::from_static(chunk))).chain(last).collect();
        let items = Box::pin(stream::iter(chunks));
        let content_type = content_type.map(str::to_owned);
        let begun = begin(InvokeStream { content_type, executed_version: "1".to_owned(), items }).await;
        let Ok((reply, body)) = begun else { return "refused".to_owned() };
        let parts: Vec<String> = match body {
            None => vec![],
            Some(BodyStream(body)) => {
                body.map(|part| part.map_or("!".to_owned(), |part| String::from_utf8_lossy(&part).into_owned()))
                    .collect()
                    .await
            }
        };
        format!("{}|{}|{}", reply.status, reply.headers[0].1, parts.join(","))
    }

    #[tokio::test]
    async fn streams_without_a_prelude_are_sent_as_they_come() {
        let ok = || Some(end(None));
        let failed = || Some(end(Some(InvokeFailure::Unhandled)));
        let kind = Some("text/event-stream");
        assert_eq!(shown(kind, &[b"a", b"b"], ok()).await, "200|text/event-stream|a,b");
        assert_eq!(shown(None, &[b"{\"statusCode\":201}"], ok()).await, "200|application/json|{\"statusCode\":201}");
        assert_eq!(shown(kind, &[], ok()).await, "200|text/event-stream|");
        assert_eq!(shown(kind, &[], failed()).await, "refused");
        assert_eq!(shown(kind, &[], None).await, "refused");
        assert_eq!(shown(kind, &[b"a"], failed()).await, "200|text/event-stream|a,!");
        assert_eq!(shown(kind, &[b"a"], None).await, "200|text/event-stream|a,!");
    }

    #[tokio::test]
    async fn a_prelude_may_come_in_any_pieces() {
        let kind = Some("application/vnd.awslambda.http-integration-response; charset=x");
        let ok = || Some(end(None));
        let metadata: &[u8] = b"{\"statusCode\":404,\"headers\":{\"content-type\":\"a/b\"}}";
        let expected = "404|a/b|body,more";
        assert_eq!(shown(kind, &[metadata, b"\0\0\0\0\0\0\0\0body", b"more"], ok()).await, expected);
        assert_eq!(shown(kind, &[metadata, b"\0\0\0", b"\0\0\0\0", b"\0body", b"more"], ok()).await, expected);
        assert_eq!(shown(kind, &[b"{}\0\0\0\0\0\0\0\0"], ok()).await, "200|application/octet-stream|");
        assert_eq!(shown(kind, &[metadata], ok()).await, "refused");
        assert_eq!(shown(kind, &[b"no json\0\0\0\0\0\0\0\0"], ok()).await, "refused");
        assert_eq!(shown(kind, &[metadata, b"\0\0\0\0\0\0\0\0a"], None).await, "404|a/b|a,!");
        let endless = vec![b' '; PRELUDE_BYTES_MAX].leak();
        assert_eq!(shown(kind, &[endless, b"{}", b"\0\0\0\0\0\0\0\0"], ok()).await, "refused");
    }
}
