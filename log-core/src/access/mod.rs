//! Access: who a peer is, what it may do, and how much.
//!
//! ```text
//!   PLAIN, SCRAM messages ──▶ scram ──▶ the user's name                credentials ┐
//!   a certificate of TLS ──▶ Certificate ──▶ the user's name                       │
//!   principal, host, operation, resource ──▶ Authorizer::allows        entries     ├─ of the metadata image
//!   user, client id, address ──▶ Quotas::limit ──▶ Meter: how long to wait  quotas ┘
//! ```
//! Pure: what is known is handed in (credentials, entries, quotas are records of the metadata log, replayed by the
//! broker), time and nonces are arguments, and nothing here touches a socket.
//!
//! Invariants.
//! - As long as there is neither a user nor an entry everyone may do everything: a broker on a loopback address that
//!   nobody has set up. With the first of either, what no entry allows is refused.
//! - An entry that refuses wins over every entry that allows.
//! - A wrong password, an unknown user and a user without a credential for the mechanism look the same to the peer and
//!   take the same work.
//! - Keys are compared in constant time and never shown.
//!
//! Left out: delegation tokens, OAUTHBEARER, GSSAPI; quotas are given out here and enforced by the server.
//! Names and passwords are taken as they are, without SASLprep, as Kafka does.
//! Until the server uses all of it: what nobody uses is allowed here.
#![allow(dead_code, unused_imports)]

mod acls;
mod authorizer;
mod certificate;
mod credentials;
mod quotas;
mod scram;
#[cfg(test)]
mod tests;

pub(crate) use acls::Acls;
pub(crate) use authorizer::{Authorizer, Principal, Request, SuperUsers};
pub(crate) use certificate::Certificate;
pub(crate) use credentials::Credentials;
pub(crate) use quotas::{Bucket, Meter, Quotas};
pub(crate) use scram::{ScramClient, ScramServer, Step, credential_of, salted_password};
