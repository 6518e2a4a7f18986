//! A captcha provider and a statistics service that do as they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::captcha::{CaptchaKeys, Verdict};
use domain::gws::GwsSettings;
use domain::ids::TenantId;
use domain::ports::{Captcha, NoVerdict, Statistics, StatisticsError};
use domain::secret::Secret;

use super::{Faults, Op};

/// Takes every token once, unless it was told what to say of it ([`Op::Captcha`] makes it fail).
pub struct FakeCaptcha {
    faults: Arc<Faults>,
    told: Mutex<BTreeMap<String, Result<Verdict, NoVerdict>>>,
    seen: Mutex<BTreeSet<String>>,
    asked: Mutex<Vec<String>>,
}

impl FakeCaptcha {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, told: Mutex::default(), seen: Mutex::default(), asked: Mutex::default() }
    }

    /// What to say of a token from now on.
    pub fn say(&self, token: &str, what: Result<Verdict, NoVerdict>) {
        self.told.lock().expect("never poisoned").insert(token.to_owned(), what);
    }

    /// The tokens that it was asked about, in order.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("never poisoned").clone()
    }
}

#[async_trait]
impl Captcha for FakeCaptcha {
    async fn ask(&self, _: TenantId, _: &CaptchaKeys, token: &Secret) -> Result<Verdict, NoVerdict> {
        let token = token.reveal().to_owned();
        self.asked.lock().expect("never poisoned").push(token.clone());
        if let Some(fault) = self.faults.pass(Op::Captcha).await {
            return Err(NoVerdict::Unavailable(format!("told to fail: {fault:?}")));
        }
        let told = self.told.lock().expect("never poisoned").get(&token).cloned();
        told.unwrap_or_else(|| {
            let success = self.seen.lock().expect("never poisoned").insert(token);
            Ok(Verdict { success, ..Verdict::default() })
        })
    }
}

/// Answers every request with `{}`, unless told otherwise.
pub struct FakeStatistics {
    told: Mutex<Result<Arc<str>, StatisticsError>>,
    asked: Mutex<Vec<(String, String, Duration)>>,
}

impl Default for FakeStatistics {
    fn default() -> Self {
        Self { told: Mutex::new(Ok("{}".into())), asked: Mutex::default() }
    }
}

impl FakeStatistics {
    /// What to answer from now on.
    pub fn say(&self, what: Result<&str, StatisticsError>) {
        *self.told.lock().expect("never poisoned") = what.map(Into::into);
    }

    /// Client, request and greatest age of every question, in order.
    pub fn asked(&self) -> Vec<(String, String, Duration)> {
        self.asked.lock().expect("never poisoned").clone()
    }
}

#[async_trait]
impl Statistics for FakeStatistics {
    async fn ask(
        &self,
        _: TenantId,
        settings: &GwsSettings,
        request: &str,
        max_age: Duration,
    ) -> Result<Arc<str>, StatisticsError> {
        let question = (settings.client_id.clone(), request.to_owned(), max_age);
        self.asked.lock().expect("never poisoned").push(question);
        self.told.lock().expect("never poisoned").clone()
    }
}
