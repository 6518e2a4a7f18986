//! Which secrets can be replaced while the service runs, and who has to hear of it.

use std::sync::Arc;

use crate::clients::gws::GwsConnector;
use crate::clients::identity::ClientCredentials;
use crate::config::{Auth, Config, Secret};
use crate::front_door::{InternalToken, ListenerTls};
use crate::redis::Password;
use crate::rotation::{Rotation, Turn, carry};
use crate::stores::postgres::Login;

/// Whoever shows or wants a secret. What is not there cannot be replaced.
pub(super) struct Holders {
    pub(super) login: Option<Login>,
    pub(super) redis: Option<Password>,
    pub(super) voice_redis: Option<Password>,
    pub(super) internal_token: Option<InternalToken>,
    pub(super) tls: Option<ListenerTls>,
    pub(super) gws: Option<Arc<GwsConnector>>,
    /// Who we are at the provider of users.
    pub(super) users: Option<ClientCredentials>,
}

/// What is to be looked after.
pub(super) fn rotation(config: &Config, holders: Holders) -> Rotation {
    let known_by = |auth: Auth| holders.users.clone().filter(|_| config.choices.auth == auth);
    let (of_gws, of_oidc) = (known_by(Auth::Gws), known_by(Auth::Oidc));
    let turns = [
        holders.login.map(database),
        holders.redis.map(redis),
        holders.voice_redis.map(voice_redis),
        holders.internal_token.map(internal_token),
        holders.tls.map(certificate),
        holders.gws.map(|connector| gws_client(connector, of_gws)),
        of_oidc.map(oidc_client),
    ];
    Rotation::new(config.clone(), turns.into_iter().flatten().collect())
}

fn database(login: Login) -> Turn {
    Turn {
        name: "DB-USER, DB-PASSWORD",
        carry: |to, from| {
            let (to, from) = (&mut to.database, &from.database);
            let user = to.user != from.user;
            to.user.clone_from(&from.user);
            carry(&mut to.password, &from.password) | user
        },
        take: Box::new(move |config| login.replace(&config.database.user, config.database.password.as_ref())),
    }
}

fn redis(password: Password) -> Turn {
    Turn {
        name: "REDIS-CACHEKEY",
        carry: |to, from| carry(&mut to.redis.cachekey, &from.redis.cachekey),
        take: replacing(password, |config| config.redis.cachekey.as_ref()),
    }
}

/// Only the password: where the server is and how it is trusted counts from the next start.
fn voice_redis(password: Password) -> Turn {
    Turn {
        name: "voice-redis-ors-stream",
        carry: |to, from| match (&mut to.voice.secret, &from.voice.secret) {
            (Some(to), Some(from)) => carry(&mut to.password, &from.password),
            _ => false,
        },
        take: replacing(password, |config| config.voice.secret.as_ref()?.password.as_ref()),
    }
}

fn internal_token(token: InternalToken) -> Turn {
    Turn {
        name: "GES-INTERNAL-TOKEN",
        carry: |to, from| carry(&mut to.listeners.internal_token, &from.listeners.internal_token),
        take: Box::new(move |config| {
            if let Some(secret) = &config.listeners.internal_token {
                token.replace(secret.reveal());
            }
        }),
    }
}

fn certificate(tls: ListenerTls) -> Turn {
    Turn {
        name: "GES_TLS_CERT, GES_TLS_KEY",
        carry: |to, from| {
            let differs = carry(&mut to.certificate, &from.certificate);
            if differs {
                // Where it was read from, so that it does not count as something else that differs.
                let (to, from) = (&mut to.listeners, &from.listeners);
                to.tls_cert.clone_from(&from.tls_cert);
                to.tls_key.clone_from(&from.tls_key);
            }
            differs
        },
        take: Box::new(move |config| {
            if let Some(certificate) = &config.certificate {
                tls.replace(certificate.certified());
            }
        }),
    }
}

/// One client for the service itself and for its users.
fn gws_client(connector: Arc<GwsConnector>, users: Option<ClientCredentials>) -> Turn {
    Turn {
        name: "AUTHENTICATION-CLIENT-ID, AUTHENTICATION-CLIENT-PASSWORD",
        carry: |to, from| {
            let differs = carry(&mut to.gws_client, &from.gws_client);
            if differs {
                // What it was read from, so that it does not count as something else that differs.
                let (to, from) = (&mut to.gws, &from.gws);
                to.client_id.clone_from(&from.client_id);
                to.client_password.clone_from(&from.client_password);
                to.client_secret.clone_from(&from.client_secret);
                to.decrypt_password.clone_from(&from.decrypt_password);
            }
            differs
        },
        take: Box::new(move |config| {
            if let Some(client) = &config.gws_client {
                connector.replace_credentials(client.id.clone(), client.secret.clone());
                if let Some(users) = &users {
                    users.replace(client.id.reveal(), Some(client.secret.clone()));
                }
            }
        }),
    }
}

fn oidc_client(client: ClientCredentials) -> Turn {
    Turn {
        name: "OIDC-CLIENT-SECRET",
        carry: |to, from| carry(&mut to.users.oidc_client_secret, &from.users.oidc_client_secret),
        take: Box::new(move |config| {
            if let Some(id) = &config.users.oidc_client_id {
                client.replace(id, config.users.oidc_client_secret.clone());
            }
        }),
    }
}

fn replacing(password: Password, of: fn(&Config) -> Option<&Secret>) -> Box<dyn Fn(&Config) + Send + Sync> {
    Box::new(move |config| {
        if let Some(secret) = of(config) {
            password.replace(secret.clone());
        }
    })
}
