//! STS's documented numbers, and the bounds of what is kept in memory.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

/// The life of a session if nothing else is asked for, in seconds.
pub const SESSION_DURATION_DEFAULT_S: u32 = 3_600;
/// The longest life of a session that a session asks for (role chaining), in seconds.
pub const CHAINED_DURATION_MAX_S: u32 = 3_600;
/// The life of a session of GetSessionToken and GetFederationToken if nothing else is asked for, in seconds.
///
/// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>
pub const TOKEN_DURATION_DEFAULT_S: u32 = 43_200;
/// The longest life of such a session of an account's root, in seconds; what is longer becomes this.
pub const ROOT_TOKEN_DURATION_MAX_S: u32 = 3_600;
/// Most managed session policies.
pub const POLICY_ARNS_MAX: usize = 10;
/// Greatest size of all session policies together, in characters.
pub const SESSION_POLICY_CHARACTERS_MAX: usize = 2_048;
/// Most tags of a session.
pub const TAGS_MAX: usize = 50;
/// How long a record outlives its session, so that a late request hears "expired" and not "unknown", in milliseconds.
pub const EXPIRED_KEPT_MS: i64 = 3_600_000;
/// How many expired sessions a new one removes at most.
pub const EXPIRED_REMOVED_MAX: usize = 8;
/// Most keys in one of the cache's parts.
pub const CACHED_KEYS_MAX: usize = 256;
/// How many parts the cache has: requests with different keys seldom meet.
pub const CACHE_PARTS: usize = 16;
/// How long it is remembered that a key is unknown, in milliseconds.
pub const UNKNOWN_KEPT_MS: i64 = 2_000;
/// Most sessions of functions that are kept to be handed out again.
pub const REUSED_SESSIONS_MAX: usize = 1_024;
/// The length of a session token in characters.
pub const TOKEN_CHARACTERS: usize = 356;
