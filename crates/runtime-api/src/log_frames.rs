//! Reads the framed log pipe of gust's runtimes: one frame is one log event, whatever it contains.
//!
//! A frame is a u32 (little-endian) with the length of what follows, a byte with its level (0 none, 1 trace
//! ... 6 fatal), a u64 with microseconds since the epoch, and the text.

use crate::LOG_TEXT_BYTES_MAX;

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFrame {
    /// 0 for none, 1 trace, 2 debug, 3 info, 4 warn, 5 error, 6 fatal.
    pub level: u8,
    /// When it was written, in microseconds since the epoch.
    pub timestamp_us: u64,
    /// Its text, without a line end at its end.
    pub text: String,
}

/// Collects bytes of the pipe until frames are whole. What is no frame is skipped, because user code could
/// write into the pipe as well.
#[derive(Debug, Default)]
pub struct LogFrames {
    partial: Vec<u8>,
    /// How much of an oversized frame's text is still to be thrown away.
    skip: usize,
}

const LEVEL_AND_TIME_BYTES: usize = 9;

impl LogFrames {
    /// Takes `bytes` and hands every frame that they end to `take`.
    pub fn push(&mut self, bytes: &[u8], mut take: impl FnMut(LogFrame)) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        self.partial.extend_from_slice(&bytes[skipped..]);
        let mut at = 0;
        while let Some((head, rest)) = self.partial[at..].split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*head) as usize;
            if length < LEVEL_AND_TIME_BYTES {
                at += 4;
                continue;
            }
            let kept = length.min(LEVEL_AND_TIME_BYTES + LOG_TEXT_BYTES_MAX);
            let Some(frame) = rest.get(..kept) else { break };
            take(decode(frame));
            let over = length - kept;
            let gone = over.min(rest.len() - kept);
            self.skip = over - gone;
            at += 4 + kept + gone;
        }
        self.partial.drain(..at);
    }
}

fn decode(frame: &[u8]) -> LogFrame {
    let mut time = [0u8; 8];
    time.copy_from_slice(&frame[1..LEVEL_AND_TIME_BYTES]);
    let text = &frame[LEVEL_AND_TIME_BYTES..];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    LogFrame {
        level: frame[0].min(6),
        timestamp_us: u64::from_le_bytes(time),
        text: String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(level: u8, time: u64, text: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(text.len() + 9).unwrap().to_le_bytes().to_vec();
        bytes.push(level);
        bytes.extend_from_slice(&time.to_le_bytes());
        bytes.extend_from_slice(text);
        bytes
    }

    #[test]
    fn frames_are_whole_however_they_arrive() {
        let mut bytes = frame(3, 42, b"two\nlines\n");
        bytes.extend([0, 0, 0, 0]);
        bytes.extend(frame(9, 43, b""));
        for size in [1, 3, 7, bytes.len()] {
            let (mut frames, mut got) = (LogFrames::default(), Vec::new());
            for chunk in bytes.chunks(size) {
                frames.push(chunk, |frame| got.push(frame));
            }
            assert_eq!(got.len(), 2, "{size}");
            assert_eq!(got[0], LogFrame { level: 3, timestamp_us: 42, text: "two\nlines".to_owned() });
            assert_eq!((got[1].level, got[1].timestamp_us), (6, 43));
            assert!(frames.partial.is_empty());
        }
    }

    #[test]
    fn an_oversized_frame_is_cut_and_the_next_one_read() {
        let mut bytes = frame(1, 1, &vec![b'x'; LOG_TEXT_BYTES_MAX + 1000]);
        bytes.extend(frame(2, 2, b"next"));
        for size in [1000, bytes.len()] {
            let (mut frames, mut got) = (LogFrames::default(), Vec::new());
            for chunk in bytes.chunks(size) {
                frames.push(chunk, |frame| got.push(frame));
            }
            assert_eq!(got.iter().map(|frame| frame.text.len()).collect::<Vec<_>>(), [LOG_TEXT_BYTES_MAX, 4]);
        }
    }
}
