//! Writes a message as a frame: a list of pieces for one vectored write.
//!
//! Small things gather in one buffer. Bytes of [`PIECE_BYTES_MIN`] or more, which are records, stay the piece of memory
//! that they are and are remembered with their place in that buffer, so they are neither copied nor walked, and the
//! frame's length is known when its last field is written.
//!
//! Writing does not fail: what a version cannot express is left out. A field that the version does not have is not
//! written, `None` where it has no null is written as empty, and a text over Kafka's limit is cut.

use super::version::Version;
use crate::types::{Error, Result};
use bytes::Bytes;

/// Smaller bytes are copied: a piece of their own costs more than that.
const PIECE_BYTES_MIN: usize = 1024;
/// The length that stands before a frame.
const LENGTH_BYTES: usize = size_of::<i32>();

/// What a message becomes; see the module.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    small: Vec<u8>,
    /// Pieces, each with the place in `small` where it belongs.
    pieces: Vec<(usize, Bytes)>,
    /// The pieces' bytes.
    large: usize,
    /// How many tagged fields are being written: their size is announced, so they hold no pieces.
    in_tags: usize,
}

/// A frame as it goes out: its length and its content, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pieces: Vec<Bytes>,
}

impl Frame {
    /// The pieces in the order in which they are sent, none of them empty.
    pub(crate) fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// A frame of bytes that are no message: a token of SASL after a handshake of version 0.
    pub(crate) fn bare(content: &[u8]) -> Self {
        // What fits a token fits a length.
        let length = (content.len() as u32).to_be_bytes();
        Self { pieces: vec![Bytes::from([&length, content].concat())] }
    }

    /// Bytes of all pieces, with the length in front.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// The frame's content in one piece, copied if it has several: as the other side receives it.
    pub(crate) fn into_content(self) -> Bytes {
        match &self.pieces[..] {
            [only] => only.slice(LENGTH_BYTES..),
            pieces => Bytes::from(pieces.concat()).slice(LENGTH_BYTES..),
        }
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { small: vec![0; LENGTH_BYTES], ..Self::default() }
    }

    /// The frame of what was written. Fails if it has more bytes than its length can say.
    pub(crate) fn finish(mut self) -> Result<Frame> {
        let content = self.small.len() - LENGTH_BYTES + self.large;
        let Ok(length) = i32::try_from(content) else {
            return Err(Error::InvalidRequest { why: format!("a message of {content} bytes fits no frame") });
        };
        self.small[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        let small = Bytes::from(self.small);
        let mut pieces = Vec::with_capacity(2 * self.pieces.len() + 1);
        let mut from = 0;
        for (place, piece) in self.pieces {
            // Two pieces may follow each other without anything between.
            if from < place {
                pieces.push(small.slice(from..place));
            }
            pieces.push(piece);
            from = place;
        }
        if from < small.len() {
            pieces.push(small.slice(from..));
        }
        Ok(Frame { pieces })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    pub(super) fn uvarint(&mut self, value: u32) {
        let (bytes, count) = uvarint(value);
        self.put(&bytes[..count]);
    }

    /// The length of bytes or of an array; `None` is null. One above `i32::MAX` is of something that fits no frame, so
    /// that [`finish`](Self::finish) refuses it.
    pub(super) fn length(&mut self, length: Option<usize>, version: Version) {
        match version.flexible {
            true => self.uvarint(length.map_or(0, |n| (n as u32).wrapping_add(1))),
            false => self.put(&length.map_or(-1, |n| n as i32).to_be_bytes()),
        }
    }

    pub(super) fn text(&mut self, text: Option<&[u8]>, version: Version) {
        match version.flexible {
            true => self.length(text.map(<[u8]>::len), version),
            false => self.put(&text.map_or(-1, |t| t.len() as i16).to_be_bytes()),
        }
        self.put(text.unwrap_or_default());
    }

    pub(super) fn bytes(&mut self, bytes: Option<&Bytes>, version: Version) {
        self.length(bytes.map(Bytes::len), version);
        match bytes {
            Some(bytes) if bytes.len() >= PIECE_BYTES_MIN && self.in_tags == 0 => {
                self.large += bytes.len();
                self.pieces.push((self.small.len(), bytes.clone()));
            }
            Some(bytes) => self.put(bytes),
            None => {}
        }
    }

    /// Begins the tagged fields of a struct: none until [`tag`](Self::tag) adds them. Returns their place.
    pub(super) fn tags(&mut self) -> usize {
        self.small.push(0);
        self.small.len() - 1
    }

    /// Adds a field to the tags at `place`, ascending.
    pub(super) fn tag(&mut self, place: usize, tag: u32, content: impl FnOnce(&mut Self)) {
        // A count below 128 is one byte; no schema has more than a handful of tags.
        self.small[place] += 1;
        self.uvarint(tag);
        let start = self.small.len();
        self.in_tags += 1;
        content(self);
        self.in_tags -= 1;
        let (size, count) = uvarint((self.small.len() - start) as u32);
        self.small.splice(start..start, size[..count].iter().copied());
    }
}

/// A variable-length number and how many of the bytes it has.
fn uvarint(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut count = 0;
    loop {
        bytes[count] = (value & 0x7f) as u8;
        value >>= 7;
        count += 1;
        if value == 0 {
            return (bytes, count);
        }
        bytes[count - 1] |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Version = Version { number: 0, flexible: false };

    #[test]
    fn records_are_pieces_of_their_own_and_the_same_memory() {
        let records = Bytes::from(vec![7; PIECE_BYTES_MIN]);
        let mut writer = Writer::new();
        writer.put(&[1]);
        writer.bytes(Some(&records), PLAIN);
        writer.bytes(Some(&records.slice(1..)), PLAIN);
        writer.bytes(Some(&records), PLAIN);
        let frame = writer.finish().unwrap();
        assert_eq!(frame.len(), 4 + 1 + 4 + 1024 + 4 + 1023 + 4 + 1024);
        let pieces = frame.clone().into_pieces();
        assert_eq!(pieces.iter().map(Bytes::len).collect::<Vec<_>>(), [4 + 1 + 4, 1024, 4 + 1023 + 4, 1024]);
        assert_eq!(pieces[1].as_ptr(), records.as_ptr());
        assert_eq!(pieces[3].as_ptr(), records.as_ptr());
        assert_eq!(pieces[0][..4], (frame.len() as u32 - 4).to_be_bytes());
        let content = frame.clone().into_content();
        assert_eq!((content.len(), content[0]), (frame.len() - 4, 1));
    }

    #[test]
    fn a_tag_announces_its_size() {
        let mut writer = Writer::new();
        let tags = writer.tags();
        writer.tag(tags, 0, |w| w.put(&[42]));
        writer.tag(tags, 300, |w| w.put(&[7; 200]));
        let content = writer.finish().unwrap().into_content();
        assert_eq!(content[..7], [2, 0, 1, 42, 0xac, 2, 0xc8]);
        assert_eq!(content.len(), 2 + 2 + 2 + 2 + 200);
    }

    #[test]
    fn bytes_in_a_tag_are_within_its_size() {
        let mut writer = Writer::new();
        let tags = writer.tags();
        writer.tag(tags, 0, |w| w.bytes(Some(&vec![7; PIECE_BYTES_MIN].into()), PLAIN));
        assert_eq!(writer.finish().unwrap().into_content()[..4], [1, 0, 0x84, 8]);
    }
}
