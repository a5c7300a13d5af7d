//! One connection to either engine, with plain arguments and plain cells.
//!
//! Both engines store 64-bit integers, doubles and text only, so the statements and the code around them are written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Column, Decode, PgConnection, Row as _, SqliteConnection, Transaction,
    TypeInfo, ValueRef,
};

use crate::{StoreError, StoreResult};

/// A bound argument; an absent one keeps its type, which PostgreSQL asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

/// A stored value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// Reads the cells of a row in order.
pub(crate) struct Row {
    cells: std::vec::IntoIter<Cell>,
    what: &'static str,
}

impl Row {
    pub(crate) fn corrupt(&self) -> StoreError {
        tracing::error!(what = self.what, "read a stored row");
        StoreError::Corrupt { what: self.what }
    }

    pub(crate) fn optional_integer(&mut self) -> StoreResult<Option<i64>> {
        match self.cells.next() {
            Some(Cell::Integer(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            _ => Err(self.corrupt()),
        }
    }

    pub(crate) fn optional_real(&mut self) -> StoreResult<Option<f64>> {
        match self.cells.next() {
            Some(Cell::Real(value)) => Ok(Some(value)),
            Some(Cell::Integer(value)) => Ok(Some(value as f64)),
            Some(Cell::Null) => Ok(None),
            _ => Err(self.corrupt()),
        }
    }

    pub(crate) fn optional_text(&mut self) -> StoreResult<Option<String>> {
        match self.cells.next() {
            Some(Cell::Text(value)) => Ok(Some(value)),
            Some(Cell::Null) => Ok(None),
            _ => Err(self.corrupt()),
        }
    }

    pub(crate) fn integer(&mut self) -> StoreResult<i64> {
        self.optional_integer()?.ok_or_else(|| self.corrupt())
    }

    pub(crate) fn unsigned(&mut self) -> StoreResult<u64> {
        u64::try_from(self.integer()?).map_err(|_| self.corrupt())
    }

    pub(crate) fn small(&mut self) -> StoreResult<u32> {
        u32::try_from(self.integer()?).map_err(|_| self.corrupt())
    }

    pub(crate) fn flag(&mut self) -> StoreResult<bool> {
        self.integer().map(|value| value != 0)
    }

    pub(crate) fn real(&mut self) -> StoreResult<f64> {
        self.optional_real()?.ok_or_else(|| self.corrupt())
    }

    pub(crate) fn text(&mut self) -> StoreResult<String> {
        self.optional_text()?.ok_or_else(|| self.corrupt())
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self) -> StoreResult<T> {
        let text = self.text()?;
        serde_json::from_str(&text).map_err(|_| self.corrupt())
    }

    pub(crate) fn optional_json<T: serde::de::DeserializeOwned>(&mut self) -> StoreResult<Option<T>> {
        let text = self.optional_text()?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| self.corrupt())).transpose()
    }
}

/// A connection of either engine, in a transaction or not.
pub(crate) enum Channel {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
    SqliteTransaction(Transaction<'static, Sqlite>),
    PostgresTransaction(Transaction<'static, Postgres>),
}

enum Borrowed<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// A connection that counts its statements.
pub(crate) struct Link {
    channel: Channel,
    /// Statements of every link of the store; shared with it.
    statements: Arc<AtomicU64>,
}

impl Link {
    pub(crate) fn new(channel: Channel, statements: Arc<AtomicU64>) -> Self {
        Self { channel, statements }
    }

    /// Whether the engine is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.channel, Channel::Postgres(_) | Channel::PostgresTransaction(_))
    }

    fn borrow(&mut self) -> Borrowed<'_> {
        match &mut self.channel {
            Channel::Sqlite(link) => Borrowed::Sqlite(link),
            Channel::Postgres(link) => Borrowed::Postgres(link),
            Channel::SqliteTransaction(link) => Borrowed::Sqlite(link),
            Channel::PostgresTransaction(link) => Borrowed::Postgres(link),
        }
    }

    /// Rows of a query. `what` names a row in errors. The text holds no data, only placeholders.
    pub(crate) async fn fetch(
        &mut self,
        what: &'static str,
        text: String,
        arguments: Vec<Arg>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let rows: Vec<Vec<Cell>> = match self.borrow() {
            Borrowed::Sqlite(link) => {
                let query = sqlx::query_with(AssertSqlSafe(text), sqlite_arguments(arguments)?);
                let rows = query.fetch_all(link).await?;
                rows.iter().map(sqlite_cells).collect::<Result<_, _>>()?
            }
            Borrowed::Postgres(link) => {
                let query = sqlx::query_with(AssertSqlSafe(text), postgres_arguments(arguments)?);
                let rows = query.fetch_all(link).await?;
                rows.iter().map(postgres_cells).collect::<Result<_, _>>()?
            }
        };
        Ok(rows.into_iter().map(|cells| Row { cells: cells.into_iter(), what }).collect())
    }

    /// Runs a statement.
    pub(crate) async fn execute(&mut self, text: String, arguments: Vec<Arg>) -> Result<(), sqlx::Error> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        match self.borrow() {
            Borrowed::Sqlite(link) => {
                sqlx::query_with(AssertSqlSafe(text), sqlite_arguments(arguments)?).execute(link).await?;
            }
            Borrowed::Postgres(link) => {
                sqlx::query_with(AssertSqlSafe(text), postgres_arguments(arguments)?).execute(link).await?;
            }
        }
        Ok(())
    }

    /// Commits a transaction; a link without one has nothing to commit.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.channel {
            Channel::SqliteTransaction(link) => link.commit().await,
            Channel::PostgresTransaction(link) => link.commit().await,
            Channel::Sqlite(_) | Channel::Postgres(_) => Ok(()),
        }
    }

    /// Rolls a transaction back.
    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self.channel {
            Channel::SqliteTransaction(link) => link.rollback().await,
            Channel::PostgresTransaction(link) => link.rollback().await,
            Channel::Sqlite(_) | Channel::Postgres(_) => Ok(()),
        }
    }
}

fn sqlite_arguments(arguments: Vec<Arg>) -> Result<SqliteArguments, sqlx::Error> {
    let mut bound = SqliteArguments::default();
    for argument in arguments {
        match argument {
            Arg::Integer(value) => bound.add(value),
            Arg::Real(value) => bound.add(value),
            Arg::Text(value) => bound.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

fn postgres_arguments(arguments: Vec<Arg>) -> Result<PgArguments, sqlx::Error> {
    let mut bound = PgArguments::default();
    for argument in arguments {
        match argument {
            Arg::Integer(value) => bound.add(value),
            Arg::Real(value) => bound.add(value),
            Arg::Text(value) => bound.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

fn unexpected(column: usize, kind: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} has the type {kind}").into())
}

fn sqlite_cells(row: &SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.columns().len());
    for column in 0..row.columns().len() {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            cells.push(Cell::Null);
            continue;
        }
        let kind = value.type_info().name().to_owned();
        cells.push(
            match kind.as_str() {
                "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(Cell::Integer),
                "REAL" => <f64 as Decode<Sqlite>>::decode(value).map(Cell::Real),
                "TEXT" => <String as Decode<Sqlite>>::decode(value).map(Cell::Text),
                other => return Err(unexpected(column, other)),
            }
            .map_err(sqlx::Error::Decode)?,
        );
    }
    Ok(cells)
}

fn postgres_cells(row: &PgRow) -> Result<Vec<Cell>, sqlx::Error> {
    let mut cells = Vec::with_capacity(row.columns().len());
    for (column, described) in row.columns().iter().enumerate() {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            cells.push(Cell::Null);
            continue;
        }
        cells.push(
            match described.type_info().name() {
                "INT8" => <i64 as Decode<Postgres>>::decode(value).map(Cell::Integer),
                "FLOAT8" => <f64 as Decode<Postgres>>::decode(value).map(Cell::Real),
                "TEXT" | "VARCHAR" => <String as Decode<Postgres>>::decode(value).map(Cell::Text),
                "VOID" => Ok(Cell::Null),
                other => return Err(unexpected(column, other)),
            }
            .map_err(sqlx::Error::Decode)?,
        );
    }
    Ok(cells)
}
