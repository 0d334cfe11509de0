//! Collects an environment's log lines, hands them over in batches and keeps the tail where it is wanted.

use crate::limits::{LOG_BATCH_LINES_MAX, LOG_TAIL_BYTES_MAX};
use crate::logs::{self, PlatformEvent};
use bytes::Bytes;
use gust_kit::ports::{LogDestination, LogFormat, LogLine, LogSink, Logging};
use gust_runtime_api::{Category, EnvironmentApi, LogFrame, Record, Telemetry, TelemetryEvent};
use std::sync::Arc;

/// One environment's log.
pub(crate) struct Recorder {
    sink: Arc<dyn LogSink>,
    destination: LogDestination,
    logging: Logging,
    pending: Vec<LogLine>,
    tail: Option<Vec<u8>>,
    /// Whom extensions have subscribed to it through.
    api: Option<Arc<EnvironmentApi>>,
}

impl Recorder {
    pub(crate) fn new(sink: Arc<dyn LogSink>, destination: LogDestination, logging: Logging) -> Recorder {
        Recorder { sink, destination, logging, pending: Vec::new(), tail: None, api: None }
    }

    /// Tells the subscribers of this environment what is written from now on.
    pub(crate) fn attach(&mut self, api: Arc<EnvironmentApi>) {
        self.api = Some(api);
    }

    /// Writes a line of the platform.
    pub(crate) fn platform(&mut self, now_ms: i64, event: &PlatformEvent<'_>) {
        if let Some(line) = logs::line(&self.logging, now_ms, event) {
            self.push(now_ms, line);
        }
        self.tell(now_ms, event);
    }

    /// Tells subscribers of a platform event without writing a line.
    pub(crate) fn tell(&self, now_ms: i64, event: &PlatformEvent<'_>) {
        let Some(telemetry) = self.telemetry() else { return };
        if let Some((kind, record)) = logs::telemetry(event) {
            let (category, record) = (Category::Platform, Record::Platform(record));
            telemetry.publish(TelemetryEvent { category, kind, time: logs::timestamp(now_ms), record });
        }
    }

    fn telemetry(&self) -> Option<&Telemetry> {
        self.api.as_ref().map(|api| &api.telemetry).filter(|telemetry| telemetry.is_wanted())
    }

    fn tell_line(&self, time_ms: i64, category: Category, text: &str) {
        if let Some(telemetry) = self.telemetry() {
            let is_json = self.logging.format == LogFormat::Json;
            let record = Record::Line { text: text.to_owned(), is_json };
            telemetry.publish(TelemetryEvent {
                category,
                kind: category.as_str(),
                time: logs::timestamp(time_ms),
                record,
            });
        }
    }

    /// Writes a line of the platform that has no event of its own.
    pub(crate) fn note(&mut self, now_ms: i64, text: String) {
        self.push(now_ms, text);
    }

    /// Writes a line of stdout or stderr.
    pub(crate) fn output(&mut self, now_ms: i64, text: String) {
        if logs::is_wanted(&self.logging, 0, &text) {
            self.tell_line(now_ms, Category::Function, &text);
            self.push(now_ms, text);
        }
    }

    /// Writes a line of an external extension.
    pub(crate) fn extension_output(&mut self, now_ms: i64, text: String) {
        self.tell_line(now_ms, Category::Extension, &text);
        self.push(now_ms, text);
    }

    /// Writes an event of the log pipe.
    pub(crate) fn frame(&mut self, now_ms: i64, frame: LogFrame) {
        if logs::is_wanted(&self.logging, frame.level, &frame.text) {
            let written_ms = i64::try_from(frame.timestamp_us / 1_000).unwrap_or(now_ms);
            // The function chooses this number: one that cannot be true is not believed.
            let is_likely = (now_ms - 3_600_000..=now_ms + 1_000).contains(&written_ms);
            let time_ms = if is_likely { written_ms } else { now_ms };
            self.tell_line(time_ms, Category::Function, &frame.text);
            self.push(time_ms, frame.text);
        }
    }

    /// Begins to keep the last lines for the caller.
    pub(crate) fn begin_tail(&mut self) {
        self.tail = Some(Vec::new());
    }

    /// The last lines since [`Recorder::begin_tail`], whole as far as they fit.
    pub(crate) fn take_tail(&mut self) -> Bytes {
        self.tail.take().map(|tail| tail[tail_start(&tail)..].to_vec().into()).unwrap_or_default()
    }

    /// Hands over what is collected.
    pub(crate) fn flush(&mut self) {
        if !self.pending.is_empty() {
            self.sink.write(&self.destination, std::mem::take(&mut self.pending));
        }
    }

    fn push(&mut self, timestamp_ms: i64, mut message: String) {
        message.push('\n');
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(message.as_bytes());
            if tail.len() > 64 * LOG_TAIL_BYTES_MAX {
                tail.drain(..tail_start(tail));
            }
        }
        self.pending.push(LogLine { timestamp_ms, message });
        if self.pending.len() >= LOG_BATCH_LINES_MAX {
            self.flush();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Where the last 4 KiB begin, not within a character.
fn tail_start(tail: &[u8]) -> usize {
    let mut start = tail.len().saturating_sub(LOG_TAIL_BYTES_MAX);
    while tail.get(start).is_some_and(|byte| byte & 0xc0 == 0x80) {
        start += 1;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CollectingSink, destination, spec};

    fn recorder() -> (Arc<CollectingSink>, Recorder) {
        let sink = Arc::new(CollectingSink::default());
        (sink.clone(), Recorder::new(sink, destination("f"), spec("f").logging))
    }

    #[test]
    fn the_tail_is_the_end_of_what_was_written_since_it_began() {
        let (_, mut recorder) = recorder();
        recorder.output(0, "before".to_owned());
        recorder.begin_tail();
        recorder.output(0, "first".to_owned());
        assert_eq!(recorder.take_tail(), "first\n");
        assert_eq!(recorder.take_tail(), "");
        recorder.begin_tail();
        for _ in 0..1_000 {
            recorder.output(0, "äöü".repeat(100));
        }
        recorder.output(0, "last".to_owned());
        let tail = recorder.take_tail();
        assert!(tail.len() <= LOG_TAIL_BYTES_MAX && tail.len() > LOG_TAIL_BYTES_MAX - 4);
        assert!(std::str::from_utf8(&tail).unwrap().ends_with("\nlast\n"));
    }

    #[test]
    fn lines_come_in_order_and_in_batches() {
        let (sink, mut recorder) = recorder();
        for number in 0..LOG_BATCH_LINES_MAX + 1 {
            recorder.output(0, number.to_string());
        }
        assert_eq!(sink.lines().len(), LOG_BATCH_LINES_MAX);
        drop(recorder);
        let lines: Vec<String> = sink.lines().into_iter().map(|line| line.message).collect();
        assert_eq!(lines, (0..=LOG_BATCH_LINES_MAX).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn an_event_keeps_its_time_unless_it_cannot_be_true() {
        let (sink, mut recorder) = recorder();
        recorder.logging.format = LogFormat::Json;
        for timestamp_us in [9_999_000_000, 0, u64::MAX] {
            recorder.frame(10_000_000, LogFrame { level: 5, timestamp_us, text: String::new() });
        }
        recorder.flush();
        let times: Vec<i64> = sink.lines().iter().map(|line| line.timestamp_ms).collect();
        assert_eq!(times, [9_999_000, 10_000_000, 10_000_000]);
    }
}
