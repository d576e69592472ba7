//! Receives requests and sends responses, as frames: four bytes of length, then so many bytes.
//!
//! Nothing is trusted about a frame. Its length is held to a limit; room for it is taken from the memory that all
//! connections share when its first bytes are there; memory grows with what arrives, not with what was announced. A sender
//! who stalls within a frame is cut off, and a reader who does not take its responses too.

use super::budget::Share;
use super::config::ServerLimits;
use super::ended::Ended;
use super::memory::{FIRST_BYTES, Memory, Room};
use crate::wire::Frame;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

/// How often it is looked whether a sender is slow, for each span in which it may not stall.
const LOOKS: u32 = 10;
/// Pieces that go out with one system call.
const PIECES_MAX: usize = 64;

/// A request as it came, with its room in the memory that all share.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) content: Bytes,
    pub(super) room: Room,
}

/// Receives the length of the next frame, of at most `max` bytes. Waits for `silence` until it begins. It may be dropped
/// before the first byte has come.
pub(super) async fn receive_length(
    reader: &mut (impl AsyncRead + Unpin),
    limits: &ServerLimits,
    max: usize,
    silence: Duration,
) -> Result<usize, Ended> {
    let mut length = [0; 4];
    match timeout(silence, reader.read(&mut length[..1])).await {
        Err(_) => return Err(Ended::Silent),
        Ok(Ok(0)) => return Err(Ended::ByPeer),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(Ended::of_read(error)),
    }
    match timeout(limits.stall, reader.read_exact(&mut length[1..])).await {
        Err(_) => return Err(Ended::Stalled),
        Ok(read) => read.map_err(Ended::of_read)?,
    };
    match usize::try_from(i32::from_be_bytes(length)) {
        Ok(bytes) if bytes <= max => Ok(bytes),
        _ => Err(Ended::FrameTooLarge { head: length, max }),
    }
}

/// Receives the frame of `length` bytes that has begun.
pub(super) async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    limits: &ServerLimits,
    memory: &Memory,
    length: usize,
) -> Result<Received, Ended> {
    let first = length.min(FIRST_BYTES);
    let mut content = BytesMut::with_capacity(first);
    receive_up_to(reader, limits, &mut content, first, |_, _| false).await?;
    let room = memory.take(length).await?;
    content.reserve((length - first).min(first));
    receive_up_to(reader, limits, &mut content, length, |since, bytes| memory.is_too_slow(since, bytes)).await?;
    Ok(Received { content: content.freeze(), room })
}

/// Receives until there are `length` bytes. `is_too_slow` is asked now and then about so many more bytes in so much time.
async fn receive_up_to(
    reader: &mut (impl AsyncRead + Unpin),
    limits: &ServerLimits,
    content: &mut BytesMut,
    length: usize,
    is_too_slow: impl Fn(Duration, usize) -> bool,
) -> Result<(), Ended> {
    let begun = (Instant::now(), content.len());
    // Since when it has not brought `stall_bytes`, and what there was then.
    let mut span = begun;
    while content.len() < length {
        let left = length - content.len();
        if content.len() == content.capacity() {
            content.reserve(left.min(content.len()));
        }
        let read = async { reader.take(left as u64).read_buf(content).await.map_err(Ended::of_read) };
        if let Ok(bytes) = timeout(limits.stall / LOOKS, read).await
            && bytes? == 0
        {
            return Err(Ended::ByPeer);
        }
        let now = Instant::now();
        if content.len() - span.1 >= limits.stall_bytes {
            span = (now, content.len());
        } else if content.len() < length
            && (now - span.0 >= limits.stall || is_too_slow(now - begun.0, content.len() - begun.1))
        {
            return Err(Ended::Stalled);
        }
    }
    Ok(())
}

/// What goes out, in pieces, with the room that it and its requests take until it is gone.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Bytes>,
    rooms: Vec<(Room, Share)>,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: Frame, room: (Room, Share)) {
        self.pieces.extend(frame.into_pieces());
        self.rooms.push(room);
    }

    /// Whether one more system call would be needed for more.
    pub(super) fn is_full(&self) -> bool {
        self.pieces.len() >= PIECES_MAX
    }

    /// Sends all of it.
    pub(super) async fn send(
        &mut self,
        writer: &mut (impl AsyncWrite + Unpin),
        limits: &ServerLimits,
    ) -> Result<(), Ended> {
        while !self.pieces.is_empty() {
            let slices: Vec<_> = self.pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            let sent = timeout(limits.write, writer.write_vectored(&slices)).await.map_err(|_| Ended::NotRead)?;
            match sent.map_err(Ended::Failed)? {
                0 => return Err(Ended::ByPeer),
                sent => self.advance(sent),
            }
        }
        // TLS may keep some of it back.
        timeout(limits.write, writer.flush()).await.map_err(|_| Ended::NotRead)?.map_err(Ended::Failed)?;
        self.rooms.clear();
        Ok(())
    }

    fn advance(&mut self, mut sent: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if sent < first.len() {
                return first.advance(sent);
            }
            sent -= first.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::server::budget::Budget;
    use crate::wire::{ApiKey, ApiVersionsRequest, Request};

    fn limits() -> ServerLimits {
        ServerLimits { stall: Duration::from_millis(20), stall_bytes: 8, ..ServerLimits::default() }
    }

    fn memory() -> Memory {
        Memory::new(1 << 30)
    }

    #[tokio::test]
    async fn a_length_is_held_to_the_limit() {
        let silence = Duration::from_secs(10);
        for (head, fits) in [(100_i32, true), (0, true), (101, false), (-1, false), (i32::MIN, false)] {
            let bytes = head.to_be_bytes();
            let received = receive_length(&mut &bytes[..], &limits(), 100, silence).await;
            assert_eq!(received.is_ok(), fits, "{head}: {received:?}");
        }
        let cut = receive_length(&mut &[0, 0][..], &limits(), 100, silence).await;
        assert!(matches!(cut, Err(Ended::ByPeer)), "{cut:?}");
        let none = receive_length(&mut &[][..], &limits(), 100, silence).await;
        assert!(matches!(none, Err(Ended::ByPeer)), "{none:?}");
        let (mut silent, _open) = tokio::io::duplex(1);
        let silent = receive_length(&mut silent, &limits(), 100, Duration::ZERO).await;
        assert!(matches!(silent, Err(Ended::Silent)), "{silent:?}");
    }

    #[tokio::test]
    async fn memory_grows_with_what_arrives() {
        let announced = 1 << 29;
        let (mut reader, mut sender) = tokio::io::duplex(1 << 20);
        sender.write_all(&vec![7; 3 * FIRST_BYTES]).await.unwrap();
        let memory = memory();
        let received = receive(&mut reader, &limits(), &memory, announced).await;
        assert!(matches!(received, Err(Ended::Stalled)), "{received:?}");
        assert_eq!(memory.left().0, 1 << 30, "its room is free again");

        let content: Vec<u8> = (0..3 * FIRST_BYTES).map(|i| i as u8).collect();
        sender.write_all(&content).await.unwrap();
        let received = receive(&mut reader, &limits(), &memory, content.len()).await.unwrap();
        assert_eq!(received.content, content);
        assert_eq!(memory.left().0, (1 << 30) - content.len());
    }

    /// Who announces much and brings little takes no room from others; who has it and is slow can lose it.
    #[tokio::test]
    async fn room_is_for_those_who_send() {
        let (limits, memory) = (limits(), Memory::new(1 << 20));
        let (mut reader, mut sender) = tokio::io::duplex(1 << 20);
        {
            let mut announced = Box::pin(receive(&mut reader, &limits, &memory, 1 << 20));
            assert!(futures::poll!(&mut announced).is_pending());
            assert_eq!(memory.left().0, 1 << 20);
            sender.write_all(&[0; FIRST_BYTES]).await.unwrap();
            assert!(futures::poll!(&mut announced).is_pending());
            assert_eq!(memory.left().0, 0, "the room is for all of it");
        }
        assert_eq!(memory.left().0, 1 << 20);
        let mut content = BytesMut::new();
        sender.write_all(&[0; 10]).await.unwrap();
        let slow = receive_up_to(&mut reader, &limits, &mut content, 20, |_, bytes| bytes < 20).await;
        assert!(matches!(slow, Err(Ended::Stalled)), "{slow:?}");
        assert_eq!(content.len(), 10);
    }

    #[tokio::test]
    async fn who_stalls_in_a_frame_is_cut_off() {
        let (mut reader, mut sender) = tokio::io::duplex(64);
        sender.write_all(&[1; 15]).await.unwrap();
        let received = receive(&mut reader, &limits(), &memory(), 16).await;
        assert!(matches!(received, Err(Ended::Stalled)), "{received:?}");
        drop(sender);
        let received = receive(&mut reader, &limits(), &memory(), 16).await;
        assert!(matches!(received, Err(Ended::ByPeer)), "{received:?}");
    }

    #[tokio::test]
    async fn a_response_goes_out_in_any_pieces() {
        let request = Request::ApiVersions(ApiVersionsRequest::default());
        let version = ApiKey::ApiVersions.version(3).unwrap();
        let (memory, budget) = (memory(), Budget::new(1 << 20));
        let (mut reader, mut writer) = tokio::io::duplex(3);
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for id in 0..PIECES_MAX as i32 {
            assert!(!outbox.is_full());
            let frame = request.to_frame(version, id, Some("me")).unwrap();
            expected.extend(frame.clone().into_pieces().concat());
            outbox.push(frame, (memory.take(1).await.unwrap(), budget.take(1)));
        }
        assert!(outbox.is_full());
        let mut sent = vec![0; expected.len()];
        let limits = limits();
        let (read, out) = tokio::join!(reader.read_exact(&mut sent), outbox.send(&mut writer, &limits));
        read.unwrap();
        out.unwrap();
        assert_eq!(sent, expected);
        assert_eq!(memory.left(), (1 << 30, 1 << 27));

        let room = (memory.take(1).await.unwrap(), budget.take(1));
        outbox.push(request.to_frame(version, 0, None).unwrap(), room);
        let out = outbox.send(&mut writer, &ServerLimits { write: Duration::from_millis(1), ..limits }).await;
        assert!(matches!(out, Err(Ended::NotRead)), "{out:?}");
    }
}
