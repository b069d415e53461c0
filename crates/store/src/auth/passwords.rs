//! Passwords: hashed and compared with bcrypt, in threads of their own, a few at a time.

use tokio::sync::Semaphore;

use super::AuthConfig;

/// Most hashes being computed at a time: each takes a core for a tenth of a second and more.
const MAX_HASHING: usize = 4;

/// Most requests that wait for their turn; one more is refused.
const MAX_WAITING: usize = 1024;

/// Computes hashes.
#[derive(Debug)]
pub(super) struct Passwords {
    cost: u32,
    running: Semaphore,
    admitted: Semaphore,
}

/// Too many passwords are waiting.
#[derive(Debug)]
pub(super) struct Busy;

impl Passwords {
    pub(super) fn new(config: &AuthConfig) -> Passwords {
        Passwords {
            cost: config.bcrypt_cost,
            running: Semaphore::new(MAX_HASHING),
            admitted: Semaphore::new(MAX_HASHING + MAX_WAITING),
        }
    }

    /// The hash of a new password. Only its first 72 bytes count, as in etcd 3.4.
    pub(super) async fn hash(&self, password: String) -> Result<Box<[u8]>, Busy> {
        let cost = self.cost;
        self.run(move || {
            let parts = bcrypt::hash_with_result(password, cost).ok()?;
            // The prefix that etcd itself writes; what it stands for is the same as `2b`.
            Some(parts.format_for_version(bcrypt::Version::TwoA).into_bytes().into_boxed_slice())
        })
        .await?
        .ok_or(Busy)
    }

    /// Whether the hash is the password's. A hash that cannot be read is nobody's.
    pub(super) async fn matches(&self, password: String, hash: Box<[u8]>) -> Result<bool, Busy> {
        self.run(move || {
            let hash = std::str::from_utf8(&hash).ok()?;
            bcrypt::verify(password, hash).ok()
        })
        .await
        .map(|matches| matches.unwrap_or(false))
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let _place = self.admitted.try_acquire().map_err(|_| Busy)?;
        let _turn = self.running.acquire().await.map_err(|_| Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        Passwords::new(&AuthConfig { bcrypt_cost: 4, ..AuthConfig::default() })
    }

    #[tokio::test]
    async fn hashes_are_as_etcd_writes_them_and_differ_for_the_same_password() {
        let (one, other) =
            (passwords().hash("pw".to_owned()).await.unwrap(), passwords().hash("pw".to_owned()).await.unwrap());
        assert!(one.starts_with(b"$2a$04$") && one.len() == 60, "{}", String::from_utf8_lossy(&one));
        assert_ne!(one, other);
        assert!(passwords().matches("pw".to_owned(), one.clone()).await.unwrap());
        assert!(!passwords().matches("pW".to_owned(), one).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_not_a_hash_matches_nothing() {
        for hash in [&b""[..], b"pw", b"$2a$10$", &[0xff; 60]] {
            assert!(!passwords().matches("pw".to_owned(), hash.into()).await.unwrap());
        }
    }
}
