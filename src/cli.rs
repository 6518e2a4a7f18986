//! The command line: what can be asked of the program, and what it answers to a shell.
//!
//! Exit codes: 0 ended as asked; 1 a comparison found a difference, the audit log is broken, or a drill was not good; 2 wrong arguments or configuration, or data that cannot be used; 70 the
//! supervision tree gave up. What the commands need from the rest comes in through [`Program`], so that this
//! module can be tried without a store or a socket.

pub mod banner;
pub mod keys;
pub mod privacy;
pub mod tenants;
pub mod users;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::bench::BenchOptions;
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat, Secret, Telemetry};
use crate::drill::{self, DrillOptions, Verdict};
use crate::privacy::Privacy;
use crate::provisioning::Provisioning;
pub use crate::rotation::Reread;
use crate::simulate_ors::SimulateOrsOptions;
use crate::telemetry::tracing::{self as log, Guard, LevelSwitch, TracingSettings};
use banner::Banner;

/// What the command line needs from the rest of the program.
#[async_trait]
pub trait Program: Send + Sync {
    /// Serves until it is asked to end or cannot go on. Calls `ready` once, when requests are served.
    async fn serve(&self, config: &Config, around: Around, ready: &Ready) -> Result<(), Failure>;

    /// Opens the keys of the installation, beside a running service or without one.
    async fn open_keys(&self, config: &Config) -> Result<keys::KeyCabinet, Failure>;

    /// Opens the documents of the installation's tenants, beside a running service or without one.
    async fn open_tenants(&self, config: &Config) -> Result<Provisioning, Failure>;

    /// Opens what is kept of numbers and the audit log, beside a running service or without one.
    async fn open_privacy(&self, config: &Config) -> Result<Privacy, Failure>;

    /// Opens local accounts, beside a running service or without one.
    async fn open_users(&self, config: &Config) -> Result<users::UserCabinet, Failure>;

    /// Brings the database up to date and says so in one line.
    async fn migrate(&self, config: &Config) -> Result<String, Failure>;

    /// The OpenAPI document as JSON.
    fn openapi(&self) -> Result<String, Failure>;

    /// Stands in for Orchestration until it is asked to end.
    async fn simulate_ors(&self, options: &SimulateOrsOptions, config: &Config) -> Result<(), Failure>;

    /// Measures this machine and prints tables.
    async fn bench(&self, options: &BenchOptions) -> Result<(), Failure>;

    /// Serves a constant, for the bench to compare with.
    async fn bench_constant(&self, config: &Config) -> Result<(), Failure>;
}

/// What the process around the service hands in.
#[derive(Clone)]
pub struct Around {
    /// Log lines that were lost.
    pub log_failures: Arc<AtomicU64>,
    /// Which log lines are written.
    pub log_level: Arc<LevelSwitch>,
    /// Reads the configuration again.
    pub reread: Arc<Reread>,
}

/// Told once that requests are served.
pub type Ready = dyn Fn(Started) + Send + Sync;

/// What was found out while starting.
#[derive(Debug, Clone)]
pub struct Started {
    /// Address of the public listener, with its real port.
    pub external: SocketAddr,
    /// Address of the internal listener, with its real port.
    pub internal: SocketAddr,
    /// The demo tenant's key, if there is a demo tenant.
    pub demo_key: Option<Secret>,
}

/// Why a command did not do what it was asked. The text is one clear line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// Wrong configuration, arguments, or data that cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The supervision tree gave up while it ran.
    #[error("{0}")]
    GaveUp(String),
    /// A comparison found a difference, a chain is broken, or a drill was not good, which was printed.
    #[error("differs")]
    Differs,
}

impl Failure {
    /// The exit code of the process.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable(_) => 2,
            Self::GaveUp(_) => 70,
            Self::Differs => 1,
        }
    }

    /// As [`Failure::Unusable`], with all causes of `error` in one line.
    pub fn unusable(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Unusable(text)
    }
}

/// Callback and click-to-call-in service for contact centres.
#[derive(Debug, Parser)]
#[command(
    name = "ges",
    version,
    after_help = "Examples:\n  ges                                  start with a demo tenant, nothing to configure\n  ges --config /etc/ges.yaml serve     start with a configuration file\n  ges apply -f tenant.yaml             make a tenant what its document says\n  ges keys create --tenant demo --label website\n  ges check-config                     say what is wrong before it matters\n\nExit codes: 0 ended as asked, 1 `diff` found a difference or a drill was not good, 2 wrong configuration or unusable data, 70 the service gave up.\nSettings: environment variables GES_…, see docs/configuration.md."
)]
pub struct Cli {
    /// Configuration file (YAML); the environment goes before it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do; `serve` if nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be asked.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve callbacks until asked to end (the default)
    Serve,
    /// Make what documents of tenants say what the service does: all of it, or nothing if anything is wrong
    Apply(tenants::Documents),
    /// Show what documents of tenants would change; exit code 1 if that is anything
    Diff(tenants::Documents),
    /// Write the document of a tenant, or with --number everything that is kept of a phone number
    Export(tenants::Export),
    /// List tenants and the history of their documents
    Tenants {
        /// What to list
        #[command(subcommand)]
        command: Option<tenants::TenantsCommand>,
    },
    /// Erase everything that is kept of a phone number, and print the receipt
    Erase(privacy::Erase),
    /// Read and verify the log of administrative acts
    #[command(subcommand)]
    Audit(privacy::AuditCommand),
    /// Print the JSON Schema of documents of tenants, for editors
    Schema,
    /// Make, list and revoke API keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make, list, change and remove local accounts of the interface
    #[command(subcommand)]
    Users(users::UsersCommand),
    /// Read the whole configuration, say what is wrong, and start nothing
    CheckConfig,
    /// Bring the database up to date and end
    Migrate,
    /// Print the OpenAPI document of the public API
    Openapi,
    /// Stand in for Orchestration: read the stream of a voice Redis and play a contact centre
    SimulateOrs(SimulateOrsOptions),
    /// Measure this machine beside the limits of its parts
    Bench(BenchOptions),
    /// Drill one fault of a running installation: whether its alerts fire and clear in time, and nothing is lost
    Drill(DrillOptions),
    /// The other end of a comparison that `bench` makes
    #[command(hide = true)]
    BenchConstant,
}

/// Reads the arguments of this process and does what they ask.
pub fn run(program: &dyn Program) -> ExitCode {
    // Wrong arguments end here with code 2, and `--help` with 0.
    let cli = Cli::parse();
    match perform(program, cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say_failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn perform(program: &dyn Program, cli: Cli) -> Result<(), Failure> {
    match cli.command.unwrap_or(Command::Serve) {
        Command::Openapi => print(&program.openapi()?),
        Command::CheckConfig => check_config(cli.config),
        Command::Serve => serve(program, cli.config),
        Command::SimulateOrs(options) => {
            with_log(cli.config, async |config, _| program.simulate_ors(&options, config).await)
        }
        Command::Bench(options) => on_runtime(program.bench(&options)),
        Command::Drill(options) => drilled(&options, &quiet_config(cli.config)?),
        Command::BenchConstant => {
            let config = quiet_config(cli.config)?;
            on_runtime(program.bench_constant(&config))
        }
        Command::Migrate => {
            let config = quiet_config(cli.config)?;
            print(&on_runtime(program.migrate(&config))?)
        }
        Command::Schema => print(&tenants::schema()?),
        Command::Apply(documents) => {
            print(&with_tenants(program, cli.config, async |open| tenants::apply(&documents, open).await)?)
        }
        Command::Diff(documents) => {
            let diff = async |open: &Provisioning| tenants::diff(&documents, open).await;
            let (text, differs) = with_tenants(program, cli.config, diff)?;
            print(&text)?;
            if differs { Err(Failure::Differs) } else { Ok(()) }
        }
        Command::Export(tenants::Export { number: Some(number), tenant, output, .. }) => {
            let told = async |open: &Privacy| privacy::export(&tenant, &number, open).await;
            print(&privacy::written(with_privacy(program, cli.config, told)?, output.as_deref())?)
        }
        Command::Erase(wanted) => {
            print(&with_privacy(program, cli.config, async |open| privacy::erase(&wanted, open).await)?)
        }
        Command::Audit(command) => {
            let audit = async |open: &Privacy| privacy::audit(&command, open).await;
            let (text, whole) = with_privacy(program, cli.config, audit)?;
            print(&text)?;
            if whole { Ok(()) } else { Err(Failure::Differs) }
        }
        Command::Export(wanted) => {
            print(&with_tenants(program, cli.config, async |open| tenants::export(&wanted, open).await)?)
        }
        Command::Tenants { command } => {
            let command = command.unwrap_or(tenants::TenantsCommand::List);
            print(&with_tenants(program, cli.config, async |open| tenants::tenants(&command, open).await)?)
        }
        Command::Keys(command) => {
            let config = quiet_config(cli.config)?;
            let text = on_runtime(async {
                let cabinet = program.open_keys(&config).await?;
                keys::perform(command, &cabinet, &SystemClock::default()).await
            })?;
            print(&text)
        }
        Command::Users(command) => {
            let config = quiet_config(cli.config)?;
            let text = on_runtime(async {
                let cabinet = program.open_users(&config).await?;
                users::perform(command, &cabinet, &SystemClock::default(), &users::read_password).await
            })?;
            print(&text)
        }
    }
}

fn drilled(options: &DrillOptions, config: &Config) -> Result<(), Failure> {
    let mut out = io::stdout();
    let verdict =
        on_runtime(async { drill::run(options, config, &mut out).await.map_err(|error| Failure::unusable(&error)) })?;
    match verdict {
        Verdict::Good => Ok(()),
        Verdict::Bad => Err(Failure::Differs),
    }
}

/// Does something with the documents of the installation.
fn with_tenants<T>(
    program: &dyn Program,
    file: Option<PathBuf>,
    work: impl AsyncFnOnce(&Provisioning) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = quiet_config(file)?;
    on_runtime(async {
        let open = program.open_tenants(&config).await?;
        work(&open).await
    })
}

/// Does something with what is kept of numbers, or with the audit log.
fn with_privacy<T>(
    program: &dyn Program,
    file: Option<PathBuf>,
    work: impl AsyncFnOnce(&Privacy) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let config = quiet_config(file)?;
    on_runtime(async {
        let open = program.open_privacy(&config).await?;
        work(&open).await
    })
}

fn serve(program: &dyn Program, file: Option<PathBuf>) -> Result<(), Failure> {
    let again = file.clone();
    let reread: Arc<Reread> = Arc::new(move || Config::from_process(again.clone()).map(|loaded| loaded.config));
    with_log(file, async |config, guard| {
        let shown = config.clone();
        let ready = move |started: Started| first_screen(&started, &shown);
        let (log_failures, log_level) = (guard.failures(), guard.level());
        let around = Around { log_failures, log_level, reread: reread.clone() };
        program.serve(config, around, &ready).await
    })
}

/// Does something that goes on and logs.
fn with_log(
    file: Option<PathBuf>,
    work: impl AsyncFnOnce(&Config, &Guard) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let loaded = Config::from_process(file).map_err(|mistakes| Failure::Unusable(mistakes.to_string()))?;
    let config = loaded.config;
    let settings = tracing_settings(&config);
    on_runtime(async {
        let guard = log::install(&settings).map_err(|error| Failure::unusable(&error))?;
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let outcome = work(&config, &guard).await;
        end_log(outcome.as_ref().err(), guard).await;
        outcome
    })
}

/// The last line of the log says why the process ends, if it does not end as asked.
async fn end_log(failure: Option<&Failure>, guard: Guard) {
    if let Some(failure) = failure {
        tracing::error!(exit_code = failure.exit_code(), "{failure}");
    }
    guard.shut_down().await;
}

/// Goes to standard error, so that standard output stays one log line per line. A key that was configured is
/// known to whoever did it: away from a terminal, where the screen ends in a log, it is not repeated.
fn first_screen(started: &Started, config: &Config) {
    let terminal = io::stderr().is_terminal();
    let told = terminal || config.data.demo_api_key.is_none();
    let banner = Banner {
        version: env!("CARGO_PKG_VERSION"),
        external: started.external,
        internal: started.internal,
        demo_key: started.demo_key.as_ref().filter(|_| told),
        certificate: config.listeners.tls_cert.as_deref(),
        data: &place(config),
        colour: terminal && colours_wanted(),
    };
    let _ = io::stderr().write_all(banner::banner(&banner).as_bytes());
}

/// Where the data is kept.
fn place(config: &Config) -> String {
    let database = &config.database;
    match &database.host {
        Some(host) => format!("{host}:{}/{}", database.port, database.name),
        None => config.data.data_dir.display().to_string(),
    }
}

fn tracing_settings(config: &Config) -> TracingSettings {
    let terminal = io::stdout().is_terminal();
    let Telemetry { otlp_endpoint, .. } = &config.telemetry;
    TracingSettings {
        level: config.log.level,
        max_len_bytes: config.log.max_len_bytes,
        format: config.log.format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json }),
        colour: terminal && colours_wanted(),
        node: config.data.node_name.clone(),
        otlp_endpoint: otlp_endpoint.clone(),
        ca_files: config.outward.ca_files.clone(),
    }
}

/// <https://no-color.org>: any text but the empty one switches colours off.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn check_config(file: Option<PathBuf>) -> Result<(), Failure> {
    let config = quiet_config(file)?;
    print(&format!("{}\nthe configuration can be used", config.redacted()))
}

/// The configuration of a command that logs nothing; warnings go to standard error.
fn quiet_config(file: Option<PathBuf>) -> Result<Config, Failure> {
    let loaded = Config::from_process(file).map_err(|mistakes| Failure::Unusable(mistakes.to_string()))?;
    let mut stderr = io::stderr().lock();
    for warning in &loaded.warnings {
        let _ = writeln!(stderr, "warning: {warning}");
    }
    Ok(loaded.config)
}

fn on_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::unusable(&error))?.block_on(work)
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(|error| Failure::unusable(&error))
}

fn say_failure(failure: &Failure) {
    if *failure == Failure::Differs {
        return;
    }
    let _ = writeln!(io::stderr(), "ges: {failure}");
}
