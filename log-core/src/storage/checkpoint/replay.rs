//! From the bytes of a checkpoint to what it says: which frames count, what is torn, what is damaged.
//!
//! ```text
//!               largest `synced upto` of all frames
//!   ─────────────────────┼─────────────────────▶
//!    bad bytes: damage.  │  bad bytes: a torn tail.
//!    every frame that    │  it is cut with all behind
//!    is left counts      │  it; frames before it count
//! ```
//! A frame with the right checksum that makes no sense is damage wherever it is: no power cut writes one. So is a file
//! without any frame that is longer than the first frame of a new one, since that one is synced before more follows.
//!
//! A file that was cut short behind its last frame but one looks like one to which no more was written: nothing in it
//! tells, and the durable points that are lost with its end are too low then, never too high.

use super::entry::{self, Entry};
use super::frame::{self, HEADER_BYTES, Scan};
use super::state::States;
use crate::types::Error;
use std::path::Path;

/// Bytes of a frame that says "opened", the first one of a new file.
const FIRST_FRAME_BYTES: u64 = HEADER_BYTES as u64 + 1;

/// What opening a checkpoint found.
#[derive(Clone, Debug, Default)]
pub struct CheckpointReport {
    /// It was closed in order, and nothing was written since.
    pub clean: bool,
    /// There was none, or one to which nothing had been written yet. In a directory that holds records it was lost,
    /// and what is said of `damage` goes for it too.
    pub is_new: bool,
    /// Bytes of an unfinished end that was cut off. They had not been made durable.
    pub torn_tail: Option<u64>,
    /// What had been durable and is not what was written. Nothing was cut, and what is readable is still there, but
    /// anything may be older than the truth: no partition may be opened by it. See [`super::Checkpoint::reconciled`].
    pub damage: Option<Error>,
}

/// What the bytes of a checkpoint say.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) states: States,
    /// Bytes to keep: what is behind them is a torn tail.
    pub(super) keep: u64,
    /// The part of them that is known to be durable.
    pub(super) synced: u64,
    /// Where the frame begins that says "closed", if the file is clean.
    pub(super) closed_at: Option<u64>,
    pub(super) report: CheckpointReport,
}

/// Reads a whole checkpoint; `path` is for messages.
pub(super) fn replay(path: &Path, bytes: &[u8]) -> Replay {
    let scan = frame::scan(bytes);
    let len = bytes.len() as u64;
    let frames: Vec<_> = scan.frames.iter().map(|frame| (frame.position, entry::decode(frame.payload))).collect();
    let synced_upto = scan.frames.iter().map(|frame| frame.synced_upto).max().unwrap_or(0);
    let senseless = frames.iter().find(|(_, entries)| entries.is_none()).map(|(position, _)| *position);
    let mut why = damage(&scan, len, synced_upto, senseless);

    let keep = match scan.gaps.first() {
        Some(gap) if why.is_none() => gap.start,
        _ => len,
    };
    let mut states = States::default();
    let counted = frames.into_iter().filter(|(position, _)| *position < keep);
    let entries = counted.flat_map(|(at, entries)| entries.into_iter().flatten().map(move |entry| (at, entry)));
    let mut closed_at = None;
    for (at, entry) in entries {
        closed_at = (entry == Entry::Closed).then_some(at);
        match entry {
            Entry::Opened | Entry::Closed => {}
            Entry::Damaged => {
                why.get_or_insert_with(|| "damage was found before and not everything was checked since".into());
            }
            Entry::Forget(topic) => states.forget(topic),
            Entry::Change(topic, partition, change) => states.apply(topic, partition, change),
        }
    }
    let torn_tail = (keep < len).then_some(len - keep);
    let closed_at = closed_at.filter(|_| torn_tail.is_none() && why.is_none());
    let report = CheckpointReport {
        clean: closed_at.is_some(),
        is_new: scan.frames.is_empty() && why.is_none(),
        torn_tail,
        damage: why.map(|why| Error::Malformed { why: format!("the checkpoint {}: {why}", path.display()) }),
    };
    Replay { states, keep, synced: synced_upto.min(keep), closed_at, report }
}

/// What is wrong with the bytes that were durable, if anything is.
fn damage(scan: &Scan<'_>, len: u64, synced_upto: u64, senseless: Option<u64>) -> Option<String> {
    if let Some(gap) = scan.gaps.first().filter(|gap| gap.start < synced_upto) {
        return Some(format!("bytes {} to {} are not what was written", gap.start, gap.end));
    }
    if len < synced_upto {
        return Some(format!("it has {len} bytes and had {synced_upto}"));
    }
    if let Some(position) = senseless {
        return Some(format!("the frame at byte {position} has entries that this version does not know"));
    }
    let is_lost = scan.frames.is_empty() && len > FIRST_FRAME_BYTES;
    is_lost.then(|| format!("nothing is readable in its {len} bytes"))
}
