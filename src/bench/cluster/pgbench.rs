//! What PostgreSQL can do alone: `pgbench` committing the rows of scheduled callbacks into the same tables, with the same
//! settings of the session, and with nothing around it.

use std::process::Command;

use super::super::BenchError;
use super::super::target::Folder;
use super::servers::{Database, Servers};

/// One transaction of `:batch` bookings: the row of the writer, a place in a slot for each, the callbacks, and the first
/// entry of their histories. Ids rise with time, as ours do.
const SCRIPT: &str = "\\set first random(0, 1000000000)
BEGIN;
INSERT INTO writers (id, batch, at) VALUES (:client_id + 1, 1, 0) ON CONFLICT (id) DO UPDATE SET batch = writers.batch + 1;
INSERT INTO slots AS s (queue, start, booked) SELECT 1, 1900000000000 + 300000 * ((:first + n * 7919) % 3744), 1 FROM generate_series(1, :batch) n ORDER BY 2 ON CONFLICT (queue, start) DO UPDATE SET booked = s.booked + 1;
WITH made AS (INSERT INTO callbacks (desired_time, expires_at, start_at, phone, last_seq, version, tenant, queue, attempt, refusals, format, state, hand_off, dialled, owes_terminate, wake_at, slot, id) SELECT at, at + 86400000, at, 14165551000 + (:first + n) % 8000, 0, 1, 1, 1, 0, 0, 2, 0, 0, 0, 0, at, at, int8send((extract(epoch FROM clock_timestamp()) * 1000000)::bigint) || int8send(:client_id * 100000 + n) FROM (SELECT n, 1900000000000 + 60000 * ((:first + n * 7919) % 18720) AS at FROM generate_series(1, :batch) n) b RETURNING id) INSERT INTO history (at, version, implied, attempt, cause, state, callback) SELECT 1900000000000, 1, 0, 0, 0, 0, id FROM made;
COMMIT;
";

/// A scratch copy of the tables, and the script.
pub(super) struct Pgbench {
    servers: Servers,
    database: Database,
    folder: Folder,
}

impl Pgbench {
    /// With empty tables.
    ///
    /// # Errors
    /// If the server does not make them.
    pub(super) async fn open(servers: &Servers) -> Result<Self, BenchError> {
        let (database, folder) = (Database::make(servers).await?, Folder::new()?);
        std::fs::write(folder.path().join("script"), SCRIPT).map_err(|error| BenchError::Data(error.to_string()))?;
        Ok(Self { servers: servers.clone(), database, folder })
    }

    /// Rows per second that so many clients commit within a second, in batches of `batch`.
    ///
    /// # Errors
    /// If it fails.
    pub(super) fn rows_per_second(&self, clients: usize, batch: usize) -> Result<f64, BenchError> {
        let address = &self.database.address;
        let output = Command::new(&self.servers.pgbench)
            .args(["--no-vacuum", "--protocol=prepared", "--time=1", "--jobs=2"])
            .arg(format!("--client={clients}"))
            .arg(format!("--define=batch={batch}"))
            .arg(format!("--file={}", self.folder.path().join("script").display()))
            .args(["--host", &address.host, "--port", &address.port.to_string(), "--username", &address.user])
            .arg(&address.database)
            .output()
            .map_err(|error| BenchError::Target(format!("cannot start pgbench: {error}")))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // On a machine that is very busy a second may be over before the first commit: then there is no rate.
        let tps =
            text.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse::<f64>().ok());
        if output.status.success() && !text.contains("aborted") {
            Ok(tps.unwrap_or_default() * batch as f64)
        } else {
            Err(BenchError::Data(format!("pgbench: {text}{}", String::from_utf8_lossy(&output.stderr))))
        }
    }
}
