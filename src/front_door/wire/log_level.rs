//! The body that asks for another log level.

use std::time::Duration;

use super::{Loose, members, object};
use crate::config::Level;
use crate::front_door::error::Problem;
use crate::telemetry::tracing::LONGEST;

/// Longest word for a level.
const MAX_WORD_CHARS: usize = 16;

members! {
    struct LevelMembers<'de> {
        "level" => level: Loose<'de>,
        "forSeconds" => for_seconds: Loose<'de>,
    }
}

/// Reads which level, and for how long.
pub(crate) fn log_level(body: &[u8]) -> Result<(Level, Duration), Problem> {
    let members: LevelMembers<'_> = object(body)?;
    let word = members.level.required_text("level", MAX_WORD_CHARS)?;
    let level = Level::of(&word).ok_or_else(|| Problem::bad("level", "must be ERROR, WARN, INFO, DEBUG or TRACE"))?;
    let longest = i64::try_from(LONGEST.as_secs()).unwrap_or(i64::MAX);
    let seconds = members.for_seconds.whole("forSeconds", 1, longest)?;
    let seconds = seconds.ok_or_else(|| Problem::bad("forSeconds", "is required"))?;
    Ok((level, Duration::from_secs(seconds.unsigned_abs())))
}
