//! Opening a database: pools, clock, schema, and errors of the driver.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use boxwood_study::StudyId;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqlSafeStr};
use tokio::sync::broadcast;

use super::columns::Founding;
use super::link::{Channel, Link};
use crate::memory::NOTICES;
use crate::{StoreError, StoreNotice, StoreResult};

/// Longest wait for a connection or a locked database.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest wait for the first connection.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
const POSTGRES_CONNECTIONS: u32 = 12;
const STATEMENTS: usize = 512;

/// How often SQLite waits for the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// At every commit: what was acknowledged survives a power cut.
    #[default]
    Full,
    /// At checkpoints: what was acknowledged survives a crash of the process, a power cut may take the last commits.
    Normal,
}

pub(crate) enum Pools {
    Sqlite {
        /// One connection; only the writer task uses it.
        writer: SqlitePool,
        readers: SqlitePool,
        /// Held for as long as the database is open, so that a second server is refused.
        lock: Mutex<Option<File>>,
    },
    Postgres(PgPool),
}

/// An open database, shared by the store's clones, its writer and its listener.
pub(crate) struct Engine {
    pub pools: Pools,
    pub notices: broadcast::Sender<StoreNotice>,
    /// Specifications by study; they never change, so every clone and task may keep them.
    pub foundings: Mutex<HashMap<StudyId, Founding>>,
    pub statements: Arc<AtomicU64>,
    /// Tells this server's notices from those of others.
    pub origin: String,
}

impl Engine {
    pub(crate) async fn open_sqlite(path: &Path, durability: Durability) -> StoreResult<Self> {
        let lock = lock_file(path)?;
        let synchronous = match durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Normal => SqliteSynchronous::Normal,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(STATEMENTS)
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await
            .map_err(|error| StoreError::Backend {
                reason: format!("cannot open the SQLite database {}: {}", path.display(), brief(&error)),
            })?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(options.pragma("query_only", "1"));
        Ok(Self::new(Pools::Sqlite { writer, readers, lock: Mutex::new(Some(lock)) }))
    }

    pub(crate) async fn open_postgres(url: &str) -> StoreResult<Self> {
        let options: PgConnectOptions = url
            .parse()
            .map_err(|_| StoreError::Backend { reason: "the PostgreSQL URL cannot be read".into() })?;
        let options = options
            .statement_cache_capacity(STATEMENTS)
            .application_name("boxwood")
            .disable_statement_logging();
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let unreachable = |why: String| StoreError::Backend {
            reason: format!("cannot reach PostgreSQL at {place}: {why}"),
        };
        let first = tokio::time::timeout(FIRST_PATIENCE, options.connect()).await;
        first.map_err(|_| unreachable("no answer".into()))?.map_err(|error| unreachable(brief(&error)))?;
        let pool = PgPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self::new(Pools::Postgres(pool)))
    }

    fn new(pools: Pools) -> Self {
        static OPENED: AtomicU64 = AtomicU64::new(0);
        let nanoseconds = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let count = OPENED.fetch_add(1, Ordering::Relaxed);
        Self {
            pools,
            notices: broadcast::channel(NOTICES).0,
            foundings: Mutex::default(),
            statements: Arc::default(),
            origin: format!("{:x}-{nanoseconds:x}-{count:x}", std::process::id()),
        }
    }

    pub(crate) async fn migrate(&self) -> StoreResult<()> {
        let result = match &self.pools {
            Pools::Sqlite { writer, .. } => {
                migrator([
                    include_str!("../../../../migrations/sqlite/0001_initial.sql"),
                    include_str!("../../../../migrations/sqlite/0002_stops.sql"),
                ])
                .run(writer)
                .await
            }
            Pools::Postgres(pool) => {
                migrator([
                    include_str!("../../../../migrations/postgres/0001_initial.sql"),
                    include_str!("../../../../migrations/postgres/0002_stops.sql"),
                ])
                .run(pool)
                .await
            }
        };
        result.map_err(|error| {
            tracing::error!(%error, "migrate the database");
            StoreError::Backend { reason: format!("cannot bring the database to this version: {error}") }
        })
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.pools, Pools::Postgres(_))
    }

    /// A transaction that writes.
    pub(crate) async fn write(&self) -> Result<Link, sqlx::Error> {
        let channel = match &self.pools {
            Pools::Sqlite { writer, .. } => {
                Channel::SqliteTransaction(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Pools::Postgres(pool) => Channel::PostgresTransaction(pool.begin().await?),
        };
        Ok(Link::new(channel, self.statements.clone()))
    }

    /// A connection for a read of one statement.
    pub(crate) async fn read(&self) -> StoreResult<Link> {
        let channel = match &self.pools {
            Pools::Sqlite { readers, .. } => Channel::Sqlite(readers.acquire().await.map_err(failed)?),
            Pools::Postgres(pool) => Channel::Postgres(pool.acquire().await.map_err(failed)?),
        };
        Ok(Link::new(channel, self.statements.clone()))
    }

    /// A snapshot for a read of several statements.
    pub(crate) async fn snapshot(&self) -> StoreResult<Link> {
        let channel = match &self.pools {
            Pools::Sqlite { readers, .. } => {
                Channel::SqliteTransaction(readers.begin().await.map_err(failed)?)
            }
            Pools::Postgres(pool) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Channel::PostgresTransaction(pool.begin_with(begin).await.map_err(failed)?)
            }
        };
        Ok(Link::new(channel, self.statements.clone()))
    }

    pub(crate) fn founding(&self, id: StudyId) -> Option<Founding> {
        self.foundings.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(crate) fn keep_founding(&self, id: StudyId, founding: Founding) {
        self.foundings.lock().unwrap_or_else(PoisonError::into_inner).insert(id, founding);
    }

    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers, lock } => {
                readers.close().await;
                writer.close().await;
                drop(lock.lock().unwrap_or_else(PoisonError::into_inner).take());
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }
}

/// The clock of the database in microseconds.
pub(crate) fn clock(postgres: bool) -> &'static str {
    if postgres {
        "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT"
    } else {
        "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
    }
}

/// The migrations in order; each is one transaction.
fn migrator(texts: [&'static str; 2]) -> Migrator {
    let names = ["initial", "stops"];
    let migrations = names.into_iter().zip(texts).zip(1..).map(|((name, text), number)| {
        Migration::new(number, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// An advisory lock beside the database. It goes with the process, however that ends.
fn lock_file(path: &Path) -> StoreResult<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let refused = |reason: String| StoreError::Backend { reason };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)
            .map_err(|error| refused(format!("cannot create the folder {}: {error}", folder.display())))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| refused(format!("cannot open the lock of {}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refused(format!(
            "another server has the SQLite database {} open; one file serves one server, several servers need PostgreSQL",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(refused(format!("cannot lock {}: {error}", path.display()))),
    }
}

/// A driver's error in a form that may be shown to the operator who configured the database.
fn brief(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => error.message().to_owned(),
        sqlx::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// Whether the database is away or busy, so that the same call may go through later.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLite: BUSY and LOCKED with their extensions; PostgreSQL: connection, resources, shutdown.
            let sqlite = code.parse::<u32>().is_ok_and(|code| code < 10_000 && matches!(code & 0xff, 5 | 6));
            sqlite || ["08", "53", "57"].iter().any(|class| code.len() == 5 && code.starts_with(class))
        }),
        _ => false,
    }
}

/// Whether another transaction came first: a unique key, a deadlock, a serialization failure.
pub(crate) fn is_conflict(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.is_unique_violation() || error.code().is_some_and(|code| code == "40001" || code == "40P01")
    })
}

/// The driver's text goes to the log; the caller learns what to do.
#[allow(clippy::needless_pass_by_value)] // It is handed to `map_err`.
pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    if is_transient(&error) || is_conflict(&error) {
        tracing::warn!(%error, "use the database");
        StoreError::Busy
    } else {
        tracing::error!(%error, "use the database");
        StoreError::Backend { reason: "the database refused a statement; the server's log says why".into() }
    }
}
