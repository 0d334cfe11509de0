//! Every documented number of Lambda that gust enforces or shows, with its unit and its source.
//!
//! Unless a line says otherwise: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>.

/// Longest function name in characters, where only the name is given.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>.
pub const FUNCTION_NAME_CHARS_MAX: usize = 64;
/// Greatest Timeout in seconds (functions outside of managed instances).
pub const TIMEOUT_S_MAX: i32 = 900;
/// Timeout in seconds where none is given.
pub const TIMEOUT_S_DEFAULT: i32 = 3;
/// Greatest MemorySize in MiB (functions outside of managed instances).
pub const MEMORY_MB_MAX: i32 = 10_240;
/// MemorySize in MiB where none is given.
pub const MEMORY_MB_DEFAULT: i32 = 128;
/// Greatest EphemeralStorage in MiB (functions without accelerators).
pub const EPHEMERAL_MB_MAX: i32 = 10_240;
/// EphemeralStorage in MiB where none is given.
pub const EPHEMERAL_MB_DEFAULT: i32 = 512;
/// Greatest size of all environment variables together, as a JSON object, in bytes.
pub const ENVIRONMENT_BYTES_MAX: usize = 4_096;
/// Greatest size of a zip that is uploaded directly, in bytes.
pub const ZIP_BYTES_MAX: usize = 52_428_800;
/// The greatest request that carries such a zip, as the refusal names it, in bytes.
pub const ZIP_REQUEST_BYTES_MAX: usize = 70_167_211;
/// Greatest size of an unpacked package, in bytes.
pub const UNZIPPED_BYTES_MAX: u64 = 262_144_000;
/// Greatest sum of the packages of an account in a region, in bytes (75 GB).
pub const CODE_STORAGE_BYTES_MAX: u64 = 80_530_636_800;
/// Concurrent executions of an account in a region where nothing else is set.
pub const CONCURRENT_EXECUTIONS_DEFAULT: i32 = 1_000;
/// Greatest payload of a synchronous invocation in bytes.
pub const PAYLOAD_SYNC_BYTES_MAX: usize = 6_291_456;
/// Concurrent executions that reservations have to leave to an account's other functions.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>.
pub const UNRESERVED_EXECUTIONS_MIN: u64 = 100;
/// Greatest payload of InvokeAsync in bytes.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_InvokeAsync.html>.
pub const PAYLOAD_INVOKE_ASYNC_BYTES_MAX: usize = 262_144;
/// Versions that an alias may lead to beside its own.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>.
pub const ADDITIONAL_VERSIONS_MAX: usize = 1;
/// Greatest payload of an asynchronous invocation in bytes.
pub const PAYLOAD_EVENT_BYTES_MAX: usize = 1_048_576;
/// Greatest encoded client context in bytes.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.
pub const CLIENT_CONTEXT_BYTES_MAX: usize = 3_583;
/// How much of the log `LogType=Tail` returns, in bytes.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.
pub const LOG_TAIL_BYTES_MAX: usize = 4_096;
/// Most tags of a function.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html>.
pub const TAGS_MAX: usize = 50;
/// Most functions in one page of ListFunctions.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>.
pub const LIST_PAGE_MAX: i32 = 50;
/// How long the link in `Code.Location` works, in milliseconds.
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html>.
pub const CODE_LINK_MS: i64 = 600_000;

/// Most layers of a function.
pub const LAYERS_MAX: usize = 5;
/// Greatest size of a function's resource-based policy, as JSON, in bytes (20 KB). AWS names no other for layers.
pub const POLICY_BYTES_MAX: usize = 20_480;
/// How many letters and digits the id of a function URL has.
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html>.
pub const URL_ID_CHARS: usize = 32;

// From here on gust's own bounds, which AWS does not document.

/// Most files and folders of a package: unpacking is bounded in inodes too.
pub const ZIP_ENTRIES_MAX: usize = 200_000;
/// Greatest length of the paths of all files and folders of a package together, in bytes: a deep name makes many folders.
pub const ZIP_TREE_BYTES_MAX: usize = 67_108_864;
/// Longest path inside a package, in bytes (PATH_MAX less room for the folder).
pub const ZIP_PATH_BYTES_MAX: usize = 3_584;
/// Longest name of a file or folder inside a package, in bytes (NAME_MAX).
pub const ZIP_NAME_BYTES_MAX: usize = 255;
/// Longest target of a symbolic link inside a package, in bytes.
pub const ZIP_LINK_BYTES_MAX: u64 = 3_584;
/// How many packages are unpacked or checked at the same time.
pub const UNPACKING_MAX: usize = 4;
/// Most aliases of a function.
pub const ALIASES_MAX: usize = 10_000;
/// Most configs of provisioned concurrency of a function: each takes one of an account's concurrent executions at least.
pub const PROVISIONED_CONFIGS_MAX: usize = 10_000;
/// How many records are read at a time where all of them are needed.
pub const READ_BATCH: usize = 500;
/// Most versions and aliases whose resolved form is kept in memory.
pub const CATALOG_ENTRIES_MAX: usize = 10_000;
/// How often a function is read again when it changes while it is being resolved.
pub const RESOLVE_ATTEMPTS_MAX: u32 = 16;
/// How many pending functions the worker takes at a time.
pub const SETTLE_BATCH: usize = 64;
/// How long the worker waits after a failure, in milliseconds.
pub const SETTLE_RETRY_MS: u64 = 1_000;
/// How long a package that is still in use by an environment waits for its next look, in milliseconds.
pub const COLLECT_RETRY_MS: u64 = 30_000;
/// How long a call waits for a function that is just being set up, in milliseconds.
pub const SETTLE_WAIT_MS: u64 = 2_000;
