//! IAM's documented numbers.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html> (the default quotas)

/// Most roles of an account.
pub const ROLES_MAX: usize = 1_000;
/// Most users of an account.
pub const USERS_MAX: usize = 5_000;
/// Most groups of an account.
pub const GROUPS_MAX: usize = 300;
/// Most managed policies that an account makes itself.
pub const POLICIES_MAX: usize = 1_500;
/// Most instance profiles of an account.
pub const PROFILES_MAX: usize = 1_000;
/// Most OpenID Connect providers of an account.
pub const PROVIDERS_MAX: usize = 100;
/// Most client ids of an OpenID Connect provider.
pub const CLIENT_IDS_MAX: usize = 100;
/// Most thumbprints of an OpenID Connect provider.
pub const THUMBPRINTS_MAX: usize = 5;
/// Most groups that a user belongs to.
pub const GROUPS_OF_USER_MAX: usize = 10;
/// Most access keys of a user.
pub const ACCESS_KEYS_MAX: usize = 2;
/// Most managed policies attached to a role, user or group.
pub const ATTACHED_POLICIES_MAX: usize = 10;
/// Most versions of a managed policy.
pub const POLICY_VERSIONS_MAX: usize = 5;
/// Most tags of one thing.
pub const TAGS_MAX: usize = 50;
/// Most roles in an instance profile.
pub const PROFILE_ROLES_MAX: usize = 1;
/// Greatest size of a managed policy, in characters without white space.
pub const POLICY_CHARACTERS_MAX: usize = 6_144;
/// Greatest size of a role's trust policy, in characters without white space.
pub const TRUST_POLICY_CHARACTERS_MAX: usize = 2_048;
/// Greatest size of a role's inline policies together, in characters without white space.
pub const ROLE_POLICIES_CHARACTERS_MAX: usize = 10_240;
/// Greatest size of a user's inline policies together, in characters without white space.
pub const USER_POLICIES_CHARACTERS_MAX: usize = 2_048;
/// Greatest size of a group's inline policies together, in characters without white space.
pub const GROUP_POLICIES_CHARACTERS_MAX: usize = 5_120;
/// The life of a role's sessions if the role does not say otherwise, in seconds.
pub const SESSION_DURATION_DEFAULT_S: u32 = 3_600;
/// Most principals whose policies are kept in memory; one more, and all are read anew.
pub const CACHED_PRINCIPALS_MAX: usize = 4_096;
/// Most inline policies of one role, user or group: the shortest policy has more than 50 characters, so that the bound
/// of their sum is reached before.
pub const INLINE_POLICIES_READ_MAX: usize = 1_000;
/// How many records are read at once when all of an account are looked at.
pub const SCAN_BATCH: usize = 256;
/// How many items a list returns if it is not told.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
