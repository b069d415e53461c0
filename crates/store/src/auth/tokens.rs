//! Simple tokens: random words that stand for a user while they are in use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use flota_mvcc::{Auth, Millis};

/// Most tokens at a time; one more takes the place of the one that would end first.
const MAX_TOKENS: usize = 65_536;

/// Letters in a token, before its index.
const LETTERS: usize = 16;

/// Tokens by their text.
#[derive(Debug)]
pub(super) struct SimpleTokens {
    ttl: u64,
    tokens: RwLock<HashMap<String, Token>>,
}

#[derive(Debug)]
struct Token {
    user: Arc<str>,
    /// The auth revision at which the password was checked.
    revision: u64,
    /// In milliseconds of the store's clock; moved by each use, under the read lock.
    deadline: AtomicU64,
}

impl SimpleTokens {
    pub(super) fn new(ttl: Duration) -> SimpleTokens {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        SimpleTokens { ttl, tokens: RwLock::default() }
    }

    /// A new token for the user. `index` only makes it look as in etcd.
    pub(super) fn assign(
        &self,
        user: &str,
        revision: u64,
        index: i64,
        now: Millis,
    ) -> Result<String, rustix::io::Errno> {
        let text = format!("{}.{index}", word()?);
        let deadline = AtomicU64::new((now + self.ttl).0);
        let mut tokens = self.write();
        if tokens.len() >= MAX_TOKENS {
            make_room(&mut tokens, now);
        }
        tokens.insert(text.clone(), Token { user: user.into(), revision, deadline });
        Ok(text)
    }

    /// The user that the token stands for, if its time is not over and nothing has voided it. Its time begins anew.
    pub(super) fn user(&self, text: &str, auth: &Auth, now: Millis) -> Option<Arc<str>> {
        let tokens = self.read();
        let token = tokens.get(text)?;
        let in_time = now.0 < token.deadline.load(Ordering::Relaxed);
        if !in_time || !auth.is_token_valid(&token.user, token.revision) {
            return None;
        }
        token.deadline.store((now + self.ttl).0, Ordering::Relaxed);
        Some(Arc::clone(&token.user))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Token>> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Token>> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes all that are over, or, if there is none, the one that would be over first.
fn make_room(tokens: &mut HashMap<String, Token>, now: Millis) {
    tokens.retain(|_, token| now.0 < *token.deadline.get_mut());
    if tokens.len() >= MAX_TOKENS {
        let first = tokens.iter().min_by_key(|(_, token)| token.deadline.load(Ordering::Relaxed));
        if let Some(text) = first.map(|(text, _)| text.clone()) {
            tokens.remove(&text);
        }
    }
}

/// Letters from the kernel's random numbers, each as likely as any other.
fn word() -> Result<String, rustix::io::Errno> {
    const ALPHABET: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    /// The largest multiple of the alphabet's length that a byte can hold.
    const FAIR: u8 = 208;
    let mut word = String::with_capacity(LETTERS);
    while word.len() < LETTERS {
        let mut bytes = [0; LETTERS];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        let letters =
            bytes.iter().filter(|byte| **byte < FAIR).map(|byte| char::from(ALPHABET[usize::from(byte % 52)]));
        word.extend(letters.take(LETTERS - word.len()));
    }
    Ok(word)
}

#[cfg(test)]
mod tests {
    use flota_mvcc::{AuthRequest, Millis, Mvcc, Request};

    use super::*;

    const TTL: Duration = Duration::from_secs(300);

    fn with_users() -> Mvcc {
        let mut state = Mvcc::new();
        for name in ["root", "app"] {
            run(&mut state, AuthRequest::UserAdd { name: name.to_owned(), password: Some(Box::from(*b"hash")) });
        }
        run(&mut state, AuthRequest::UserGrantRole { user: "root".to_owned(), role: "root".to_owned() });
        run(&mut state, AuthRequest::Enable);
        state
    }

    fn run(state: &mut Mvcc, request: AuthRequest) {
        state.execute(Millis(0), &Request::Auth(request)).unwrap();
    }

    fn assign(tokens: &SimpleTokens, state: &Mvcc, now: u64) -> String {
        tokens.assign("app", state.auth().revision(), 7, Millis(now)).unwrap()
    }

    #[test]
    fn a_token_is_sixteen_letters_and_an_index_and_never_the_same() {
        let (tokens, state) = (SimpleTokens::new(TTL), with_users());
        let (one, other) = (assign(&tokens, &state, 0), assign(&tokens, &state, 0));
        let (word, index) = one.split_once('.').unwrap();
        assert_eq!((word.len(), index), (16, "7"));
        assert!(word.bytes().all(|byte| byte.is_ascii_alphabetic()));
        assert_ne!(one, other);
    }

    #[test]
    fn a_token_ends_when_it_is_not_used_and_each_use_renews_it() {
        let (tokens, state) = (SimpleTokens::new(TTL), with_users());
        let token = assign(&tokens, &state, 0);
        let user = |now| tokens.user(&token, state.auth(), Millis(now));
        assert_eq!(user(299_999).as_deref(), Some("app"));
        assert_eq!(user(599_998).as_deref(), Some("app"));
        assert_eq!(user(899_999), None);
        assert_eq!(tokens.user("nobodysWordAtAll.7", state.auth(), Millis(0)), None);
    }

    #[test]
    fn another_password_a_deleted_user_and_disabling_auth_void_tokens_and_other_changes_do_not() {
        let (tokens, mut state) = (SimpleTokens::new(TTL), with_users());
        let token = assign(&tokens, &state, 0);
        let is_valid = |state: &Mvcc, token: &str| tokens.user(token, state.auth(), Millis(0)).is_some();
        run(&mut state, AuthRequest::RoleAdd("readers".to_owned()));
        run(&mut state, AuthRequest::UserGrantRole { user: "app".to_owned(), role: "readers".to_owned() });
        assert!(is_valid(&state, &token));
        run(&mut state, AuthRequest::UserChangePassword { name: "app".to_owned(), password: Box::from(*b"new") });
        assert!(!is_valid(&state, &token));
        let token = assign(&tokens, &state, 0);
        run(&mut state, AuthRequest::UserDelete("app".to_owned()));
        assert!(!is_valid(&state, &token));
        run(&mut state, AuthRequest::UserAdd { name: "app".to_owned(), password: None });
        assert!(!is_valid(&state, &token), "the name is the same, the user is another");
        let token = assign(&tokens, &state, 0);
        run(&mut state, AuthRequest::Disable);
        run(&mut state, AuthRequest::Enable);
        assert!(!is_valid(&state, &token));
    }

    #[test]
    fn when_there_are_too_many_the_one_that_would_end_first_goes() {
        let (tokens, state) = (SimpleTokens::new(TTL), with_users());
        let first = assign(&tokens, &state, 0);
        let second = assign(&tokens, &state, 0);
        assert!(tokens.user(&first, state.auth(), Millis(10)).is_some());
        for _ in 2..=MAX_TOKENS {
            assign(&tokens, &state, 5);
        }
        assert!(tokens.user(&first, state.auth(), Millis(10)).is_some());
        assert_eq!(tokens.user(&second, state.auth(), Millis(10)), None);
        assert_eq!(tokens.read().len(), MAX_TOKENS);
    }
}
