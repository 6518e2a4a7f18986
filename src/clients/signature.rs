//! Signatures as Standard Webhooks has them: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64, one for each
//! key that is valid just now.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::secret::Secret;
use ring::hmac;

const PREFIX: &str = "whsec_";
/// Bytes that a key may have.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key is `whsec_` and 24 to 64 bytes in base64")]
pub(crate) struct BadKey;

/// Whether a secret is a key.
pub(crate) fn is_key(secret: &Secret) -> bool {
    key(secret).is_ok()
}

/// The value of `webhook-signature` under all of `secrets`.
///
/// # Errors
/// One of them is no key.
pub(crate) fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> Result<String, BadKey> {
    let signatures: Result<Vec<String>, BadKey> = secrets
        .iter()
        .map(|secret| {
            let mut signing = hmac::Context::with_key(&key(secret)?);
            signing.update(format!("{id}.{timestamp}.").as_bytes());
            signing.update(body);
            Ok(format!("v1,{}", STANDARD.encode(signing.sign())))
        })
        .collect();
    Ok(signatures?.join(" "))
}

fn key(secret: &Secret) -> Result<hmac::Key, BadKey> {
    let text = secret.reveal().trim().strip_prefix(PREFIX).ok_or(BadKey)?;
    let bytes = STANDARD.decode(text).map_err(|_| BadKey)?;
    if KEY_BYTES.contains(&bytes.len()) { Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)) } else { Err(BadKey) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the examples of the Standard Webhooks specification.
    #[test]
    fn the_published_example_is_signed_as_published() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let signed = sign(std::slice::from_ref(&secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = sign(&[secret.clone(), secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        let [one, other] = both.split(' ').collect::<Vec<_>>()[..] else { panic!("{both}") };
        assert_eq!(one, other);
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        for text in ["", "whsec_", "whsec_!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ="] {
            assert_eq!(sign(&[Secret::new(text)], "id", 1, b""), Err(BadKey), "{text}");
            assert!(!is_key(&Secret::new(text)), "{text}");
        }
    }
}
