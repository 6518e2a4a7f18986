//! Secrets that change while the service runs, and the certificate of the listeners with its key.
//!
//! The folders of secret files and the configuration file are read again every few seconds, as a whole: Kubernetes swaps
//! a link beneath the folder, so whoever watches a file by its name sees nothing. What can be replaced is put to use at
//! once; of everything else that differs the log says that it counts from the next start. Values are never shown.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Mistakes};

/// Pause between two looks: short beside the minute that Kubernetes takes to bring a new secret.
const EVERY: Duration = Duration::from_secs(5);

/// Reads the configuration again.
pub type Reread = dyn Fn() -> Result<Config, Mistakes> + Send + Sync;

/// A secret that can be replaced.
pub(crate) struct Turn {
    /// Names of its files, or of the settings that name them.
    pub(crate) name: &'static str,
    /// Takes it over into the configuration that counts; whether it differs.
    pub(crate) carry: fn(&mut Config, &Config) -> bool,
    /// Puts it to use.
    pub(crate) take: Box<dyn Fn(&Config) + Send + Sync>,
}

/// Takes over what differs. A secret that is gone is not taken away from a service that needs it.
pub(crate) fn carry<T: Clone + PartialEq>(to: &mut Option<T>, from: &Option<T>) -> bool {
    let differs = from.is_some() && to != from;
    if differs {
        to.clone_from(from);
    }
    differs
}

/// What counts, and what has been said of what does not.
pub(crate) struct Rotation {
    running: Config,
    turns: Vec<Turn>,
    /// What could not be read at the last look, and how often in a row.
    mistakes: Option<(Mistakes, u32)>,
    /// What counts from the next start and was told.
    told: Option<Config>,
}

impl Rotation {
    /// Of a service that runs with `config`.
    pub(crate) fn new(config: Config, turns: Vec<Turn>) -> Self {
        Self { running: config, turns, mistakes: None, told: None }
    }

    /// Takes in what was read.
    fn look(&mut self, found: Result<Config, Mistakes>) {
        match found {
            Ok(found) => {
                self.mistakes = None;
                self.take(found);
            }
            Err(mistakes) => self.doubt(mistakes),
        }
    }

    /// One look may fall between two files that are being written: what cannot be read twice is told, once.
    fn doubt(&mut self, mistakes: Mistakes) {
        let again = self.mistakes.take().filter(|(before, _)| *before == mistakes);
        let times = again.map_or(1, |(_, times)| times.saturating_add(1));
        if times == 2 {
            tracing::warn!(%mistakes, "the secrets cannot be read again; those that count go on counting");
        }
        self.mistakes = Some((mistakes, times));
    }

    fn take(&mut self, found: Config) {
        for turn in &self.turns {
            if (turn.carry)(&mut self.running, &found) {
                (turn.take)(&self.running);
                tracing::info!(secret = turn.name, "a secret has changed and counts from now on");
            }
        }
        if self.running == found {
            self.told = None;
        } else if self.told.as_ref() != Some(&found) {
            let settings = self.running.differing(&found).join(", ");
            tracing::warn!(settings, "settings have changed that count from the next start");
            self.told = Some(found);
        }
    }
}

/// Looks for as long as it is run.
pub(crate) async fn watch(mut rotation: Rotation, reread: Arc<Reread>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let reread = reread.clone();
        // Files may be on a network that lets us wait.
        if let Ok(found) = tokio::task::spawn_blocking(move || reread()).await {
            rotation.look(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::{Mistake, Sources};

    fn config(values: &[(&str, &str)]) -> Config {
        let environment = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Config::load(Sources { environment, file: None }).unwrap().config
    }

    /// A rotation of the internal token, and every token that was put to use.
    fn rotation(running: &Config) -> (Rotation, Arc<Mutex<Vec<String>>>) {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let heard = taken.clone();
        let turn = Turn {
            name: "GES-INTERNAL-TOKEN",
            carry: |to, from| carry(&mut to.listeners.internal_token, &from.listeners.internal_token),
            take: Box::new(move |config| {
                let token = config.listeners.internal_token.as_ref().unwrap();
                heard.lock().unwrap().push(token.reveal().to_owned());
            }),
        };
        (Rotation::new(running.clone(), vec![turn]), taken)
    }

    #[test]
    fn what_changes_is_put_to_use_once() {
        let first = config(&[("GES_INTERNAL_TOKEN", "one-long-enough-token")]);
        let second = config(&[("GES_INTERNAL_TOKEN", "two-long-enough-token")]);
        let (mut rotation, taken) = rotation(&first);
        for found in [&first, &second, &second] {
            rotation.look(Ok(found.clone()));
        }
        assert_eq!(*taken.lock().unwrap(), ["two-long-enough-token"]);
        assert_eq!(rotation.told, None);
    }

    #[test]
    fn what_is_gone_is_not_taken_away() {
        let (mut rotation, taken) = rotation(&config(&[("GES_INTERNAL_TOKEN", "one-long-enough-token")]));
        rotation.look(Ok(config(&[])));
        assert_eq!((taken.lock().unwrap().len(), rotation.told), (0, Some(config(&[]))));
    }

    #[test]
    fn what_cannot_be_replaced_is_told_by_its_name() {
        let running = config(&[]);
        let (mut rotation, _) = rotation(&running);
        let other = config(&[("GES_LOG_LEVEL", "DEBUG"), ("GES_SIM_AGENTS", "7")]);
        rotation.look(Ok(other.clone()));
        assert_eq!(running.differing(&other), ["GES_SIM_AGENTS", "GES_LOG_LEVEL"]);
        assert_eq!(rotation.told, Some(other));
        rotation.look(Ok(running));
        assert_eq!(rotation.told, None, "what is taken back is forgotten");
    }

    #[test]
    fn mistakes_change_nothing_and_are_told_when_they_stay() {
        let (mut rotation, taken) = rotation(&config(&[]));
        let mistakes = Mistakes(vec![Mistake { name: "GES_DB_PORT".into(), origin: None, rule: "is wrong".into() }]);
        for times in 1..=3 {
            rotation.look(Err(mistakes.clone()));
            assert_eq!(rotation.mistakes.as_ref().map(|(_, times)| *times), Some(times));
        }
        rotation.look(Ok(config(&[])));
        assert_eq!((rotation.mistakes, taken.lock().unwrap().len()), (None, 0));
    }
}
