//! The scripts that write to the stream. Each is one command, atomic, and harmless if it runs twice: what is not known
//! to have happened is simply done again.

use std::sync::LazyLock;

use fred::types::scripts::Script;

/// Enters an attempt.
pub(super) static START: LazyLock<Script> = LazyLock::new(|| script(include_str!("start.lua")));
/// Closes a register.
pub(super) static CLOSE: LazyLock<Script> = LazyLock::new(|| script(include_str!("close.lua")));
/// Asks after attempts.
pub(super) static PING: LazyLock<Script> = LazyLock::new(|| script(include_str!("ping.lua")));
/// Does what a hand-over needs, for nobody.
pub(super) static PROBE: LazyLock<Script> = LazyLock::new(|| Script::from_lua(include_str!("probe.lua")));

fn script(lua: &str) -> Script {
    Script::from_lua(format!("{}\n{lua}", include_str!("trim.lua")))
}
