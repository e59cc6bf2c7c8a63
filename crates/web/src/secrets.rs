//! The key of a link, and the tokens of those that came by one.
//!
//! Nobody is locked out for wrong guesses: of 2^256 nobody guesses one, and whoever could have others
//! locked out by guessing would do that.

use std::{
    collections::VecDeque,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// So many may be inside. The one that came first has to come again then.
const MOST_TOKENS: usize = 16;

/// None of the secrets themselves, only their digests, in case somebody reads this memory.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<Digests>);

#[derive(Default)]
struct Digests {
    key: Option<[u8; 32]>,
    tokens: VecDeque<[u8; 32]>,
}

impl Secrets {
    /// A key that admits once. The one before it no longer does.
    pub(crate) fn new_key(&self) -> io::Result<String> {
        let key = secret()?;
        self.digests().key = Some(digest(&key));
        Ok(key)
    }

    /// A token for a key, if it is the one. It is used up then.
    pub(crate) fn enter(&self, key: &str) -> io::Result<Option<String>> {
        let token = secret()?;
        let mut digests = self.digests();
        let given = digest(key);
        if !digests.key.is_some_and(|key| is_same(&key, &given)) {
            return Ok(None);
        }
        digests.key = None;
        if digests.tokens.len() == MOST_TOKENS {
            digests.tokens.pop_front();
        }
        digests.tokens.push_back(digest(&token));
        Ok(Some(token))
    }

    pub(crate) fn knows(&self, token: &str) -> bool {
        let given = digest(token);
        // All of them are looked at, so that it takes the same time whichever it is.
        self.digests().tokens.iter().fold(false, |known, token| known | is_same(token, &given))
    }

    fn digests(&self) -> MutexGuard<'_, Digests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn secret() -> io::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::{MOST_TOKENS, Secrets};

    fn come_in(secrets: &Secrets) -> String {
        let key = secrets.new_key().unwrap();
        secrets.enter(&key).unwrap().unwrap()
    }

    #[test]
    fn a_key_is_good_once() {
        let secrets = Secrets::default();
        let key = secrets.new_key().unwrap();
        assert!(secrets.enter(&key).unwrap().is_some());
        assert_eq!(secrets.enter(&key).unwrap(), None);
    }

    #[test]
    fn a_wrong_key_leaves_the_right_one_good() {
        let secrets = Secrets::default();
        assert_eq!(secrets.enter("").unwrap(), None);
        let key = secrets.new_key().unwrap();
        assert_eq!(secrets.enter("").unwrap(), None);
        assert_eq!(secrets.enter(&key[1..]).unwrap(), None);
        assert!(secrets.enter(&key).unwrap().is_some());
    }

    #[test]
    fn a_key_is_no_token_and_a_token_no_key() {
        let secrets = Secrets::default();
        let key = secrets.new_key().unwrap();
        assert!(!secrets.knows(&key));
        let token = secrets.enter(&key).unwrap().unwrap();
        assert!(!secrets.knows(&key));
        assert!(secrets.knows(&token));
        assert_eq!(secrets.enter(&token).unwrap(), None);
    }

    #[test]
    fn who_came_first_makes_room_and_nobody_else() {
        let secrets = Secrets::default();
        let first = come_in(&secrets);
        let others: Vec<String> = (1..MOST_TOKENS).map(|_| come_in(&secrets)).collect();
        assert!(secrets.knows(&first));
        let last = come_in(&secrets);
        assert!(!secrets.knows(&first));
        assert!(others.iter().chain([&last]).all(|token| secrets.knows(token)));
    }

    #[test]
    fn secrets_are_256_bits_in_an_addresss_own_letters() {
        let key = Secrets::default().new_key().unwrap();
        assert_eq!(key.len(), 43);
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{key}");
    }
}
