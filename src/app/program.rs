//! What the command line asks for, done with the real parts.

use std::error::Error;
use std::io;

use async_trait::async_trait;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::memory;
use crate::bench::{self, BenchOptions};
use crate::cli::keys::KeyCabinet;
use crate::cli::users::UserCabinet;
use crate::cli::{Around, Failure, Program, Ready, Started};
use crate::config::{Config, Secret};
use crate::front_door::{self, generate_key, hash_key};
use crate::privacy::Privacy;
use crate::provisioning::Provisioning;
use crate::shutdown;
use crate::simulate_ors::{self, SimulateOrsOptions};

/// The program as it is shipped.
pub struct Ges;

#[async_trait]
impl Program for Ges {
    async fn serve(&self, config: &Config, around: Around, ready: &Ready) -> Result<(), Failure> {
        // Before anything is opened: whoever asks us to end while we start is heard.
        let mut asked = tokio::spawn(shutdown::requested());
        let running = tokio::select! {
            running = super::start(config, around) => running.map_err(|error| failure(&error))?,
            // Nothing is served yet, and a database that is waited for may never come.
            signal = &mut asked => return heard(signal).map(drop),
        };
        let (external, internal) = (running.external, running.internal);
        ready(Started { external, internal, demo_key: running.demo_key.clone().map(Secret::new) });
        drop(tokio::task::spawn_blocking(memory::give_back));
        tokio::select! {
            signal = asked => {
                let signal = heard(signal)?;
                tracing::info!(signal, "asked to end; a second signal ends at once");
                // Ctrl-C comes from a person at a terminal: no balancer has to look elsewhere first.
                running.shutdown(signal == "SIGTERM").await;
                Ok(())
            }
            error = running.gave_up() => Err(failure(&error)),
        }
    }

    async fn open_keys(&self, config: &Config) -> Result<KeyCabinet, Failure> {
        let (settings, hashing_key) = super::open_settings(config).await.map_err(|error| failure(&error))?;
        let mint = move || {
            let key = generate_key().map_err(|error| Failure::Unusable(error.to_string()))?;
            let hash = hash_key(&hashing_key, &key);
            Ok((Secret::new(key), hash))
        };
        Ok(KeyCabinet { settings, mint: Box::new(mint) })
    }

    async fn open_tenants(&self, config: &Config) -> Result<Provisioning, Failure> {
        super::open_tenants(config).await.map_err(|error| failure(&error))
    }

    async fn open_privacy(&self, config: &Config) -> Result<Privacy, Failure> {
        super::open_privacy(config).await.map_err(|error| failure(&error))
    }

    async fn open_users(&self, config: &Config) -> Result<UserCabinet, Failure> {
        super::open_users(config).await.map_err(|error| failure(&error))
    }

    async fn migrate(&self, config: &Config) -> Result<String, Failure> {
        super::migrate(config).await.map_err(|error| failure(&error))
    }

    fn openapi(&self) -> Result<String, Failure> {
        Ok(front_door::openapi())
    }

    async fn simulate_ors(&self, options: &SimulateOrsOptions, config: &Config) -> Result<(), Failure> {
        let stop = CancellationToken::new();
        let asked = stop.clone();
        tokio::spawn(async move {
            match shutdown::requested().await {
                Ok(signal) => tracing::info!(signal, "asked to end"),
                Err(error) => tracing::error!(%error, "signals of the system cannot be heard"),
            }
            asked.cancel();
        });
        simulate_ors::run(options, config, stop).await.map_err(|error| Failure::unusable(&error))
    }

    async fn bench(&self, options: &BenchOptions) -> Result<(), Failure> {
        bench::run(options.clone()).await.map_err(|error| Failure::unusable(&error))
    }

    async fn bench_constant(&self, config: &Config) -> Result<(), Failure> {
        let listeners = &config.listeners;
        bench::serve_constant(listeners.external(), listeners.internal())
            .await
            .map_err(|error| Failure::unusable(&error))
    }
}

/// The signal that asks us to end, unless none can be heard.
fn heard(asked: Result<io::Result<&'static str>, JoinError>) -> Result<&'static str, Failure> {
    asked.map_err(|error| Failure::unusable(&error))?.map_err(|error| Failure::unusable(&error))
}

fn failure(error: &super::AppError) -> Failure {
    let Failure::Unusable(text) = Failure::unusable(error as &dyn Error) else { return Failure::unusable(error) };
    if error.exit_code() == 70 { Failure::GaveUp(text) } else { Failure::Unusable(text) }
}
