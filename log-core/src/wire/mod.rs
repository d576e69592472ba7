//! Kafka's protocol: bytes to messages and back, for every API and version that a Kafka 4.3 broker serves.
//!
//! ```text
//!   frame ─▶ Reader ─▶ RequestHeader ─▶ Request ─▶ (the server's handlers) ─▶ Response ─▶ Writer ─▶ Frame
//!            bounded   api and version  one of     they see plain structs     one of      pieces for one
//!                                       the table  and a Version              the table   vectored write
//! ```
//! Each message is declared once for all its versions ([`declare`]); what is read and written follows from the
//! declaration. Records and other bytes are slices of the frame and are never copied, in either direction.
//!
//! Invariants:
//! - No bytes make it panic, recurse deeper than the schema does, or allocate more than [`reader`] says.
//! - What one version cannot say is not said: see [`writer`].
//! - What is written is what Kafka writes, byte for byte: the tests exchange every message with an independent
//!   implementation.
//!
//! Left out: sockets, limits on the size of frames (both are the server's), and versions that Kafka 4 has dropped.

#![allow(dead_code, unused_imports, reason = "the server and the remote client, which use all of it, come next")]

mod api;
mod declare;
#[cfg(test)]
mod dice;
mod error_code;
mod field;
mod header;
mod message;
mod reader;
#[cfg(test)]
mod tests;
mod text;
mod version;
mod versioned;
mod writer;

pub(crate) use api::*;
#[cfg(test)]
pub(crate) use dice::Dice;
pub(crate) use error_code::ErrorCode;
pub(crate) use field::Message;
pub(crate) use header::{RequestHeader, correlation_id};
pub(crate) use message::{Request, Response};
pub(crate) use reader::Reader;
pub(crate) use text::Str;
pub(crate) use version::Version;
pub(crate) use versioned::{Versioned, read_versioned, write_versioned};
pub(crate) use writer::{Frame, Writer};
