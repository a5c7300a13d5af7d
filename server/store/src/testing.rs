//! Databases for tests of this and other crates.
//!
//! PostgreSQL is taken from `DATABASE_URL`; without it a cluster is started once per test process, on a free port and in
//! a temporary folder, and ended with the process, however that ends. Every test gets a database of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;

/// Set to `1` where tests must not be skipped for want of PostgreSQL.
pub const REQUIRE: &str = "BOXWOOD_REQUIRE_POSTGRES";
const START_PATIENCE: Duration = Duration::from_mins(1);

/// A SQLite database in a folder that goes away with this value.
#[derive(Debug)]
pub struct SqliteFolder {
    folder: TempDir,
}

impl SqliteFolder {
    /// A fresh folder.
    ///
    /// # Panics
    /// Where no temporary folder can be made.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// Path of the database.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("boxwood.db")
    }

    /// URL of the database.
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }
}

impl Default for SqliteFolder {
    fn default() -> Self {
        Self::new()
    }
}

/// URL of a fresh PostgreSQL database, or `None` with a message where there is no PostgreSQL and none is required.
///
/// # Panics
/// Where PostgreSQL is required and not found, or found and not usable.
pub async fn postgres() -> Option<String> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(Server::find))
        .await
        .expect("the search for PostgreSQL does not panic");
    match server {
        Ok(server) => Some(server.fresh_database().await),
        Err(reason) => {
            assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "PostgreSQL is required: {reason}");
            #[allow(clippy::print_stderr)]
            {
                eprintln!("skipped without PostgreSQL: {reason}");
            }
            None
        }
    }
}

struct Server {
    options: PgConnectOptions,
    /// Ends the cluster when its standard input closes, which the end of this process does.
    _watchdog: Option<Child>,
}

impl Server {
    fn find() -> Result<Self, String> {
        if let Ok(url) = std::env::var("DATABASE_URL")
            && url.starts_with("postgres")
        {
            let options = url.parse().map_err(|error| format!("DATABASE_URL: {error}"))?;
            return Ok(Self { options, _watchdog: None });
        }
        let binaries = find_binaries().ok_or("no initdb and postgres in PATH or /usr/lib/postgresql")?;
        start(&binaries)
    }

    async fn fresh_database(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("boxwood_{}_{number}", std::process::id());
        let mut link = self.options.connect().await.expect("the test server takes connections");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        link.execute(AssertSqlSafe(create)).await.expect("a database can be created");
        link.close().await.expect("a connection can be closed");
        self.options.clone().database(&name).to_url_lossy().to_string()
    }
}

fn find_binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// PostgreSQL refuses to run as root; there it runs as the user that Debian's package makes.
fn command(program: &Path) -> Command {
    let uid = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    if uid.trim_ascii() == b"0" {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn start(binaries: &Path) -> Result<Server, String> {
    let told = |what: &str, error: std::io::Error| format!("{what}: {error}");
    let folder = tempfile::Builder::new()
        .prefix("boxwood-postgres-")
        .tempdir()
        .map_err(|e| told("make a folder", e))?
        .keep();
    // The cluster may belong to another user, who must be able to make its folder inside this one.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))
            .map_err(|e| told("open the folder", e))?;
    }
    let data = folder.join("data");
    let made = command(&binaries.join("initdb"))
        .args(["-A", "trust", "-U", "boxwood", "-E", "UTF8", "--no-locale", "--no-sync", "-D"])
        .arg(&data)
        .current_dir(&folder)
        .output()
        .map_err(|e| told("run initdb", e))?;
    if !made.status.success() {
        return Err(format!("initdb failed: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|e| told("find a port", e))?
        .port();
    let settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"];
    let log = std::fs::File::create(folder.join("log")).map_err(|e| told("make the log", e))?;
    let mut server = command(&binaries.join("postgres"));
    server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]).arg(&folder);
    for setting in settings {
        server.args(["-c", setting]);
    }
    server.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    server.spawn().map_err(|e| told("start postgres", e))?;
    let watchdog = watch(&folder, &data).map_err(|e| told("start the watchdog", e))?;
    let options = PgConnectOptions::new()
        .host("127.0.0.1")
        .port(port)
        .username("boxwood")
        .database("postgres")
        .disable_statement_logging();
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() || !data.join("postmaster.pid").exists()
    {
        if begun.elapsed() > START_PATIENCE {
            return Err("postgres does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // The port opens a moment before the server takes sessions.
    while !std::fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.contains("ready")) {
        if begun.elapsed() > START_PATIENCE {
            return Err("postgres does not get ready".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Server { options, _watchdog: Some(watchdog) })
}

/// A process that waits for the end of its input and then ends the cluster and removes its folder.
fn watch(folder: &Path, data: &Path) -> std::io::Result<Child> {
    let script = "cat > /dev/null; kill -INT \"$(head -n 1 \"$1/postmaster.pid\")\"; \
        for i in 1 2 3 4 5 6 7 8 9 10; do [ -e \"$1/postmaster.pid\" ] || break; sleep 0.3; done; rm -rf \"$2\"";
    Command::new("sh")
        .args(["-c", script, "watchdog"])
        .arg(data)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
