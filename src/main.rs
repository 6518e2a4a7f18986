//! The story of the process: one provider of TLS for every client, then what the command line asks for.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use ges::cli::keys::KeyCabinet;
use ges::cli::{self, BenchOptions, Failure, Program, Ready};
use ges::config::Config;

/// Chosen for its speed under many small allocations on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A second installation is the only error there is, and nobody came before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(&Unwired)
}

/// The command line before the wiring: every command that needs the rest of the program says so and ends with 2.
struct Unwired;

impl Unwired {
    fn refused<T>(what: &str) -> Result<T, Failure> {
        Err(Failure::Unusable(format!("this build cannot {what}: the program is not wired to its parts")))
    }
}

#[async_trait]
impl Program for Unwired {
    async fn serve(&self, _: &Config, _: Arc<AtomicU64>, _: &Ready) -> Result<(), Failure> {
        Self::refused("serve")
    }

    async fn open_keys(&self, _: &Config) -> Result<KeyCabinet, Failure> {
        Self::refused("open its keys")
    }

    async fn migrate(&self, _: &Config) -> Result<String, Failure> {
        Self::refused("migrate")
    }

    fn openapi(&self) -> Result<String, Failure> {
        Self::refused("describe its API")
    }

    async fn bench(&self, _: &BenchOptions) -> Result<(), Failure> {
        Self::refused("measure")
    }
}
