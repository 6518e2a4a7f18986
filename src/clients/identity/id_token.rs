//! ID tokens: who signed them, for whom, and until when.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::claims::Claims;

/// How far the clocks of two machines may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Longest token that is looked at.
const MAX_BYTES: usize = 64 << 10;

/// Keys of a provider.
#[derive(Deserialize, Default, Clone)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize, Clone)]
struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
}

/// What a token has to be.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    /// None where a token is renewed: it need not be repeated then.
    pub(super) nonce: Option<&'a str>,
    /// Seconds since 1970.
    pub(super) now: i64,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadToken {
    /// None of the keys that are known is the one that it names, or fits where it names none: newer ones may.
    UnknownKey,
    /// What is wrong with it.
    Wrong(&'static str),
}

impl KeySet {
    /// The claims of a token that one of these keys has signed, and that is what is expected.
    pub(super) fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Claims, BadToken> {
        let wrong = BadToken::Wrong;
        if token.len() > MAX_BYTES {
            return Err(wrong("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(wrong("it is no signed token"))?;
        let (head, body) = signed.split_once('.').ok_or(wrong("it is no signed token"))?;
        let head: Head = decoded(head).ok_or(wrong("its head cannot be read"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong("its signature cannot be read"))?;
        let of_name = |key: &&Key| head.kid.is_none() || key.kid == head.kid;
        let mut fitting = self.keys.iter().filter(of_name).peekable();
        if fitting.peek().is_none() {
            return Err(BadToken::UnknownKey);
        }
        if !fitting.any(|key| key.has_signed(&head.alg, signed.as_bytes(), &signature)) {
            let unnamed = head.kid.is_none();
            return Err(if unnamed { BadToken::UnknownKey } else { wrong("its signature is not the provider's") });
        }
        let claims: Claims = decoded(body).ok_or(wrong("its claims cannot be read"))?;
        expected.check(&claims).map_err(wrong)?;
        Ok(claims)
    }
}

impl Key {
    /// Algorithms with a secret that both sides have, and none at all, are not among them.
    fn has_signed(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return false;
        }
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
        let rsa = |parameters: &'static RsaParameters| {
            let (Some(n), Some(e)) = (bytes(&self.n), bytes(&self.e)) else { return false };
            self.kty == "RSA" && RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
        };
        let curve = |name: &str, bits: &'static ring::signature::EcdsaVerificationAlgorithm| {
            let (Some(x), Some(y)) = (bytes(&self.x), bytes(&self.y)) else { return false };
            let point = [&[4], x.as_slice(), &y].concat();
            let fits = self.kty == "EC" && self.crv.as_deref() == Some(name);
            fits && UnparsedPublicKey::new(bits, point).verify(signed, signature).is_ok()
        };
        match algorithm {
            "RS256" => rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => rsa(&RSA_PSS_2048_8192_SHA256),
            "ES256" => curve("P-256", &ECDSA_P256_SHA256_FIXED),
            "ES384" => curve("P-384", &ECDSA_P384_SHA384_FIXED),
            _ => false,
        }
    }
}

impl Expected<'_> {
    fn check(&self, claims: &Claims) -> Result<(), &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
        if text("iss").map(|issuer| issuer.trim_end_matches('/')) != Some(self.issuer.trim_end_matches('/')) {
            return Err("it is another issuer's");
        }
        let (alone, listed) = match claims.get("aud") {
            Some(Value::String(one)) => (one == self.client, one == self.client),
            Some(Value::Array(several)) => {
                let listed = several.iter().any(|one| one.as_str() == Some(self.client));
                (listed && several.len() == 1, listed)
            }
            _ => (false, false),
        };
        let party = text("azp");
        if !listed || party.is_some_and(|party| party != self.client) || (!alone && party.is_none()) {
            return Err("it is for somebody else");
        }
        // Numbers of seconds fit into a double for longer than there will be such tokens.
        let now = self.now as f64;
        if seconds("exp").is_none_or(|exp| exp + LEEWAY as f64 <= now) {
            return Err("its time is over");
        }
        if ["nbf", "iat"].into_iter().filter_map(seconds).any(|from| from - LEEWAY as f64 > now) {
            return Err("its time has not come");
        }
        let nonce = text("nonce");
        if self.nonce.is_some_and(|expected| nonce != Some(expected)) {
            return Err("it belongs to another log-in");
        }
        Ok(())
    }
}

fn decoded<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;

    struct Signer {
        pair: EcdsaKeyPair,
        random: SystemRandom,
    }

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
            Self { pair, random }
        }

        fn keys(&self, kid: &str) -> KeySet {
            let point = self.pair.public_key().as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            serde_json::from_value(json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": kid, "x": x, "y": y}]}))
                .unwrap()
        }

        fn sign(&self, head: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(head), part(claims));
            let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    const NOW: i64 = 1_900_000_000;

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://id.example", client: "ges", nonce: Some("n"), now: NOW }
    }

    fn good() -> Value {
        json!({"iss": "https://id.example", "aud": "ges", "exp": NOW + 60, "iat": NOW, "nonce": "n", "sub": "7"})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    #[test]
    fn a_token_is_taken_only_as_it_should_be() {
        let signer = Signer::new();
        let keys = signer.keys("1");
        let head = json!({"alg": "ES256", "kid": "1"});
        let verdict = |claims: &Value| keys.verify(&signer.sign(&head, claims), &expected());
        assert_eq!(verdict(&good()).unwrap()["sub"], "7");
        for claims in
            [with("aud", json!(["ges"])), with("azp", json!("ges")), with("iss", json!("https://id.example/"))]
        {
            assert!(verdict(&claims).is_ok(), "{claims}");
        }
        let mut several = with("aud", json!(["ges", "other"]));
        assert_eq!(verdict(&several), Err(BadToken::Wrong("it is for somebody else")));
        several["azp"] = json!("ges");
        assert!(verdict(&several).is_ok());
        for (claims, why) in [
            (with("iss", json!("https://evil.example")), "it is another issuer's"),
            (with("aud", json!("other")), "it is for somebody else"),
            (with("aud", json!([])), "it is for somebody else"),
            (with("azp", json!("other")), "it is for somebody else"),
            (with("exp", json!(NOW - 60)), "its time is over"),
            (with("exp", json!("soon")), "its time is over"),
            (with("iat", json!(NOW + 61)), "its time has not come"),
            (with("nonce", json!("other")), "it belongs to another log-in"),
            (with("nonce", json!(null)), "it belongs to another log-in"),
        ] {
            assert_eq!(verdict(&claims), Err(BadToken::Wrong(why)), "{claims}");
        }
        let renewed =
            keys.verify(&signer.sign(&head, &with("nonce", json!(null))), &Expected { nonce: None, ..expected() });
        assert!(renewed.is_ok());
    }

    #[test]
    fn only_the_providers_signature_counts() {
        let (signer, other) = (Signer::new(), Signer::new());
        let keys = signer.keys("1");
        let es = json!({"alg": "ES256", "kid": "1"});
        let foreign = Err(BadToken::Wrong("its signature is not the provider's"));
        assert_eq!(keys.verify(&other.sign(&es, &good()), &expected()), foreign);
        for algorithm in ["none", "HS256", "RS256", "ES384", ""] {
            let token = signer.sign(&json!({"alg": algorithm, "kid": "1"}), &good());
            assert_eq!(keys.verify(&token, &expected()), foreign, "{algorithm}");
        }
        let unsigned = signer.sign(&json!({"alg": "none", "kid": "1"}), &good());
        let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
        assert_eq!(keys.verify(&unsigned, &expected()), foreign);
        let newer = signer.sign(&json!({"alg": "ES256", "kid": "2"}), &good());
        assert_eq!(keys.verify(&newer, &expected()), Err(BadToken::UnknownKey));
        let unnamed = json!({"alg": "ES256"});
        assert!(keys.verify(&signer.sign(&unnamed, &good()), &expected()).is_ok(), "any key will do");
        assert_eq!(
            keys.verify(&other.sign(&unnamed, &good()), &expected()),
            Err(BadToken::UnknownKey),
            "newer ones may"
        );
        for broken in ["", ".", "..", "a.b.c", &"x".repeat(MAX_BYTES + 1)] {
            assert!(keys.verify(broken, &expected()).is_err());
        }
    }
}
