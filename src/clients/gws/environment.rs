//! Reads the contact centres from the environment service, and does what their list asks for: makes tenants of new
//! ones, asks after those that are missing, takes over which web pages they allow.

use std::sync::Arc;

use domain::cors;
use domain::event::Outward;
use domain::ids::{ContactCenterId, TenantId};
use domain::ports::{Application, ApplyError, Clock, Expected, TenantStore};
use domain::setting::Checks;
use domain::tenant::TenantDocument;
use serde_json::Value;

use super::board::Board;
use super::objects::{self, Center};
use super::own::{GwsError, OwnClient};

/// Tenants that are made after one list; the others have to wait for the next one.
const NEW_TENANTS: usize = 100;
/// Contact centres that are asked after, one by one, after one list.
const ASKED_AFTER: usize = 32;
/// Contact centres whose settings are read after one list.
const SETTINGS_READ: usize = 20;
/// The setting with the origins of web pages.
const CORS_ORIGINS: &str = "cors-origins";
/// Who has made a tenant, in its history.
const ACTOR: &str = "gws";

/// See the module.
pub(super) struct Environment {
    pub(super) own: Arc<OwnClient>,
    /// Where contact centres are listed.
    pub(super) url: String,
    pub(super) board: Arc<Board>,
    pub(super) tenants: Arc<dyn TenantStore>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Environment {
    /// One reading.
    ///
    /// # Errors
    /// There is no good list: nothing has changed.
    pub(super) async fn read(&self) -> Result<(), GwsError> {
        let answer = self.own.get(Outward::GwsEnvironment, &self.url).await?;
        let centers = objects::centers(&answer)?;
        let (back, missing) = self.board.take(centers.iter().map(|center| center.id).collect());
        if centers.is_empty() {
            tracing::warn!("GWS lists no contact centre at all; that is not believed, and every tenant stays");
        }
        for center in back {
            tracing::info!(contact_center.id = %center, "a contact centre is back and takes requests again");
        }
        self.make_tenants(&centers).await;
        for id in missing.into_iter().take(ASKED_AFTER) {
            self.ask_after(id).await?;
        }
        for id in self.board.want_origins(SETTINGS_READ) {
            self.read_origins(id).await?;
        }
        Ok(())
    }

    async fn make_tenants(&self, centers: &[Center]) {
        let Some(tenants) = self.board.tenants() else { return };
        let is_new = |center: &&Center| tenants.iter().all(|tenant| tenant.center != Some(center.id));
        for center in centers.iter().filter(is_new).take(NEW_TENANTS) {
            self.make_tenant(center).await;
        }
    }

    /// Named by its first domain, or by its id if that is no name or another tenant's. It can do nothing yet: queues and
    /// keys are given to it like to any other.
    async fn make_tenant(&self, center: &Center) {
        let tenant = TenantId::of_contact_center(center.id);
        let by_id = center.id.to_string();
        let names = center.domains.first().into_iter().chain([&by_id]);
        for name in names {
            let document = TenantDocument { tenant: name.clone(), ..TenantDocument::default() };
            if document.resolve(tenant).is_err() {
                continue;
            }
            let application = Application {
                tenant,
                expected: Expected::Absent,
                document,
                actor: ACTOR.to_owned(),
                at: self.clock.now(),
                keys: vec![],
                credentials: vec![],
            };
            match self.tenants.apply(vec![application]).await {
                Ok(_) => {
                    tracing::info!(contact_center.id = %center.id, tenant.name = name, "a tenant was made for a contact centre")
                }
                Err(ApplyError::NameTaken) => continue,
                // Another node was faster.
                Err(ApplyError::Conflict { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, contact_center.id = %center.id, "no tenant could be made for a contact centre")
                }
            }
            return;
        }
    }

    async fn ask_after(&self, id: ContactCenterId) -> Result<(), GwsError> {
        let answer = self.own.get(Outward::GwsEnvironment, &format!("{}/{id}", self.url)).await?;
        match answer.status.as_u16() {
            404 if self.board.gone(id) => {
                tracing::warn!(
                    contact_center.id = %id,
                    "GWS knows a contact centre no more: its tenant takes nothing new, and what was promised is kept"
                );
            }
            404 => {
                tracing::info!(contact_center.id = %id, "GWS knows a contact centre no more; it is asked once again")
            }
            200..=299 => self.board.there(id),
            // What it is, nobody knows.
            _ => {}
        }
        Ok(())
    }

    /// What is no origin is left out; the rest counts. Without an answer the origins stay as they are.
    async fn read_origins(&self, id: ContactCenterId) -> Result<(), GwsError> {
        let answer = self.own.get(Outward::GwsEnvironment, &format!("{}/{id}/settings", self.url)).await?;
        let value = objects::setting(&answer, CORS_ORIGINS);
        let is_good = |origin: &String| {
            let mut checks = Checks::default();
            cors::check_origins(std::slice::from_ref(origin), &mut checks);
            checks.into_errors().is_empty()
        };
        let origins = value.map(|value| {
            let listed = objects::texts(value.map(Value::String).as_ref());
            listed.into_iter().filter(is_good).take(cors::MAX_ORIGINS).collect()
        });
        self.board.put_origins(id, origins.ok());
        Ok(())
    }
}
