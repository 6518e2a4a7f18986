//! Which web pages may call the public API from a browser.

use crate::setting::Checks;

/// Most origins of a tenant.
pub const MAX_ORIGINS: usize = 64;
/// Stands for every origin.
pub const ANY: &str = "*";

/// Whether pages of `origin` may call: it is in the list, or everybody is. Browsers write origins in one way,
/// in lower case and without a default port, so they are compared as they stand.
pub fn allows(origins: &[String], origin: &str) -> bool {
    origins.iter().any(|allowed| allowed == origin || allowed == ANY)
}

/// Notes every origin that no browser would send.
pub fn check_origins(origins: &[String], checks: &mut Checks) {
    checks.within("corsOrigins", origins.len(), 0..=MAX_ORIGINS);
    for (position, origin) in origins.iter().enumerate() {
        if origin != ANY && !is_origin(origin) {
            let rule = "has to be an origin such as https://www.example.com (lower case, no path), or *";
            checks.broken(&format!("corsOrigins.{position}"), Some(&format!("{origin:?}")), rule);
        }
    }
}

fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let good_host = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
            (1..=253).contains(&host.len()) && host.bytes().all(good)
        }
    };
    let usual = match scheme {
        "https" => "443",
        "http" => "80",
        _ => return false,
    };
    good_host
        && port.is_none_or(|port| {
            port.parse::<u16>().is_ok_and(|number| number > 0) && port != usual && !port.starts_with('0')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_send_them() {
        for (origin, expected) in [
            ("https://shop.example", true),
            ("http://localhost:8080", true),
            ("https://[::1]:8443", true),
            ("http://[::1]", true),
            ("*", true),
            ("https://shop.example/", false),
            ("https://Shop.example", false),
            ("https://shop.example:443", false),
            ("http://shop.example:80", false),
            ("https://shop.example:080", false),
            ("https://shop.example:", false),
            ("https://*.example", false),
            ("shop.example", false),
            ("ftp://shop.example", false),
            ("https://", false),
            ("null", false),
            ("", false),
        ] {
            let mut checks = Checks::default();
            check_origins(&[origin.to_owned()], &mut checks);
            assert_eq!(checks.into_errors().is_empty(), expected, "{origin}");
        }
    }

    #[test]
    fn an_origin_is_allowed_by_name_or_by_the_star() {
        let origins = ["https://a.example".to_owned(), "http://b.example:81".to_owned()];
        assert!(allows(&origins, "https://a.example") && allows(&origins, "http://b.example:81"));
        for other in ["http://a.example", "https://a.example:444", "https://a.example.evil", "null", ""] {
            assert!(!allows(&origins, other), "{other}");
        }
        assert!(allows(&["*".to_owned()], "https://any.example") && !allows(&[], "https://a.example"));
    }
}
