//! The engine for several machines: any server that speaks PostgreSQL's protocol and offers SERIALIZABLE.
//!
//! Plain SQL only (`bytea` keys, upserts, `unnest`, no extensions), so that its relatives fit too. The server
//! finds the conflicts; what it refuses with 40001 or 40P01 is run again. Connections are not encrypted
//! yet: the database belongs on the same machine or a trusted network.
//!
//! The pool of connections is our own: each pool thread uses one at a time, so a list of idle ones is
//! bounded and never waited for, which is all that a pool crate would add.

mod connection;
mod notices;
mod schema;
mod session;

use crate::engine::{Attempt, Engine, Failure, Flow, ReadWork, Work};
use crate::pool::Pool;
use crate::transaction::{Snapshot, Transaction, WriteSet};
use crate::wake::Hub;
use crate::{Key, StoreError, StoreOptions};
use connection::{Connection, Connector};
use futures_util::future::BoxFuture;
use notices::Notices;
use session::{Mode, Session};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How many locks the logs are spread over.
const LOG_LOCKS: usize = 64;

/// See the module.
pub(crate) struct PostgresEngine {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    idle: Mutex<Vec<Connection>>,
    idle_max: usize,
    hub: Arc<Hub>,
    notices: Notices,
    time: Duration,
    /// Held while this process commits appends. Two commits that append to one log refuse each other in
    /// the database; here they wait instead.
    log_locks: [Mutex<()>; LOG_LOCKS],
}

impl PostgresEngine {
    /// Connects, and makes the tables if they are not there.
    pub(crate) async fn connect(text: &str, options: &StoreOptions, hub: Arc<Hub>) -> Result<Self, StoreError> {
        let connector = Connector::parse(text)?;
        let first = schema::prepare(&connector).await?;
        let notices = Notices::start(connector.clone(), hub.clone());
        let shared = Shared {
            connector,
            idle: Mutex::new(vec![first]),
            idle_max: options.pool_threads,
            hub,
            notices,
            time: options.transaction_time(),
            log_locks: std::array::from_fn(|_| Mutex::new(())),
        };
        Ok(PostgresEngine { shared: Arc::new(shared) })
    }
}

impl Engine for PostgresEngine {
    fn attempt<'a>(&'a self, pool: &'a Pool, work: Work, _attempt: u32) -> BoxFuture<'a, Result<Attempt, StoreError>> {
        let shared = self.shared.clone();
        Box::pin(pool.run(move || shared.attempt(&work)))
    }

    fn read<'a>(&'a self, pool: &'a Pool, work: ReadWork) -> BoxFuture<'a, Result<(), StoreError>> {
        let shared = self.shared.clone();
        Box::pin(pool.run(move || {
            let connection = shared.take()?;
            let mut session = Session::new(&connection, Mode::Read);
            work(&mut Snapshot(&mut session));
            let ended = session.end();
            shared.give_back(connection);
            match ended {
                Err(Failure::Error(error)) => Err(error),
                // It has read all it wanted, so that a connection lost now is none of its business.
                Ok(()) | Err(Failure::Conflict) => Ok(()),
            }
        }))
    }

    fn counters<'a>(&'a self, _pool: &'a Pool) -> BoxFuture<'a, Result<Vec<(Key, u64)>, StoreError>> {
        let text = "a store on PostgreSQL is copied with its own tools".to_owned();
        Box::pin(std::future::ready(Err(StoreError::Unavailable(text))))
    }

    fn fatal(&self) -> BoxFuture<'static, StoreError> {
        // The database may come back; what it acknowledged is its own affair.
        Box::pin(std::future::pending())
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.shared.notices.stop();
        self.shared.idle().clear();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// What became of a closure that has run.
enum Ran {
    Done(Attempt),
    Wrote(WriteSet),
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Connection, StoreError> {
        while let Some(connection) = self.idle().pop() {
            if connection.is_open() {
                return Ok(connection);
            }
        }
        self.connector.connect_blocking()
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle();
        if connection.is_open() && idle.len() < self.idle_max {
            idle.push(connection);
        }
    }

    /// Runs `work` in a transaction of its own and commits.
    fn attempt(&self, work: &Work) -> Result<Attempt, StoreError> {
        let connection = self.take()?;
        // After a panic the connection is dropped, which ends its transaction; else it has ended by itself.
        let attempt = self.attempt_on(&connection, work);
        self.give_back(connection);
        attempt
    }

    fn attempt_on(&self, connection: &Connection, work: &Work) -> Result<Attempt, StoreError> {
        let mut session = Session::new(connection, Mode::Write);
        let writes = match self.run(&mut session, work)? {
            Ran::Done(attempt) => return Ok(attempt),
            Ran::Wrote(writes) => writes,
        };
        let stripes = stripes(&writes);
        let (locks, waited) = self.lock(&stripes);
        if !waited || !session.has_begun() {
            return self.commit(session, writes, locks);
        }
        // Its snapshot is older than what it waited for, so that it would be refused: run it again, under the locks.
        session.abandon();
        let mut session = Session::new(connection, Mode::Write);
        match self.run(&mut session, work)? {
            Ran::Done(attempt) => Ok(attempt),
            Ran::Wrote(writes) if self::stripes(&writes).is_subset(&stripes) => self.commit(session, writes, locks),
            Ran::Wrote(_) => {
                session.abandon();
                Ok(Attempt::Conflict)
            }
        }
    }

    /// Runs `work`; where it wrote nothing, ends its transaction, which may still find a conflict.
    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Ran, StoreError> {
        let mut transaction = Transaction::new(session, self.time);
        let flow = work(&mut transaction);
        let writes = match (transaction.finish(), flow) {
            (Err(failure), flow) => {
                session.abandon();
                return match (failure, flow) {
                    (Failure::Conflict, _) => Ok(Ran::Done(Attempt::Conflict)),
                    (Failure::Error(_), Flow::Abandon) => Ok(Ran::Done(Attempt::Abandoned)),
                    (Failure::Error(error), Flow::Commit) => Err(error),
                };
            }
            (Ok((_, writes)), Flow::Commit) if !writes.is_empty() => return Ok(Ran::Wrote(writes)),
            (Ok((_, writes)), _) => writes,
        };
        // Committed and not rolled back, so that the database vouches for what was read.
        match session.end() {
            Err(Failure::Conflict) => Ok(Ran::Done(Attempt::Conflict)),
            Err(Failure::Error(error)) => Err(error),
            Ok(()) if flow == Flow::Abandon => Ok(Ran::Done(Attempt::Abandoned)),
            Ok(()) => {
                self.wake(writes.wakes);
                Ok(Ran::Done(Attempt::Committed(Vec::new())))
            }
        }
    }

    fn commit(
        &self,
        session: Session<'_>,
        writes: WriteSet,
        locks: Vec<MutexGuard<'_, ()>>,
    ) -> Result<Attempt, StoreError> {
        let committed = session.commit(&self.connector, writes);
        drop(locks);
        match committed {
            Ok((stamps, wakes)) => {
                self.wake(wakes);
                Ok(Attempt::Committed(stamps))
            }
            Err(Failure::Conflict) => Ok(Attempt::Conflict),
            Err(Failure::Error(error)) => Err(error),
        }
    }

    fn wake(&self, topics: Vec<String>) {
        topics.iter().for_each(|topic| self.hub.wake(topic));
        self.notices.send(topics);
    }

    /// Locks `stripes` in their order, and says whether one of them had to be waited for.
    fn lock(&self, stripes: &BTreeSet<usize>) -> (Vec<MutexGuard<'_, ()>>, bool) {
        let mut waited = false;
        let mut lock = |stripe: &usize| match self.log_locks[*stripe].try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                waited = true;
                self.log_locks[*stripe].lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        let locks = stripes.iter().map(&mut lock).collect();
        (locks, waited)
    }
}

/// The locks of the logs that `writes` appends to.
fn stripes(writes: &WriteSet) -> BTreeSet<usize> {
    let stripe = |log: &crate::Key| {
        let mut hasher = DefaultHasher::new();
        log.hash(&mut hasher);
        usize::try_from(hasher.finish() % LOG_LOCKS as u64).expect("the remainder is small")
    };
    writes.appends.iter().map(|(log, _)| stripe(log)).collect()
}
