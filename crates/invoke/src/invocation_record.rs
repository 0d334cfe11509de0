//! What is told of an event's end: the record for destinations, and the attributes of a dead letter.
//!
//! Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>. Which members a record
//! has of an event that was never run, and how a response that is no JSON is shown (as a text), is inferred.

use crate::limits::DEAD_LETTER_MESSAGE_BYTES_MAX;
use crate::machine::DiscardReason;
use bytes::Bytes;
use gust_kit::ports::{AsyncEvent, InvokeOutcome, TargetMessage};
use serde::Serialize;
use serde::de::IgnoredAny;

/// `condition` of a success.
const SUCCESS: &str = "Success";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'a str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext<'a> {
    status_code: u16,
    executed_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_error: Option<&'static str>,
}

/// The end of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventEnd<'a> {
    pub(crate) event: &'a AsyncEvent,
    /// `None` for a success.
    pub(crate) reason: Option<DiscardReason>,
    /// How often it was run.
    pub(crate) runs: u32,
    /// What the last attempt brought, if there was one.
    pub(crate) outcome: Option<&'a InvokeOutcome>,
    /// In milliseconds since the epoch.
    pub(crate) at_ms: i64,
}

impl EventEnd<'_> {
    /// The record for a destination.
    pub(crate) fn record(&self) -> TargetMessage {
        let event = self.event;
        // The alias or version that was invoked; `$LATEST` where none was named.
        let function_arn = match event.qualifier {
            Some(_) => event.invoked_arn.clone(),
            None => format!("{}:$LATEST", event.invoked_arn),
        };
        let request = RequestContext {
            request_id: &event.request_id,
            function_arn: &function_arn,
            condition: self.reason.map_or(SUCCESS, DiscardReason::condition),
            approximate_invoke_count: self.runs,
        };
        let mut json = Vec::with_capacity(512 + event.payload.len() + self.outcome.map_or(0, |it| it.payload.len()));
        json.extend_from_slice(br#"{"version":"1.0","timestamp":"#);
        write(&mut json, &crate::logs::timestamp(self.at_ms));
        json.extend_from_slice(br#","requestContext":"#);
        write(&mut json, &request);
        json.extend_from_slice(br#","requestPayload":"#);
        json.extend_from_slice(&event.payload);
        if let Some(outcome) = self.outcome {
            let response = ResponseContext {
                status_code: 200,
                executed_version: &outcome.executed_version,
                function_error: outcome.failure.map(|_| "Unhandled"),
            };
            json.extend_from_slice(br#","responseContext":"#);
            write(&mut json, &response);
            json.extend_from_slice(br#","responsePayload":"#);
            write_payload(&mut json, &outcome.payload);
        }
        json.push(b'}');
        TargetMessage::Record { is_success: self.reason.is_none(), json: json.into() }
    }

    /// The dead letter.
    pub(crate) fn dead_letter(&self) -> TargetMessage {
        let (error_code, message) = match (self.reason, self.outcome) {
            // Documented is that the code is an HTTP status; that a failed function's is 200, as its invocation's, and
            // the texts of what was never run, are inferred.
            (_, Some(outcome)) => (200, error_message(&outcome.payload)),
            (Some(DiscardReason::ZeroReservedConcurrency), None) => {
                (429, "The function's reserved concurrency is zero.".to_owned())
            }
            (Some(DiscardReason::RecursiveInvocation), None) => (400, "A recursive loop was detected.".to_owned()),
            (Some(DiscardReason::FunctionGone), None) => (404, "The function does not exist.".to_owned()),
            (_, None) => (429, "Rate Exceeded.".to_owned()),
        };
        TargetMessage::DeadLetter {
            event: self.event.payload.clone(),
            request_id: self.event.request_id.clone(),
            error_code,
            error_message: shortened(message),
        }
    }
}

fn write(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(json, value).expect("texts and numbers always serialise into memory");
}

/// A response as it came, if it is JSON; nothing is `null`.
fn write_payload(json: &mut Vec<u8>, payload: &Bytes) {
    if payload.is_empty() {
        json.extend_from_slice(b"null");
    } else if std::str::from_utf8(payload).is_ok() && serde_json::from_slice::<IgnoredAny>(payload).is_ok() {
        json.extend_from_slice(payload);
    } else {
        write(json, &*String::from_utf8_lossy(payload));
    }
}

/// The `errorMessage` of a failure, or all of it.
fn error_message(payload: &Bytes) -> String {
    let document: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
    let message = document.as_ref().and_then(|document| document.get("errorMessage")?.as_str());
    message.map_or_else(|| String::from_utf8_lossy(payload).into_owned(), str::to_owned)
}

fn shortened(mut text: String) -> String {
    let end = text.floor_char_boundary(DEAD_LETTER_MESSAGE_BYTES_MAX);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::event;
    use gust_kit::ports::InvokeFailure;
    use serde_json::{Value, json};

    fn outcome(payload: &'static [u8], failure: Option<InvokeFailure>) -> InvokeOutcome {
        InvokeOutcome {
            payload: Bytes::from_static(payload),
            failure,
            log_tail: Bytes::new(),
            executed_version: "3".to_owned(),
            duration_us: 1,
            init_us: None,
        }
    }

    fn json_of(end: EventEnd<'_>) -> Value {
        let TargetMessage::Record { json, is_success } = end.record() else { panic!("it is a record") };
        assert_eq!(is_success, end.reason.is_none());
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn a_failures_record_is_lambdas() {
        let mut event = event("f", "e4b46cbf-b738-4f36-8880-a18cdf61200e");
        event.payload = Bytes::from_static(br#"{"ORDER_IDS":["9e07af03"]}"#);
        let failed = outcome(br#"{"errorMessage":"no"}"#, Some(InvokeFailure::Unhandled));
        let reason = Some(DiscardReason::RetriesExhausted);
        let end = EventEnd { event: &event, reason, runs: 3, outcome: Some(&failed), at_ms: 1_573_755_365_568 };
        let TargetMessage::Record { json, .. } = end.record() else { panic!("it is a record") };
        // Documented, member for member and in their order.
        let expected = concat!(
            r#"{"version":"1.0","timestamp":"2019-11-14T18:16:05.568Z","requestContext":{"#,
            r#""requestId":"e4b46cbf-b738-4f36-8880-a18cdf61200e","#,
            r#""functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","#,
            r#""condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":{"ORDER_IDS":["9e07af03"]},"#,
            r#""responseContext":{"statusCode":200,"executedVersion":"3","functionError":"Unhandled"},"#,
            r#""responsePayload":{"errorMessage":"no"}}"#
        );
        assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
    }

    #[test]
    fn other_ends_differ_in_what_they_know() {
        let mut event = event("f", "r");
        event.qualifier = Some("PROD".to_owned());
        event.invoked_arn.push_str(":PROD");
        let passed = outcome(b"\"fine\"", None);
        let success = json_of(EventEnd { event: &event, reason: None, runs: 1, outcome: Some(&passed), at_ms: 0 });
        assert_eq!(success["requestContext"]["condition"], "Success");
        assert_eq!(success["requestContext"]["functionArn"], "arn:aws:lambda:us-east-1:000000000000:function:f:PROD");
        assert_eq!(success["responseContext"], json!({ "statusCode": 200, "executedVersion": "3" }));
        assert_eq!(success["responsePayload"], "fine");
        let reason = Some(DiscardReason::EventAgeExceeded);
        let old = json_of(EventEnd { event: &event, reason, runs: 0, outcome: None, at_ms: 0 });
        assert_eq!(old["requestContext"]["approximateInvokeCount"], 0);
        assert_eq!((old.get("responseContext"), old.get("responsePayload")), (None, None));
        for (payload, shown) in [(&b""[..], Value::Null), (b"plain", json!("plain")), (b"\xff", json!("\u{fffd}"))] {
            let other = outcome(payload, None);
            let record = json_of(EventEnd { event: &event, reason: None, runs: 1, outcome: Some(&other), at_ms: 0 });
            assert_eq!(record["responsePayload"], shown);
        }
    }

    #[test]
    fn a_dead_letter_is_the_event_and_says_what_went_wrong() {
        let event = event("f", "r");
        let failed = outcome(br#"{"errorMessage":"no","errorType":"E"}"#, Some(InvokeFailure::Unhandled));
        let reason = Some(DiscardReason::RetriesExhausted);
        let end = EventEnd { event: &event, reason, runs: 3, outcome: Some(&failed), at_ms: 0 };
        let expected = TargetMessage::DeadLetter {
            event: event.payload.clone(),
            request_id: "r".to_owned(),
            error_code: 200,
            error_message: "no".to_owned(),
        };
        assert_eq!(end.dead_letter(), expected);
        let long = outcome(br#"{"errorMessage":7}"#, Some(InvokeFailure::Unhandled));
        let mut long = EventEnd { outcome: Some(&long), ..end };
        let TargetMessage::DeadLetter { error_message, .. } = long.dead_letter() else { panic!("it is a dead letter") };
        assert_eq!(error_message, r#"{"errorMessage":7}"#);
        long.outcome = None;
        let TargetMessage::DeadLetter { error_code, .. } = long.dead_letter() else { panic!("it is a dead letter") };
        assert_eq!(error_code, 429);
        assert_eq!(shortened("ä".repeat(600)).len(), DEAD_LETTER_MESSAGE_BYTES_MAX);
        assert_eq!(shortened(format!("x{}", "ä".repeat(600))).len(), DEAD_LETTER_MESSAGE_BYTES_MAX - 1);
    }
}
