//! The users there are, and PLAIN (RFC 4616) against the same credentials as SCRAM.
//!
//! A PLAIN message is `[authzid] NUL user NUL password`. The password is put through PBKDF2 with the user's salt, so
//! that no second form of it has to be kept.

use super::scram::{credential_of, failed, salted_password, wrong_password};
use crate::types::{Result, ScramCredential, ScramMechanism};
use std::collections::BTreeMap;
use subtle::ConstantTimeEq as _;

/// A PLAIN message; what is longer is refused.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Every user's credentials, one for each mechanism at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials(BTreeMap<String, BTreeMap<ScramMechanism, ScramCredential>>);

impl Credentials {
    /// Whether there is no user.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many users there are.
    pub(crate) fn users(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn has(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }

    /// A user's credential for a mechanism.
    pub(crate) fn of(&self, user: &str, mechanism: ScramMechanism) -> Option<&ScramCredential> {
        self.0.get(user)?.get(&mechanism)
    }

    /// A user's credentials, by mechanism.
    pub(crate) fn of_user(&self, user: &str) -> impl Iterator<Item = &ScramCredential> {
        self.0.get(user).into_iter().flat_map(BTreeMap::values)
    }

    /// Every user with their credentials, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<ScramMechanism, ScramCredential>)> {
        self.0.iter().map(|(user, credentials)| (user.as_str(), credentials))
    }

    /// Gives a user a credential, in place of one for the same mechanism.
    pub(crate) fn insert(&mut self, user: String, credential: ScramCredential) {
        self.0.entry(user).or_default().insert(credential.mechanism, credential);
    }

    /// Takes a credential away; without any there is no such user.
    pub(crate) fn remove(&mut self, user: &str, mechanism: ScramMechanism) {
        if let Some(credentials) = self.0.get_mut(user) {
            credentials.remove(&mechanism);
            if credentials.is_empty() {
                self.0.remove(user);
            }
        }
    }

    /// As much of it as it takes to check a PLAIN message.
    pub(crate) fn known_by(&self, message: &[u8]) -> Self {
        let user = plain(message).ok().and_then(|(user, _)| self.0.get_key_value(user));
        Self(user.into_iter().map(|(user, credentials)| (user.clone(), credentials.clone())).collect())
    }

    /// The user of a PLAIN message, if the password is right. Takes milliseconds.
    pub(crate) fn check_plain(&self, message: &[u8]) -> Result<String> {
        let (user, password) = plain(message)?;
        let decoy = || ScramCredential {
            mechanism: ScramMechanism::Sha256,
            salt: vec![0; 16],
            iterations: 4096,
            stored_key: vec![0; 32],
            server_key: vec![0; 32],
        };
        let known = self.of_user(user).next();
        let ScramCredential { mechanism, salt, iterations, stored_key, .. } = known.cloned().unwrap_or_else(decoy);
        let salted = salted_password(mechanism, password.as_bytes(), &salt, iterations);
        let found = credential_of(mechanism, &salted, salt, iterations);
        let is_right = bool::from(found.stored_key.ct_eq(&stored_key));
        if is_right && known.is_some() { Ok(user.to_owned()) } else { Err(wrong_password()) }
    }
}

/// User and password of a PLAIN message.
fn plain(message: &[u8]) -> Result<(&str, &str)> {
    let malformed = || failed("the PLAIN message is not `[authzid] NUL user NUL password`");
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(malformed());
    }
    let mut parts = std::str::from_utf8(message).map_err(|_| malformed())?.split('\0');
    let (Some(authzid), Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed());
    };
    if user.is_empty() || password.is_empty() {
        return Err(malformed());
    }
    if !authzid.is_empty() && authzid != user {
        return Err(failed("nobody can act for another user"));
    }
    Ok((user, password))
}
