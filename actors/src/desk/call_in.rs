//! Call-ins: judged by the settings in memory, decided by one command to the store. No actor takes part, for nothing
//! of a request lives anywhere but in its row.

use std::sync::Arc;

use async_trait::async_trait;
use domain::call_in::{Call, Criteria, Group, Presented};
use domain::event::Event;
use domain::ids::{CallInGroupName, CallInId, CallbackId, TenantId};
use domain::numbers::{NumberError, PhoneNumber};
use domain::ports::{
    CallInCancelError, CallInDesk, CallInError, CallInListError, CallInPage, CallInQuery, IncomingCall, MatchError,
    MatchOutcome, Matched, Matching, NewCallIn, Opened, Opening, Unserved, Withdrawn,
};
use domain::tenant::Tenant;

use super::Desk;
use crate::session::unserved;

#[async_trait]
impl CallInDesk for Desk {
    async fn open_call_in(&self, tenant: TenantId, new: NewCallIn) -> Result<domain::call_in::CallIn, CallInError> {
        let settings = self.settings(tenant)?;
        let (name, group) = named_group(&settings, &new.group_name).ok_or(CallInError::UnknownGroup)?;
        let caller = new.from_phone_number.as_deref().map(|text| PhoneNumber::parse(text, group.default_region));
        let caller = caller.transpose().map_err(|error| match error {
            NumberError::NotANumber => CallInError::NotANumber,
            NumberError::Impossible => CallInError::ImpossibleNumber,
        })?;
        if let Some(callback) = new.callback {
            self.check_callback(tenant, callback).await?;
        }
        let at = self.node.now();
        let opening = Opening {
            id: CallInId::generate(at),
            tenant,
            group: name,
            settings: group,
            caller,
            callback: new.callback,
            user_data: new.user_data,
            idempotency: new.idempotency,
            at,
        };
        let (node, label) = (self.node.clone(), settings.name.clone());
        let work = async move {
            let opened = node.ports.call_ins.open_call_in(opening).await;
            match opened.map_err(|error| unserved(&error))? {
                Opened::New(call_in) => {
                    node.note(Event::CallInOpened { tenant: label });
                    Ok(call_in)
                }
                Opened::Existing(call_in) => Ok(call_in),
                Opened::Gone => Err(Unserved::NotFound.into()),
                Opened::KeyReused => Err(CallInError::KeyReused),
                Opened::NothingFree => {
                    node.note(Event::CallInNothingFree { tenant: label });
                    Err(CallInError::NothingFree)
                }
            }
        };
        self.see_through("a call-in request", work).await?
    }

    async fn match_call_in(&self, tenant: TenantId, call: IncomingCall) -> Result<Matched, MatchError> {
        let settings = self.settings(tenant)?;
        let group = match &call.group_name {
            None => None,
            Some(name) => Some(named_group(&settings, name).ok_or(MatchError::UnknownGroup)?),
        };
        let spoken = Spoken::of(&settings, group.as_ref().map(|(_, group)| group.as_ref()));
        let (dnis, spoken) = spoken.dialled(call.dnis.as_deref());
        let matching = Matching {
            tenant,
            group: group.as_ref().map(|(name, _)| name.clone()),
            call: Call { code: call.access_code, ani: spoken.read(call.ani.as_deref()), dnis },
            idempotency: call.idempotency,
            at: self.node.now(),
        };
        let (node, label) = (self.node.clone(), settings.name.clone());
        let work = async move {
            let found = node.ports.call_ins.match_call_in(matching).await;
            match found.map_err(|error| unserved(&error))? {
                MatchOutcome::Answer(matched) => {
                    node.note(match matched {
                        Matched::Won(_) => Event::CallInMatched { tenant: label },
                        Matched::Nobody(_) => Event::CallInMissed { tenant: label },
                    });
                    Ok(matched)
                }
                // What it had matched was removed meanwhile: nobody is left whom the call could be.
                MatchOutcome::Gone => Ok(Matched::Nobody(Criteria::NONE)),
                MatchOutcome::KeyReused => Err(MatchError::KeyReused),
            }
        };
        self.see_through("a match of a call", work).await?
    }

    async fn cancel_call_in(&self, tenant: TenantId, id: CallInId) -> Result<(), CallInCancelError> {
        let (node, at) = (self.node.clone(), self.node.now());
        let work = async move { node.ports.call_ins.cancel_call_in(tenant, id, at).await };
        let withdrawn = self.see_through("a cancel of a call-in request", work).await?;
        match withdrawn.map_err(|error| unserved(&error))? {
            Withdrawn::Done => Ok(()),
            Withdrawn::NotWaiting(state) => Err(CallInCancelError::NotWaiting(state)),
            Withdrawn::NotFound => Err(Unserved::NotFound.into()),
        }
    }

    async fn call_ins(
        &self,
        tenant: TenantId,
        ani: Option<String>,
        mut query: CallInQuery,
    ) -> Result<CallInPage, CallInListError> {
        let settings = self.settings(tenant)?;
        let group = query.group.as_ref().and_then(|name| settings.call_in_groups.get(name));
        match Spoken::of(&settings, group.map(AsRef::as_ref)).read(ani.as_deref()) {
            Presented::Absent => {}
            Presented::Unreadable => return Err(CallInListError::NotANumber),
            Presented::Value(caller) => query.caller = Some(caller),
        }
        let read = self.node.ports.call_ins.call_ins(tenant, query, self.node.now());
        Ok(self.read("call-ins", read).await?)
    }
}

impl Desk {
    async fn check_callback(&self, tenant: TenantId, id: CallbackId) -> Result<(), CallInError> {
        match self.load(tenant, id).await {
            Ok(_) => Ok(()),
            Err(Unserved::NotFound) => Err(CallInError::UnknownCallback),
            Err(other) => Err(other.into()),
        }
    }
}

fn named_group(tenant: &Tenant, name: &str) -> Option<(CallInGroupName, Arc<Group>)> {
    let found = tenant.call_in_groups.get_key_value(name);
    found.map(|(name, group)| (name.clone(), group.clone()))
}

/// The groups in whose terms a number may be meant: a named one, or all of the tenant in the order of their names.
struct Spoken<'a>(Vec<&'a Group>);

impl<'a> Spoken<'a> {
    fn of(tenant: &'a Tenant, group: Option<&'a Group>) -> Self {
        Self(group.map_or_else(|| tenant.call_in_groups.values().map(AsRef::as_ref).collect(), |group| vec![group]))
    }

    /// A number as networks write it, in the first region in which it can be one. `anonymous` and the like are no
    /// numbers.
    fn read(&self, text: Option<&str>) -> Presented<PhoneNumber> {
        let Some(text) = text else { return Presented::Absent };
        self.readings(text).next().map_or(Presented::Unreadable, Presented::Value)
    }

    /// The number that was dialled, and the groups that it belongs to: those tell in which region the caller is. A
    /// reading that is an access number goes before one that only could be a number.
    fn dialled(self, text: Option<&str>) -> (Presented<PhoneNumber>, Self) {
        let owners = |number: &PhoneNumber| {
            let owners: Vec<&Group> = self.0.iter().copied().filter(|group| group.numbers.contains(number)).collect();
            (!owners.is_empty()).then_some((*number, owners))
        };
        let owned = text.and_then(|text| self.readings(text).find_map(|number| owners(&number)));
        match owned {
            Some((number, owners)) => (Presented::Value(number), Self(owners)),
            None => (self.read(text), self),
        }
    }

    fn readings(&self, text: &str) -> impl Iterator<Item = PhoneNumber> {
        self.0.iter().filter_map(move |group| PhoneNumber::parse(text, group.default_region).ok())
    }
}
