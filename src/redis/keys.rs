//! Every name that this service uses in its own Redis. All of them are in one hash slot, and belong to one installation:
//! two with different master keys may use the same Redis and hear nothing of each other.

use std::fmt::Write as _;

/// Bytes of a hash that names something: enough that nobody meets another's.
const NAMED_BY: usize = 16;

/// Names what belongs to one installation.
#[derive(Clone)]
pub(super) struct Keys {
    secret: [u8; 32],
    installation: String,
}

impl Keys {
    /// For the installation that has this secret, which is told by no name.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        let installation = short(&blake3::keyed_hash(&secret, b"installation"));
        Self { secret, installation }
    }

    /// The channel between nodes.
    pub(super) fn channel(&self) -> String {
        format!("{{ges:{}}}:bus", self.installation)
    }

    /// An answer of a service outside. The name tells nothing of what it is an answer to.
    pub(super) fn answer(&self, key: &[u8]) -> String {
        format!("{{ges:{}}}:answer:{}", self.installation, short(&blake3::keyed_hash(&self.secret, key)))
    }
}

/// The beginning of a hash as text.
fn short(hash: &blake3::Hash) -> String {
    let bytes = hash.as_bytes().iter().take(NAMED_BY);
    bytes.fold(String::with_capacity(2 * NAMED_BY), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_one_slot_and_of_one_installation_and_tell_nothing() {
        let (one, other) = (Keys::new([1; 32]), Keys::new([2; 32]));
        assert_ne!(one.channel(), other.channel());
        assert_ne!(one.answer(b"question"), other.answer(b"question"));
        assert_ne!(one.answer(b"question"), one.answer(b"another"));
        assert_eq!(one.answer(b"question"), Keys::new([1; 32]).answer(b"question"));
        let tag = |name: &str| name.split_once('}').map(|(tag, _)| tag.to_owned());
        assert_eq!(tag(&one.channel()), tag(&one.answer(b"question")));
        assert!(!one.answer(b"question").contains("question"));
    }
}
