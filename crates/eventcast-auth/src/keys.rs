//! The keys that tokens are signed with.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Header};

/// Keys, each for one algorithm. A token says which algorithm it has, but does not choose: it is
/// refused unless its key is for that one (RFC 8725 section 3.1).
#[derive(Clone)]
#[must_use]
pub struct JwtKeys(Vec<Key>);

#[derive(Clone)]
pub(crate) struct Key {
    id: Option<String>,
    pub(crate) algorithm: Algorithm,
    pub(crate) decoding: DecodingKey,
}

/// A key cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct KeyError {
    what: &'static str,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl KeyError {
    fn new(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            what,
            source: Some(source.into()),
        }
    }
}

impl JwtKeys {
    /// A secret that is shared with whoever signs: HS256. It should have 32 bytes of chance; a
    /// password is guessed from one token.
    pub fn hs256(secret: &[u8]) -> Self {
        Self::one(Algorithm::HS256, DecodingKey::from_secret(secret))
    }

    /// A public RSA key in PEM: RS256.
    ///
    /// # Errors
    /// [`KeyError`] if it is none.
    pub fn rs256_pem(pem: &str) -> Result<Self, KeyError> {
        let key = DecodingKey::from_rsa_pem(pem.as_bytes());
        let key = key.map_err(|error| KeyError::new("not a public RSA key in PEM", error))?;
        Ok(Self::one(Algorithm::RS256, key))
    }

    /// A public key of the curve P-256 in PEM: ES256.
    ///
    /// # Errors
    /// [`KeyError`] if it is none.
    pub fn es256_pem(pem: &str) -> Result<Self, KeyError> {
        let key = DecodingKey::from_ec_pem(pem.as_bytes());
        let key = key.map_err(|error| KeyError::new("not a public P-256 key in PEM", error))?;
        Ok(Self::one(Algorithm::ES256, key))
    }

    /// A JWKS document (RFC 7517 section 5), as identity providers have it at `jwks_uri`. Keys that
    /// are for encryption, or of a kind that is not supported, are passed over: supported are RSA
    /// (RS256 unless `alg` says RS384, RS512 or PS256 to PS512), P-256 and P-384, Ed25519 and, with
    /// `alg`, secrets (HS256 to HS512).
    ///
    /// Fetching it is yours, and so is fetching it again:
    /// [`JwtAuthenticator::set_keys`](crate::JwtAuthenticator::set_keys).
    ///
    /// # Errors
    /// [`KeyError`] if it is no such document, or none of its keys is of use.
    pub fn jwks(document: &str) -> Result<Self, KeyError> {
        let set: JwkSet = serde_json::from_str(document)
            .map_err(|error| KeyError::new("not a JWKS document", error))?;
        let keys: Vec<Key> = set.keys.iter().filter_map(Key::of).collect();
        if keys.is_empty() {
            return Err(KeyError {
                what: "the JWKS document has no key for signatures that is supported",
                source: None,
            });
        }
        Ok(Self(keys))
    }

    /// These keys, and others: while keys are being changed both are good.
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    fn one(algorithm: Algorithm, decoding: DecodingKey) -> Self {
        Self(vec![Key {
            id: None,
            algorithm,
            decoding,
        }])
    }

    /// Those that a token may have been signed with: of its id, if both have one, and of its
    /// algorithm.
    pub(crate) fn candidates<'a>(&'a self, header: &'a Header) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(|key| {
            let is_named = match (&key.id, &header.kid) {
                (Some(own), Some(named)) => own == named,
                _ => true,
            };
            is_named && key.algorithm == header.alg
        })
    }
}

impl Key {
    fn of(jwk: &Jwk) -> Option<Self> {
        use jsonwebtoken::jwk::PublicKeyUse;
        if matches!(&jwk.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature) {
            return None;
        }
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS384)) => Algorithm::RS384,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS512)) => Algorithm::RS512,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS256)) => Algorithm::PS256,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS384)) => Algorithm::PS384,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS512)) => Algorithm::PS512,
            (AlgorithmParameters::EllipticCurve(key), _) => match key.curve {
                EllipticCurve::P256 => Algorithm::ES256,
                EllipticCurve::P384 => Algorithm::ES384,
                _ => return None,
            },
            (AlgorithmParameters::OctetKeyPair(_), _) => Algorithm::EdDSA,
            (AlgorithmParameters::OctetKey(_), Some(KeyAlgorithm::HS256)) => Algorithm::HS256,
            (AlgorithmParameters::OctetKey(_), Some(KeyAlgorithm::HS384)) => Algorithm::HS384,
            (AlgorithmParameters::OctetKey(_), Some(KeyAlgorithm::HS512)) => Algorithm::HS512,
            _ => return None,
        };
        Some(Self {
            id: jwk.common.key_id.clone(),
            algorithm,
            decoding: DecodingKey::from_jwk(jwk).ok()?,
        })
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms = self.0.iter().map(|key| key.algorithm);
        f.debug_list().entries(algorithms).finish()
    }
}
