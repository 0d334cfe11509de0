//! Connections to the database, each with its statements prepared.

use crate::StoreError;
use crate::engine::Failure;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, Statement};

/// Longest wait for a connection, in milliseconds.
const CONNECT_MS_MAX: u64 = 10_000;
/// Longest wait for an answer, in milliseconds. Beyond it the connection is given up.
const ANSWER_MS_MAX: u64 = 15_000;

/// Settings of each connection that some servers do not know. Conflicts are found per index page rather
/// than per table if tables are not scanned; a vanished gust must not leave locks.
const SETTINGS: [&str; 4] = [
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET statement_timeout = '10s'",
    "SET idle_in_transaction_session_timeout = '10s'",
];

/// Makes connections.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Arc<Config>,
    handle: Handle,
}

/// A connection that nobody else uses.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) statements: Statements,
    handle: Handle,
    driver: AbortHandle,
    is_given_up: AtomicBool,
}

/// The whole of the SQL on data.
pub(crate) struct Statements {
    pub(crate) get: Statement,
    pub(crate) get_many: Statement,
    pub(crate) range_up: Statement,
    pub(crate) range_down: Statement,
    pub(crate) range_up_unbounded: Statement,
    pub(crate) range_down_unbounded: Statement,
    pub(crate) put: Statement,
    pub(crate) delete: Statement,
    pub(crate) count: Statement,
    pub(crate) identify: Statement,
}

const GET: &str = "SELECT v FROM gust_kv WHERE k = $1";
const GET_MANY: &str = "SELECT k, v FROM gust_kv WHERE k = ANY($1)";
const RANGE_UP: &str = "SELECT k, v FROM gust_kv WHERE k >= $1 AND k < $3 ORDER BY k LIMIT $2";
const RANGE_DOWN: &str = "SELECT k, v FROM gust_kv WHERE k >= $1 AND k < $3 ORDER BY k DESC LIMIT $2";
const RANGE_UP_UNBOUNDED: &str = "SELECT k, v FROM gust_kv WHERE k >= $1 ORDER BY k LIMIT $2";
const RANGE_DOWN_UNBOUNDED: &str = "SELECT k, v FROM gust_kv WHERE k >= $1 ORDER BY k DESC LIMIT $2";
const PUT: &str = "INSERT INTO gust_kv (k, v) SELECT * FROM unnest($1::bytea[], $2::bytea[]) \
                   ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v";
const DELETE: &str = "DELETE FROM gust_kv WHERE k = ANY($1)";
/// A new log begins at 1: `next` is inserted as 1 + the number of appends.
const COUNT: &str = "INSERT INTO gust_log (k, next) SELECT * FROM unnest($1::bytea[], $2::bigint[]) \
                     ON CONFLICT (k) DO UPDATE SET next = gust_log.next + EXCLUDED.next - 1 RETURNING k, next";
const IDENTIFY: &str = "INSERT INTO gust_transaction (id) VALUES ($1) ON CONFLICT (id) DO NOTHING";

impl Statements {
    async fn prepare(client: &Client) -> Result<Statements, tokio_postgres::Error> {
        Ok(Statements {
            get: client.prepare(GET).await?,
            get_many: client.prepare(GET_MANY).await?,
            range_up: client.prepare(RANGE_UP).await?,
            range_down: client.prepare(RANGE_DOWN).await?,
            range_up_unbounded: client.prepare(RANGE_UP_UNBOUNDED).await?,
            range_down_unbounded: client.prepare(RANGE_DOWN_UNBOUNDED).await?,
            put: client.prepare(PUT).await?,
            delete: client.prepare(DELETE).await?,
            count: client.prepare(COUNT).await?,
            identify: client.prepare(IDENTIFY).await?,
        })
    }
}

impl Connector {
    /// Reads `host=... user=...` or `postgres://...`. Must be called on the runtime that is to drive connections.
    pub(crate) fn parse(text: &str) -> Result<Connector, StoreError> {
        // The text may hold a password, so it is not repeated.
        let config = text.parse::<Config>();
        let mut config = config.map_err(|error| StoreError::Unavailable(format!("the database's address: {error}")))?;
        config.connect_timeout(Duration::from_millis(CONNECT_MS_MAX));
        Ok(Connector { config: Arc::new(config), handle: Handle::current() })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// A connection without prepared statements, for work on tables.
    pub(crate) async fn connect_plain(&self) -> Result<(Client, AbortHandle), StoreError> {
        let (client, connection) =
            within("connecting", self.config.connect(NoTls)).await?.map_err(|error| unavailable(&error))?;
        let driver = self.handle.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a database connection ended");
            }
        });
        Ok((client, driver.abort_handle()))
    }

    pub(crate) async fn connect(&self) -> Result<Connection, StoreError> {
        let (client, driver) = self.connect_plain().await?;
        for setting in SETTINGS {
            if let Err(error) = client.batch_execute(setting).await {
                tracing::debug!(setting, %error, "the database does not know a setting");
            }
        }
        let statements =
            within("preparing", Statements::prepare(&client)).await?.map_err(|error| unavailable(&error))?;
        Ok(Connection { client, statements, handle: self.handle.clone(), driver, is_given_up: AtomicBool::new(false) })
    }

    /// As [`Connector::connect`], for pool threads.
    pub(crate) fn connect_blocking(&self) -> Result<Connection, StoreError> {
        self.handle.block_on(self.connect())
    }
}

impl Connection {
    pub(crate) fn is_open(&self) -> bool {
        !self.client.is_closed() && !self.is_given_up.load(Ordering::Relaxed)
    }

    /// Closes it: what it would still answer belongs to nobody. An open transaction ends with it.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
        self.driver.abort();
    }

    /// Waits for an answer of the database on a pool thread.
    pub(crate) fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, Failure> {
        let answered = self.handle.block_on(within("waiting for the database", answer));
        match answered {
            Ok(answered) => answered.map_err(|error| failure(&error)),
            Err(error) => {
                self.give_up();
                Err(error.into())
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T, StoreError> {
    let waited = tokio::time::timeout(Duration::from_millis(ANSWER_MS_MAX), future).await;
    waited.map_err(|_| StoreError::Unavailable(format!("{what} took more than {ANSWER_MS_MAX} ms")))
}

/// What an error of the database means for a transaction.
pub(crate) fn failure(error: &tokio_postgres::Error) -> Failure {
    let code = error.code();
    let is_conflict =
        code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) || code == Some(&SqlState::T_R_DEADLOCK_DETECTED);
    // A lost connection before the commit is like a conflict: nothing happened, and a new one may work.
    if is_conflict || is_connection_lost(error) {
        return Failure::Conflict;
    }
    if code == Some(&SqlState::DISK_FULL) {
        return Failure::Error(StoreError::DiskFull { free_bytes: 0 });
    }
    Failure::Error(unavailable(error))
}

/// Whether the server may have done more than it has told.
pub(crate) fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    let shutdown = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::TRANSACTION_RESOLUTION_UNKNOWN];
    match error.code() {
        Some(code) => shutdown.contains(code) || code.code() == "40003",
        None => true,
    }
}

pub(crate) fn unavailable(error: &tokio_postgres::Error) -> StoreError {
    let detail = error.as_db_error().map(|db| format!("{} ({})", db.message(), db.code().code()));
    StoreError::Unavailable(format!("the database: {}", detail.unwrap_or_else(|| error.to_string())))
}
