//! Which addresses a tenant's URL may reach: the internet, and not what stands beside this service.
//!
//! A name is judged by the addresses that are then connected to, so one that answers differently the second
//! time (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::error::Cause;

/// Lookups under way at once; the system's resolver holds a thread for each.
const LOOKUPS: usize = 32;

/// Whether tenants' URLs may reach private addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Private {
    /// They are refused, and so is plain HTTP.
    #[default]
    Refused,
    /// They are allowed, and so is plain HTTP: for tests, and where tenants are trusted.
    Allowed,
}

/// The host has private addresses only.
#[derive(Debug, Error)]
#[error("no public address")]
pub(super) struct PrivateAddress;

/// The rule for URLs that tenants name.
#[derive(Debug, Clone, Copy)]
pub struct UrlRule(Private);

impl UrlRule {
    pub(super) const fn new(private: Private) -> Self {
        Self(private)
    }

    /// Judges a URL as it stands; the addresses of a name are judged when it is called.
    ///
    /// # Errors
    /// [`Cause::BadUrl`] or [`Cause::Private`].
    pub fn check(self, url: &Url) -> Result<(), Cause> {
        let scheme = url.scheme() == "https" || (url.scheme() == "http" && self.0 == Private::Allowed);
        if !scheme || !url.username().is_empty() || url.password().is_some() {
            return Err(Cause::BadUrl);
        }
        // The parser has turned every spelling of an IPv4 address (octal, one number) into the usual one.
        let literal = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
        match literal.map(str::parse::<IpAddr>) {
            Some(Ok(address)) if self.0 == Private::Refused && !is_public(address) => Err(Cause::Private),
            Some(_) => Ok(()),
            None => Err(Cause::BadUrl),
        }
    }
}

/// Looks names up and leaves out what may not be connected to.
pub(super) struct Resolver {
    private: Private,
    lookups: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(private: Private) -> Self {
        Self { private, lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (private, lookups) = (self.private, self.lookups.clone());
        Box::pin(async move {
            let place = lookups.acquire_owned().await?;
            let found = tokio::task::spawn_blocking(move || {
                // Given back with the thread, which a caller who has gone away does not stop.
                let _place = place;
                (name.as_str(), 0).to_socket_addrs()
            });
            let mut found: Vec<SocketAddr> = found.await??.collect();
            if private == Private::Refused {
                found.retain(|address| is_public(address.ip()));
                if found.is_empty() {
                    return Err(PrivateAddress.into());
                }
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the internet at large: what IANA's special-purpose registries keep for other
/// uses is left out, and so is what embeds such an IPv4 address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,
        100 => b & 0xc0 == 64, // shared by carriers
        169 => b == 254,       // link-local, where clouds keep credentials
        172 => b & 0xf0 == 16,
        192 => (b == 0 && (c == 0 || c == 2)) || (b == 88 && c == 99) || b == 168,
        198 => b & 0xfe == 18 || (b == 51 && c == 100), // benchmarks, documentation
        203 => b == 0 && c == 113,
        224.. => true, // multicast, reserved, broadcast
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let [a, b, c, ..] = segments;
    let [.., high, low] = segments;
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match a {
        // NAT64 by its well-known prefix: the last 32 bits are the address that is reached.
        0x64 if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => is_public_v4(embedded(high, low)),
        // 6to4 carries the relay's address.
        0x2002 => is_public_v4(embedded(b, c)),
        // Teredo, documentation, and the rest of the registry's block.
        0x2001 => b >= 0x200 && b != 0xdb8,
        0x3fff => b & 0xf000 != 0,
        // Global unicast. Mapped IPv4 addresses, unique-local, link-local and multicast ones lie outside.
        _ => (0x2000..0x4000).contains(&a),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_public() {
        for (address, expected) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("172.15.0.1", true),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("192.168.0.1", false),
            ("192.169.0.1", true),
            ("198.18.0.1", false),
            ("198.51.100.7", false),
            ("203.0.113.9", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b::808:808", true),
            ("64:ff9b:1::808:808", false),
            ("fc00::1", false),
            ("fd12:3456::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2001:4860:4860::8888", true),
            ("2002:7f00:1::1", false),
            ("2002:808:808::1", true),
            ("2606:4700::1111", true),
            ("3fff::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn tenants_name_public_https_only() {
        for (url, expected) in [
            ("https://example.com/hook", Ok(())),
            ("https://8.8.8.8:8443/hook", Ok(())),
            ("https://[2606:4700::1111]/", Ok(())),
            ("http://example.com/hook", Err(Cause::BadUrl)),
            ("ftp://example.com/hook", Err(Cause::BadUrl)),
            ("https://user:word@example.com/", Err(Cause::BadUrl)),
            ("https://127.0.0.1/", Err(Cause::Private)),
            ("https://2130706433/", Err(Cause::Private)),
            ("https://0x7f.1/", Err(Cause::Private)),
            ("https://[::1]/", Err(Cause::Private)),
            ("https://[::ffff:169.254.169.254]/", Err(Cause::Private)),
        ] {
            assert_eq!(UrlRule::new(Private::Refused).check(&Url::parse(url).unwrap()), expected, "{url}");
        }
        for (url, expected) in
            [("http://127.0.0.1:8080/", Ok(())), ("https://[::1]/", Ok(())), ("ftp://127.0.0.1/", Err(Cause::BadUrl))]
        {
            assert_eq!(UrlRule::new(Private::Allowed).check(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[tokio::test]
    async fn a_name_with_private_addresses_only_is_not_found_by_tenants() {
        let found = Resolver::new(Private::Refused).resolve("localhost".parse().unwrap()).await;
        assert!(found.err().is_some_and(|error| error.is::<PrivateAddress>()));
        let found = Resolver::new(Private::Allowed).resolve("localhost".parse().unwrap()).await.unwrap();
        assert!(found.count() > 0);
    }
}
