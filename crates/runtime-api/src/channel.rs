//! The daemon's end of the private channel: one write a frame, buffers that are used again.

use crate::frame::{FRAME_HEAD_BYTES, FrameKind, encode_invocation_head};
use crate::{
    Answer, CONTENT_TYPE_BYTES_MAX, FRAME_BYTES_MAX, FunctionFailure, Invocation, RESPONSE_BYTES_MAX, Ready,
    STREAM_CHUNK_BYTES_MAX,
};
use bytes::{Buf, Bytes, BytesMut};
use std::io::{self, IoSlice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Room for a usual response; grown for larger ones and given back after them.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// The private channel to one environment's runtime.
pub struct Channel {
    /// `None` for a channel that nobody was ever at the other end of.
    stream: Option<UnixStream>,
    read: BytesMut,
    /// What is left of the frame that is being written: its head and how much of it has gone ...
    head: Vec<u8>,
    head_sent: usize,
    /// ... and its payload, which is never copied.
    payload: Bytes,
    /// How much of an oversized frame is still to be thrown away.
    skip: usize,
    /// Whether the runtime has said `R`.
    is_ready: bool,
    /// Whether the runtime has begun to stream its response.
    is_streaming: bool,
    /// Whether it has said that it ends.
    is_ending: bool,
}

/// One frame, or why there is none.
enum Received {
    Frame(FrameKind, Bytes),
    TooLarge,
    Closed,
}

impl Channel {
    /// A channel on a connected socket.
    pub fn new(stream: UnixStream) -> Channel {
        Channel { stream: Some(stream), ..Channel::closed() }
    }

    /// A channel without an other end: every wait on it ends with `Closed`.
    pub fn closed() -> Channel {
        Channel {
            stream: None,
            read: BytesMut::new(),
            head: Vec::new(),
            head_sent: 0,
            payload: Bytes::new(),
            skip: 0,
            is_ready: false,
            is_streaming: false,
            is_ending: false,
        }
    }

    pub(crate) async fn ready(&mut self) -> Ready {
        if self.is_ready {
            return Ready::Ready;
        }
        match self.receive().await {
            Received::Frame(FrameKind::Ready, _) => {
                self.is_ready = true;
                Ready::Ready
            }
            Received::Frame(FrameKind::InitFailed, body) => Ready::Failed(FunctionFailure { body, error_type: None }),
            // A runtime that answers before it was asked anything is broken.
            Received::Frame(..) | Received::TooLarge | Received::Closed => Ready::Closed,
        }
    }

    /// Whether nothing has come since the last answer, except that it is ready.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let Some(stream) = self.stream.as_mut() else { return true };
        if self.read.capacity() == self.read.len() {
            self.read.reserve(READ_BUFFER_BYTES);
        }
        // An end is no word; it is noticed where the answer is waited for.
        if stream.try_read_buf(&mut self.read).is_err() && self.read.is_empty() && self.skip == 0 {
            return true;
        }
        loop {
            match self.frame() {
                Ok(Some((FrameKind::Ready, _))) => {}
                Ok(Some(_)) | Err(Broken) => return false,
                Ok(None) => return self.read.is_empty() && self.skip == 0,
            }
        }
    }

    pub(crate) fn begin(&mut self, invocation: &Invocation) {
        encode_invocation_head(invocation, &mut self.head);
        self.head_sent = 0;
        self.payload = invocation.payload.clone();
        self.is_streaming = false;
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        if self.send().await.is_err() {
            return Answer::Closed;
        }
        loop {
            return match self.receive().await {
                // A runtime may say that it is ready before each event.
                Received::Frame(FrameKind::Ready, _) => continue,
                Received::Frame(kind, body) => self.read_answer(kind, body),
                Received::TooLarge if !self.is_streaming => Answer::TooLarge,
                Received::TooLarge | Received::Closed => Answer::Closed,
            };
        }
    }

    /// What a frame says in its place. One that is out of place shows that the runtime is broken.
    fn read_answer(&mut self, kind: FrameKind, body: Bytes) -> Answer {
        match (kind, self.is_streaming) {
            (FrameKind::Response, false) if body.len() > RESPONSE_BYTES_MAX => Answer::TooLarge,
            (FrameKind::Response, false) => Answer::Response(body),
            (FrameKind::Error, _) => {
                self.is_streaming = false;
                Answer::Error(FunctionFailure { body, error_type: None })
            }
            (FrameKind::LastError, _) => {
                self.is_streaming = false;
                self.is_ending = true;
                Answer::Error(FunctionFailure { body, error_type: None })
            }
            (FrameKind::StreamBegin, false) => {
                self.is_streaming = true;
                Answer::StreamBegun(content_type(&body))
            }
            (FrameKind::StreamChunk, true) if body.len() <= STREAM_CHUNK_BYTES_MAX => Answer::Chunk(body),
            (FrameKind::StreamEnd, true) => {
                self.is_streaming = false;
                Answer::StreamEnded
            }
            _ => Answer::Closed,
        }
    }

    /// Waits until the runtime is done with the event that it has answered. The answer says so itself, but for one
    /// after which the process ends: that is waited for, so that no other event is given to it.
    pub(crate) async fn settled(&self) {
        if self.is_ending {
            std::future::pending::<()>().await;
        }
    }

    /// Writes what is left of the frame; head and payload leave in one system call.
    async fn send(&mut self) -> io::Result<()> {
        loop {
            let head = &self.head[self.head_sent..];
            if head.is_empty() && self.payload.is_empty() {
                return Ok(());
            }
            let slices = [IoSlice::new(head), IoSlice::new(&self.payload)];
            let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let written = stream.write_vectored(&slices).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_head = written.min(head.len());
            self.head_sent += of_head;
            self.payload.advance(written - of_head);
        }
    }

    async fn receive(&mut self) -> Received {
        loop {
            if self.skip > 0 {
                let gone = self.skip.min(self.read.len());
                self.read.advance(gone);
                self.skip -= gone;
                if self.skip == 0 {
                    return Received::TooLarge;
                }
            } else {
                match self.frame() {
                    Ok(Some((kind, body))) => return Received::Frame(kind, body),
                    Ok(None) => {}
                    Err(Broken) => return Received::Closed,
                }
            }
            if self.skip == 0 || self.read.capacity() == 0 {
                self.read.reserve(READ_BUFFER_BYTES);
            }
            let Some(stream) = self.stream.as_mut() else { return Received::Closed };
            match stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return Received::Closed,
                Ok(_) => {}
            }
        }
    }

    /// Takes one whole frame out of the buffer, if there is one; starts skipping an oversized one.
    fn frame(&mut self) -> Result<Option<(FrameKind, Bytes)>, Broken> {
        if self.read.len() < FRAME_HEAD_BYTES {
            return Ok(None);
        }
        let length = u32::from_le_bytes([self.read[0], self.read[1], self.read[2], self.read[3]]) as usize;
        let kind = FrameKind::from_byte(self.read[4]).ok_or(Broken)?;
        if length == 0 {
            return Err(Broken);
        }
        if length > FRAME_BYTES_MAX {
            self.skip = length + 4;
            let gone = self.skip.min(self.read.len());
            self.read.advance(gone);
            self.skip -= gone;
            return Ok(None);
        }
        let total = length + 4;
        if self.read.len() < total {
            self.read.reserve(total - self.read.len());
            return Ok(None);
        }
        let mut frame = self.read.split_to(total);
        frame.advance(FRAME_HEAD_BYTES);
        if self.read.is_empty() && self.read.capacity() > 4 * READ_BUFFER_BYTES {
            self.read = BytesMut::with_capacity(READ_BUFFER_BYTES);
        }
        Ok(Some((kind, frame.freeze())))
    }
}

/// What came is no frame.
struct Broken;

fn content_type(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    (!text.is_empty() && text.len() <= CONTENT_TYPE_BYTES_MAX).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(body.len() + 1).unwrap().to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(body);
        bytes
    }

    async fn invoke_against(bytes: Vec<u8>) -> (Channel, Answer) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(ours);
        let writer = tokio::spawn(async move {
            // A refused frame makes gust hang up: then there is nobody left to write to.
            let _ = theirs.write_all(&bytes).await;
            theirs
        });
        let answer = channel.invoke(Invocation::default()).await;
        drop(writer.await.unwrap());
        (channel, answer)
    }

    impl Channel {
        async fn invoke(&mut self, invocation: Invocation) -> Answer {
            self.begin(&invocation);
            self.answer().await
        }
    }

    #[tokio::test]
    async fn a_large_response_arrives_whole_and_the_buffer_shrinks_again() {
        let body = vec![b'x'; RESPONSE_BYTES_MAX];
        let (channel, answer) = invoke_against(frame(b'O', &body)).await;
        assert_eq!(answer, Answer::Response(body.into()));
        assert!(channel.read.capacity() <= 4 * READ_BUFFER_BYTES);
    }

    #[tokio::test]
    async fn an_oversized_response_is_refused_and_the_next_one_still_read() {
        for size in [RESPONSE_BYTES_MAX + 1, FRAME_BYTES_MAX + 100_000] {
            let mut bytes = frame(b'O', &vec![b'x'; size]);
            bytes.extend(frame(b'O', b"next"));
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut channel = Channel::new(ours);
            let writer = tokio::spawn(async move {
                theirs.write_all(&bytes).await.unwrap();
                theirs
            });
            assert_eq!(channel.invoke(Invocation::default()).await, Answer::TooLarge, "{size}");
            assert_eq!(channel.invoke(Invocation::default()).await, Answer::Response("next".into()));
            writer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn frames_of_a_stream_out_of_their_place_close_the_channel() {
        let too_large = frame(b'C', &vec![b'x'; STREAM_CHUNK_BYTES_MAX + 1]);
        let begun = frame(b'S', b"text/plain");
        for (bytes, before) in [
            (frame(b'C', b"x"), 0),
            (frame(b'D', b""), 0),
            ([begun.clone(), begun.clone()].concat(), 1),
            ([begun.clone(), frame(b'O', b"x")].concat(), 1),
            ([begun.clone(), too_large].concat(), 1),
            ([begun.clone(), frame(b'C', b"x"), frame(b'D', b""), frame(b'C', b"x")].concat(), 3),
            ([begun.clone(), frame(b'C', &vec![b'x'; FRAME_BYTES_MAX])].concat(), 1),
        ] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut channel = Channel::new(ours);
            let writer = tokio::spawn(async move {
                theirs.write_all(&bytes).await.unwrap();
                theirs
            });
            channel.begin(&Invocation::default());
            for _ in 0..before {
                assert_ne!(channel.answer().await, Answer::Closed);
            }
            assert_eq!(channel.answer().await, Answer::Closed);
            writer.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_content_type_is_text_or_none() {
        for (body, expected) in
            [(&b"text/html; charset=utf-8"[..], Some("text/html; charset=utf-8")), (b"", None), (b"\xff", None)]
        {
            let (_, answer) = invoke_against(frame(b'S', body)).await;
            assert_eq!(answer, Answer::StreamBegun(expected.map(str::to_owned)));
        }
    }

    #[tokio::test]
    async fn after_a_last_error_the_runtime_never_settles() {
        for (kind, settles) in [(b'E', true), (b'X', false)] {
            let (channel, answer) = invoke_against(frame(kind, b"{}")).await;
            assert_eq!(answer, Answer::Error(FunctionFailure { body: "{}".into(), error_type: None }));
            let wait = std::time::Duration::from_millis(1);
            assert_eq!(tokio::time::timeout(wait, channel.settled()).await.is_ok(), settles);
        }
    }

    #[tokio::test]
    async fn what_nobody_asked_for_is_noticed() {
        for (bytes, is_quiet) in [
            (Vec::new(), true),
            (frame(b'R', b""), true),
            (frame(b'O', b"{}"), false),
            (vec![3, 0], false),
            (u32::MAX.to_le_bytes().to_vec(), false),
        ] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut channel = Channel::new(ours);
            theirs.write_all(&bytes).await.unwrap();
            // The reactor has to see it first.
            channel.stream.as_mut().unwrap().writable().await.unwrap();
            if !bytes.is_empty() {
                channel.stream.as_mut().unwrap().readable().await.unwrap();
            }
            assert_eq!(channel.is_quiet(), is_quiet, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_frame_closes_the_channel() {
        for bytes in [frame(b'Z', b"x"), vec![0, 0, 0, 0, b'O'], vec![1, 0], Vec::new()] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut channel = Channel::new(ours);
            theirs.write_all(&bytes).await.unwrap();
            theirs.shutdown().await.unwrap();
            assert_eq!(channel.invoke(Invocation::default()).await, Answer::Closed, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn waiting_for_an_answer_can_be_given_up_and_taken_up_again() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut channel = Channel::new(ours);
        // Larger than the socket's buffers, so that the first wait is cut off in mid-write.
        let payload = Bytes::from(vec![b'p'; 4 << 20]);
        channel.begin(&Invocation { payload: payload.clone(), ..Invocation::default() });
        let cut = tokio::time::timeout(std::time::Duration::from_millis(5), channel.answer()).await;
        assert!(cut.is_err());
        let reader = tokio::spawn(async move {
            let mut length = [0u8; 4];
            theirs.read_exact(&mut length).await.unwrap();
            let mut rest = vec![0u8; u32::from_le_bytes(length) as usize];
            theirs.read_exact(&mut rest).await.unwrap();
            theirs.write_all(&frame(b'O', b"done")).await.unwrap();
            rest
        });
        assert_eq!(channel.answer().await, Answer::Response("done".into()));
        assert!(reader.await.unwrap().ends_with(&payload));
    }
}
