//! Kinds of the settings that name the Redis of the voice services.

use domain::secret::Secret;
use serde::Deserialize;

use super::kinds::Kind;

/// Port of a location that names none, as the product has it.
const LOCATION_PORT: u16 = 10_000;

/// A host name or an address, without a port.
pub(super) struct Host;

impl Kind for Host {
    type Value = String;

    fn read(&self, text: &str) -> Option<String> {
        let name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        let address = text.parse::<std::net::IpAddr>().is_ok();
        (text.len() <= 253 && (name || address)).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        "a host name or an address without a port, such as `redis.voice` or `10.0.0.7`".to_owned()
    }
}

/// A host with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Reads a [`Location`].
pub(super) struct HostAndPort;

impl Kind for HostAndPort {
    type Value = Location;

    fn read(&self, text: &str) -> Option<Location> {
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return Some(Location { host: address.ip().to_string(), port: address.port() });
        }
        match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                let port = port.parse().ok().filter(|port| *port > 0)?;
                Host.read(host).map(|host| Location { host, port })
            }
            _ => Host.read(text).map(|host| Location { host, port: LOCATION_PORT }),
        }
    }

    fn allowed(&self) -> String {
        "a host, or host:port, such as `redis.voice:6379`".to_owned()
    }
}

/// What the product's secret `voice-redis-ors-stream` holds. What stands in it goes before other settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VoiceRedisSecret {
    /// Password.
    pub password: Option<Secret>,
    /// Whether a certificate that cannot be verified ends the connection. Said at all, the connection is encrypted.
    pub reject_unauthorized: Option<bool>,
    /// The name that the certificate has to be for. Said at all, the connection is encrypted.
    pub servername: Option<String>,
    /// Port.
    pub port: Option<u16>,
}

/// Reads a [`VoiceRedisSecret`]: a JSON object whose numbers and switches may be written as texts.
pub(super) struct VoiceRedis;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    reject_unauthorized: Option<serde_json::Value>,
    #[serde(default)]
    servername: Option<String>,
    #[serde(default)]
    port: Option<serde_json::Value>,
}

impl Kind for VoiceRedis {
    type Value = VoiceRedisSecret;
    const SECRET: bool = true;

    fn read(&self, text: &str) -> Option<VoiceRedisSecret> {
        // An object: the library would read a list, too.
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).ok()?;
        let members: Members = serde_json::from_value(object.into()).ok()?;
        let servername = members.servername.filter(|name| !name.is_empty());
        if servername.as_ref().is_some_and(|name| Host.read(name).is_none()) {
            return None;
        }
        Some(VoiceRedisSecret {
            password: members.password.filter(|text| !text.is_empty()).map(Secret::new),
            reject_unauthorized: members.reject_unauthorized.map(|value| switch(&value)).transpose_all()?,
            servername,
            port: members.port.map(|value| port(&value)).transpose_all()?,
        })
    }

    fn allowed(&self) -> String {
        "a JSON object with `password`, `rejectUnauthorized`, `servername` and `port`, each of which may be absent"
            .to_owned()
    }
}

/// `Some(None)` is what cannot be read, and then nothing can.
trait TransposeAll<T> {
    fn transpose_all(self) -> Option<Option<T>>;
}

impl<T> TransposeAll<T> for Option<Option<T>> {
    fn transpose_all(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(None) => None,
            Some(some) => Some(some),
        }
    }
}

fn switch(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::Bool(on) => Some(*on),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn port(value: &serde_json::Value) -> Option<u16> {
    let number = match value {
        serde_json::Value::Number(number) => u16::try_from(number.as_u64()?).ok(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_may_leave_the_port_to_the_product() {
        let of = |text| HostAndPort.read(text).map(|it| (it.host, it.port));
        assert_eq!(of("redis.voice:6380"), Some(("redis.voice".to_owned(), 6380)));
        assert_eq!(of("redis.voice"), Some(("redis.voice".to_owned(), 10_000)));
        assert_eq!(of("[::1]:7"), Some(("::1".to_owned(), 7)));
        for wrong in ["redis:0", "redis:x", "redis:70000", "tcp://10.0.0.1:6379", "a b", "redis:1:2"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_secret_is_read_as_installations_write_it() {
        let of = |text| VoiceRedis.read(text);
        let whole =
            of(r#"{"password":"p","rejectUnauthorized":false,"servername":"redis.voice","port":6380}"#).unwrap();
        assert_eq!(whole.password.as_ref().map(Secret::reveal), Some("p"));
        assert_eq!((whole.reject_unauthorized, whole.port), (Some(false), Some(6380)));
        assert_eq!(whole.servername.as_deref(), Some("redis.voice"));
        let texts = of(r#"{"password":"","rejectUnauthorized":"true","port":"6380","more":[]}"#).unwrap();
        assert_eq!((texts.password, texts.reject_unauthorized, texts.port), (None, Some(true), Some(6380)));
        assert_eq!(of("{}"), Some(VoiceRedisSecret::default()));
        for wrong in ["p", "[]", r#"{"port":0}"#, r#"{"port":"x"}"#, r#"{"rejectUnauthorized":1}"#, r#"{"password":1}"#]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert!(!format!("{whole:?}").contains("\"p\""));
    }
}
