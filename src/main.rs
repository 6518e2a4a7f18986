//! The story of the process: one provider of TLS for every client, then what the command line asks for.

use std::process::ExitCode;

use ges::app::Ges;
use ges::cli;

fn main() -> ExitCode {
    // A second installation is the only error there is, and nobody came before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::run(&Ges)
}
