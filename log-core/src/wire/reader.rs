//! Reads the parts of a message from one frame, and trusts nothing in it.
//!
//! Every length is checked against the bytes that remain before it is used. An array is checked twice more before memory
//! is taken for it: against the least bytes its elements can have, and against the frame's budget for allocation. So
//! what a frame makes us allocate is at most [`BUDGET_PER_BYTE`] times its size plus [`BUDGET_BASE`], whatever it says;
//! texts and bytes are slices of the frame and cost nothing.
//!
//! The primitive forms, all numbers big-endian:
//! ```text
//!                     flexible version                  otherwise
//!   text              uvarint n+1, n bytes              i16 n, n bytes        null: 0 or -1
//!   bytes, records    uvarint n+1, n bytes              i32 n, n bytes        null: 0 or -1
//!   array             uvarint n+1, n elements           i32 n, n elements     null: 0 or -1
//!   nullable struct   i8 1, the struct; i8 -1 is null   the same
//!   tagged fields     uvarint n, n × (uvarint tag, uvarint size, size bytes), tags ascending; none otherwise
//! ```
//! A uvarint has seven bits a byte, the lowest first, and at most five bytes.

use super::text::Str;
use super::version::{Place, Version};
use crate::types::Error;
use bytes::Bytes;

/// With the frame itself and slack for the allocator: peak heap stays below 16 times the frame plus 1 MiB.
pub(super) const BUDGET_PER_BYTE: usize = 14;
/// What the arrays of a request may allocate, whatever its size: a handler visits each element, and others wait meanwhile.
/// It is enough for some hundred thousand partitions.
const REQUEST_BUDGET_MAX: usize = 16 * 1024 * 1024;
/// So that small frames are never short of it.
pub(super) const BUDGET_BASE: usize = 768 * 1024;

/// The result of reading. Boxed: a result that fits registers halves the code of every message.
pub(super) type Result<T> = std::result::Result<T, Box<Error>>;

/// A cursor over one frame.
pub(crate) struct Reader {
    frame: Bytes,
    position: usize,
    /// Where the frame ends, or the tagged field that is being read.
    end: usize,
    /// Bytes that arrays may still allocate.
    budget: usize,
    /// Where a test's random message comes from instead of a frame.
    #[cfg(test)]
    dice: Option<super::dice::Dice>,
}

/// Where a frame itself is read, outside of any message.
const FRAME: Place = Place::new("frame", "end", 0, i16::MAX, 0);

impl Reader {
    pub(crate) fn new(frame: Bytes) -> Self {
        let budget = frame.len().saturating_mul(BUDGET_PER_BYTE).saturating_add(BUDGET_BASE);
        Self {
            end: frame.len(),
            position: 0,
            frame,
            budget,
            #[cfg(test)]
            dice: None,
        }
    }

    /// One for a request, of somebody who may mean harm.
    pub(crate) fn of_request(frame: Bytes) -> Self {
        let reader = Self::new(frame);
        Self { budget: reader.budget.min(REQUEST_BUDGET_MAX), ..reader }
    }

    /// One that reads what `dice` makes up: any message in the version that it is read in.
    #[cfg(test)]
    pub(crate) fn of_dice(dice: super::dice::Dice) -> Self {
        Self { dice: Some(dice), ..Self::new(Bytes::new()) }
    }

    /// All was read: bytes that nobody has asked for mean that the two sides do not agree on the message.
    pub(crate) fn finish(self) -> crate::types::Result<()> {
        match self.remaining() {
            0 => Ok(()),
            more => Err(*self.error(&FRAME, format_args!("{more} bytes follow the message"))),
        }
    }

    pub(super) fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Bytes that arrays have made us allocate.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> usize {
        self.frame.len() * BUDGET_PER_BYTE + BUDGET_BASE - self.budget
    }

    #[cold]
    pub(super) fn error(&self, at: &Place, why: std::fmt::Arguments<'_>) -> Box<Error> {
        Box::new(Error::Malformed { why: format!("{}.{} at byte {}: {why}", at.message, at.field, self.position) })
    }

    fn take(&mut self, count: usize, at: &Place) -> Result<usize> {
        if count > self.remaining() {
            return Err(self.error(at, format_args!("{count} bytes announced, {} remain", self.remaining())));
        }
        let start = self.position;
        self.position += count;
        Ok(start)
    }

    pub(super) fn array<const N: usize>(&mut self, at: &Place) -> Result<[u8; N]> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(dice.array());
        }
        let start = self.take(N, at)?;
        Ok(self.frame[start..start + N].try_into().expect("N bytes were taken"))
    }

    pub(super) fn uvarint(&mut self, at: &Place) -> Result<u32> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array(at)?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0xf {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(at, format_args!("a variable-length number of more than 32 bits")))
    }

    /// A length or a count as flexible versions write it; `None` is null.
    fn compact_length(&mut self, at: &Place) -> Result<Option<usize>> {
        Ok(self.uvarint(at)?.checked_sub(1).map(|n| n as usize))
    }

    /// The same as `i32`: the bytes' and arrays' of other versions.
    fn plain_length(&mut self, at: &Place) -> Result<Option<usize>> {
        let length = i32::from_be_bytes(self.array(at)?);
        self.checked_length(length, at)
    }

    fn checked_length(&self, length: i32, at: &Place) -> Result<Option<usize>> {
        match length {
            -1 => Ok(None),
            _ => match usize::try_from(length) {
                Ok(length) => Ok(Some(length)),
                Err(_) => Err(self.error(at, format_args!("the length {length}"))),
            },
        }
    }

    /// The same as `i16`: the texts' of other versions.
    fn short_length(&mut self, at: &Place) -> Result<Option<usize>> {
        let length = i16::from_be_bytes(self.array(at)?);
        self.checked_length(length.into(), at)
    }

    pub(super) fn text(&mut self, version: Version, at: &Place) -> Result<Option<Str>> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(Some(dice.text()));
        }
        let length = if version.flexible { self.compact_length(at)? } else { self.short_length(at)? };
        let Some(length) = length else { return Ok(None) };
        if length > Str::BYTES_MAX {
            return Err(self.error(at, format_args!("a text of {length} bytes; at most {} are", Str::BYTES_MAX)));
        }
        let start = self.take(length, at)?;
        match Str::from_utf8(self.frame.slice(start..start + length)) {
            Some(text) => Ok(Some(text)),
            None => Err(self.error(at, format_args!("the text is not UTF-8"))),
        }
    }

    pub(super) fn bytes(&mut self, version: Version, at: &Place) -> Result<Option<Bytes>> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(Some(dice.bytes()));
        }
        let length = if version.flexible { self.compact_length(at)? } else { self.plain_length(at)? };
        let Some(length) = length else { return Ok(None) };
        let start = self.take(length, at)?;
        Ok(Some(self.frame.slice(start..start + length)))
    }

    /// The count of an array whose elements have `least` bytes or more in the frame and `size` in memory.
    pub(super) fn count(&mut self, version: Version, at: &Place, least: usize, size: usize) -> Result<Option<usize>> {
        #[cfg(test)]
        if let Some(dice) = &mut self.dice {
            return Ok(Some(dice.count()));
        }
        let count = if version.flexible { self.compact_length(at)? } else { self.plain_length(at)? };
        let Some(count) = count else { return Ok(None) };
        if count > self.remaining() / least.max(1) {
            let remain = self.remaining();
            let why = format_args!("{count} elements of at least {least} bytes announced, {remain} bytes remain");
            return Err(self.error(at, why));
        }
        match count.checked_mul(size).and_then(|bytes| self.budget.checked_sub(bytes)) {
            Some(rest) => self.budget = rest,
            None => return Err(self.error(at, format_args!("{count} elements take more memory than the frame may"))),
        }
        Ok(Some(count))
    }

    /// Whether a struct follows (KIP-893), or null.
    pub(super) fn follows(&mut self, at: &Place) -> Result<bool> {
        #[cfg(test)]
        if self.dice.is_some() {
            return Ok(true);
        }
        match i8::from_be_bytes(self.array(at)?) {
            -1 => Ok(false),
            1 => Ok(true),
            mark => Err(self.error(at, format_args!("{mark} is neither a struct nor null"))),
        }
    }

    /// Whether a test's random message has null where it may.
    #[cfg(test)]
    pub(super) fn rolls_null(&mut self) -> bool {
        self.dice.as_mut().is_some_and(|dice| dice.below(4) == 0)
    }

    /// The tagged fields at the end of a struct. `known` reads the one with the number it is told, or says that it has
    /// none such; then it is skipped.
    pub(super) fn tags(
        &mut self,
        message: &'static str,
        known: &mut dyn FnMut(&mut Self, u32) -> Result<bool>,
    ) -> Result<()> {
        #[cfg(test)]
        if self.dice.is_some() {
            return (0..4).try_for_each(|tag| known(self, tag).map(drop));
        }
        let at = &Place::new(message, "tagged fields", 0, i16::MAX, 0);
        let mut lowest = 0;
        for _ in 0..self.uvarint(at)? {
            let tag = self.uvarint(at)?;
            if tag < lowest {
                return Err(self.error(at, format_args!("tag {tag} comes twice or out of order")));
            }
            lowest = tag.saturating_add(1);
            let size = self.uvarint(at)? as usize;
            let start = self.take(size, at)?;
            let after = std::mem::replace(&mut self.end, self.position);
            self.position = start;
            if known(self, tag)? && self.position != self.end {
                return Err(self.error(at, format_args!("tag {tag} is longer than its content")));
            }
            self.position = self.end;
            self.end = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place::new("Message", "field", 0, 9, 0);
    const FLEXIBLE: Version = Version { number: 1, flexible: true };
    const PLAIN: Version = Version { number: 0, flexible: false };

    fn reader(bytes: &[u8]) -> Reader {
        Reader::new(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn variable_length_numbers_have_at_most_32_bits() {
        for (bytes, value) in [(&[0][..], 0), (&[0x7f], 127), (&[0x80, 1], 128), (&[255, 255, 255, 255, 15], u32::MAX)]
        {
            assert_eq!(reader(bytes).uvarint(&AT).unwrap(), value);
        }
        for bytes in [&[][..], &[0x80], &[255, 255, 255, 255, 16], &[128, 128, 128, 128, 128, 0]] {
            assert!(reader(bytes).uvarint(&AT).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        for bytes in [&[0xff, 0xfe][..], &[0x7f, 0xff, b'a'], &[0, 2, b'a']] {
            assert!(reader(bytes).text(PLAIN, &AT).is_err(), "{bytes:?}");
        }
        assert!(reader(&[0xff, 0xff, 0xff, 0xfe]).bytes(PLAIN, &AT).is_err());
        assert_eq!(reader(&[0xff, 0xff]).text(PLAIN, &AT).unwrap(), None);
        assert_eq!(reader(&[0, 0, 0, 1, 7]).bytes(PLAIN, &AT).unwrap().unwrap(), Bytes::from_static(&[7]));
        let mut long = vec![0x81, 0x80, 0x02];
        long.resize(40_000, b'a');
        let why = reader(&long).text(FLEXIBLE, &AT).unwrap_err().to_string();
        assert!(why.contains("Message.field at byte 3: a text of 32768 bytes"), "{why}");
    }

    #[test]
    fn an_array_takes_no_more_memory_than_the_frame_may() {
        // 2^31 - 1 elements in five bytes.
        let why = reader(&[0x7f, 0xff, 0xff, 0xff, 0]).count(PLAIN, &AT, 4, 100).unwrap_err().to_string();
        assert!(why.contains("2147483647 elements of at least 4 bytes announced, 1 bytes remain"), "{why}");
        let bytes = [&[0, 0, 0, 100][..], &[0; 100]].concat();
        let mut within = reader(&bytes);
        assert_eq!(within.count(PLAIN, &AT, 1, 100).unwrap(), Some(100));
        assert_eq!(within.allocated(), 100 * 100);
        let why = reader(&bytes).count(PLAIN, &AT, 1, 10_000).unwrap_err().to_string();
        assert!(why.contains("100 elements take more memory"), "{why}");
    }

    #[test]
    fn a_request_has_no_more_elements_than_can_be_handled() {
        let count = 1_000_000_u32;
        let bytes = Bytes::from([&count.to_be_bytes()[..], &vec![0; 4_000_000]].concat());
        assert_eq!(Reader::new(bytes.clone()).count(PLAIN, &AT, 4, 40).unwrap(), Some(1_000_000));
        let why = Reader::of_request(bytes).count(PLAIN, &AT, 4, 40).unwrap_err().to_string();
        assert!(why.contains("1000000 elements take more memory"), "{why}");
    }

    #[test]
    fn tags_ascend_and_hold_what_they_announce() {
        let mut seen = Vec::new();
        let mut read = |bytes: &[u8]| {
            let mut reader = reader(bytes);
            let read = reader.tags("Message", &mut |r, tag| {
                seen.push(tag);
                Ok(tag == 1 && r.array::<1>(&AT).map(|_| true)?)
            });
            read.map_err(|e| *e).and_then(|()| reader.finish()).map_err(|e| e.to_string())
        };
        assert_eq!(read(&[0]), Ok(()));
        assert_eq!(read(&[2, 1, 1, 42, 9, 3, 1, 2, 3]), Ok(()));
        let refused = [
            (&[2, 1, 1, 42, 1, 1, 42][..], "comes twice"),
            (&[2, 2, 0, 1, 1, 42], "out of order"),
            (&[1, 1, 2, 42, 42], "longer than its content"),
            (&[2, 1, 0, 9, 0], "1 bytes announced, 0 remain"),
            (&[1, 9, 5, 0], "5 bytes announced, 1 remain"),
            (&[0, 0], "1 bytes follow"),
        ];
        for (bytes, why) in refused {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(why), "{bytes:?}: {error}");
        }
        assert_eq!(seen, [1, 9, 1, 2, 1, 1]);
    }
}
