//! Page tokens.
//!
//! GetLogEvents has tokens for both directions that may be asked again and again (`f/<56 digits>/s`), the others
//! opaque ones that hold for 24 hours.

use super::event_id;
use crate::error::LogsError;
use crate::limits::TOKEN_AGE_MS_MAX;
use crate::model::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Which way a page goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// To later events.
    #[serde(rename = "f")]
    Forward,
    /// To earlier events.
    #[serde(rename = "b")]
    Backward,
}

/// A token of GetLogEvents.
pub fn stream_token(direction: Direction, position: Position, fingerprint: u64) -> String {
    let letter = match direction {
        Direction::Forward => 'f',
        Direction::Backward => 'b',
    };
    format!("{letter}/{}/s", event_id::digits(position, fingerprint))
}

/// Reads a token of GetLogEvents that was made for the same stream.
pub fn parse_stream_token(text: &str, fingerprint: u64) -> Result<(Direction, Position), LogsError> {
    let parse = || {
        let (direction, rest) = match text.split_once('/')? {
            ("f", rest) => (Direction::Forward, rest),
            ("b", rest) => (Direction::Backward, rest),
            _ => return None,
        };
        Some((direction, event_id::parse(rest.strip_suffix("/s")?, fingerprint)?))
    };
    parse().ok_or_else(LogsError::invalid_token)
}

/// A token of FilterLogEvents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterToken {
    /// When it was given out, in milliseconds since the epoch.
    pub issued_at_ms: i64,
    /// The group it belongs to.
    pub fingerprint: u64,
    /// Which way the pages go.
    pub direction: Direction,
    /// Events beyond this one follow.
    pub timestamp_ms: i64,
    /// See `timestamp_ms`.
    pub sequence: u64,
}

impl FilterToken {
    /// Its text.
    pub fn encode(&self) -> String {
        opaque(self)
    }

    /// Reads a token that is not too old and was made for the same group.
    pub fn parse(text: &str, fingerprint: u64, now_ms: i64) -> Result<FilterToken, LogsError> {
        let token: FilterToken = parse_opaque(text)?;
        let fresh = now_ms.saturating_sub(token.issued_at_ms) <= TOKEN_AGE_MS_MAX;
        if fresh && token.fingerprint == fingerprint { Ok(token) } else { Err(LogsError::invalid_token()) }
    }
}

/// The text of an opaque token.
pub fn opaque(value: &impl Serialize) -> String {
    // Plain structs of texts and numbers always have a JSON form.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

/// Reads an opaque token.
pub fn parse_opaque<T: DeserializeOwned>(text: &str) -> Result<T, LogsError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| LogsError::invalid_token())?;
    serde_json::from_slice(&bytes).map_err(|_| LogsError::invalid_token())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_tokens_round_trip_for_their_stream_only() {
        let position = Position { timestamp_ms: 12, sequence: 34 };
        for direction in [Direction::Forward, Direction::Backward] {
            let text = stream_token(direction, position, 7);
            assert_eq!(parse_stream_token(&text, 7).unwrap(), (direction, position));
            assert!(parse_stream_token(&text, 8).is_err());
        }
        for text in ["", "f", "f/", "f//s", "x/3/s", "f/3/s", "é/é/é"] {
            assert_eq!(parse_stream_token(text, 7).unwrap_err().to_string(), "The specified nextToken is invalid.");
        }
    }

    #[test]
    fn filter_tokens_expire_after_a_day() {
        let token = FilterToken {
            issued_at_ms: 100,
            fingerprint: 7,
            direction: Direction::Forward,
            timestamp_ms: 1,
            sequence: 2,
        };
        let text = token.encode();
        assert_eq!(FilterToken::parse(&text, 7, 100 + TOKEN_AGE_MS_MAX).unwrap(), token);
        assert!(FilterToken::parse(&text, 7, 101 + TOKEN_AGE_MS_MAX).is_err());
        assert!(FilterToken::parse(&text, 8, 100).is_err());
        assert!(FilterToken::parse("!", 7, 100).is_err());
        assert!(FilterToken::parse("e30", 7, 100).is_err());
    }
}
