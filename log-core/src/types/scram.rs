//! What a broker keeps of a password (RFC 5802): enough to check one, not enough to show one.

use super::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A hash function of SCRAM, by Kafka's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ScramMechanism {
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512.
    Sha512,
}

impl ScramMechanism {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// Kafka's code.
    pub const fn code(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    /// The mechanism of Kafka's code.
    pub fn from_code(code: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }

    /// The name that SASL knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of SASL's name for it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Bytes of its keys.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for ScramMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Iterations of PBKDF2 that are taken: fewer are too easy to guess, more are a burden that a client chooses for us.
pub const SCRAM_ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=16_384;

/// One user's credential for one mechanism.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramCredential {
    /// Which hash.
    pub mechanism: ScramMechanism,
    /// Random, and not secret.
    pub salt: Vec<u8>,
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// `H(HMAC(salted password, "Client Key"))`.
    pub stored_key: Vec<u8>,
    /// `HMAC(salted password, "Server Key")`.
    pub server_key: Vec<u8>,
}

impl ScramCredential {
    /// Checks lengths and iterations; what is read from elsewhere must pass.
    pub fn validate(&self) -> Result<()> {
        let Self { mechanism, salt, iterations, stored_key, server_key } = self;
        let unacceptable = |why: String| Err(Error::UnacceptableCredential { why });
        if !SCRAM_ITERATIONS.contains(iterations) {
            let (least, most) = (SCRAM_ITERATIONS.start(), SCRAM_ITERATIONS.end());
            return unacceptable(format!("{mechanism} takes {least} to {most} iterations, not {iterations}"));
        }
        if salt.is_empty() || salt.len() > 1024 {
            return unacceptable(format!("a salt has 1 to 1024 bytes, not {}", salt.len()));
        }
        let bytes = mechanism.key_bytes();
        if stored_key.len() != bytes || server_key.len() != bytes {
            return unacceptable(format!("the keys of {mechanism} have {bytes} bytes"));
        }
        Ok(())
    }
}

/// Without the keys: who has them can pretend to be the server.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScramCredential({} ×{}, keys not shown)", self.mechanism, self.iterations)
    }
}
