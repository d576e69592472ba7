//! SCRAM, both sides (RFC 5802, RFC 7677), as bytes in and bytes out.
//!
//! ```text
//!   client                                                        server
//!   n,,n=alice,r=CNONCE                                      ──▶
//!                                                            ◀──  r=CNONCESNONCE,s=SALT,i=4096
//!   c=biws,r=CNONCESNONCE,p=PROOF                            ──▶
//!                                                            ◀──  v=SIGNATURE
//! ```
//! `AuthMessage` is the client's first message without its `n,,`, the server's first, and the client's last without
//! the proof, with commas between. `ClientSignature = HMAC(StoredKey, AuthMessage)`, and the proof is
//! `ClientKey XOR ClientSignature`: the server finds the client's key with what it keeps, and hashes it.
//!
//! The server goes the whole way with a user it does not know, on a salt made from the name, so that names cannot be
//! tried out. Nonces are handed in; channel binding (`p=`) is refused, as is a mandatory extension (`m=`).

use crate::types::{Error, Result, ScramCredential, ScramMechanism};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};
use subtle::ConstantTimeEq as _;

/// A message of either side; what is longer is refused unread.
const MESSAGE_BYTES_MAX: usize = 4096;
/// What a server says of a user it does not know.
const DECOY_ITERATIONS: u32 = 4096;

/// What a step has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send this and wait for an answer.
    Continue(Vec<u8>),
    /// Send this; the peer is who it says.
    Done { message: Vec<u8>, user: String },
}

/// A server's side of one exchange.
#[derive(Debug)]
pub(crate) struct ScramServer {
    mechanism: ScramMechanism,
    nonce: String,
    /// Known to this broker alone: salts of users that do not exist are made from it.
    decoy: [u8; 32],
    state: State,
}

#[derive(Debug)]
enum State {
    Begun,
    Challenged { user: String, credential: Option<ScramCredential>, binding: Vec<u8>, nonce: String, said: String },
    Over,
}

impl ScramServer {
    /// `nonce` is random, printable and has no comma; `decoy` is random and the same for each exchange.
    pub(crate) fn new(mechanism: ScramMechanism, nonce: String, decoy: [u8; 32]) -> Self {
        Self { mechanism, nonce, decoy, state: State::Begun }
    }

    /// Takes the client's next message. After an error the exchange is over.
    pub(crate) fn step(
        &mut self,
        message: &[u8],
        credential_of: impl FnOnce(&str) -> Option<ScramCredential>,
    ) -> Result<Step> {
        let message = text(message)?;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Begun => self.first(message, credential_of),
            State::Challenged { user, credential, binding, nonce, said } => {
                self.last(message, user, credential, &binding, &nonce, &said)
            }
            State::Over => Err(failed("the exchange is over")),
        }
    }

    fn first(&mut self, message: &str, credential_of: impl FnOnce(&str) -> Option<ScramCredential>) -> Result<Step> {
        let malformed = || failed("the first SCRAM message is not `n,,n=USER,r=NONCE`");
        let mut parts = message.splitn(3, ',');
        let (flag, authzid) = (parts.next().ok_or_else(malformed)?, parts.next().ok_or_else(malformed)?);
        let bare = parts.next().ok_or_else(malformed)?;
        if flag != "n" && flag != "y" {
            return Err(failed("channel binding is not offered"));
        }
        let mut fields = bare.split(',');
        let name = fields.next().and_then(|field| field.strip_prefix("n=")).ok_or_else(malformed)?;
        let theirs = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or_else(malformed)?;
        if theirs.is_empty() || !is_printable(theirs) {
            return Err(malformed());
        }
        let user = unescape(name).filter(|user| !user.is_empty()).ok_or_else(malformed)?;
        match authzid.strip_prefix("a=").map(unescape) {
            None if authzid.is_empty() => {}
            Some(Some(other)) if other == user => {}
            Some(Some(_)) => return Err(failed("nobody can act for another user")),
            _ => return Err(malformed()),
        }
        let credential = credential_of(&user).filter(|found| found.mechanism == self.mechanism);
        let decoy = || mac(self.mechanism, &self.decoy, user.as_bytes())[..16].to_vec();
        let (salt, iterations) = match &credential {
            Some(found) => (found.salt.clone(), found.iterations),
            None => (decoy(), DECOY_ITERATIONS),
        };
        let nonce = format!("{theirs}{}", self.nonce);
        let challenge = format!("r={nonce},s={},i={iterations}", BASE64.encode(salt));
        self.state = State::Challenged {
            user,
            credential,
            binding: message.as_bytes()[..message.len() - bare.len()].to_vec(),
            nonce,
            said: format!("{bare},{challenge}"),
        };
        Ok(Step::Continue(challenge.into_bytes()))
    }

    fn last(
        &self,
        message: &str,
        user: String,
        credential: Option<ScramCredential>,
        binding: &[u8],
        nonce: &str,
        said: &str,
    ) -> Result<Step> {
        let malformed = || failed("the last SCRAM message is not `c=…,r=NONCE,p=PROOF`");
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or_else(malformed)?;
        let proof = BASE64.decode(proof).map_err(|_| malformed())?;
        let mut fields = without_proof.split(',');
        let bound = fields.next().and_then(|field| field.strip_prefix("c=")).ok_or_else(malformed)?;
        let theirs = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or_else(malformed)?;
        // Before 2.6.1 librdkafka says its own part twice. What is ours is there, and the proof covers what was said.
        if BASE64.decode(bound).ok().as_deref() != Some(binding) || !theirs.ends_with(nonce) {
            return Err(failed("the nonce or the channel binding is not that of this exchange"));
        }
        // The same work for a user that is not there.
        let empty = vec![0; self.mechanism.key_bytes()];
        let (stored_key, server_key) =
            credential.as_ref().map_or((&empty, &empty), |found| (&found.stored_key, &found.server_key));
        let auth_message = format!("{said},{without_proof}");
        let client_key = xor(&mac(self.mechanism, stored_key, auth_message.as_bytes()), &proof);
        let is_right = bool::from(hash(self.mechanism, &client_key).ct_eq(stored_key));
        if !is_right || credential.is_none() {
            return Err(wrong_password());
        }
        let signature = mac(self.mechanism, server_key, auth_message.as_bytes());
        Ok(Step::Done { message: format!("v={}", BASE64.encode(signature)).into_bytes(), user })
    }
}

/// A client's side of one exchange.
#[derive(Debug)]
pub(crate) struct ScramClient {
    mechanism: ScramMechanism,
    password: String,
    /// Its first message without `n,,`.
    bare: String,
    nonce: String,
    /// What the server has to sign with, once it is known.
    signature: Option<Vec<u8>>,
}

impl ScramClient {
    /// `nonce` as for [`ScramServer::new`].
    pub(crate) fn new(mechanism: ScramMechanism, user: &str, password: &str, nonce: String) -> Self {
        let bare = format!("n={},r={nonce}", user.replace('=', "=3D").replace(',', "=2C"));
        Self { mechanism, password: password.to_owned(), bare, nonce, signature: None }
    }

    /// The message that begins the exchange.
    pub(crate) fn first(&self) -> Vec<u8> {
        format!("n,,{}", self.bare).into_bytes()
    }

    /// The answer to the server's challenge.
    pub(crate) fn answer(&mut self, challenge: &[u8]) -> Result<Vec<u8>> {
        let challenge = text(challenge)?;
        let malformed = || failed("the server's challenge is not `r=NONCE,s=SALT,i=ITERATIONS`");
        let mut fields = challenge.split(',');
        let nonce = fields.next().and_then(|field| field.strip_prefix("r=")).ok_or_else(malformed)?;
        let salt = fields.next().and_then(|field| field.strip_prefix("s=")).ok_or_else(malformed)?;
        let salt = BASE64.decode(salt).map_err(|_| malformed())?;
        let iterations =
            fields.next().and_then(|field| field.strip_prefix("i=")?.parse().ok()).ok_or_else(malformed)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(failed("the server's nonce does not begin with ours"));
        }
        // A server could keep us busy for hours.
        if !crate::types::SCRAM_ITERATIONS.contains(&iterations) {
            return Err(failed("the server asks for too few or too many iterations"));
        }
        let salted = salted_password(self.mechanism, self.password.as_bytes(), &salt, iterations);
        let client_key = mac(self.mechanism, &salted, b"Client Key");
        let without_proof = format!("c=biws,r={nonce}");
        let auth_message = format!("{},{challenge},{without_proof}", self.bare);
        let stored_key = hash(self.mechanism, &client_key);
        let proof = xor(&client_key, &mac(self.mechanism, &stored_key, auth_message.as_bytes()));
        let server_key = mac(self.mechanism, &salted, b"Server Key");
        self.signature = Some(mac(self.mechanism, &server_key, auth_message.as_bytes()));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes())
    }

    /// Checks that the server knows the password too.
    pub(crate) fn verify(&self, last: &[u8]) -> Result<()> {
        let signature = text(last)?.strip_prefix("v=").and_then(|signature| BASE64.decode(signature).ok());
        match (&self.signature, signature) {
            (Some(expected), Some(found)) if bool::from(expected.ct_eq(&found)) => Ok(()),
            _ => Err(failed("the server does not know the password")),
        }
    }
}

/// What is kept of a password.
pub(crate) fn credential_of(
    mechanism: ScramMechanism,
    salted_password: &[u8],
    salt: Vec<u8>,
    iterations: u32,
) -> ScramCredential {
    let stored_key = hash(mechanism, &mac(mechanism, salted_password, b"Client Key"));
    let server_key = mac(mechanism, salted_password, b"Server Key");
    ScramCredential { mechanism, salt, iterations, stored_key, server_key }
}

/// PBKDF2 of a password: the slow part, which a client does. Takes milliseconds.
pub(crate) fn salted_password(mechanism: ScramMechanism, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
    let mut salted = vec![0; mechanism.key_bytes()];
    match mechanism {
        ScramMechanism::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut salted),
        ScramMechanism::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut salted),
    }
    salted
}

/// The one answer to a wrong password, a user that is not there, and one without a credential for the mechanism.
pub(super) fn wrong_password() -> Error {
    failed("invalid credentials")
}

pub(super) fn failed(why: &str) -> Error {
    Error::AuthenticationFailed { why: why.to_owned() }
}

fn mac(mechanism: ScramMechanism, key: &[u8], message: &[u8]) -> Vec<u8> {
    const ANY_LENGTH: &str = "HMAC takes a key of any length";
    match mechanism {
        ScramMechanism::Sha256 => Hmac::<Sha256>::new_from_slice(key)
            .expect(ANY_LENGTH)
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
        ScramMechanism::Sha512 => Hmac::<Sha512>::new_from_slice(key)
            .expect(ANY_LENGTH)
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
    }
}

fn hash(mechanism: ScramMechanism, bytes: &[u8]) -> Vec<u8> {
    match mechanism {
        ScramMechanism::Sha256 => Sha256::digest(bytes).to_vec(),
        ScramMechanism::Sha512 => Sha512::digest(bytes).to_vec(),
    }
}

/// Of the length of `a`; where `b` is shorter the result is not what anyone looks for.
fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    if a.len() == b.len() { a.iter().zip(b).map(|(a, b)| a ^ b).collect() } else { Vec::new() }
}

fn text(message: &[u8]) -> Result<&str> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(failed("the SCRAM message is too long"));
    }
    std::str::from_utf8(message).map_err(|_| failed("the SCRAM message is not UTF-8"))
}

/// A nonce is printable ASCII; the comma has been split at.
fn is_printable(nonce: &str) -> bool {
    nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

/// A name with `=2C` and `=3D` for comma and equals sign.
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        plain.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        plain += rest;
    }
    Some(plain)
}
