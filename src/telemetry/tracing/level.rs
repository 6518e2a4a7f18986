//! The level of log lines, which may be another one for a while.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::task::AbortOnDropHandle;

use crate::config::Level;

/// The longest that another level lasts: whoever forgets it pays for an hour of lines, not for a month.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// What puts a level into effect.
type Apply = Box<dyn Fn(Level) -> Result<(), NotApplied> + Send + Sync>;

/// The log has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the log has ended")]
pub struct NotApplied;

/// Switches the level, and back again.
pub struct LevelSwitch {
    /// What the configuration says.
    usual: Level,
    apply: Apply,
    passing: Mutex<Passing>,
}

/// What counts for a while.
#[derive(Default)]
struct Passing {
    now: Option<Raised>,
    /// Tells a timer that fires late that another level has been set meanwhile.
    generation: u64,
}

struct Raised {
    level: Level,
    until: DateTime<Utc>,
    _timer: AbortOnDropHandle<()>,
}

/// Which lines are written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelNow {
    /// Least important lines that are written.
    pub level: Level,
    /// What the configuration says.
    pub usual: Level,
    /// When it falls back to that; none if it is that.
    pub until: Option<DateTime<Utc>>,
}

impl LevelSwitch {
    /// A switch that stands at `usual`; `apply` puts a level into effect.
    pub fn new(usual: Level, apply: impl Fn(Level) -> Result<(), NotApplied> + Send + Sync + 'static) -> Self {
        Self { usual, apply: Box::new(apply), passing: Mutex::default() }
    }

    /// What counts now.
    pub fn now(&self) -> LevelNow {
        let passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        self.told(&passing)
    }

    /// Another level for `how_long`, at most [`LONGEST`]; replaces one that was set before. `now` is what `until` is
    /// counted from. Has to be called on a runtime.
    ///
    /// # Errors
    /// [`NotApplied`]; nothing has changed then.
    pub fn set(self: &Arc<Self>, level: Level, how_long: Duration, now: DateTime<Utc>) -> Result<LevelNow, NotApplied> {
        let how_long = how_long.min(LONGEST);
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        (self.apply)(level)?;
        passing.generation += 1;
        let timer = tokio::spawn(fall_back(Arc::downgrade(self), passing.generation, how_long));
        let until = now + how_long;
        passing.now = Some(Raised { level, until, _timer: AbortOnDropHandle::new(timer) });
        let told = self.told(&passing);
        drop(passing);
        tracing::warn!(log.level = level.name(), until = %until.to_rfc3339(), "the log level is another one for a while");
        Ok(told)
    }

    /// What the configuration says counts again.
    ///
    /// # Errors
    /// [`NotApplied`]; nothing has changed then.
    pub fn end(&self) -> Result<LevelNow, NotApplied> {
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        self.back(&mut passing)?;
        Ok(self.told(&passing))
    }

    fn back(&self, passing: &mut Passing) -> Result<(), NotApplied> {
        if passing.now.is_none() {
            return Ok(());
        }
        (self.apply)(self.usual)?;
        passing.now = None;
        tracing::warn!(log.level = self.usual.name(), "the log level is the configured one again");
        Ok(())
    }

    fn told(&self, passing: &Passing) -> LevelNow {
        let raised = passing.now.as_ref();
        let level = raised.map_or(self.usual, |raised| raised.level);
        LevelNow { level, usual: self.usual, until: raised.map(|raised| raised.until) }
    }
}

impl fmt::Debug for LevelSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LevelSwitch({:?})", self.now())
    }
}

/// Ends the level of that generation when its time is over.
async fn fall_back(switch: Weak<LevelSwitch>, generation: u64, how_long: Duration) {
    tokio::time::sleep(how_long).await;
    let Some(switch) = switch.upgrade() else { return };
    let mut passing = switch.passing.lock().unwrap_or_else(PoisonError::into_inner);
    if passing.generation == generation {
        // A log that has ended needs no level.
        let _ended = switch.back(&mut passing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A switch, and every level that it applied.
    fn switch() -> (Arc<LevelSwitch>, Arc<Mutex<Vec<Level>>>) {
        let applied = Arc::new(Mutex::new(Vec::new()));
        let heard = applied.clone();
        let switch = LevelSwitch::new(Level::Info, move |level| {
            heard.lock().unwrap().push(level);
            Ok(())
        });
        (Arc::new(switch), applied)
    }

    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[tokio::test(start_paused = true)]
    async fn it_falls_back_by_itself_and_a_later_one_counts() {
        let (switch, applied) = switch();
        assert_eq!(switch.now(), LevelNow { level: Level::Info, usual: Level::Info, until: None });
        switch.set(Level::Trace, Duration::from_secs(10), START).unwrap();
        let told = switch.set(Level::Debug, Duration::from_secs(60), START).unwrap();
        assert_eq!((told.level, told.until), (Level::Debug, Some(START + Duration::from_secs(60))));
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(switch.now().level, Level::Debug, "the end of the first is not that of the second");
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(switch.now(), LevelNow { level: Level::Info, usual: Level::Info, until: None });
        assert_eq!(*applied.lock().unwrap(), [Level::Trace, Level::Debug, Level::Info]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_an_hour_at_most_and_can_be_ended() {
        let (switch, applied) = switch();
        let told = switch.set(Level::Trace, LONGEST * 9, START).unwrap();
        assert_eq!(told.until, Some(START + LONGEST));
        assert_eq!(switch.end().unwrap().until, None);
        assert_eq!(switch.end().unwrap().level, Level::Info);
        assert_eq!(*applied.lock().unwrap(), [Level::Trace, Level::Info], "what is over does not end again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_log_that_has_ended_says_so() {
        let switch = Arc::new(LevelSwitch::new(Level::Info, |_| Err(NotApplied)));
        assert_eq!(switch.set(Level::Debug, Duration::from_secs(1), START), Err(NotApplied));
        assert_eq!(switch.now().level, Level::Info);
    }
}
