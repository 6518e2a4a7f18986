//! Secrets as the product encodes them: AES-128-ECB under a key that is made from a text. It hides a secret from who
//! looks over a shoulder and no more: equal blocks stay equal, and the text that opens it lies beside it. Taken so that
//! secrets of existing installations work; new ones should be given as they are.
//!
//! The product does not say how its key and its text are written. Taken are the ways in which programs of its kind
//! write them, and a secret is open when its padding is right and what comes out is printable.

use aes::Aes128Dec;
use aes::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use md5::{Digest as _, Md5};

use super::secret::{Secret, from_base64};

/// Bytes of a block, and of the key.
const BLOCK: usize = 16;

/// What is allowed, as the end of the sentence "has to be …".
pub(super) const ALLOWED: &str = "a text of printable ASCII characters, encoded with AES-128-ECB and PKCS#7 padding, in \
    base64 or hexadecimal; its key is GES_DECRYPT_PASSWORD itself if that has 16 characters or 32 hexadecimal digits, \
    else its MD5 sum";

/// Opens `encoded` with `password`. None if it is not [`ALLOWED`], or was encoded under another password.
pub(super) fn open(encoded: &str, password: &str) -> Option<Secret> {
    let keys = keys(password);
    texts(encoded).iter().find_map(|text| keys.iter().find_map(|key| decrypt(text, key)))
}

/// Keys that may be meant, the likeliest first.
fn keys(password: &str) -> Vec<[u8; BLOCK]> {
    let in_hex = unhex(password).and_then(|bytes| bytes.try_into().ok());
    let itself = password.as_bytes().try_into().ok();
    let summed = Md5::digest(password.as_bytes()).into();
    [in_hex, itself, Some(summed)].into_iter().flatten().collect()
}

/// Encrypted texts that may be meant: a text of hexadecimal digits may be base64 as well.
fn texts(encoded: &str) -> Vec<Vec<u8>> {
    let whole_blocks = |text: &Vec<u8>| !text.is_empty() && text.len().is_multiple_of(BLOCK);
    [unhex(encoded), from_base64(encoded)].into_iter().flatten().filter(whole_blocks).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit()) && text.len().is_multiple_of(2);
    let pairs = || text.as_bytes().chunks_exact(2).filter_map(|pair| std::str::from_utf8(pair).ok());
    digits.then(|| pairs().filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect())
}

fn decrypt(text: &[u8], key: &[u8; BLOCK]) -> Option<Secret> {
    let cipher = Aes128Dec::new(&(*key).into());
    let mut plain = Vec::with_capacity(text.len());
    for block in text.chunks_exact(BLOCK) {
        let mut block = <[u8; BLOCK]>::try_from(block).ok()?.into();
        cipher.decrypt_block(&mut block);
        plain.extend_from_slice(&block);
    }
    let padding = usize::from(*plain.last()?);
    let (secret, end) = plain.split_at_checked(plain.len().checked_sub(padding)?)?;
    let padded = (1..=BLOCK).contains(&padding) && end.iter().all(|byte| usize::from(*byte) == padding);
    let readable = !secret.is_empty() && secret.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    if padded && readable { std::str::from_utf8(secret).ok().map(Secret::new) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(encoded: &str, password: &str) -> Option<String> {
        open(encoded, password).map(|secret| secret.reveal().to_owned())
    }

    /// Made by OpenSSL: `openssl enc -aes-128-ecb -K <key> -nosalt`.
    #[test]
    fn what_openssl_has_encoded_is_opened() {
        let secret = Some("s3cret-of-the-client".to_owned());
        // The key is the text `0123456789abcdef`.
        let by_text = "DqC/lNiGk3cp0YyINHyBZ/jXvQ28Vb37Y/GeGD6Riuc=";
        assert_eq!(opened(by_text, "0123456789abcdef"), secret);
        assert_eq!(
            opened("0ea0bf94d886937729d18c88347c8167f8d7bd0dbc55bdfb63f19e183e918ae7", "0123456789abcdef"),
            secret
        );
        assert_eq!(opened(by_text.trim_end_matches('='), "30313233343536373839616263646566"), secret, "the key in hex");
        // The key is the MD5 sum of `marigold`.
        assert_eq!(opened("GnL2EZEsINomZMkOLsA7HfMicHfpWW5676AMm4kfE/I=", "marigold"), secret);
        assert_eq!(opened("1a72f611912c20da2664c90e2ec03b1df3227077e9596e7aefa00c9b891f13f2", "marigold"), secret);
        // A whole number of blocks has a block of padding behind it.
        assert_eq!(
            opened("cVjTulOWbmUz0ecDgOodoCPjy6ab818wo+wEQ9DXpOE=", "marigold").as_deref(),
            Some("0123456789abcdef")
        );
    }

    #[test]
    fn what_was_not_encoded_under_the_password_is_not_opened() {
        let by_sum = "GnL2EZEsINomZMkOLsA7HfMicHfpWW5676AMm4kfE/I=";
        for (encoded, password) in [
            (by_sum, "marigolD"),
            (by_sum, ""),
            (&by_sum[4..], "marigold"),
            ("plain-secret", "marigold"),
            ("", "marigold"),
            ("AAAAAAAAAAAAAAAAAAAAAA==", "marigold"),
            ("zz", "marigold"),
        ] {
            assert_eq!(opened(encoded, password), None, "{encoded} {password}");
        }
    }
}
