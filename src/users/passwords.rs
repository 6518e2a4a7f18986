//! Passwords of local accounts: argon2id, off the threads that serve requests, one at a time.
//!
//! Parameters: 19 MiB of memory, 2 passes, 1 lane (what OWASP advises at the least), 16 random bytes of salt. They are part
//! of each stored hash, so that others can follow without asking anybody for a new password.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::secret::Secret;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::front_door::generate_key;

/// KiB of memory for one hash.
const MEMORY_KIB: u32 = 19_456;
/// Passes over it.
const PASSES: u32 = 2;
/// Shortest password that is taken, in characters.
pub const MIN_CHARS: usize = 12;
/// Longest password, in bytes.
pub const MAX_BYTES: usize = 1_024;
/// Log-ins that may wait for their turn; further ones are refused at once. With one turn at a time they never take more
/// than one processor from bookings.
const MAX_WAITING: usize = 16;

/// A password that cannot be kept, or not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// It is too short to hold out, or too long to be meant.
    #[error("a password has at least {MIN_CHARS} characters and at most {MAX_BYTES} bytes")]
    Length,
    /// Too many wait already.
    #[error("too many log-ins at once")]
    Busy,
    /// The system gives no random numbers or no memory.
    #[error("the password could not be hashed")]
    Failed,
}

/// Judges passwords.
pub struct Passwords {
    waiting: Arc<Semaphore>,
    turn: Semaphore,
    /// What a name without an account is compared with, so that it takes as long. Made at the first log-in.
    nobody: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { waiting: Arc::new(Semaphore::new(MAX_WAITING)), turn: Semaphore::new(1), nobody: Arc::default() }
    }
}

impl Passwords {
    /// Whether a password is that of a stored hash. Takes as long where there is none, and is then false.
    ///
    /// # Errors
    /// [`PasswordError::Busy`].
    pub async fn verify(&self, password: Secret, stored: Option<String>) -> Result<bool, PasswordError> {
        if password.reveal().len() > MAX_BYTES {
            return Ok(false);
        }
        let _place = self.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
        let _turn = self.turn.acquire().await.map_err(|_| PasswordError::Busy)?;
        let known = stored.is_some();
        let nobody = Arc::clone(&self.nobody);
        let work = move || {
            let nobody =
                nobody.get_or_init(|| hash_of(generate_key().unwrap_or_default().as_bytes()).unwrap_or_default());
            let hash = stored.unwrap_or_else(|| nobody.clone());
            let hash = PasswordHash::new(&hash).map_err(|_| PasswordError::Failed)?;
            Ok(Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
        };
        let right = tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed)??;
        Ok(right && known)
    }
}

/// The hash of a new password. Takes some ten milliseconds of a processor: not for threads that serve.
///
/// # Errors
/// [`PasswordError`].
pub fn hash(password: &Secret) -> Result<String, PasswordError> {
    let text = password.reveal();
    if text.chars().count() < MIN_CHARS || text.len() > MAX_BYTES {
        return Err(PasswordError::Length);
    }
    hash_of(text.as_bytes())
}

fn hash_of(password: &[u8]) -> Result<String, PasswordError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Failed)?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Failed)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password_with_salt(password, &salt).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let passwords = Passwords::default();
        let kept = hash(&Secret::new("correct horse battery")).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash(&Secret::new("correct horse battery")).unwrap(), "each has its own salt");
        let verify = async |text: &str, stored: Option<String>| passwords.verify(Secret::new(text), stored).await;
        assert_eq!(verify("correct horse battery", Some(kept.clone())).await, Ok(true));
        assert_eq!(verify("correct horse batterY", Some(kept.clone())).await, Ok(false));
        assert_eq!(verify("", Some(kept.clone())).await, Ok(false));
        assert_eq!(verify("correct horse battery", None).await, Ok(false));
        assert_eq!(verify(&"x".repeat(MAX_BYTES + 1), Some(kept)).await, Ok(false));
        assert_eq!(verify("x", Some("damaged".to_owned())).await, Err(PasswordError::Failed));
    }

    #[test]
    fn short_passwords_are_not_taken() {
        assert_eq!(hash(&Secret::new("elevenchars")), Err(PasswordError::Length));
        assert_eq!(hash(&Secret::new("x".repeat(MAX_BYTES + 1))), Err(PasswordError::Length));
    }

    #[tokio::test]
    async fn a_flood_waits_in_a_short_line() {
        let passwords = Arc::new(Passwords::default());
        let taken: Vec<_> = (0..MAX_WAITING).map(|_| passwords.waiting.clone().try_acquire_owned().unwrap()).collect();
        assert_eq!(passwords.verify(Secret::new("any"), None).await, Err(PasswordError::Busy));
        drop(taken);
        assert_eq!(passwords.verify(Secret::new("any"), None).await, Ok(false));
    }
}
