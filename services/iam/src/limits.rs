//! IAM's documented numbers.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>

/// Most roles of an account.
pub const ROLES_MAX: u64 = 1_000;
/// Most managed policies attached to a role.
pub const ATTACHED_POLICIES_MAX: usize = 10;
/// Greatest size of a role's trust policy, in characters without white space.
pub const TRUST_POLICY_CHARACTERS_MAX: usize = 2_048;
/// Greatest size of a role's inline policies together, in characters without white space.
pub const INLINE_POLICIES_CHARACTERS_MAX: usize = 10_240;
/// The life of a role's sessions if the role does not say otherwise, in seconds.
pub const SESSION_DURATION_DEFAULT_S: u32 = 3_600;
/// Most principals whose policies are kept in memory; one more, and all are read anew.
pub const CACHED_PRINCIPALS_MAX: usize = 4_096;
/// Most inline policies of one role, user or group: the shortest policy has 52 characters, so that the bound of their
/// sum is reached before.
pub const INLINE_POLICIES_READ_MAX: usize = 1_000;
/// How many items a list returns if it is not told.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
