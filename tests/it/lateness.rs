//! Do scheduled callbacks start on time? The short version of `make bench ARGS=lateness`, which see: 200
//! callbacks over 18 s, judged by when routing wrote down that they entered.

use crate::harness::service::{Folder, Options, command};

/// The bench measures an optimised program on a quiet machine; the suite runs an unoptimised one among other
/// tests. What may not change with speed is that nothing is lost, doubled or early.
const P99_AT_MOST_MS: f64 = 2_000.0;

#[test]
fn scheduled_callbacks_start_on_time_and_never_early() {
    let output = command(&Folder::new(), &Options::default()).args(["bench", "--short", "lateness"]).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    println!("{table}");
    assert!(output.status.success(), "{errors}");
    assert!(table.contains("200 callbacks"), "the bench ran at another size:\n{table}");
    for broken in ["lost", "doubled", "early"] {
        assert_eq!(figure(&table, broken), 0.0, "{broken}");
    }
    assert!(figure(&table, "p99 ms") <= P99_AT_MOST_MS, "{table}");
}

/// The first number in the row of that name.
fn figure(table: &str, row: &str) -> f64 {
    let cells =
        table.lines().find_map(|line| line.strip_prefix(row)).unwrap_or_else(|| panic!("no row {row}:\n{table}"));
    cells.split_whitespace().next().and_then(|cell| cell.parse().ok()).expect("a row has a figure")
}
