//! Kinds of the settings that name the service's own Redis.

use super::kinds::Kind;
use super::voice::Host;

/// Where one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisServer {
    /// Host name or address.
    pub host: String,
    /// Its port, if it has one of its own.
    pub port: Option<u16>,
}

/// Hosts with or without ports.
pub(super) struct RedisServers;

impl RedisServers {
    /// More are a mistake.
    const MAX: usize = 16;

    fn one(text: &str) -> Option<RedisServer> {
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return Some(RedisServer { host: address.ip().to_string(), port: Some(address.port()) });
        }
        match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => {
                let port = port.parse().ok().filter(|port| *port > 0)?;
                Host.read(host).map(|host| RedisServer { host, port: Some(port) })
            }
            _ => Host.read(text).map(|host| RedisServer { host, port: None }),
        }
    }
}

impl Kind for RedisServers {
    type Value = Vec<RedisServer>;

    fn read(&self, text: &str) -> Option<Vec<RedisServer>> {
        let servers: Option<Vec<_>> = text.split(',').map(|part| Self::one(part.trim())).collect();
        servers.filter(|servers| servers.len() <= Self::MAX && servers.iter().all(|it| !it.host.is_empty()))
    }

    fn allowed(&self) -> String {
        format!(
            "up to {} hosts, with a port or without, separated by commas, such as `redis.ges` or `10.0.0.7:6380`",
            Self::MAX
        )
    }
}

/// The name under which sentinels know a primary.
pub(super) struct PrimaryName;

impl Kind for PrimaryName {
    type Value = String;

    fn read(&self, text: &str) -> Option<String> {
        // Whoever wants to switch sentinels on or off has taken the setting for another.
        let switch = super::kinds::SWITCH.read(text).is_some();
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (!switch && text.len() <= 63 && text.bytes().all(good)).then(|| text.to_owned())
    }

    fn allowed(&self) -> String {
        "the name that the sentinels have for the primary, such as `mymaster`; not a switch".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_may_be_several_and_have_ports() {
        let of =
            |text| RedisServers.read(text).map(|all| all.into_iter().map(|it| (it.host, it.port)).collect::<Vec<_>>());
        assert_eq!(of("redis.ges"), Some(vec![("redis.ges".to_owned(), None)]));
        let three = vec![("a".to_owned(), Some(26_379)), ("10.0.0.7".to_owned(), None), ("::1".to_owned(), Some(7))];
        assert_eq!(of("a:26379, 10.0.0.7,[::1]:7"), Some(three));
        for wrong in ["a,,b", "a:0", "a:x", "a b", "tcp://10.0.0.1:6379", "a:1:2", ","] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(of(&["a"; 17].join(",")), None);
    }

    #[test]
    fn a_primary_has_a_name() {
        assert_eq!(PrimaryName.read("mymaster").as_deref(), Some("mymaster"));
        for wrong in ["true", "False", "0", "my master", "a:b"] {
            assert_eq!(PrimaryName.read(wrong), None, "{wrong}");
        }
    }
}
