//! What a field of a message can be: a number, an id, text, bytes, an array, a struct, or an `Option` of what has a null.
//!
//! There are a thousand fields and a dozen kinds of them. So the code of a message is a list of calls, one a field, and
//! what there is to do is done here: reading puts a value in its place and returns one pointer, the error or nothing.

use super::reader::{Reader, Result};
use super::text::Str;
use super::version::{Place, Version};
use super::writer::Writer;
use bytes::Bytes;
use uuid::Uuid;

/// A struct that `wire!` has declared: a message or a part of one.
pub(crate) trait Message: Default + PartialEq {
    /// The least bytes that it has in a frame, in any version.
    const LEAST: usize;
    /// Reads the fields that `version` has; the others stay as they are.
    fn read_into(&mut self, reader: &mut Reader, version: Version) -> Result<()>;
    /// Writes the fields that `version` has.
    fn write(&self, writer: &mut Writer, version: Version);
    /// Hands over every error code in it, 0 too.
    fn codes(&self, note: &mut dyn FnMut(i16));
    /// Says how long the peer is kept waiting, if it has a place for it.
    fn throttle(&mut self, millis: i32);

    /// Reads a message; the fields that `version` does not have get their defaults.
    fn read(reader: &mut Reader, version: Version) -> crate::types::Result<Self> {
        let mut message = Self::default();
        message.read_into(reader, version).map_err(|error| *error)?;
        Ok(message)
    }
}

/// What stands in a field.
pub(super) trait Field: Default {
    const LEAST: usize;
    fn read_into(&mut self, reader: &mut Reader, version: Version, at: &Place) -> Result<()>;
    fn write(&self, writer: &mut Writer, version: Version, at: &Place);

    /// See [`Message::codes`]; what holds no messages has none.
    fn codes(&self, _: &mut dyn FnMut(i16)) {}
}

/// What has a null besides its values, and so can stand in an `Option`.
pub(super) trait Nullable: Field {
    fn read_or_null(reader: &mut Reader, version: Version, at: &Place) -> Result<Option<Self>>;
    fn write_or_null(this: Option<&Self>, writer: &mut Writer, version: Version, at: &Place);
}

/// Whether a tagged field has to be written.
pub(super) fn differ<T: PartialEq>(field: &T, default: &T) -> bool {
    field != default
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl Field for $number {
            const LEAST: usize = size_of::<$number>();

            fn read_into(&mut self, reader: &mut Reader, _: Version, at: &Place) -> Result<()> {
                *self = $number::from_be_bytes(reader.array(at)?);
                Ok(())
            }

            fn write(&self, writer: &mut Writer, _: Version, _: &Place) {
                writer.put(&self.to_be_bytes());
            }
        }
    )*};
}
numbers!(i8 i16 u16 i32 i64 f64);

/// As Kafka reads it: anything but zero is true.
impl Field for bool {
    const LEAST: usize = 1;

    fn read_into(&mut self, reader: &mut Reader, _: Version, at: &Place) -> Result<()> {
        *self = reader.array(at)? != [0];
        Ok(())
    }

    fn write(&self, writer: &mut Writer, _: Version, _: &Place) {
        writer.put(&[u8::from(*self)]);
    }
}

impl Field for Uuid {
    const LEAST: usize = 16;

    fn read_into(&mut self, reader: &mut Reader, _: Version, at: &Place) -> Result<()> {
        *self = Uuid::from_bytes(reader.array(at)?);
        Ok(())
    }

    fn write(&self, writer: &mut Writer, _: Version, _: &Place) {
        writer.put(self.as_bytes());
    }
}

/// The value, where null is none of them.
fn no_null<T: Nullable>(reader: &mut Reader, version: Version, at: &Place) -> Result<T> {
    match T::read_or_null(reader, version, at)? {
        Some(value) => Ok(value),
        None => Err(reader.error(at, format_args!("null, which version {} does not allow", version.number))),
    }
}

impl Field for Str {
    const LEAST: usize = 1;

    fn read_into(&mut self, reader: &mut Reader, version: Version, at: &Place) -> Result<()> {
        *self = no_null(reader, version, at)?;
        Ok(())
    }

    fn write(&self, writer: &mut Writer, version: Version, _: &Place) {
        writer.text(Some(self.as_bytes()), version);
    }
}

impl Nullable for Str {
    fn read_or_null(reader: &mut Reader, version: Version, at: &Place) -> Result<Option<Self>> {
        reader.text(version, at)
    }

    fn write_or_null(this: Option<&Self>, writer: &mut Writer, version: Version, _: &Place) {
        writer.text(this.map(Str::as_bytes), version);
    }
}

/// Bytes and records.
impl Field for Bytes {
    const LEAST: usize = 1;

    fn read_into(&mut self, reader: &mut Reader, version: Version, at: &Place) -> Result<()> {
        *self = no_null(reader, version, at)?;
        Ok(())
    }

    fn write(&self, writer: &mut Writer, version: Version, _: &Place) {
        writer.bytes(Some(self), version);
    }
}

impl Nullable for Bytes {
    fn read_or_null(reader: &mut Reader, version: Version, at: &Place) -> Result<Option<Self>> {
        reader.bytes(version, at)
    }

    fn write_or_null(this: Option<&Self>, writer: &mut Writer, version: Version, _: &Place) {
        writer.bytes(this, version);
    }
}

impl<T: Field> Field for Vec<T> {
    const LEAST: usize = 1;

    fn read_into(&mut self, reader: &mut Reader, version: Version, at: &Place) -> Result<()> {
        *self = no_null(reader, version, at)?;
        Ok(())
    }

    fn write(&self, writer: &mut Writer, version: Version, at: &Place) {
        Self::write_or_null(Some(self), writer, version, at);
    }

    fn codes(&self, note: &mut dyn FnMut(i16)) {
        self.iter().for_each(|element| element.codes(note));
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn read_or_null(reader: &mut Reader, version: Version, at: &Place) -> Result<Option<Self>> {
        let Some(count) = reader.count(version, at, T::LEAST, size_of::<T>())? else { return Ok(None) };
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            let mut element = T::default();
            element.read_into(reader, version, at)?;
            elements.push(element);
        }
        Ok(Some(elements))
    }

    fn write_or_null(this: Option<&Self>, writer: &mut Writer, version: Version, at: &Place) {
        writer.length(this.map(Vec::len), version);
        for element in this.into_iter().flatten() {
            element.write(writer, version, at);
        }
    }
}

impl<T: Message> Field for T {
    const LEAST: usize = T::LEAST;

    fn read_into(&mut self, reader: &mut Reader, version: Version, _: &Place) -> Result<()> {
        self.read_into(reader, version)
    }

    fn write(&self, writer: &mut Writer, version: Version, _: &Place) {
        self.write(writer, version);
    }

    fn codes(&self, note: &mut dyn FnMut(i16)) {
        self.codes(note);
    }
}

/// KIP-893: a byte says whether the struct follows.
impl<T: Message> Nullable for T {
    fn read_or_null(reader: &mut Reader, version: Version, at: &Place) -> Result<Option<Self>> {
        if !reader.follows(at)? {
            return Ok(None);
        }
        let mut value = T::default();
        value.read_into(reader, version)?;
        Ok(Some(value))
    }

    fn write_or_null(this: Option<&Self>, writer: &mut Writer, version: Version, _: &Place) {
        writer.put(&[if this.is_some() { 1 } else { -1_i8 as u8 }]);
        if let Some(this) = this {
            this.write(writer, version);
        }
    }
}

/// In a version without the null, `None` is written as the empty value.
impl<T: Nullable> Field for Option<T> {
    const LEAST: usize = 1;

    fn read_into(&mut self, reader: &mut Reader, version: Version, at: &Place) -> Result<()> {
        #[cfg(test)]
        if at.may_be_null(version) && reader.rolls_null() {
            *self = None;
            return Ok(());
        }
        *self = match at.may_be_null(version) {
            true => T::read_or_null(reader, version, at)?,
            false => Some(no_null(reader, version, at)?),
        };
        Ok(())
    }

    fn write(&self, writer: &mut Writer, version: Version, at: &Place) {
        match (self, at.may_be_null(version)) {
            (Some(value), false) => value.write(writer, version, at),
            (None, false) => T::default().write(writer, version, at),
            (value, true) => T::write_or_null(value.as_ref(), writer, version, at),
        }
    }

    fn codes(&self, note: &mut dyn FnMut(i16)) {
        self.iter().for_each(|value| value.codes(note));
    }
}
