//! JSON web tokens: signed, so that whoever has the public key can tell whose they are, and remembered by nobody.
//!
//! Signed and verified by `ring`, which TLS uses already. The method is fixed by the configuration: what a token says about its own
//! method must be the same, and decides nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flota_mvcc::AuthError;
use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, RsaKeyPair, UnparsedPublicKey};
use ring::{hmac, signature};
use serde::{Deserialize, Serialize};

use super::{AuthTokenError, JwtConfig, keys};

/// Longest token that is looked at: ten times what this store makes with the largest key.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// How tokens are signed, by the names of RFC 7518.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignMethod {
    /// RSA, PKCS #1 v1.5: RS256, RS384, RS512.
    Rsa(Digest),
    /// RSA, PSS: PS256, PS384, PS512.
    RsaPss(Digest),
    /// ECDSA: ES256 on P-256, ES384 on P-384.
    Ecdsa(Digest),
    /// HMAC: HS256, HS384, HS512.
    Hmac(Digest),
}

/// The hash that is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl SignMethod {
    /// Finds a method by name. ES512 is missing: `ring` does not know its curve.
    pub(super) fn new(name: &str) -> Option<SignMethod> {
        let digest = match name.get(2..)? {
            "256" => Digest::Sha256,
            "384" => Digest::Sha384,
            "512" => Digest::Sha512,
            _ => return None,
        };
        match name.get(..2)? {
            "RS" => Some(SignMethod::Rsa(digest)),
            "PS" => Some(SignMethod::RsaPss(digest)),
            "ES" if digest != Digest::Sha512 => Some(SignMethod::Ecdsa(digest)),
            "HS" => Some(SignMethod::Hmac(digest)),
            _ => None,
        }
    }

    fn name(self) -> String {
        let (family, digest) = match self {
            SignMethod::Rsa(digest) => ("RS", digest),
            SignMethod::RsaPss(digest) => ("PS", digest),
            SignMethod::Ecdsa(digest) => ("ES", digest),
            SignMethod::Hmac(digest) => ("HS", digest),
        };
        let bits = match digest {
            Digest::Sha256 => "256",
            Digest::Sha384 => "384",
            Digest::Sha512 => "512",
        };
        format!("{family}{bits}")
    }

    fn verification(self) -> Option<&'static dyn signature::VerificationAlgorithm> {
        Some(match self {
            SignMethod::Rsa(Digest::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            SignMethod::Rsa(Digest::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            SignMethod::Rsa(Digest::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            SignMethod::RsaPss(Digest::Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
            SignMethod::RsaPss(Digest::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
            SignMethod::RsaPss(Digest::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
            SignMethod::Ecdsa(Digest::Sha256) => &signature::ECDSA_P256_SHA256_FIXED,
            SignMethod::Ecdsa(Digest::Sha384) => &signature::ECDSA_P384_SHA384_FIXED,
            SignMethod::Ecdsa(Digest::Sha512) | SignMethod::Hmac(_) => return None,
        })
    }

    fn padding(self) -> Option<&'static dyn signature::RsaEncoding> {
        Some(match self {
            SignMethod::Rsa(Digest::Sha256) => &signature::RSA_PKCS1_SHA256,
            SignMethod::Rsa(Digest::Sha384) => &signature::RSA_PKCS1_SHA384,
            SignMethod::Rsa(Digest::Sha512) => &signature::RSA_PKCS1_SHA512,
            SignMethod::RsaPss(Digest::Sha256) => &signature::RSA_PSS_SHA256,
            SignMethod::RsaPss(Digest::Sha384) => &signature::RSA_PSS_SHA384,
            SignMethod::RsaPss(Digest::Sha512) => &signature::RSA_PSS_SHA512,
            SignMethod::Ecdsa(_) | SignMethod::Hmac(_) => return None,
        })
    }
}

/// What signs.
pub(super) enum PrivateKey {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Hmac(hmac::Key),
}

/// Makes and reads tokens.
pub(super) struct Jwt {
    method: SignMethod,
    ttl: Duration,
    /// Without it tokens can only be verified.
    private: Option<PrivateKey>,
    /// None for HMAC.
    public: Option<Vec<u8>>,
    random: SystemRandom,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// What a token says; others may be made elsewhere with the same key.
#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    revision: u64,
    username: String,
}

/// What this store's tokens say, in the order of Go's JSON.
#[derive(Serialize)]
struct NewClaims<'a> {
    exp: u64,
    revision: u64,
    username: &'a str,
}

impl Jwt {
    pub(super) fn new(config: &JwtConfig) -> Result<Jwt, AuthTokenError> {
        let (private, public) = keys::load(config)?;
        Ok(Jwt { method: config.method, ttl: config.ttl, private, public, random: SystemRandom::new() })
    }

    /// A token for the user.
    pub(super) fn assign(&self, user: &str, revision: u64) -> Result<String, AuthError> {
        let exp = (now() + self.ttl).as_secs();
        let claims = serde_json::to_vec(&NewClaims { exp, revision, username: user });
        let claims = claims.map_err(|_| AuthError::InvalidToken)?;
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.method.name());
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.sign(token.as_bytes()).ok_or(AuthError::VerifyOnly)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The user and the auth revision of a token that is signed and in time.
    pub(super) fn user(&self, token: &str) -> Option<(String, u64)> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: Header = serde_json::from_slice(&header).ok()?;
        if header.alg != self.method.name() {
            return None;
        }
        self.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?)?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        let now = now().as_secs_f64();
        let in_time = claims.exp.is_none_or(|exp| now < exp) && claims.nbf.is_none_or(|nbf| now >= nbf);
        in_time.then_some((claims.username, claims.revision))
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self.private.as_ref()? {
            PrivateKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(self.method.padding()?, &self.random, message, &mut signature).ok()?;
                Some(signature)
            }
            PrivateKey::Ecdsa(pair) => Some(pair.sign(&self.random, message).ok()?.as_ref().to_vec()),
            PrivateKey::Hmac(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        match (&self.private, &self.public) {
            (Some(PrivateKey::Hmac(key)), _) => hmac::verify(key, message, signature).ok(),
            (_, Some(public)) => {
                UnparsedPublicKey::new(self.method.verification()?, public).verify(message, signature).ok()
            }
            (_, None) => None,
        }
    }
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwt").field("method", &self.method).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// Time since 1970, as tokens count it.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::TokenKind;

    fn file(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
    }

    /// `--auth-token=jwt,...` with files of the test's data.
    fn jwt(options: &str) -> Result<Jwt, AuthTokenError> {
        let dir = file("");
        let options = options.replace("key=", &format!("key={}", dir.display()));
        match format!("jwt,{options}").parse()? {
            TokenKind::Jwt(config) => Jwt::new(&config),
            TokenKind::Simple => panic!(),
        }
    }

    #[test]
    fn each_method_signs_what_it_verifies_and_nothing_else() {
        let keys = [
            ("RS256", "jwt-rsa"),
            ("RS384", "jwt-rsa"),
            ("RS512", "jwt-rsa"),
            ("PS256", "jwt-rsa"),
            ("PS384", "jwt-rsa"),
            ("PS512", "jwt-rsa"),
            ("ES384", "jwt-p384"),
            ("HS256", "jwt-rsa"),
            ("HS384", "jwt-rsa"),
            ("HS512", "jwt-rsa"),
        ];
        let made: Vec<(Jwt, String)> = keys
            .iter()
            .map(|(method, key)| {
                let jwt = jwt(&format!("sign-method={method},priv-key={key}.key")).unwrap();
                let token = jwt.assign("app", 7).unwrap();
                (jwt, token)
            })
            .collect();
        for (at, (jwt, _)) in made.iter().enumerate() {
            for (other, (_, token)) in made.iter().enumerate() {
                let expected = (at == other).then(|| ("app".to_owned(), 7));
                assert_eq!(jwt.user(token), expected, "{} reads {}", keys[at].0, keys[other].0);
            }
        }
    }

    #[test]
    fn a_public_key_alone_verifies_and_cannot_sign() {
        for (method, key) in [("RS256", "jwt-rsa"), ("ES384", "jwt-p384")] {
            let token = jwt(&format!("sign-method={method},priv-key={key}.key")).unwrap().assign("app", 7).unwrap();
            let verifier = jwt(&format!("sign-method={method},pub-key={key}.pub")).unwrap();
            assert_eq!(verifier.user(&token), Some(("app".to_owned(), 7)));
            assert_eq!(verifier.assign("app", 7), Err(AuthError::VerifyOnly));
        }
        assert!(jwt("sign-method=RS256,pub-key=jwt-rsa.pub,priv-key=jwt-rsa.key").is_ok());
    }

    #[test]
    fn what_is_changed_cut_old_or_unsigned_is_nobodys() {
        let jwt = jwt("sign-method=RS256,priv-key=jwt-rsa.key,ttl=1h").unwrap();
        let token = jwt.assign("app", 7).unwrap();
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let root = encode(r#"{"exp":99999999999,"revision":7,"username":"root"}"#);
        let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
        for forged in [
            format!("{header}.{root}.{signature}"),
            format!("{none}.{root}."),
            format!("{header}.{claims}."),
            format!("{header}.{claims}"),
            format!("{header}.{claims}.{signature}x"),
            token[..token.len() - 2].to_owned(),
            ".".repeat(MAX_TOKEN_BYTES + 1),
            String::new(),
        ] {
            assert_eq!(jwt.user(&forged), None, "{forged:.100}");
        }
        let signed = |claims: &str| {
            let message = format!("{header}.{}", encode(claims));
            let signature = URL_SAFE_NO_PAD.encode(jwt.sign(message.as_bytes()).unwrap());
            jwt.user(&format!("{message}.{signature}"))
        };
        assert_eq!(signed(r#"{"exp":1,"revision":7,"username":"app"}"#), None);
        assert_eq!(signed(r#"{"nbf":99999999999,"revision":7,"username":"app"}"#), None);
        assert_eq!(signed(r#"{"exp":"99999999999","revision":7,"username":"app"}"#), None);
        assert_eq!(signed(r#"{"exp":99999999999,"revision":-7,"username":"app"}"#), None);
        assert_eq!(signed(r#"{"exp":99999999999,"revision":7,"username":"app"}"#), Some(("app".to_owned(), 7)));
    }

    #[test]
    fn keys_and_options_that_do_not_work_are_named() {
        let error = |options: &str| jwt(options).unwrap_err().to_string();
        assert!(error("priv-key=jwt-rsa.key").contains("unknown sign-method ``"));
        assert!(error("sign-method=ES512,priv-key=jwt-p384.key").contains("unknown sign-method `ES512`"));
        assert!(error("sign-method=RS256").contains("needs priv-key"));
        assert!(error("sign-method=HS256,pub-key=jwt-rsa.pub").contains("needs priv-key"));
        assert!(error("sign-method=RS256,priv-key=missing").contains("missing for auth tokens: No such file"));
        assert!(error("sign-method=RS256,priv-key=jwt-p384.key").contains("no private key for the signing method"));
        assert!(error("sign-method=ES256,priv-key=jwt-p384.key").contains("no private key for the signing method"));
        assert!(error("sign-method=ES384,priv-key=jwt-p384.key,pub-key=jwt-rsa.pub").contains("do not match"));
        assert!(error("sign-method=RS256,ttl=soon,priv-key=jwt-rsa.key").contains("`ttl=soon`"));
        assert!(error("sign-method=RS256,colour=red").contains("`colour=red`"));
        assert!(error("sign-method=RS256,sign-method=RS384").contains("`sign-method=RS384`"));
    }
}
