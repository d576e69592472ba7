//! Snapshots of a log's state, so that opening it does not walk every batch that it ever had.
//!
//! `<offset:020>.snap` holds the state at that offset. Big-endian:
//!
//! ```text
//!    0  magic            u32  "TWST"
//!    4  crc              u32  CRC-32C of all that follows
//!    8  version          u32  1
//!   12  length           u32  bytes of the whole file
//!   16  offset           i64  everything below it is in here
//!   24  epochs           u32 ┐
//!   28  producers        u32 │ how many of each follow, in this order
//!   32  decided          u32 │
//!   36  aborted          u32 ┘
//!   40  each leader epoch (12): epoch i32, start offset i64; both grow
//!       each producer (32 + 16 for each batch), by id:
//!          producer id i64 · epoch i16 · batches u8 · in a transaction u8 (0, 1) · coordinator epoch i32 ·
//!          last use i64 (milliseconds since 1970) · first offset of the transaction, or last offset if in none i64
//!          each batch of it, oldest first, at most 5: last offset i64 · last sequence i32 · records less one u32
//!       each transaction that has ended above the high watermark (16): first offset i64, marker's offset i64
//!       each transaction that was aborted in the segment of the last batch (32): producer id i64, first offset i64,
//!          marker's offset i64, last stable offset behind it i64
//! ```
//! A snapshot is written to `….snap.new` and renamed; it is synced with the log, for it may go missing. It is never
//! evidence against the log: one that does not decode is reported, and an older one is used or none. So one that
//! speaks of batches that the log has lost or cut must go before others take their offsets: [`remove_above`].
//!
//! Decoding takes any bytes. Counts are checked against the bytes that are there before anything is allocated, and
//! what decodes encodes to the same bytes.

use super::epochs::LeaderEpochs;
use super::producers::{BATCHES_REMEMBERED, Producer, Producers, Remembered, RememberedBatches, Standing};
use super::state::State;
use super::transactions::AbortedTransaction;
use super::write_error;
use crate::env::{Disk, File, OpenMode};
use crate::record::crc32c;
use crate::types::{Error, Offset, Result, Timestamp, limits};
use std::io::IoSlice;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: u32 = u32::from_be_bytes(*b"TWST");
const VERSION: u32 = 1;
/// What the checksum covers begins here.
pub(super) const CHECKED: usize = 8;
pub(super) const LENGTH: usize = 12;
const HEADER_BYTES: usize = 40;
const EPOCH_BYTES: usize = 12;
const PRODUCER_BYTES_MIN: usize = 32;
const DECIDED_BYTES: usize = 16;
const ABORTED_BYTES: usize = 32;

/// Writes the state as a snapshot into `dir` and returns the file, neither it nor its name synced.
/// [`Error::InvalidRequest`] if it is above [`limits::SNAPSHOT_BYTES_MAX`]; a log does well without.
pub(super) fn write(disk: &Arc<dyn Disk>, dir: &Path, state: &State) -> Result<(PathBuf, Arc<dyn File>)> {
    let (file, new, path) = write_new(disk, dir, state)?;
    disk.rename(&new, &path).map_err(|e| write_error("rename", &new, 0, e))?;
    Ok((path, file))
}

/// Writes the state into a file that is to be renamed: the file, its name and the one that it is to get.
fn write_new(disk: &Arc<dyn Disk>, dir: &Path, state: &State) -> Result<(Arc<dyn File>, PathBuf, PathBuf)> {
    let bytes = encode(state);
    let path = path_of(dir, state.next_offset);
    if bytes.len() as u64 > limits::SNAPSHOT_BYTES_MAX {
        let why = format!("{} would have {} bytes, more than is ever read back", path.display(), bytes.len());
        return Err(Error::InvalidRequest { why });
    }
    let new = path.with_extension("snap.new");
    let error = |e| write_error("write", &new, bytes.len() as u64, e);
    let file = disk.open(&new, OpenMode::ReadWrite).map_err(error)?;
    file.set_len(0).map_err(error)?;
    file.write_at(&[IoSlice::new(&bytes)], 0).map_err(error)?;
    Ok((file, new, path))
}

/// As [`write`], and durable when it returns; one of the same offset is until then.
pub(super) fn write_durably(disk: &Arc<dyn Disk>, dir: &Path, state: &State) -> Result<()> {
    let (file, new, path) = write_new(disk, dir, state)?;
    file.sync_data().map_err(|e| Error::io("sync", &new, e))?;
    disk.rename(&new, &path).map_err(|e| write_error("rename", &new, 0, e))?;
    disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}

/// The newest snapshot in `dir` at one of the offsets `at` that decodes, and why newer ones did not
/// ([`Error::Corrupt`], [`Error::Io`]).
pub(super) fn load_newest(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    at: RangeInclusive<Offset>,
) -> Result<(Option<State>, Vec<Error>)> {
    let mut bad = Vec::new();
    for offset in list(disk, dir)?.into_iter().rev().filter(|offset| at.contains(offset)) {
        match load(disk, &path_of(dir, offset), offset) {
            Ok(state) => return Ok((Some(state), bad)),
            Err(error) => bad.push(error),
        }
    }
    Ok((None, bad))
}

/// Every snapshot in `dir` with its offset, and what is wrong with it.
pub(super) fn check(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<(PathBuf, Offset, Option<Error>)>> {
    let checked = list(disk, dir)?.into_iter().map(|offset| {
        let path = path_of(dir, offset);
        let wrong = load(disk, &path, offset).err();
        (path, offset, wrong)
    });
    Ok(checked.collect())
}

/// Makes the snapshots in `dir` at or below `upto` that decode durable; their offsets, ascending.
pub(super) fn sync(disk: &Arc<dyn Disk>, dir: &Path, upto: Offset) -> Result<Vec<Offset>> {
    let mut synced = Vec::new();
    for offset in list(disk, dir)?.into_iter().filter(|offset| *offset <= upto) {
        let path = path_of(dir, offset);
        if load(disk, &path, offset).is_ok() {
            let file = disk.open(&path, OpenMode::ReadWrite).map_err(|e| Error::io("open", &path, e))?;
            file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
            synced.push(offset);
        }
    }
    if !synced.is_empty() {
        disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    }
    Ok(synced)
}

/// Makes the snapshots in `dir` durable that lie in `range` and decode. They are written again: if a sync of them has failed
/// they are in memory and nowhere else, and no other one changes that.
pub(super) fn renew(disk: &Arc<dyn Disk>, dir: &Path, range: RangeInclusive<Offset>) -> Result<()> {
    for offset in list(disk, dir)?.into_iter().filter(|offset| range.contains(offset)) {
        if let Ok(state) = load(disk, &path_of(dir, offset), offset) {
            match write_durably(disk, dir, &state) {
                // It is as it was, and will do.
                Err(error @ Error::DiskFull { .. }) => tracing::warn!(%error, "a snapshot was not written again"),
                written => written?,
            }
        }
    }
    Ok(())
}

/// Removes snapshots in `range` that are not at one of the offsets to `keep`, which ascend.
pub(super) fn remove_between(disk: &Arc<dyn Disk>, dir: &Path, range: Range<Offset>, keep: &[Offset]) -> Result<()> {
    remove(disk, dir, |offset| range.contains(&offset) && keep.binary_search(&offset).is_err()).map(drop)
}

/// Removes snapshots above `end`, where the log was cut or ends after a crash; durable when it returns.
pub(super) fn remove_above(disk: &Arc<dyn Disk>, dir: &Path, end: Offset) -> Result<()> {
    if remove(disk, dir, |offset| offset > end)? > 0 {
        disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    }
    Ok(())
}

/// How many there were.
fn remove(disk: &Arc<dyn Disk>, dir: &Path, which: impl Fn(Offset) -> bool) -> Result<usize> {
    let mut removed = 0;
    for offset in list(disk, dir)?.into_iter().filter(|offset| which(*offset)) {
        let path = path_of(dir, offset);
        disk.remove_file(&path).map_err(|e| Error::io("remove", path, e))?;
        removed += 1;
    }
    Ok(removed)
}

/// The offsets of the snapshots in `dir`, ascending; none if it does not exist.
fn list(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<Offset>> {
    if !disk.exists(dir) {
        return Ok(Vec::new());
    }
    let names = disk.list(dir).map_err(|e| Error::io("list", dir, e))?;
    let mut offsets: Vec<Offset> = names.iter().filter_map(|name| offset_of(name)).collect();
    offsets.sort_unstable();
    Ok(offsets)
}

/// Where the snapshot at an offset lies.
pub(super) fn path_of(dir: &Path, offset: Offset) -> PathBuf {
    dir.join(format!("{offset:020}.snap"))
}

fn offset_of(name: &Path) -> Option<Offset> {
    let digits = name.to_str()?.strip_suffix(".snap")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

fn load(disk: &Arc<dyn Disk>, path: &Path, offset: Offset) -> Result<State> {
    let io = |e| Error::io("read", path, e);
    let corrupt = |why: &str| {
        let why = format!("{why}; what it held is read from the log instead");
        Error::Corrupt { path: path.to_owned(), position: 0, offset, why }
    };
    let file = disk.open(path, OpenMode::Read).map_err(io)?;
    let len = file.len().map_err(io)?;
    if len > limits::SNAPSHOT_BYTES_MAX {
        return Err(corrupt("it is larger than a snapshot can be"));
    }
    let mut bytes = vec![0; usize::try_from(len).expect("it is below the limit")];
    let read = file.read_at(&mut bytes, 0).map_err(io)?;
    let state = decode(&bytes[..read]).map_err(corrupt)?;
    if state.next_offset == offset { Ok(state) } else { Err(corrupt("its name is that of another offset")) }
}

pub(super) fn encode(state: &State) -> Vec<u8> {
    let (epochs, producers, decided) =
        (state.epochs.entries(), state.producers.iter(), state.producers.unstable().decided());
    let mut out = Vec::with_capacity(
        HEADER_BYTES
            + epochs.len() * EPOCH_BYTES
            + producers.len() * size_of::<Producer>()
            + decided.len() * DECIDED_BYTES
            + state.aborted.len() * ABORTED_BYTES,
    );
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
    put(&MAGIC.to_be_bytes());
    put(&[0; CHECKED - 4]);
    put(&VERSION.to_be_bytes());
    put(&[0; 4]);
    put(&state.next_offset.to_be_bytes());
    for count in [epochs.len(), producers.len(), decided.len(), state.aborted.len()] {
        put(&(count as u32).to_be_bytes());
    }
    for (epoch, start_offset) in epochs {
        put(&epoch.to_be_bytes());
        put(&start_offset.to_be_bytes());
    }
    for (producer_id, producer) in producers {
        let batches = producer.batches.as_slice();
        let (is_in_transaction, offset) = match producer.standing {
            Standing::Idle { last } => (0, last),
            Standing::InTransaction { first } => (1, first),
        };
        put(&producer_id.to_be_bytes());
        put(&producer.epoch.to_be_bytes());
        put(&[batches.len() as u8, is_in_transaction]);
        put(&producer.coordinator_epoch.to_be_bytes());
        put(&producer.last_use.0.to_be_bytes());
        put(&offset.to_be_bytes());
        for batch in batches {
            put(&batch.last_offset.to_be_bytes());
            put(&batch.last_sequence.to_be_bytes());
            put(&batch.last_offset_delta.to_be_bytes());
        }
    }
    for (first_offset, marker_offset) in decided {
        put(&first_offset.to_be_bytes());
        put(&marker_offset.to_be_bytes());
    }
    for aborted in &state.aborted {
        let AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset } = aborted;
        for field in [producer_id, first_offset, last_offset, last_stable_offset] {
            put(&field.to_be_bytes());
        }
    }
    let length = out.len() as u32;
    out[LENGTH..LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c(&out[CHECKED..]);
    out[4..CHECKED].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Decodes a whole file; what is wrong with it if it is not one.
pub(super) fn decode(bytes: &[u8]) -> Result<State, &'static str> {
    let mut input = Input(bytes);
    if input.u32()? != MAGIC {
        return Err("it does not begin as a snapshot does");
    }
    let crc = input.u32()?;
    if crc32c(input.0) != crc {
        return Err("its checksum is wrong");
    }
    if input.u32()? != VERSION {
        return Err("it has another version");
    }
    if input.u32()? as usize != bytes.len() {
        return Err("it has another length than it says");
    }
    let next_offset = input.i64()?;
    let counts = [input.u32()?, input.u32()?, input.u32()?, input.u32()?].map(|count| count as usize);
    let sizes = [EPOCH_BYTES, PRODUCER_BYTES_MIN, DECIDED_BYTES, ABORTED_BYTES];
    let needed = counts.iter().zip(sizes).try_fold(0, |sum: usize, (count, size)| sum.checked_add(count * size));
    if next_offset < 0 || needed.is_none_or(|needed| needed > input.0.len()) {
        return Err("it counts more than it has");
    }
    let [epochs, producers, decided, aborted] = counts;
    let below = |offset: Offset| (0..next_offset).contains(&offset);

    let entries = (0..epochs).map(|_| Ok((input.i32()?, input.i64()?)));
    let entries = entries.collect::<Result<Vec<_>, &str>>()?;
    let epochs = LeaderEpochs::from_entries(entries).ok_or("its leader epochs do not grow")?;
    // An epoch without records begins at the very end.
    if epochs.entries().last().is_some_and(|&(_, start)| start > next_offset) {
        return Err("a leader epoch begins above its offset");
    }
    let mut known = Producers::default();
    for _ in 0..producers {
        let (producer_id, producer) = input.producer()?;
        let (Standing::Idle { last: offset } | Standing::InTransaction { first: offset }) = producer.standing;
        if !below(offset) || !known.restore(producer_id, producer) {
            return Err("its producers contradict each other");
        }
    }
    for _ in 0..decided {
        let (first_offset, marker_offset) = (input.i64()?, input.i64()?);
        if !below(first_offset) || !below(marker_offset) || !known.restore_decided(first_offset, marker_offset) {
            return Err("its ended transactions contradict each other");
        }
    }
    let mut transactions = Vec::with_capacity(aborted);
    let mut last_marker = -1;
    for _ in 0..aborted {
        let transaction = input.aborted()?;
        let AbortedTransaction { first_offset, last_offset, last_stable_offset, .. } = transaction;
        let is_ordered = 0 <= first_offset && first_offset < last_offset && last_marker < last_offset;
        if !is_ordered || !below(last_offset) || !(0..=last_offset + 1).contains(&last_stable_offset) {
            return Err("its aborted transactions are out of order");
        }
        last_marker = last_offset;
        transactions.push(transaction);
    }
    if !input.0.is_empty() {
        return Err("it has bytes behind its end");
    }
    Ok(State { next_offset, producers: known, epochs, aborted: transactions })
}

/// What is left to decode.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("it is too short")?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.take().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, &'static str> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Result<i64, &'static str> {
        self.take().map(i64::from_be_bytes)
    }

    fn producer(&mut self) -> Result<(i64, Producer), &'static str> {
        let producer_id = self.i64()?;
        let epoch = self.take().map(i16::from_be_bytes)?;
        let [batches, is_in_transaction] = self.take()?;
        let (coordinator_epoch, last_use, offset) = (self.i32()?, Timestamp(self.i64()?), self.i64()?);
        let standing = match is_in_transaction {
            0 => Standing::Idle { last: offset },
            1 => Standing::InTransaction { first: offset },
            _ => return Err("a producer is neither in a transaction nor in none"),
        };
        if usize::from(batches) > BATCHES_REMEMBERED {
            return Err("a producer has too many batches");
        }
        let mut remembered = RememberedBatches::default();
        for _ in 0..batches {
            let (last_offset, last_sequence, last_offset_delta) = (self.i64()?, self.i32()?, self.u32()?);
            if last_sequence < 0 || last_offset < i64::from(last_offset_delta) {
                return Err("a producer has an impossible batch");
            }
            remembered.push(Remembered { last_offset, last_sequence, last_offset_delta });
        }
        Ok((producer_id, Producer { epoch, coordinator_epoch, last_use, standing, batches: remembered }))
    }

    fn aborted(&mut self) -> Result<AbortedTransaction, &'static str> {
        let (producer_id, first_offset) = (self.i64()?, self.i64()?);
        let (last_offset, last_stable_offset) = (self.i64()?, self.i64()?);
        Ok(AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset })
    }
}
