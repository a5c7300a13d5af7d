//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Black-box optimization and AutoML: a service, its workers, and the tools around them.
#[derive(Debug, Parser)]
#[command(name = "boxwood", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    /// Where the server listens for gRPC [default: http://127.0.0.1:7717].
    #[arg(long, global = true, env = "BOXWOOD_SERVER")]
    pub(crate) server: Option<String>,
    /// Bearer token; not needed while the server has none.
    #[arg(long, global = true, env = "BOXWOOD_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Project; empty means the token's, or `default`.
    #[arg(long, global = true, env = "BOXWOOD_PROJECT", default_value = "")]
    pub(crate) project: String,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tune four recommendation models on real ratings: server, workers, live progress, result.
    Demo(DemoArgs),
    /// Run the server: gRPC, REST, planner. Without options: SQLite in ./.boxwood, loopback only.
    Serve(ServeArgs),
    /// Run a worker that trains trials in child processes.
    Worker(WorkerArgs),
    /// Create, list, inspect and steer studies.
    #[command(subcommand)]
    Study(StudyCommand),
    /// List, inspect and steer trials.
    #[command(subcommand)]
    Trial(TrialCommand),
    /// Create, list and revoke bearer tokens, directly in the database.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Bring the database's schema to this version's.
    Migrate(DatabaseArgs),
    /// Measure the service or the solvers on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Fetch data sets for the built-in programs.
    #[command(subcommand)]
    Data(DataCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// What a worker starts for a built-in program; reads its trial from the environment.
    #[command(subcommand, hide = true)]
    Program(ProgramCommand),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Forget the study of an earlier run.
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Time budget in minutes, from the start of the study.
    #[arg(long, default_value_t = 4.0)]
    pub(crate) minutes: f64,
    /// Budget in started trials; running again adds as many.
    #[arg(long, default_value_t = 160)]
    pub(crate) trials: u64,
    /// Number of worker processes with one slot each.
    #[arg(long, default_value_t = 2)]
    pub(crate) workers: u32,
    /// Also write the result to this file.
    #[arg(long = "json-file", visible_alias = "result", value_name = "FILE")]
    pub(crate) json_file: Option<PathBuf>,
    /// Ratings to use instead of MovieLens-100K: a GroupLens folder or a typed CSV/TSV file.
    #[arg(long, conflicts_with = "synthetic")]
    pub(crate) data: Option<PathBuf>,
    /// Use generated data; needs no network.
    #[arg(long)]
    pub(crate) synthetic: bool,
    /// Database instead of the demo's own SQLite file, for example postgres://user@host/db.
    #[arg(long)]
    pub(crate) database: Option<String>,
    /// Folder of the demo: database, data cache, checkpoints, logs.
    #[arg(long, default_value = ".boxwood")]
    pub(crate) folder: PathBuf,
    /// Seed of the study.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DatabaseArgs {
    /// Configuration file (TOML).
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// Database: sqlite:PATH, postgres://USER@HOST/NAME or memory:
    #[arg(long)]
    pub(crate) database: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    /// Address for gRPC; port 0 takes a free one.
    #[arg(long)]
    pub(crate) grpc: Option<String>,
    /// Address for REST; port 0 takes a free one.
    #[arg(long)]
    pub(crate) rest: Option<String>,
    /// Print the configuration that would be used, secrets redacted, and exit.
    #[arg(long)]
    pub(crate) print_config: bool,
    /// Write the bound addresses as JSON to this file once the server is ready.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    pub(crate) follow_parent: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    /// Configuration file (TOML): programs, labels, folders.
    #[arg(long, short)]
    pub(crate) config: Option<PathBuf>,
    /// Name, unique in the project.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Number of slots; one per GPU, or else per core, when absent.
    #[arg(long)]
    pub(crate) slots: Option<u32>,
    /// Labels, for example gpu=h100.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub(crate) labels: Vec<String>,
    /// Folder for working files, of this worker alone.
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
    /// Root of the checkpoints, shared by all workers.
    #[arg(long)]
    pub(crate) checkpoints: Option<PathBuf>,
    /// End when the process that started this one ends.
    #[arg(long, hide = true)]
    pub(crate) follow_parent: bool,
}

/// A study by id or name.
#[derive(Debug, Clone, Args)]
pub(crate) struct StudyRef {
    /// Id or name of the study.
    pub(crate) study: String,
}

/// What to look at in a study's results.
#[derive(Debug, Args)]
pub(crate) struct AnalyzeArgs {
    #[command(flatten)]
    pub(crate) study: StudyRef,
    /// `importance`, `interactions`, `attribution`, `quality`, `forecast`, `front`, `hypervolume`, `convergence` or `best`.
    #[arg(long, default_value = "importance")]
    pub(crate) kind: String,
    /// Index of the objective, from 0.
    #[arg(long, default_value_t = 0)]
    pub(crate) objective: u32,
    /// Trials to attribute, by number, separated by commas; the five best ones when absent.
    #[arg(long, value_delimiter = ',')]
    pub(crate) trials: Vec<u32>,
    /// Further trials to forecast; as many as have a result when absent.
    #[arg(long)]
    pub(crate) more: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StudyCommand {
    /// Create a study from a specification in JSON or TOML (`-` reads standard input).
    Create {
        /// File of the specification.
        file: PathBuf,
        /// Name of an earlier study of the project to learn from; may be repeated.
        #[arg(long, value_name = "NAME")]
        transfer_from: Vec<String>,
    },
    /// List studies, newest first.
    List {
        /// Show archived ones too.
        #[arg(long)]
        archived: bool,
        /// Only names that contain this.
        #[arg(long)]
        name: Option<String>,
        /// Most studies to show.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show a study: state, budget, counts, best.
    Show(StudyRef),
    /// Show the best trials.
    Best {
        #[command(flatten)]
        study: StudyRef,
        /// How many.
        #[arg(long, default_value_t = 1)]
        top: u32,
    },
    /// Grant no new leases; running trials go on.
    Pause {
        #[command(flatten)]
        study: StudyRef,
        /// Why, for the people who look at it later.
        #[arg(long, default_value = "paused by a person")]
        reason: String,
    },
    /// Let a paused study go on; with a larger budget or other stop rules, a completed one too.
    Resume {
        #[command(flatten)]
        study: StudyRef,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Change the budget and the stop rules; a completed study goes on when they allow more.
    Update {
        #[command(flatten)]
        study: StudyRef,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// End a study for good; what it measured stays.
    Cancel {
        #[command(flatten)]
        study: StudyRef,
        /// Why.
        #[arg(long, default_value = "cancelled by a person")]
        reason: String,
    },
    /// Hide a study from lists, or show it again.
    Archive {
        #[command(flatten)]
        study: StudyRef,
        /// Show it again.
        #[arg(long)]
        undo: bool,
    },
    /// Write every trial: one JSON object or CSV row each.
    Export {
        #[command(flatten)]
        study: StudyRef,
        /// Format.
        #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
        format: ExportFormat,
        /// File to write; standard output when absent.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Say which solver works and why, what it learned, and why nothing runs when nothing runs.
    Explain(StudyRef),
    /// Say what the results tell: which parameters matter, what more trials would bring, how good the model is.
    Analyze(AnalyzeArgs),
    /// Recompute every plan from the history and compare.
    Replay(StudyRef),
    /// Print changes as they happen until the study ends.
    Watch(StudyRef),
}

/// New limits of a study; what is not given stays.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// New budget in trials.
    #[arg(long)]
    pub(crate) trials: Option<u64>,
    /// New budget in seconds, from now where the study had ended.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// New budget in resource units over all trials.
    #[arg(long)]
    pub(crate) resource: Option<u64>,
    /// Stop rules to set, as JSON, for example '{"no_improvement": {"trials": 30}}'.
    #[arg(long, value_name = "JSON")]
    pub(crate) stop: Option<String>,
    /// Stop rule to remove, for example `no_improvement`; may be repeated.
    #[arg(long, value_name = "RULE")]
    pub(crate) clear_stop: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Csv,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrialCommand {
    /// List trials of a study.
    List {
        #[command(flatten)]
        study: StudyRef,
        /// Only this state (repeatable).
        #[arg(long = "state")]
        states: Vec<String>,
        /// Order: number, newest or best.
        #[arg(long, default_value = "newest")]
        order: String,
        /// Most trials to show.
        #[arg(long, default_value_t = 30)]
        limit: u32,
    },
    /// Show one trial with its curve and why its point was proposed.
    Show {
        /// Id of the trial.
        id: i64,
    },
    /// Add a point of your own to the front of the queue.
    Enqueue {
        #[command(flatten)]
        study: StudyRef,
        /// The point as JSON, for example '{"lr": 0.01}'.
        point: String,
    },
    /// Run a failed trial again.
    Retry {
        /// Id of the trial.
        id: i64,
    },
    /// Withdraw an open trial.
    Cancel {
        /// Id of the trial.
        id: i64,
        /// Why.
        #[arg(long, default_value = "cancelled by a person")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Create a token and print its secret once.
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// For people.
        #[arg(long)]
        name: String,
        /// viewer, worker, operator or admin.
        #[arg(long, default_value = "operator")]
        role: String,
        /// Days until it expires; never when absent.
        #[arg(long)]
        days: Option<f64>,
    },
    /// List tokens without their secrets.
    List(DatabaseArgs),
    /// Revoke a token.
    Revoke {
        #[command(flatten)]
        database: DatabaseArgs,
        /// Id of the token.
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Load a server of its own: suggest+finish pairs, batched reports, heartbeats.
    Service {
        /// Database: sqlite (a temporary file), memory, or a postgres:// URL of an empty database.
        #[arg(long, default_value = "sqlite")]
        database: String,
        /// Concurrent clients.
        #[arg(long, default_value_t = 32)]
        clients: u32,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// Live leases while heartbeats are timed.
        #[arg(long, default_value_t = 1000)]
        leases: u32,
    },
    /// Run solvers on a suite of problems with known optima, in process.
    Solvers(BenchSolversArgs),
    /// Test two files of `bench solvers --json-file` against each other, paired by seed.
    Compare {
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
    },
    /// Put a file of `bench solvers --json-file` beside stored results of other libraries.
    Peers {
        /// The file.
        report: PathBuf,
        /// Folder with the results of the others, one JSON file per library and problem.
        #[arg(long)]
        results: PathBuf,
        /// Also write the table to this file as JSON.
        #[arg(long, value_name = "FILE")]
        json_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BenchSolversArgs {
    /// Suite of problems.
    #[arg(long, default_value = "smoke")]
    pub(crate) suite: String,
    /// Problems of the suite to keep, separated by commas; all when absent.
    #[arg(long, value_delimiter = ',')]
    pub(crate) problem: Vec<String>,
    /// Solvers, separated by commas; parameters follow a colon, as in asha:sampler=gp.
    #[arg(long, default_value = "random,sobol,bo,forest,tpe", value_delimiter = ',')]
    pub(crate) solver: Vec<String>,
    /// Number of seeds.
    #[arg(long, default_value_t = 5)]
    pub(crate) seeds: u64,
    /// First seed; the others follow. Settings chosen on some seeds are confirmed on others.
    #[arg(long, default_value_t = 1)]
    pub(crate) first_seed: u64,
    /// Virtual workers; the problem's own number when absent.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Trials per run; the problem's own number when absent.
    #[arg(long)]
    pub(crate) trials: Option<u64>,
    /// Runs at full resource over all workers, for problems with rungs; the problem's own number when absent.
    #[arg(long)]
    pub(crate) full_runs: Option<f64>,
    /// Folder with tables of recorded results.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Studies run at a time; one per core when absent.
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Instead of a suite, time suggestions after these numbers of random trials: 50,200,1000,5000.
    #[arg(long, value_delimiter = ',', value_name = "TRIALS")]
    pub(crate) latency: Vec<usize>,
    /// Also state the share of the budget that each solver needs to reach the final median gap of this one of them.
    #[arg(long, value_name = "SOLVER", conflicts_with = "latency")]
    pub(crate) target_of: Option<String>,
    /// Also write the report to this file, for `bench compare` and `bench peers`.
    #[arg(long, value_name = "FILE")]
    pub(crate) json_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Fetch a data set into a folder.
    Get {
        /// Name: movielens-100k.
        name: String,
        /// Folder.
        #[arg(long, default_value = ".boxwood/data")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProgramCommand {
    /// Train one trial.
    Run,
}

/// Where a server listens when nobody says otherwise.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7717";
