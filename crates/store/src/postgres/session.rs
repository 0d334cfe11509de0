//! One transaction on one connection: reads as they come, all writes at the end in one or two round trips.

use super::connection::{Connection, Connector, failure, is_connection_lost, unavailable};
use crate::engine::{Failure, View};
use crate::sequencer::FIRST_STAMP;
use crate::transaction::{Changes, WriteSet, Written};
use crate::{Key, Order, Pair, StoreError};
use bytes::Bytes;
use futures_util::future::{OptionFuture, join};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio_postgres::Row;

/// How often the outcome of a commit is asked for before it is given up as unknown.
const RESOLVE_ATTEMPTS_MAX: u32 = 20;
/// The pause between two of these, in milliseconds.
const RESOLVE_PAUSE_MS: u64 = 500;

type Answer<T> = Result<T, tokio_postgres::Error>;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reads at one point in time; it cannot be refused, so that it need not be run again.
    Read,
    /// Serializable reads and writes.
    Write,
}

/// See the module. The transaction begins with the first statement, in the same round trip.
pub(crate) struct Session<'a> {
    connection: &'a Connection,
    mode: Mode,
    has_begun: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn new(connection: &'a Connection, mode: Mode) -> Session<'a> {
        Session { connection, mode, has_begun: false }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn begin(&mut self) -> OptionFuture<impl Future<Output = Answer<()>> + use<'a>> {
        let begin = match self.mode {
            Mode::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Mode::Write => "BEGIN ISOLATION LEVEL SERIALIZABLE",
        };
        let client = &self.connection.client;
        let first = !self.has_begun;
        self.has_begun = true;
        OptionFuture::from(first.then(|| client.batch_execute(begin)))
    }

    fn query(&mut self, answer: impl Future<Output = Answer<Vec<Row>>>) -> Result<Vec<Row>, Failure> {
        let begin = self.begin();
        self.connection.wait(async {
            // Polled in this order, so sent in this order.
            let (begun, rows) = join(begin, answer).await;
            begun.unwrap_or(Ok(()))?;
            rows
        })
    }

    /// Ends a transaction that wrote nothing, and lets the database say whether its reads were in order.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if !std::mem::take(&mut self.has_begun) {
            return Ok(());
        }
        self.connection.wait(self.connection.client.batch_execute("COMMIT"))
    }

    /// Gives up the transaction, so that the connection can be used again.
    pub(crate) fn abandon(&mut self) {
        if std::mem::take(&mut self.has_begun)
            && let Err(failure) = self.connection.wait(self.connection.client.batch_execute("ROLLBACK"))
        {
            tracing::debug!(?failure, "a transaction could not be rolled back; its connection is closed");
            self.connection.give_up();
        }
    }

    /// Writes and commits; returns the stamps of the appends and the topics to wake.
    ///
    /// If the answer to the commit is lost, the outcome is found by the transaction's id row.
    pub(crate) fn commit(
        mut self,
        connector: &Connector,
        writes: WriteSet,
    ) -> Result<(Vec<u64>, Vec<String>), Failure> {
        let mut id = [0u8; 16];
        getrandom::fill(&mut id).map_err(|error| StoreError::Unavailable(format!("no random numbers: {error}")))?;
        let counts = counts(&writes);
        let next = if counts.is_empty() { Ok(HashMap::new()) } else { self.count(&counts) };
        let stamps = next.and_then(|next| Ok(stamps(&writes, &counts, &next)?)).inspect_err(|_| self.abandon())?;
        let Written { changes, mut wakes, tells } = writes.stamp(&stamps);
        // Another node may be the one that is to be told: whoever tails the topic hears that there is something.
        wakes.extend(tells.into_iter().map(|(topic, _)| topic));
        wakes.sort_unstable();
        wakes.dedup();
        let lost = match self.write_and_commit(&changes, &id) {
            Ok(Ok(())) => return Ok((stamps, wakes)),
            Ok(Err(error)) if !is_connection_lost(&error) => {
                self.abandon();
                return Err(failure(&error));
            }
            Ok(Err(error)) => unavailable(&error),
            Err(Failure::Error(error)) => error,
            Err(Failure::Conflict) => StoreError::Unavailable("the connection was lost".to_owned()),
        };
        self.connection.give_up();
        tracing::warn!(cause = %lost, "the answer to a commit was lost; asking for its outcome");
        resolve(connector, &id).map(|()| (stamps, wakes))
    }

    /// Takes stamps for the logs in `counts`; returns the next stamp of each afterwards. Locks the logs' rows.
    fn count(&mut self, counts: &BTreeMap<Key, i64>) -> Result<HashMap<Vec<u8>, i64>, Failure> {
        let logs: Vec<&[u8]> = counts.keys().map(Key::as_bytes).collect();
        let first = i64::try_from(FIRST_STAMP).expect("it is 1");
        let next: Vec<i64> = counts.values().map(|count| first + count).collect();
        let connection = self.connection;
        let answer = async { connection.client.query(&connection.statements.count, &[&logs, &next]).await };
        let rows = self.query(answer)?;
        rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect()
    }

    /// One round trip. The inner error is the database's or the connection's, the outer one that no answer came.
    fn write_and_commit(&mut self, changes: &Changes, id: &[u8; 16]) -> Result<Answer<()>, Failure> {
        let puts = || changes.iter().filter_map(|(key, value)| Some((key.as_bytes(), value.as_deref()?)));
        let (keys, values): (Vec<&[u8]>, Vec<&[u8]>) = puts().unzip();
        let deleted = changes.iter().filter(|(_, value)| value.is_none());
        let gone: Vec<&[u8]> = deleted.map(|(key, _)| key.as_bytes()).collect();
        let begin = self.begin();
        let Connection { client, statements, .. } = self.connection;
        let id = &id[..];
        self.connection.wait(async {
            let put = async {
                match keys.is_empty() {
                    true => Ok(0),
                    false => client.execute(&statements.put, &[&keys, &values]).await,
                }
            };
            let delete = async {
                match gone.is_empty() {
                    true => Ok(0),
                    false => client.execute(&statements.delete, &[&gone]).await,
                }
            };
            let identify = async { client.execute(&statements.identify, &[&id]).await };
            // Polled in this order, so sent in this order. After a refused statement the commit rolls back.
            let ((begun, put), (delete, (identify, commit))) =
                join(join(begin, put), join(delete, join(identify, client.batch_execute("COMMIT")))).await;
            let results = [begun.unwrap_or(Ok(())), put.map(drop), delete.map(drop), identify.map(drop), commit];
            Ok(results.into_iter().collect::<Answer<()>>())
        })
    }
}

/// How many stamps each log needs.
fn counts(writes: &WriteSet) -> BTreeMap<Key, i64> {
    let mut counts = BTreeMap::new();
    for (log, _) in &writes.appends {
        *counts.entry(log.clone()).or_insert(0) += 1;
    }
    counts
}

/// The stamp of each append, from the logs' next stamps after all of them.
fn stamps(
    writes: &WriteSet,
    counts: &BTreeMap<Key, i64>,
    next: &HashMap<Vec<u8>, i64>,
) -> Result<Vec<u64>, StoreError> {
    let mut following = HashMap::new();
    for (log, count) in counts {
        let first = next.get(log.as_bytes()).and_then(|next| u64::try_from(next - count).ok());
        let first = first.ok_or_else(|| StoreError::RecordDamaged("the counter of a log".to_owned()))?;
        following.insert(log, first);
    }
    let stamp = |(log, _): &(Key, Bytes)| {
        let following = following.get_mut(log).expect("each append's log was counted");
        *following += 1;
        *following - 1
    };
    Ok(writes.appends.iter().map(stamp).collect())
}

/// Finds out whether the transaction `id` was committed; a conflict if not. It cannot be committed later,
/// since its id is taken then: the insert waits for a commit that is still under way.
fn resolve(connector: &Connector, id: &[u8; 16]) -> Result<(), Failure> {
    let mut last = StoreError::Unavailable("no attempt was made".to_owned());
    for attempt in 0..RESOLVE_ATTEMPTS_MAX {
        if attempt > 0 {
            std::thread::sleep(Duration::from_millis(RESOLVE_PAUSE_MS));
        }
        let taken = connector.connect_blocking().map_err(Failure::Error).and_then(|connection| {
            connection.wait(connection.client.execute(&connection.statements.identify, &[&&id[..]]))
        });
        match taken {
            Ok(0) => return Ok(()),
            Ok(_) => return Err(Failure::Conflict),
            Err(Failure::Error(error)) => last = error,
            Err(Failure::Conflict) => {}
        }
    }
    let error = format!("it is unknown whether a transaction was committed: {last}");
    Err(StoreError::Unavailable(error).into())
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(row: &'r Row, index: usize) -> Result<T, Failure> {
    row.try_get(index).map_err(|error| failure(&error))
}

fn pair(row: &Row) -> Result<Pair, Failure> {
    Ok((Key::from_bytes(column::<Vec<u8>>(row, 0)?), column::<Vec<u8>>(row, 1)?.into()))
}

impl View for Session<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        let connection = self.connection;
        let rows = self.query(async { connection.client.query(&connection.statements.get, &[&key]).await })?;
        rows.first().map(|row| Ok(column::<Vec<u8>>(row, 0)?.into())).transpose()
    }

    fn get_many(&mut self, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, Failure> {
        let connection = self.connection;
        let rows = self.query(async { connection.client.query(&connection.statements.get_many, &[&keys]).await })?;
        let found: HashMap<Key, Bytes> = rows.iter().map(pair).collect::<Result<_, _>>()?;
        Ok(keys.iter().map(|key| found.get(*key).cloned()).collect())
    }

    fn range(&mut self, start: &[u8], end: Option<&[u8]>, order: Order, limit: usize) -> Result<Vec<Pair>, Failure> {
        let connection = self.connection;
        let statements = &connection.statements;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = match (order, end) {
            (Order::Ascending, Some(_)) => &statements.range_up,
            (Order::Descending, Some(_)) => &statements.range_down,
            (Order::Ascending, None) => &statements.range_up_unbounded,
            (Order::Descending, None) => &statements.range_down_unbounded,
        };
        let rows = self.query(async {
            match end {
                Some(end) => connection.client.query(statement, &[&start, &limit, &end]).await,
                None => connection.client.query(statement, &[&start, &limit]).await,
            }
        })?;
        rows.iter().map(pair).collect()
    }
}
