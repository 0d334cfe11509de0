//! The frames of the private channel.
//!
//! A frame is a u32 (little-endian) with the length of what follows, a byte with its kind, and a body.
//! The one frame towards the runtime is `I`: u32 header length, header JSON, then the event's bytes.
//! It is answered by `O`, by `E`, or in parts: `S`, any number of `C`, then `D` or `E`; `X` stands for
//! `E` where the process ends.

use crate::Invocation;
use serde::Serialize;

/// The kind of a frame that a runtime sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// `R`: initialised.
    Ready,
    /// `F`: initialisation failed; the error document.
    InitFailed,
    /// `O`: the response.
    Response,
    /// `E`: the function's error, also in the middle of a streamed response; the error document.
    Error,
    /// `S`: a streamed response begins; its content type.
    StreamBegin,
    /// `C`: a part of a streamed response, at most [`crate::STREAM_CHUNK_BYTES_MAX`].
    StreamChunk,
    /// `D`: the good end of a streamed response.
    StreamEnd,
    /// `X`: the function's error like `E`, and the process ends by itself right after it.
    LastError,
}

impl FrameKind {
    /// The kind that `byte` stands for.
    pub fn from_byte(byte: u8) -> Option<FrameKind> {
        match byte {
            b'R' => Some(FrameKind::Ready),
            b'F' => Some(FrameKind::InitFailed),
            b'O' => Some(FrameKind::Response),
            b'E' => Some(FrameKind::Error),
            b'S' => Some(FrameKind::StreamBegin),
            b'C' => Some(FrameKind::StreamChunk),
            b'D' => Some(FrameKind::StreamEnd),
            b'X' => Some(FrameKind::LastError),
            _ => None,
        }
    }
}

/// Bytes of a frame before its body: length and kind.
pub(crate) const FRAME_HEAD_BYTES: usize = 5;

#[derive(Serialize)]
struct Header<'a> {
    request_id: &'a str,
    deadline_ms: i64,
    invoked_function_arn: &'a str,
    trace_id: Option<&'a str>,
    client_context: Option<&'a str>,
    cognito_identity: Option<&'a str>,
    tenant_id: Option<&'a str>,
}

/// Writes everything of an `I` frame but the payload into `head`, whose old content goes.
pub fn encode_invocation_head(invocation: &Invocation, head: &mut Vec<u8>) {
    head.clear();
    head.extend_from_slice(&[0; 9]);
    let header = Header {
        request_id: &invocation.request_id,
        deadline_ms: invocation.deadline_ms,
        invoked_function_arn: &invocation.invoked_function_arn,
        trace_id: invocation.trace_id.as_deref(),
        client_context: invocation.client_context.as_deref(),
        cognito_identity: invocation.cognito_identity.as_deref(),
        tenant_id: invocation.tenant_id.as_deref(),
    };
    serde_json::to_writer(&mut *head, &header).expect("texts and numbers always serialise into memory");
    let header_bytes = u32::try_from(head.len() - 9).unwrap_or(u32::MAX);
    let frame_bytes = u32::try_from(head.len() - 4 + invocation.payload.len()).unwrap_or(u32::MAX);
    head[0..4].copy_from_slice(&frame_bytes.to_le_bytes());
    head[4] = b'I';
    head[5..9].copy_from_slice(&header_bytes.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn the_head_counts_itself_and_the_payload() {
        let invocation = Invocation {
            request_id: "id".to_owned(),
            client_context: Some("{\"a\":1}".to_owned()),
            payload: Bytes::from_static(b"[1]"),
            ..Invocation::default()
        };
        let mut head = vec![1, 2, 3];
        encode_invocation_head(&invocation, &mut head);
        let frame = u32::from_le_bytes(head[0..4].try_into().unwrap()) as usize;
        assert_eq!(frame + 4, head.len() + 3);
        assert_eq!(head[4], b'I');
        let length = u32::from_le_bytes(head[5..9].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&head[9..9 + length]).unwrap();
        assert_eq!(header["request_id"], "id");
        assert_eq!(header["client_context"], "{\"a\":1}");
        assert!(header["tenant_id"].is_null());
    }
}
