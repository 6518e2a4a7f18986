//! From which address a request comes: that of its connection, or what a proxy that is trusted says of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use domain::network::Network;
use http::{Extensions, HeaderMap};

/// Each proxy adds the address that it sees behind those that were there.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Proxies in a row that are looked behind.
const MAX_HOPS: usize = 16;

/// The other end of the connection of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Who asks, as guesses are counted: an IPv4 address, or the network of an IPv6 address, for whoever has one of its
/// addresses has all of them. None if the request came by no connection.
pub(crate) fn guesser(extensions: &Extensions, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let Peer(peer) = extensions.get::<Peer>()?;
    Some(match origin(*peer, headers, trusted) {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    })
}

/// The nearest address that is not a trusted proxy's. What stands further away anybody may have written.
fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let texts = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = texts.flat_map(|text| text.split(',')).collect();
    let mut origin = peer.to_canonical();
    for hop in hops.iter().rev().take(MAX_HOPS) {
        if !trusted.iter().any(|network| network.contains(origin)) {
            break;
        }
        let Some(address) = address(hop.trim()) else { break };
        origin = address.to_canonical();
    }
    origin
}

/// With a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<Network> = ["127.0.0.0/8", "10.0.0.0/8"].map(|text| text.parse().unwrap()).into();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(value).unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(Peer(peer.parse().unwrap()));
        guesser(&extensions, &headers, &trusted).unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_looked_behind() {
        for (peer, forwarded, expected) in [
            ("203.0.113.7", &[][..], "203.0.113.7"),
            ("203.0.113.7", &["198.51.100.1"], "203.0.113.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("127.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("127.0.0.1", &["unknown"], "127.0.0.1"),
            ("::ffff:10.0.0.1", &["[2001:db8:1:2:3::4]:80"], "2001:db8:1:2::"),
            ("2001:db8:1:2:3::4", &[], "2001:db8:1:2::"),
        ] {
            assert_eq!(of(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
        let chain = vec!["10.0.0.9"; 100].join(",");
        assert_eq!(of("10.0.0.1", &[&chain]), "10.0.0.9");
        assert_eq!(guesser(&Extensions::new(), &HeaderMap::new(), &[]), None);
    }
}
