//! The symmetric signature of Standard Webhooks 1.0: HMAC-SHA256 over `{id}.{timestamp}.{body}`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use receipt::SigningSecret;
use sha2::Sha256;

/// What a secret begins with, so that people and scanners know one.
const PREFIX: &str = "whsec_";
/// The length of a key in bytes (specification, "Signature scheme").
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// Why a secret is none. Never shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// It is something else.
    #[error("must begin with {PREFIX}")]
    Prefix,
    /// It was cut or mistyped.
    #[error("must be base64 after {PREFIX}")]
    Base64,
    /// It can be guessed, or was meant for something else.
    #[error("must hold {least} to {most} random bytes, and holds {0}", least = LENGTH.start(), most = LENGTH.end())]
    Length(usize),
}

/// Signs with every secret of an endpoint.
#[derive(Clone)]
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl Signer {
    /// Reads the secrets.
    ///
    /// # Errors
    /// Each secret that is none, with its place.
    pub fn of(secrets: &[SigningSecret]) -> Result<Self, Vec<(usize, BadSecret)>> {
        let (mut keys, mut bad) = (Vec::new(), Vec::new());
        for (place, secret) in secrets.iter().enumerate() {
            match key(secret.expose()) {
                Ok(key) => keys.push(key),
                Err(why) => bad.push((place, why)),
            }
        }
        if bad.is_empty() { Ok(Self { keys }) } else { Err(bad) }
    }

    /// The header `webhook-signature`: one signature for each secret, so that a receiver may know any one of them.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| {
                let mut mac = key.clone();
                mac.update(format!("{id}.{timestamp}.").as_bytes());
                mac.update(body);
                format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
            })
            .collect();
        signatures.join(" ")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

fn key(secret: &str) -> Result<Hmac<Sha256>, BadSecret> {
    let encoded = secret.trim().strip_prefix(PREFIX).ok_or(BadSecret::Prefix)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| BadSecret::Base64)?;
    if !LENGTH.contains(&bytes.len()) {
        return Err(BadSecret::Length(bytes.len()));
    }
    Hmac::new_from_slice(&bytes).map_err(|_| BadSecret::Length(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the specification's reference libraries.
    #[test]
    fn the_vector_of_the_reference_libraries_is_signed_as_they_sign_it() {
        let secret = SigningSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signer = Signer::of(&[secret]).expect("a secret");
        assert_eq!(
            signer.sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                br#"{"test": 2432232314}"#
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn every_secret_that_is_none_is_named_by_its_place_and_not_shown() {
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        let good = format!("whsec_{}", STANDARD.encode([7; 32]));
        let texts = ["secret", "whsec_!!!", &short, &long, &good];
        let bad = Signer::of(&texts.map(SigningSecret::new)).expect_err("four are none");
        assert_eq!(
            bad,
            [
                (0, BadSecret::Prefix),
                (1, BadSecret::Base64),
                (2, BadSecret::Length(23)),
                (3, BadSecret::Length(65)),
            ]
        );
        assert_eq!(
            BadSecret::Length(23).to_string(),
            "must hold 24 to 64 random bytes, and holds 23"
        );
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let secrets = [[1; 32], [2; 32]].map(|key| SigningSecret::new(format!("whsec_{}", STANDARD.encode(key))));
        let both = Signer::of(&secrets).expect("secrets").sign("id", 1, b"{}");
        let each: Vec<_> = secrets
            .iter()
            .map(|secret| {
                Signer::of(std::slice::from_ref(secret))
                    .expect("a secret")
                    .sign("id", 1, b"{}")
            })
            .collect();
        assert_eq!(both, each.join(" "));
    }
}
