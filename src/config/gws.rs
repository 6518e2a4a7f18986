//! Who the service is for Genesys Web Services.

use super::encoded;
use super::parts::Gws;
use super::reader::Reader;
use super::secret::Secret;

const ID: &str = "GES_AUTHENTICATION_CLIENT_ID";
const PASSWORD: &str = "GES_AUTHENTICATION_CLIENT_PASSWORD";
const SECRET: &str = "GES_AUTHENTICATION_CLIENT_SECRET";

/// The service's own client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GwsClientCredentials {
    /// Its name.
    pub id: Secret,
    /// Its secret, open.
    pub secret: Secret,
}

/// The client, if one is named. What cannot be used is noted.
pub(super) fn client(gws: &Gws, reader: &mut Reader<'_>) -> Option<GwsClientCredentials> {
    let (named, given) = match (&gws.client_password, &gws.client_secret) {
        (Some(password), Some(secret)) if password != secret => {
            reader.refuse(SECRET, "says something else than GES_AUTHENTICATION_CLIENT_PASSWORD: set one of the two");
            return None;
        }
        (Some(password), _) => (PASSWORD, Some(password)),
        (None, secret) => (SECRET, secret.as_ref()),
    };
    let (id, given) = match (&gws.client_id, given) {
        (Some(id), Some(given)) => (id, given),
        (Some(_), None) => {
            reader.refuse(ID, "a client needs its secret: set GES_AUTHENTICATION_CLIENT_PASSWORD");
            return None;
        }
        (None, Some(_)) => {
            reader.refuse(named, "a secret needs its client: set GES_AUTHENTICATION_CLIENT_ID");
            return None;
        }
        (None, None) => return None,
    };
    if gws.auth.is_none() {
        reader.refuse(ID, "a client needs the authentication service: set GES_GWS_AUTH");
        return None;
    }
    let secret = match &gws.decrypt_password {
        None => given.clone(),
        Some(password) => match encoded::open(given.reveal(), password.reveal()) {
            Some(secret) => secret,
            None => {
                reader.refuse(
                    named,
                    &format!(
                        "cannot be opened with GES_DECRYPT_PASSWORD: it has to be {}; leave GES_DECRYPT_PASSWORD unset \
                         if it is not encoded",
                        encoded::ALLOWED
                    ),
                );
                return None;
            }
        },
    };
    Some(GwsClientCredentials { id: id.clone(), secret })
}

/// What is set and has no effect.
pub(super) fn warnings(gws: &Gws) -> Vec<String> {
    let mut warnings = Vec::new();
    if gws.client_id.is_none() {
        for (name, url) in [("GES_GWS_ENV", &gws.env), ("GES_GWS_CONF", &gws.conf)] {
            if url.is_some() {
                warnings.push(format!("{name} has no effect: there is no client (GES_AUTHENTICATION_CLIENT_ID)"));
            }
        }
        if gws.decrypt_password.is_some() {
            warnings.push(
                "GES_DECRYPT_PASSWORD has no effect: there is no client (GES_AUTHENTICATION_CLIENT_ID)".to_owned(),
            );
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Loaded, Mistakes, Sources};

    const AUTH: (&str, &str) = ("GES_GWS_AUTH", "gauth.gws");
    const ID: (&str, &str) = ("GES_AUTHENTICATION_CLIENT_ID", "ges_client");
    /// `s3cret-of-the-client` under the MD5 sum of `marigold`.
    const ENCODED: &str = "GnL2EZEsINomZMkOLsA7HfMicHfpWW5676AMm4kfE/I=";

    fn load(values: &[(&str, &str)]) -> Result<Loaded, Mistakes> {
        let environment = values.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Config::load(Sources { environment, file: None })
    }

    fn client(values: &[(&str, &str)]) -> Option<(String, String)> {
        let client = load(values).unwrap().config.gws_client?;
        Some((client.id.reveal().to_owned(), client.secret.reveal().to_owned()))
    }

    #[test]
    fn a_client_is_read_under_both_names_and_opened() {
        let (password, secret) =
            (("GES_AUTHENTICATION_CLIENT_PASSWORD", "one"), ("GES_AUTHENTICATION_CLIENT_SECRET", "one"));
        let expected = Some(("ges_client".to_owned(), "one".to_owned()));
        assert_eq!(client(&[AUTH, ID, password]), expected);
        assert_eq!(client(&[AUTH, ID, secret]), expected);
        assert_eq!(client(&[AUTH, ID, password, secret]), expected);
        assert_eq!(client(&[AUTH]), None);
        let opened = Some(("ges_client".to_owned(), "s3cret-of-the-client".to_owned()));
        let encoded = ("GES_AUTHENTICATION_CLIENT_PASSWORD", ENCODED);
        assert_eq!(client(&[AUTH, ID, encoded, ("GES_DECRYPT_PASSWORD", "marigold")]), opened);
        assert_eq!(client(&[AUTH, ID, encoded]), Some(("ges_client".to_owned(), ENCODED.to_owned())));
    }

    #[test]
    fn halves_and_what_cannot_be_opened_are_mistakes_that_show_nothing() {
        let password = ("GES_AUTHENTICATION_CLIENT_PASSWORD", "marker-one");
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[AUTH, ID], "needs its secret"),
            (&[AUTH, password], "needs its client"),
            (&[ID, password], "needs the authentication service"),
            (&[AUTH, ID, password, ("GES_AUTHENTICATION_CLIENT_SECRET", "marker-two")], "set one of the two"),
            (&[AUTH, ID, password, ("GES_DECRYPT_PASSWORD", "marker-key")], "cannot be opened"),
        ];
        for (values, part) in cases {
            let told = load(values).unwrap_err().to_string();
            assert!(told.contains(part) && told.lines().count() == 2, "{told}");
            assert!(!told.contains("marker"), "{told}");
        }
    }

    #[test]
    fn addresses_without_a_client_are_told() {
        let warnings = load(&[AUTH, ("GES_GWS_ENV", "env.gws"), ("GES_GWS_CONF", "conf.gws")]).unwrap().warnings;
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(load(&[("GES_DECRYPT_PASSWORD", "x")]).unwrap().warnings.len() == 1);
        let config = load(&[AUTH, ID, ("GES_AUTHENTICATION_CLIENT_SECRET", "marker")]).unwrap().config;
        assert!(!config.redacted().contains("marker") && !config.redacted().contains("ges_client"));
    }
}
