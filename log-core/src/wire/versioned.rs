//! Messages inside messages: what members of a classic group say to each other in bytes that brokers pass on.
//!
//! ```text
//!   i16 version │ the message in that version
//! ```
//! No version is flexible. Members of one group may be of different ages, so a version that is newer than ours is read
//! as our newest, and what follows is left alone.

use super::api::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use super::field::Message;
use super::reader::Reader;
use super::version::{Place, Version};
use super::writer::Writer;
use crate::types::Result;
use bytes::Bytes;

/// A message that carries its own version.
pub(crate) trait Versioned: Message {
    /// The newest version that we know; the first is 0.
    const NEWEST: i16;
}

impl Versioned for ConsumerProtocolSubscription {
    const NEWEST: i16 = 3;
}

impl Versioned for ConsumerProtocolAssignment {
    const NEWEST: i16 = 3;
}

const VERSION: Place = Place::new("Versioned", "version", 0, i16::MAX, 0);

const fn plain(number: i16) -> Version {
    Version { number, flexible: false }
}

/// Reads a message and the version that it says it has.
pub(crate) fn read_versioned<M: Versioned>(bytes: Bytes) -> Result<(i16, M)> {
    let mut reader = Reader::new(bytes);
    let number = i16::from_be_bytes(reader.array(&VERSION).map_err(|error| *error)?);
    if number < 0 {
        return Err(*reader.error(&VERSION, format_args!("there is no version {number}")));
    }
    let message = M::read(&mut reader, plain(number.min(M::NEWEST)))?;
    Ok((number, message))
}

/// Writes a message as `number`, at most the newest.
pub(crate) fn write_versioned<M: Versioned>(message: &M, number: i16) -> Result<Bytes> {
    let number = number.min(M::NEWEST);
    let mut writer = Writer::new();
    writer.put(&number.to_be_bytes());
    message.write(&mut writer, plain(number));
    Ok(writer.finish()?.into_content())
}
