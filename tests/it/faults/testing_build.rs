//! The program with the feature `testing`: named by `GES_TESTING_PROGRAM`, else built when it is first needed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where it is.
pub(super) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("GES_TESTING_PROGRAM") {
        Some(named) => PathBuf::from(named),
        None => build(),
    })
}

fn build() -> PathBuf {
    let arguments = ["build", "--workspace", "--locked", "--features", "ges/testing", "--example", "ges-testing"];
    let built = Command::new(env!("CARGO")).args(arguments).status().expect("cargo can be run");
    assert!(built.success(), "cargo {}", arguments.join(" "));
    Path::new(env!("CARGO_BIN_EXE_ges")).with_file_name("examples").join("ges-testing")
}
