//! Watches a connection for clients that are too slow or silent, without a timer for every request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What happens on one connection. Counters only, and no other connection shares them.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    reads: AtomicU64,
    writes: AtomicU64,
    /// Whether the last write found no room: the client does not read.
    is_blocked: AtomicBool,
    /// The value of `reads` when the last request ended.
    reads_at_end: AtomicU64,
    running: AtomicU32,
    begun: AtomicU64,
}

/// A request at work; it has ended when this is dropped.
pub(crate) struct Running(Arc<Activity>);

impl Activity {
    pub fn begin(self: &Arc<Activity>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Running(self.clone())
    }

    #[cfg(test)]
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.reads_at_end.store(self.0.reads.load(Ordering::Relaxed), Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays.
    Keep,
    /// Headers were begun and not ended in time, or a response is not read.
    TooSlow,
    /// Nothing was asked or answered for too long.
    Idle,
}

/// Looks at a connection again and again.
pub(crate) struct Watcher {
    activity: Arc<Activity>,
    header_time_max: Duration,
    idle_time_max: Duration,
    period: Duration,
    seen: (u64, u64, u64),
    /// For how long no request has begun, and for how long nothing at all has moved.
    waiting: Duration,
    silent: Duration,
    /// For how long the client has not read what is there for it.
    blocked: Duration,
}

impl Watcher {
    pub fn new(
        activity: Arc<Activity>,
        header_time_max: Duration,
        idle_time_max: Duration,
        period: Duration,
    ) -> Watcher {
        let [waiting, silent, blocked] = [Duration::ZERO; 3];
        Watcher { activity, header_time_max, idle_time_max, period, seen: (0, 0, 0), waiting, silent, blocked }
    }

    /// Judges the connection; to be called once a period.
    pub fn look(&mut self) -> Verdict {
        let Activity { reads, writes, is_blocked, reads_at_end, running, begun } = &*self.activity;
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let now = (load(begun), load(reads), load(writes));
        let is_running = running.load(Ordering::Relaxed) > 0;
        let moved = is_running || now != self.seen;
        self.silent = if moved { Duration::ZERO } else { self.silent + self.period };
        let is_stuck = is_blocked.load(Ordering::Relaxed) && now.2 == self.seen.2;
        self.blocked = if is_stuck { self.blocked + self.period } else { Duration::ZERO };
        let begun_any = is_running || now.0 != self.seen.0;
        self.waiting = if begun_any { Duration::ZERO } else { self.waiting + self.period };
        self.seen = now;
        let headers_begun = !is_running && now.1 > load(reads_at_end);
        let first_is_missing = now.0 == 0;
        if (headers_begun || first_is_missing) && self.waiting >= self.header_time_max {
            return Verdict::TooSlow;
        }
        // A running request must not keep a connection whose client has stopped to read.
        if self.blocked >= self.idle_time_max {
            return Verdict::TooSlow;
        }
        if self.silent >= self.idle_time_max { Verdict::Idle } else { Verdict::Keep }
    }
}

/// A stream that counts its reads and writes.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub fn new(stream: S, activity: Arc<Activity>) -> Watched<S> {
        Watched { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.activity.reads.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count_write(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.count_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S> Watched<S> {
    fn count_write(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.is_blocked.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            self.activity.writes.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(15);

    fn watcher(activity: &Arc<Activity>) -> Watcher {
        Watcher::new(activity.clone(), Duration::from_secs(30), Duration::from_secs(120), PERIOD)
    }

    fn looks(watcher: &mut Watcher) -> Vec<Verdict> {
        (0..8).map(|_| watcher.look()).collect()
    }

    #[test]
    fn a_client_that_never_asks_is_too_slow() {
        assert_eq!(looks(&mut watcher(&Arc::default()))[..2], [Verdict::Keep, Verdict::TooSlow]);
    }

    #[test]
    fn a_client_that_trickles_headers_is_too_slow() {
        let activity: Arc<Activity> = Arc::default();
        drop(activity.begin());
        let mut watcher = watcher(&activity);
        assert_eq!(watcher.look(), Verdict::Keep);
        activity.reads.fetch_add(1, Ordering::Relaxed);
        assert_eq!(watcher.look(), Verdict::Keep);
        activity.reads.fetch_add(1, Ordering::Relaxed);
        assert_eq!(watcher.look(), Verdict::TooSlow);
    }

    #[test]
    fn a_silent_connection_goes_after_its_idle_time() {
        let activity: Arc<Activity> = Arc::default();
        activity.reads.fetch_add(1, Ordering::Relaxed);
        drop(activity.begin());
        let mut watcher = watcher(&activity);
        assert_eq!(looks(&mut watcher), [Verdict::Keep; 8]);
        assert_eq!(watcher.look(), Verdict::Idle);
    }

    #[test]
    fn a_client_that_does_not_read_its_response_is_too_slow() {
        let activity: Arc<Activity> = Arc::default();
        let _running = activity.begin();
        activity.is_blocked.store(true, Ordering::Relaxed);
        let mut watcher = watcher(&activity);
        assert_eq!(looks(&mut watcher)[..7], [Verdict::Keep; 7]);
        activity.writes.fetch_add(1, Ordering::Relaxed);
        assert_eq!(watcher.look(), Verdict::Keep, "it has read a little");
        let looks = [looks(&mut watcher), looks(&mut watcher)].concat();
        assert_eq!(looks.iter().position(|verdict| *verdict == Verdict::TooSlow), Some(7));
    }

    #[test]
    fn a_running_request_and_a_slow_download_keep_it() {
        let activity: Arc<Activity> = Arc::default();
        let running = activity.begin();
        let mut watcher = watcher(&activity);
        assert_eq!(looks(&mut watcher), [Verdict::Keep; 8]);
        assert_eq!(looks(&mut watcher), [Verdict::Keep; 8]);
        drop(running);
        for _ in 0..30 {
            activity.writes.fetch_add(1, Ordering::Relaxed);
            assert_eq!(watcher.look(), Verdict::Keep);
        }
    }
}
