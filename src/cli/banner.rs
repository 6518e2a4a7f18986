//! The first screen: where the service is, the key, and two commands that work as they stand.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use crate::config::{Secret, reachable};

/// The number that the printed `curl` books: one that was set aside for stories and belongs to nobody.
const PHONE: &str = "+14165550123";

/// What the first screen tells.
#[derive(Debug, Clone)]
pub struct Banner<'a> {
    /// Version of the program.
    pub version: &'a str,
    /// Address of the public listener.
    pub external: SocketAddr,
    /// Address of the internal listener.
    pub internal: SocketAddr,
    /// File with the certificate of both, if they speak TLS.
    pub certificate: Option<&'a Path>,
    /// The demo tenant's key; without it no commands are shown.
    pub demo_key: Option<&'a Secret>,
    /// Where the data is kept.
    pub data: &'a str,
    /// Whether the terminal shows colours.
    pub colour: bool,
}

/// The first screen as text, with a line break at its end.
pub fn banner(about: &Banner<'_>) -> String {
    let paint =
        |code: &str, text: &str| if about.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let (title, label, strong) = (|t: &str| paint("1;36", t), |t: &str| paint("2", t), |t: &str| paint("1", t));
    let scheme = if about.certificate.is_some() { "https" } else { "http" };
    let url = |address: SocketAddr| format!("{scheme}://{}", SocketAddr::new(reachable(address.ip()), address.port()));
    let (external, internal) = (url(about.external), url(about.internal));
    let mut screen = format!("\n  {} {}\n\n", title("ges"), label(about.version));
    let rows = [
        ("public API", format!("{external}/engagement/v3/")),
        ("try it", format!("{internal}/engagement/v3/docs")),
        ("health", format!("{internal}/ges/v1/health/detail")),
        ("metrics", format!("{internal}/metrics")),
        ("data", about.data.to_owned()),
    ];
    for (name, value) in rows {
        let _ = writeln!(screen, "  {} {value}", label(&format!("{name:<11}")));
    }
    if let Some(key) = about.demo_key.map(Secret::reveal) {
        let _ = writeln!(screen, "  {} {}", label(&format!("{:<11}", "demo key")), strong(key));
        let _ = write!(screen, "\n{}", commands(&external, about.certificate, key, &label));
    }
    screen.push('\n');
    screen
}

/// Booking a callback and following it, ready to be copied into a shell. The web interface is not in this version.
fn commands(external: &str, certificate: Option<&Path>, key: &str, label: &dyn Fn(&str) -> String) -> String {
    let key = quoted(&format!("X-API-Key: {key}"));
    // Whoever made it may not have told this machine of its authority.
    let trust =
        certificate.map_or_else(String::new, |file| format!("--cacert {} ", quoted(&file.display().to_string())));
    let call = |operation: &str, body: &str| {
        format!(
            "  curl -s {trust}{external}/engagement/v3/callbacks/{operation} \\\n    -H 'Content-Type: application/json' \\\n    -H {key} \\\n    -d '{body}'\n"
        )
    };
    let book = call("create", &format!(r#"{{"serviceName":"support","phoneNumber":"{PHONE}"}}"#));
    let follow = call("retrieve", r#"{"id":"ID"}"#);
    let (first, second) = (label("  Book a callback:"), label("  Follow it (put its id for ID):"));
    format!("{first}\n{book}\n{second}\n{follow}")
}

/// One word for a POSIX shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
