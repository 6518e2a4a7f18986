//! A Redis by its own counters, over a plain socket: a client library would add commands of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::super::BenchError;

/// Commands that the bench itself sends.
const OF_THE_BENCH: [&str; 3] = ["info", "flushall", "config|resetstat"];
/// Commands that on the voice Redis only scripts call: each stands for one `evalsha` of a client, which is counted. On the
/// nodes' own Redis there are no scripts, and they are the cache of statistics.
const IN_SCRIPTS: [&str; 5] = ["get", "set", "xadd", "xdel", "xrange"];
/// Commands by which the service uses the stream; all others there are the engine's.
const OF_THE_SERVICE: [&str; 3] = ["evalsha", "eval", "ping"];

/// A server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redis(pub(super) SocketAddr);

/// How often clients have sent each command.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(BTreeMap<String, u64>);

impl Calls {
    /// From what a server answers to `INFO commandstats`.
    fn read(text: &str) -> Self {
        let one = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let counted = !OF_THE_BENCH.contains(&name);
            counted.then_some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
        };
        Self(text.lines().filter_map(one).collect())
    }

    /// What has been sent since an earlier look.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let of = |(name, calls): (&String, &u64)| {
            (name.clone(), calls.saturating_sub(earlier.0.get(name).copied().unwrap_or_default()))
        };
        Self(self.0.iter().map(of).filter(|(_, calls)| *calls > 0).collect())
    }

    /// What clients of the voice Redis have sent themselves.
    pub(super) fn outside_scripts(mut self) -> Self {
        self.0.retain(|name, _| !IN_SCRIPTS.contains(&name.as_str()));
        self
    }

    /// Of everybody.
    pub(super) fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Of the service, on the voice Redis.
    pub(super) fn of_the_service(&self) -> u64 {
        OF_THE_SERVICE.iter().filter_map(|name| self.0.get(*name)).sum()
    }

    /// Each with its number.
    pub(super) fn text(&self) -> String {
        let each: Vec<String> = self.0.iter().map(|(name, calls)| format!("{name} {calls}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    }
}

impl Redis {
    async fn ask(self, command: &str) -> Result<String, BenchError> {
        let failed = |error: std::io::Error| BenchError::Data(format!("the Redis at {}: {error}", self.0));
        let mut stream = BufReader::new(TcpStream::connect(self.0).await.map_err(failed)?);
        stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).await.map_err(failed)?;
        let mut line = String::new();
        stream.read_line(&mut line).await.map_err(failed)?;
        let Some(length) = line.trim_end().strip_prefix('$').and_then(|length| length.parse().ok()) else {
            return Ok(line);
        };
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.map_err(failed)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Empties it.
    pub(super) async fn clear(self) -> Result<(), BenchError> {
        self.ask("FLUSHALL").await?;
        self.ask("CONFIG RESETSTAT").await.map(drop)
    }

    /// What was called so far, also by scripts.
    pub(super) async fn calls(self) -> Result<Calls, BenchError> {
        Ok(Calls::read(&self.ask("INFO commandstats").await?))
    }

    /// Bytes of what it keeps, without what it needs for itself and for connections: those vary by some tens of kilobytes.
    pub(super) async fn memory(self) -> Result<f64, BenchError> {
        self.number("memory", "used_memory_dataset").await
    }

    /// Whether anybody but the bench has a connection to it.
    pub(super) async fn is_used(self) -> Result<bool, BenchError> {
        Ok(self.number("clients", "connected_clients").await? > 1.0)
    }

    async fn number(self, section: &str, name: &str) -> Result<f64, BenchError> {
        let text = self.ask(&format!("INFO {section}")).await?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
        value.ok_or_else(|| BenchError::Data(format!("the Redis at {} does not tell {name}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_counts_on_the_own_redis_and_scripts_count_once_on_the_other() {
        let told = "# Commandstats\r\ncmdstat_get:calls=7,usec=70,usec_per_call=10.00\r\n\
                    cmdstat_evalsha:calls=5,usec=9,usec_per_call=1.80\r\n\
                    cmdstat_config|resetstat:calls=1,usec=3,usec_per_call=3.00\r\n\
                    cmdstat_publish:calls=2,usec=3,usec_per_call=1.50\r\n";
        let calls = Calls::read(told);
        assert_eq!((calls.all(), calls.text().as_str()), (14, "evalsha 5, get 7, publish 2"));
        let outside = calls.outside_scripts();
        assert_eq!((outside.all(), outside.of_the_service()), (7, 5));
    }
}
