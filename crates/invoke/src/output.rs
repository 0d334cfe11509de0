//! Reads an environment's output: the pipe of stdout and stderr, the framed log pipe, and the extensions' pipe.

use crate::launcher::PipeReader;
use crate::limits::DRAIN_BYTES_MAX;
use crate::recorder::Recorder;
use futures_util::FutureExt;
use gust_runtime_api::{LineSplitter, LogFrames};
use gust_types::{Clock, SystemClock};
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout_at};

/// How much is read at a time. On the stack: an idle environment holds no buffer.
const CHUNK_BYTES: usize = 16 * 1024;

/// The reading ends. `None` once they are at their end.
pub(crate) struct Output {
    stdout: Option<PipeReader>,
    log: Option<PipeReader>,
    extension: Option<PipeReader>,
    lines: LineSplitter,
    extension_lines: LineSplitter,
    frames: LogFrames,
}

/// Which pipe something came from.
#[derive(Clone, Copy)]
enum Source {
    Log,
    Stdout,
    Extension,
}

impl Output {
    pub(crate) fn new(stdout: Option<PipeReader>, log: Option<PipeReader>, extension: Option<PipeReader>) -> Output {
        let (lines, extension_lines) = (LineSplitter::default(), LineSplitter::default());
        Output { stdout, log, extension, lines, extension_lines, frames: LogFrames::default() }
    }

    /// Waits until there is some output and records a part of it. Waits for ever at the end. Cancel safe.
    pub(crate) async fn read(&mut self, recorder: &mut Recorder) -> usize {
        poll_fn(|context| self.poll(context, recorder)).await
    }

    /// Records what is in the pipes now, and the line that has not ended.
    pub(crate) fn drain_now(&mut self, recorder: &mut Recorder) {
        let mut drained = 0;
        while drained < DRAIN_BYTES_MAX {
            match tokio::task::unconstrained(self.read(recorder)).now_or_never() {
                Some(bytes) => drained += bytes,
                None => break,
            }
        }
        self.flush_line(recorder);
    }

    /// Records what is still to come of processes that were killed, until the pipes are at their end.
    pub(crate) async fn drain_to_end(&mut self, recorder: &mut Recorder, limit: Duration) {
        let (until, mut drained) = (Instant::now() + limit, 0);
        let is_open = |output: &Output| output.stdout.is_some() || output.log.is_some() || output.extension.is_some();
        while drained < DRAIN_BYTES_MAX && is_open(self) {
            match timeout_at(until, self.read(recorder)).await {
                Ok(bytes) => drained += bytes,
                Err(_) => break,
            }
        }
        self.flush_line(recorder);
    }

    fn flush_line(&mut self, recorder: &mut Recorder) {
        let now_ms = SystemClock.now_ms();
        self.lines.flush(|line| recorder.output(now_ms, line));
        self.extension_lines.flush(|line| recorder.extension_output(now_ms, line));
    }

    fn poll(&mut self, context: &mut Context<'_>, recorder: &mut Recorder) -> Poll<usize> {
        let mut memory = [MaybeUninit::uninit(); CHUNK_BYTES];
        let mut read = Poll::Pending;
        // The log pipe first: a logger's lines are older than a print that follows them.
        for source in [Source::Log, Source::Stdout, Source::Extension] {
            let pipe = match source {
                Source::Log => &mut self.log,
                Source::Stdout => &mut self.stdout,
                Source::Extension => &mut self.extension,
            };
            let Some(reader) = pipe else { continue };
            let mut buffer = ReadBuf::uninit(&mut memory);
            match Pin::new(reader).poll_read(context, &mut buffer) {
                Poll::Pending => continue,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let (bytes, now_ms) = (buffer.filled(), SystemClock.now_ms());
                    match source {
                        Source::Log => self.frames.push(bytes, |frame| recorder.frame(now_ms, frame)),
                        Source::Stdout => self.lines.push(bytes, |line| recorder.output(now_ms, line)),
                        Source::Extension => {
                            self.extension_lines.push(bytes, |line| recorder.extension_output(now_ms, line));
                        }
                    }
                    read = Poll::Ready(bytes.len() + if let Poll::Ready(before) = read { before } else { 0 });
                }
                // The end, or a pipe that broke: there is nothing more to read.
                Poll::Ready(_) => {
                    *pipe = None;
                    read = Poll::Ready(if let Poll::Ready(before) = read { before } else { 0 });
                }
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CollectingSink, destination, spec};
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;

    fn setup() -> (Arc<CollectingSink>, Recorder, tokio::io::DuplexStream, Output) {
        let sink = Arc::new(CollectingSink::default());
        let recorder = Recorder::new(sink.clone(), destination("f"), spec("f").logging);
        let (theirs, ours) = tokio::io::duplex(4 << 20);
        (sink, recorder, theirs, Output::new(Some(Box::new(ours)), None, None))
    }

    #[tokio::test]
    async fn what_is_in_the_pipe_is_drained_and_an_endless_writer_does_not_keep_it() {
        let (sink, mut recorder, mut function, mut output) = setup();
        function.write_all(b"whole\npart").await.unwrap();
        output.drain_now(&mut recorder);
        recorder.flush();
        let messages: Vec<String> = sink.lines().into_iter().map(|line| line.message).collect();
        assert_eq!(messages, ["whole", "part"]);
        function.write_all(&vec![b'x'; 3 << 20]).await.unwrap();
        output.drain_now(&mut recorder);
        recorder.flush();
        let bytes: usize = sink.lines().iter().map(|line| line.message.len()).sum();
        assert!(bytes < DRAIN_BYTES_MAX + 2 * CHUNK_BYTES, "{bytes}");
    }

    #[tokio::test]
    async fn a_closed_stdout_ends_quietly() {
        let (sink, mut recorder, mut function, mut output) = setup();
        function.write_all(b"bye").await.unwrap();
        drop(function);
        output.drain_to_end(&mut recorder, Duration::from_secs(10)).await;
        assert!(output.stdout.is_none());
        recorder.flush();
        assert_eq!(sink.lines()[0].message, "bye");
        assert!(output.read(&mut recorder).now_or_never().is_none());
    }
}
