//! What is known of the user of a session: from the account, or from the provider every now and then.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Duration, Utc};
use domain::access::{Account, Membership, Session, TokenHash};
use domain::ports::{Checked, Renewal};
use domain::secret::Secret;

use super::{Arrival, Provider, ProviderError, Tenants, Users, VisitError, locked};

/// How long what is known of a user holds while nobody can be asked: then the session waits.
const HOLDS_WITHOUT_WORD: Duration = Duration::minutes(15);
/// How long nobody is asked after a question in vain.
const QUIET: Duration = Duration::seconds(5);

impl Users {
    pub(super) async fn as_the_account_says(&self, session: Session) -> Result<Session, VisitError> {
        let account = self.stores.accounts.account(&session.user).await?;
        let is_own = |account: &Account| account.tenant == session.tenant && !account.is_locked();
        let own = account.filter(|account| is_own(account) && session.sealed.is_none());
        match own {
            Some(account) => Ok(Session { membership: account.membership, ..session }),
            None => self.end(&session).await,
        }
    }

    pub(super) async fn as_the_provider_says(
        &self,
        provider: &dyn Provider,
        session: Session,
        now: DateTime<Utc>,
        tenant: Tenants<'_>,
    ) -> Result<Session, VisitError> {
        if now < session.checked_at + self.settings.look_again {
            return Ok(session);
        }
        if now.timestamp_millis() < self.quiet_until.load(Ordering::Relaxed) {
            return still_known(session, now);
        }
        let Some(held) = self.held(&session) else { return self.end(&session).await };
        // Two questions at once would each use up what the other needs.
        let Some(_asking) = self.begin_asking(session.token) else { return still_known(session, now) };
        let told = match provider.look_again(&held).await {
            Ok(arrival) if has_moved(&session, &arrival, tenant) => return self.end(&session).await,
            Ok(arrival) => match self.membership(session.tenant, &arrival).await {
                Ok(membership) => Ok((membership, arrival.held)),
                Err(why) => Err(ProviderError::Unavailable(why)),
            },
            Err(error) => Err(error),
        };
        match told {
            Ok((membership, held)) => self.checked(session, membership, &held, now).await,
            Err(ProviderError::Refused) => self.unless_asked_elsewhere(session).await,
            Err(error) => {
                // One line for all that ask meanwhile, and no flood for a provider that has trouble enough. What cannot be
                // used of one user says nothing of the others.
                if !matches!(error, ProviderError::Unusable(_)) {
                    self.quiet_until.store((now + QUIET).timestamp_millis(), Ordering::Relaxed);
                }
                tracing::warn!(%error, "what users may do cannot be asked");
                still_known(session, now)
            }
        }
    }

    async fn checked(
        &self,
        session: Session,
        membership: Membership,
        held: &Secret,
        now: DateTime<Utc>,
    ) -> Result<Session, VisitError> {
        let sealed = self.sealed(&session.token, held);
        let checked = Some(Checked { membership: membership.clone(), at: now, sealed });
        if !self.stores.sessions.renew_session(Renewal { token: session.token, used_at: now, checked }).await? {
            return Err(VisitError::Over);
        }
        Ok(Session { membership, used_at: now, checked_at: now, ..session })
    }

    /// The provider knows what we hold no more: another node may have got something newer meanwhile.
    async fn unless_asked_elsewhere(&self, session: Session) -> Result<Session, VisitError> {
        match self.stores.sessions.session(session.token).await? {
            Some(newer) if newer.checked_at > session.checked_at => Ok(newer),
            Some(_) => self.end(&session).await,
            None => Err(VisitError::Over),
        }
    }

    fn begin_asking(&self, token: TokenHash) -> Option<Asking<'_>> {
        locked(&self.asking).insert(token).then_some(Asking { users: self, token })
    }
}

/// Whether the user belongs to another tenant by now, or to none. A provider that says nothing of it has said nothing new.
fn has_moved(session: &Session, arrival: &Arrival, tenant: Tenants<'_>) -> bool {
    arrival.tenant.as_deref().is_some_and(|named| tenant(named) != Some(session.tenant))
}

/// What was known holds for a while.
fn still_known(session: Session, now: DateTime<Utc>) -> Result<Session, VisitError> {
    if now < session.checked_at + HOLDS_WITHOUT_WORD { Ok(session) } else { Err(VisitError::Unknown) }
}

/// Somebody asks about the user of a session while it lives.
struct Asking<'a> {
    users: &'a Users,
    token: TokenHash,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        locked(&self.users.asking).remove(&self.token);
    }
}
