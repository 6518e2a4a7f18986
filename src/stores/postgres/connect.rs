//! Dialling the database: where it is, who we are, and what every connection is set to before it is used.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::secret::Secret;
use rustls::ClientConfig;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors::SqlError;
use super::statement::Connection;

/// The longest that dialling takes, with TLS and the settings below.
const DIAL_DEADLINE: Duration = Duration::from_secs(2);

/// The longest that sent bytes may stay without an acknowledgement before the connection counts as dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(3);

/// What every session is set to. A node that is paused inside a transaction holds its locks for a second and no longer;
/// nobody waits for a lock or a statement for ever; a commit is durable, and a statement sees what was committed before it,
/// whatever the defaults of the server are.
const SESSION: &str = "SET synchronous_commit = on; SET idle_in_transaction_session_timeout = 1000; \
    SET lock_timeout = 1000; SET statement_timeout = 2000; \
    SET default_transaction_isolation = 'read committed'; SET jit = off";

/// What the writer's session is set to beside that. All of its statements are about rows that they name by key: a plan made
/// while a table was small must not walk through it when it has grown.
const WRITER_SESSION: &str = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Where the database is and how to get in.
#[derive(Clone)]
pub struct Address {
    /// Host name, address, or the folder of a Unix socket.
    pub host: String,
    /// Port; 5432 is usual.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// Role.
    pub user: String,
    /// Its password, where the server asks for one.
    pub password: Option<String>,
    /// With it nothing is said in the clear; without, nothing is encrypted.
    pub tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

/// Who we are to the database. Connections that are open stay what they are; the next ones are made as the new one.
#[derive(Clone)]
pub struct Login(Arc<ArcSwap<(String, Option<Secret>)>>);

impl Login {
    /// Connections are made in this name from now on.
    pub fn replace(&self, user: &str, password: Option<&Secret>) {
        self.0.store(Arc::new((user.to_owned(), password.cloned())));
    }

    fn show(&self, config: &mut Config) {
        let (user, password) = &**self.0.load();
        config.user(user);
        if let Some(password) = password {
            config.password(password.reveal());
        }
    }
}

/// Makes connections to one database.
#[derive(Clone)]
pub(super) struct Dialer {
    config: Config,
    login: Login,
    tls: Option<Arc<ClientConfig>>,
}

impl Dialer {
    pub(super) fn new(address: &Address) -> Self {
        let mut config = Config::new();
        config
            .host(&address.host)
            .port(address.port)
            .dbname(&address.database)
            .application_name("ges")
            .ssl_mode(if address.tls.is_some() { SslMode::Require } else { SslMode::Disable })
            // A server that only follows another one is none that we can use.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(DIAL_DEADLINE)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(1))
            .keepalives_retries(3);
        let password = address.password.clone().map(Secret::new);
        let login = Login(Arc::new(ArcSwap::from_pointee((address.user.clone(), password))));
        Self { config, login, tls: address.tls.clone() }
    }

    /// Who it is that dials.
    pub(super) fn login(&self) -> Login {
        self.login.clone()
    }

    /// A connection as the service uses it.
    pub(super) async fn dial(&self) -> Result<Connection, SqlError> {
        let dial = async {
            let client = self.bare().await?;
            client.batch_execute(SESSION).await?;
            Ok(Connection::new(client))
        };
        tokio::time::timeout(DIAL_DEADLINE, dial).await.unwrap_or(Err(SqlError::Late))
    }

    /// A connection for the writer.
    pub(super) async fn dial_writer(&self) -> Result<Connection, SqlError> {
        let connection = self.dial().await?;
        connection.run(WRITER_SESSION).await?;
        Ok(connection)
    }

    /// A connection without limits, for what may take its time.
    pub(super) async fn bare(&self) -> Result<Client, SqlError> {
        let mut config = self.config.clone();
        self.login.show(&mut config);
        match &self.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(|error| unreached(&error))?;
                tokio::spawn(drive(connection));
                Ok(client)
            }
            Some(tls) => {
                let tls = MakeRustlsConnect::new(ClientConfig::clone(tls));
                let (client, connection) = config.connect(tls).await.map_err(|error| unreached(&error))?;
                tokio::spawn(drive(connection));
                Ok(client)
            }
        }
    }
}

/// Whoever asks through the client hears of a failure too, so nothing is lost here.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the database has ended");
    }
}

/// The text of these errors hides their cause.
fn unreached(error: &tokio_postgres::Error) -> SqlError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    SqlError::Unreached(text)
}
