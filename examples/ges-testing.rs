//! The program with switches that break its promises, and with the next step of the schema: see `src/testing.rs`. Built
//! for the fault suite by `cargo build --features testing --example ges-testing`; it is never shipped. As an example, it
//! shares what the tests have already built.

use std::process::ExitCode;

use ges::app::Ges;
use ges::{cli, testing};

fn main() -> ExitCode {
    if let Err(unknown) = testing::check() {
        eprintln!("{unknown}");
        return ExitCode::from(2);
    }
    // A second installation is the only error there is, and nobody came before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(&Ges)
}
