//! Every bound of running functions.

use std::time::Duration;

/// Concurrent executions of one account in one region by default.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const ACCOUNT_CONCURRENCY_DEFAULT: usize = 1_000;
/// How long initialisation may take before it is repeated inside the first invocation.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
pub const INIT_LIMIT: Duration = Duration::from_secs(10);
/// How long an idle environment is kept by default.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(600);
/// How long an idle environment runs on before it is frozen (`FreezePolicy::Lazy100ms`).
pub const FREEZE_AFTER: Duration = Duration::from_millis(100);
/// How long a request waits for an environment that is just being given back before it starts another.
pub const RETURNING_WAIT: Duration = Duration::from_millis(50);
/// How long a request waits for a busy environment at most before it starts another, however long a start takes.
pub const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// Requests of one version of a function that wait for an environment; more are refused with 429. As many as Lambda
/// starts environments of a function in ten seconds, which gust does not limit otherwise: it starts what the machine can.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html>
pub const WAITERS_MAX: usize = 1_000;
/// How long a killed environment's end is waited for.
pub const KILL_WAIT: Duration = Duration::from_secs(5);
/// How long the end of a process is waited for whose channel closed.
pub const EXIT_WAIT: Duration = Duration::from_millis(500);
/// How long the answer is waited for of a process that ended, because it may still be in the pipes.
pub const LAST_ANSWER_WAIT: Duration = Duration::from_millis(20);
/// How long a runtime that has answered is waited for to ask for the next event, before its environment is
/// given back anyhow.
pub const SETTLE_WAIT: Duration = Duration::from_secs(1);
/// What the Shutdown phase of an environment with external extensions may take.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown>
pub const SHUTDOWN_EXTERNAL_LIMIT: Duration = Duration::from_millis(2_000);
/// What the Shutdown phase of an environment with internal extensions only may take. Source: as above.
pub const SHUTDOWN_INTERNAL_LIMIT: Duration = Duration::from_millis(500);
/// The runtime's part of the Shutdown phase, in percent, as in AWS's open runtime interface emulator.
pub const SHUTDOWN_RUNTIME_PERCENT: u32 = 30;
/// How much output is read at most after an invocation has ended, in bytes: an endless writer must not
/// keep its environment from being given back.
pub const DRAIN_BYTES_MAX: usize = 1 << 20;
/// Parts of a streamed response that wait for the caller, each at most 1 MiB (a response that came as a whole: 6 MiB).
pub const STREAM_CHUNKS_MAX: usize = 4;
/// How long log lines are held back at most while a function runs.
pub const LOG_FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Log lines that are handed over together.
pub const LOG_BATCH_LINES_MAX: usize = 256;
/// What `LogType=Tail` returns at most, in bytes.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
pub const LOG_TAIL_BYTES_MAX: usize = 4 * 1024;
/// How old the last measurement of an environment's memory may be before it is measured again.
pub const MEMORY_SAMPLE_AFTER: Duration = Duration::from_secs(1);
/// What a function is taken to need before it has run, in bytes.
pub const MEMORY_GUESS_BYTES: u64 = 32 << 20;
/// Environments that start at a time, for each core. More would only take the processor from each other, until all of
/// them miss their time limits.
pub const STARTS_PER_CORE_MAX: usize = 8;
/// One of so many turns (at least one, if there are two) is kept for functions that hold none.
pub const TURNS_KEPT_SHARE: usize = 8;
/// How long a start keeps its turn at most. One that takes longer probably sleeps or waits, and lets the next begin.
pub const START_TURN_HELD_MAX: Duration = Duration::from_secs(3);
/// How long a start keeps its turn at least, before it is taken to sleep.
pub const START_TURN_HELD_MIN: Duration = Duration::from_millis(250);
/// What a start is taken to need as long as none was measured.
pub const START_GUESS: Duration = Duration::from_millis(50);
/// How long a request waits for a turn to start, or for an environment that becomes free, before it is refused with 429.
pub const START_TURN_WAIT: Duration = Duration::from_secs(60);
/// How often memory is looked at while a start waits for some.
pub const MEMORY_POLL: Duration = Duration::from_millis(20);
/// For how long a reading of the machine's memory holds.
pub const MEMORY_READ_AFTER: Duration = Duration::from_millis(10);
/// For how long a view of all idle environments is used to evict from.
pub const EVICTION_VIEW_AFTER: Duration = Duration::from_secs(1);
/// After this time a use of an environment counts half.
pub const USES_HALF_LIFE: Duration = Duration::from_secs(300);
/// How long a start waits for memory by default before the request is refused with 429.
pub const MEMORY_WAIT_DEFAULT: Duration = Duration::from_secs(10);
/// How long a start waits for the AWS SDK to be provisioned.
pub const SDK_WAIT_DEFAULT: Duration = Duration::from_secs(60);
/// How long a role session for an environment lasts, in seconds (the longest that STS allows).
///
/// Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
pub const SESSION_S: u32 = 43_200;
/// A session is given to new environments until it has less than this left, in milliseconds.
pub const SESSION_REUSE_LEFT_MS: i64 = 6 * 3_600_000;
/// How long before its credentials would not last for a request an environment that is kept ready is replaced, in
/// milliseconds.
pub const SESSION_RENEWAL_MS: i64 = 600_000;
/// What a session must have left beyond the function's time limit for an environment to be used, in milliseconds.
pub const SESSION_MARGIN_MS: i64 = 60_000;
/// MemorySize, in MiB, that grants one whole vCPU.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
pub const MEMORY_MB_PER_VCPU: u32 = 1_769;
/// The smallest MemorySize, in MiB. Source: as above.
pub const MEMORY_MB_MIN: u32 = 128;
/// Processes and threads of one environment.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const PIDS_MAX: u32 = 1_024;

/// Environments of one version that are started ahead at a time.
pub const AHEAD_STARTS_MAX: usize = 8;
/// What initialisation ahead may take at least; a function whose time limit is longer has that.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
pub const AHEAD_INIT_LIMIT: Duration = Duration::from_secs(130);
/// The pause after a start ahead that failed; it doubles with each further failure.
pub const AHEAD_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest such pause.
pub const AHEAD_RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What processes started ahead may take, of all kinds together, in MiB.
pub const SPARES_MB_MAX: usize = 320;
/// Node.js processes started ahead for one memory size.
pub const SPARES_OF_KIND_MAX: usize = 4;
/// What one of them takes, in MiB, and a tenth of a second of CPU to start.
pub const SPARE_MB: usize = 40;
/// Others started ahead of one kind.
pub const SMALL_SPARES_OF_KIND_MAX: usize = 16;
/// What one of them takes, in MiB, and a few milliseconds of CPU to start.
pub const SMALL_SPARE_MB: usize = 4;
/// How long a kind is kept ahead that nobody uses. An idle gust has none.
pub const SPARE_UNUSED_AFTER: Duration = Duration::from_secs(300);
/// How long the start of another waits after a use, so that whoever is just starting goes first.
pub const SPARE_REFILL_AFTER: Duration = Duration::from_millis(100);
/// The same for those that take a few milliseconds to start.
pub const SMALL_SPARE_REFILL_AFTER: Duration = Duration::from_millis(10);
/// How long one may take to start. It has the share of a processor that its memory size gives, and no more.
pub const SPARE_BOOT_WAIT: Duration = Duration::from_secs(30);
/// What the machine must have left for one to be started, in bytes.
pub const SPARE_MEMORY_BYTES_MIN: u64 = 512 << 20;

/// Shards that the lanes of asynchronous events are spread over; each is owned by one node.
pub const QUEUE_SHARDS: u64 = 8;
/// Asynchronous invocations that run at a time by default. One function never has more running than there are places
/// left.
pub const ASYNC_IN_FLIGHT_DEFAULT: usize = 1_000;
/// Bytes of asynchronous events in memory, beyond which only a function without any loads one. Twice as many, and only a
/// function without any starts one.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Events of one function that are in memory and wait to be started.
pub const LANE_WINDOW_EVENTS: usize = 64;
/// Events of one function that were run and are being settled, beyond which none of it are started.
pub const LANE_SETTLING_MAX: usize = 1_024;
/// How many times its limit's number of events have to pass before a function that was throttled is tried with more.
pub const LIMIT_SUCCESSES: usize = 4;
/// How many functions that found no place look again when one becomes free.
pub const TURN_UNBLOCKS: usize = 4;
/// How long a function's events are left alone after they could not be read, in milliseconds.
pub const LOAD_RETRY_MS: i64 = 1_000;
/// Functions with events that one read finds.
pub const LANES_READ_MAX: usize = 256;
/// Events that one transaction settles.
pub const SETTLED_EVENTS_MAX: usize = 512;
/// Bytes that one transaction writes which settles events, unless a single one writes more.
pub const SETTLED_BYTES_MAX: usize = 4 << 20;
/// Events of an older gust that one transaction moves.
pub const MIGRATED_EVENTS_MAX: usize = 64;
/// Bytes of such events, beyond which a transaction moves no more.
pub const MIGRATED_BYTES_MAX: usize = 2 << 20;
/// How often it is tried to prepare what follows from an event before that is given up.
pub const STAGE_ATTEMPTS_MAX: u32 = 5;
/// What a dead letter tells of an error, in bytes.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>
pub const DEAD_LETTER_MESSAGE_BYTES_MAX: usize = 1_024;
/// How often a chain of invocations may reach a function. One that comes again is stopped.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>
pub const RECURSION_MAX: u32 = 16;
/// Functions that a lineage names; the oldest are forgotten.
pub const LINEAGE_FUNCTIONS_MAX: usize = 16;
/// Retries of a failed asynchronous invocation.
///
/// Source: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
pub const RETRY_ATTEMPTS_DEFAULT: u32 = 2;
/// How long an event is kept for, in milliseconds: six hours.
pub const EVENT_AGE_MS_MAX: i64 = 6 * 3_600_000;
/// How long a shard waits after the store failed before it tries again.
pub const STORE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a shard's lease is asked for. There is one node: nobody competes for it, a restart under the
/// same name gets it at once, and it needs no renewal that would keep an idle machine awake.
pub const LEASE_TERM: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);
/// The longest sleep until a deferred event is due, so that a clock that is set is noticed.
pub const QUEUE_SLEEP_MAX: Duration = Duration::from_secs(60);
