//! The story of the process.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
enum Cli {
    Serve,
    Bench(ges::bench::BenchOptions),
    BenchConstant,
}

#[tokio::main]
async fn main() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let json = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(
        match std::env::var("GES_LOG_LEVEL").as_deref() {
            Ok("WARN") => tracing::Level::WARN,
            Ok("DEBUG") => tracing::Level::DEBUG,
            _ => tracing::Level::INFO,
        },
    );
    match Cli::parse() {
        Cli::Serve => {
            json.init();
            let loaded = ges::config::Config::from_process(None).map_err(|e| println!("{e}")).ok();
            let Some(loaded) = loaded else { std::process::exit(2) };
            let running = match ges::app::start(&loaded.config, Default::default()).await {
                Ok(r) => r,
                Err(e) => {
                    eprintln!("{e:?}");
                    std::process::exit(2)
                }
            };
            eprintln!("key {:?} ext {} int {}", running.demo_key, running.external, running.internal);
            tokio::select! {
                s = ges::shutdown::requested() => { running.shutdown(s.ok() == Some("SIGTERM")).await }
                e = running.gave_up() => { eprintln!("{e}"); std::process::exit(70) }
            }
        }
        Cli::Bench(options) => {
            if let Err(e) = ges::bench::run(options).await {
                eprintln!("{e}");
                std::process::exit(1)
            }
        }
        Cli::BenchConstant => {
            ges::bench::serve_constant().await.ok();
        }
    }
}
