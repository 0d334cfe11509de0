//! Reads a body: whole, bounded in size, time and in what all bodies occupy together.

use crate::limits::{
    BODY_BUDGET_BYTES, BODY_BUDGET_WAIT_MAX, BODY_PAUSE_MAX, BODY_TIME_MAX, BODY_UNBUDGETED_BYTES, DRAIN_BYTES_MAX,
    DRAIN_TIME_MAX,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is larger than the bound.
    TooLarge,
    /// The client was too slow, or has gone.
    Interrupted,
    /// The budget of all bodies is used up.
    Busy,
}

/// A body with its share of the budget, which it holds until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Received {
    pub fn empty() -> Received {
        Received { bytes: Bytes::new(), _share: None }
    }
}

/// What all large bodies may occupy together, in KiB.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub fn new() -> Budget {
        Budget(Arc::new(Semaphore::new(BODY_BUDGET_BYTES / 1024)))
    }

    async fn share(&self, bytes: usize) -> Result<Option<OwnedSemaphorePermit>, BodyError> {
        if bytes <= BODY_UNBUDGETED_BYTES {
            return Ok(None);
        }
        let kib = u32::try_from(bytes.div_ceil(1024)).map_err(|_| BodyError::TooLarge)?;
        match timeout(BODY_BUDGET_WAIT_MAX, self.0.clone().acquire_many_owned(kib)).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            Ok(Err(_)) | Err(_) => Err(BodyError::Busy),
        }
    }
}

/// Reads a body of at most `bytes_max` bytes. A body that comes in one piece is not copied.
pub(crate) async fn read<B>(body: &mut B, bytes_max: usize, budget: &Budget) -> Result<Received, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Received::empty());
    }
    let announced = body.size_hint().exact().map(usize::try_from);
    let announced = match announced {
        Some(Ok(bytes)) if bytes <= bytes_max => Some(bytes),
        Some(_) => return Err(BodyError::TooLarge),
        None => None,
    };
    let share = budget.share(announced.unwrap_or(bytes_max)).await?;
    let Some(first) = next_piece(body).await? else {
        return Ok(Received::empty());
    };
    if body.is_end_stream() {
        let fits = first.len() <= bytes_max;
        return if fits { Ok(Received { bytes: first, _share: share }) } else { Err(BodyError::TooLarge) };
    }
    let rest = collect(body, first, announced, bytes_max);
    let bytes = timeout(BODY_TIME_MAX, rest).await.map_err(|_| BodyError::Interrupted)??;
    Ok(Received { bytes, _share: share })
}

async fn collect<B>(body: &mut B, first: Bytes, announced: Option<usize>, bytes_max: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // What is announced has been checked against the bound; memory is taken as it comes in all the same.
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0).min(BODY_UNBUDGETED_BYTES).max(first.len()));
    bytes.extend_from_slice(&first);
    while let Some(piece) = next_piece(body).await? {
        if bytes.len() + piece.len() > bytes_max {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() > bytes_max {
        return Err(BodyError::TooLarge);
    }
    Ok(bytes.freeze())
}

/// The next piece of data, `None` at the end; empty for trailers, which mean nothing to gust.
async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    match timeout(BODY_PAUSE_MAX, body.frame()).await {
        Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        Ok(None) => Ok(None),
        Ok(Some(Err(_))) | Err(_) => Err(BodyError::Interrupted),
    }
}

/// Reads the rest of a refused body and throws it away: a client that is still writing would otherwise see a
/// broken connection in place of the refusal. Bounded in size and time.
pub(crate) async fn drain(body: &mut Incoming) {
    let drained = async {
        let mut left = DRAIN_BYTES_MAX;
        while !body.is_end_stream() {
            let Some(Ok(frame)) = body.frame().await else { break };
            let bytes = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
            left = left.saturating_sub(bytes);
            if left == 0 {
                break;
            }
        }
    };
    if timeout(DRAIN_TIME_MAX, drained).await.is_err() {
        tracing::debug!("a refused body did not end in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    fn pieces(pieces: &[&'static str]) -> impl Body<Data = Bytes> + Unpin {
        let frames: Vec<Result<Frame<Bytes>, std::io::Error>> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn one_piece_is_shared_and_not_copied() {
        let bytes = Bytes::from(vec![7u8; 1000]);
        let received = read(&mut Full::new(bytes.clone()), 1000, &Budget::new()).await.unwrap();
        assert_eq!(received.bytes.as_ptr(), bytes.as_ptr());
    }

    #[tokio::test]
    async fn pieces_are_joined_up_to_the_bound() {
        let received = read(&mut pieces(&["ab", "", "cd"]), 4, &Budget::new()).await.unwrap();
        assert_eq!(received.bytes, "abcd");
        let refused = read(&mut pieces(&["ab", "cd"]), 3, &Budget::new()).await.unwrap_err();
        assert_eq!(refused, BodyError::TooLarge);
        let refused = read(&mut pieces(&["abcd"]), 3, &Budget::new()).await.unwrap_err();
        assert_eq!(refused, BodyError::TooLarge);
        assert_eq!(read(&mut pieces(&[]), 3, &Budget::new()).await.unwrap().bytes, "");
    }

    #[tokio::test]
    async fn what_is_announced_too_large_is_refused_before_it_is_read() {
        let refused = read(&mut Full::new(Bytes::from_static(b"abcd")), 3, &Budget::new()).await.unwrap_err();
        assert_eq!(refused, BodyError::TooLarge);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_share_a_budget_and_give_it_back() {
        let budget = Budget::new();
        let held = budget.share(BODY_BUDGET_BYTES).await.unwrap();
        let large = Bytes::from(vec![0u8; BODY_UNBUDGETED_BYTES + 1]);
        let refused = read(&mut Full::new(large.clone()), usize::MAX, &budget).await.unwrap_err();
        assert_eq!(refused, BodyError::Busy);
        drop(held);
        let received = read(&mut Full::new(large), usize::MAX, &budget).await.unwrap();
        assert!(budget.0.available_permits() < BODY_BUDGET_BYTES / 1024);
        drop(received);
        assert_eq!(budget.0.available_permits(), BODY_BUDGET_BYTES / 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_pauses_is_given_up() {
        let mut body = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(read(&mut body, 10, &Budget::new()).await.unwrap_err(), BodyError::Interrupted);
    }
}
