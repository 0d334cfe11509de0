//! Splits a function's stdout and stderr into lines, in bounded memory.

use crate::LINE_BYTES_MAX;

/// Collects bytes until a line is whole or as long as a log event may be.
#[derive(Debug, Default)]
pub struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    /// Takes `bytes` and hands every line that they end (without its end) to `take`.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(String)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end], &mut take);
            let line = std::mem::take(&mut self.partial);
            take(text(&line));
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, &mut take);
    }

    /// Hands over the line that has not ended, if there is one.
    pub fn flush(&mut self, mut take: impl FnMut(String)) {
        if !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            take(text(&line));
        }
    }

    fn extend(&mut self, mut bytes: &[u8], take: &mut impl FnMut(String)) {
        while self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            let mut fits = LINE_BYTES_MAX - self.partial.len();
            // Do not cut a character in two; four bytes are the longest one.
            for _ in 0..3 {
                if fits > 0 && bytes.get(fits).is_some_and(|byte| byte & 0xc0 == 0x80) {
                    fits -= 1;
                }
            }
            self.partial.extend_from_slice(&bytes[..fits]);
            let line = std::mem::take(&mut self.partial);
            take(text(&line));
            bytes = &bytes[fits..];
        }
        self.partial.extend_from_slice(bytes);
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |line| lines.push(line));
        }
        splitter.flush(|line| lines.push(line));
        lines
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(split(&[b"a\nb", b"c\r\n", b"\nend"]), ["a", "bc", "", "end"]);
        assert_eq!(split(&[b"x\n"]), ["x"]);
        assert!(split(&[b""]).is_empty());
        assert_eq!(split(&[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_cut_without_splitting_characters() {
        let text = "ä".repeat(LINE_BYTES_MAX);
        let lines = split(&[b"x", text.as_bytes()]);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX && !line.contains('\u{fffd}')));
        assert_eq!(lines.concat(), format!("x{text}"));
    }
}
