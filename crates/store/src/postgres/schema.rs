//! The tables in the database, and the format of what is in them.

use super::connection::{Connection, Connector, unavailable};
use crate::StoreError;
use crate::format::{check_format, format_text};
use std::time::Duration;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// How often the tables are tried to be made, since servers let two makers collide.
const ATTEMPTS_MAX: u32 = 10;

const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS gust_kv (k bytea PRIMARY KEY, v bytea NOT NULL)",
    "CREATE TABLE IF NOT EXISTS gust_log (k bytea PRIMARY KEY, next bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS gust_transaction (id bytea PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())",
    "CREATE TABLE IF NOT EXISTS gust_format (id bigint PRIMARY KEY, mark text NOT NULL)",
];

/// Makes the tables, checks the format, and returns a first connection.
pub(crate) async fn prepare(connector: &Connector) -> Result<Connection, StoreError> {
    let (client, driver) = connector.connect_plain().await?;
    let prepared = prepare_tables(&client).await;
    driver.abort();
    prepared?;
    connector.connect().await
}

async fn prepare_tables(client: &Client) -> Result<(), StoreError> {
    for table in TABLES {
        let mut attempt = 1;
        while let Err(error) = client.batch_execute(table).await {
            let collided = [&SqlState::UNIQUE_VIOLATION, &SqlState::DUPLICATE_TABLE, &SqlState::DUPLICATE_OBJECT];
            if attempt == ATTEMPTS_MAX || !error.code().is_some_and(|code| collided.contains(&code)) {
                return Err(unavailable(&error));
            }
            attempt += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mark = "INSERT INTO gust_format (id, mark) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    client.execute(mark, &[&format_text()]).await.map_err(|error| unavailable(&error))?;
    let row = client.query_one("SELECT mark FROM gust_format WHERE id = 1", &[]).await;
    let mark: String = row.and_then(|row| row.try_get(0)).map_err(|error| unavailable(&error))?;
    check_format(&mark)
}
