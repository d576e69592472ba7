//! What a shard is told and what it answers: closed enums, whose text is the log line and the golden script's.

use crate::storage::{
    Appended, Change, CompactionPass, CompactionReport, CompactionSettings, Deletion, PartitionLog,
    ProducerDescription, Replacement, Retention, SyncTicket, Synced,
};
use crate::types::{Error, Flush, LogOffsets, Offset, Result, Timestamp};
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// A partition's place in its shard. Places are used again; a generation tells the uses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What a reply is to: given with the command, unique among those that are unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u64);

/// When an append is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acks {
    /// When it is written and has its offsets.
    Written,
    /// When it is as durable as the topic's flush policy asks for.
    All,
}

/// What a shard is told. Each command that has a token gets one reply, now or later.
#[derive(Debug)]
pub(crate) enum Command {
    /// Take over a log. Answered with its slot.
    Open { token: Token, log: Box<PartitionLog>, flush: Flush },
    /// Append a batch that was validated.
    Append { slot: Slot, token: Token, batch: Bytes, acks: Acks },
    /// Answer when everything below `upto` is acknowledged.
    Await { slot: Slot, token: Token, upto: Offset },
    /// Hand out what to sync.
    BeginSync { slot: Slot, token: Token },
    /// A ticket was run.
    Synced { slot: Slot, token: Token, ticket: Box<SyncTicket>, result: Result<()> },
    /// Tell what only the writer knows.
    Describe { slot: Slot, token: Token },
    /// Tell of the idempotent producers.
    Producers { slot: Slot, token: Token },
    /// Begin the log at this offset, if that is behind where it begins.
    DeleteBelow { slot: Slot, token: Token, offset: Offset },
    /// Delete segments that are too old or too many.
    Retain { slot: Slot, token: Token, retention: Retention },
    /// Begin a new segment if the active one has records and was begun that long ago.
    Roll { slot: Slot, token: Token, age: Duration },
    /// Hand out a compaction, if one is worth it.
    BeginCompaction { slot: Slot, token: Token, settings: CompactionSettings },
    /// Take in a segment that a compaction has written.
    Replace { slot: Slot, token: Token, replacement: Box<Replacement> },
    /// A compaction is over.
    FinishCompaction { slot: Slot, token: Token, report: CompactionReport },
    /// Forget producers that wrote nothing since then.
    ExpireProducers { slot: Slot, token: Token, before: Timestamp },
    /// Work by other settings from here on.
    Configure { slot: Slot, flush: Flush, segment_bytes: u64, segment_age: Duration },
    /// Write what a close leaves beside the log, so that it can be synced together with that of others.
    PrepareClose { slot: Slot },
    /// Make everything durable, close the log and tell waiters why. No ticket may be out.
    Close { slot: Slot, token: Token, why: Error },
    /// Let go of the log of a topic that was deleted, as it is. A ticket may be out.
    Remove { slot: Slot, why: Error },
    /// Append nothing more, anywhere: a sync has failed on this disk.
    Fence { error: Error },
}

/// The answer to a command.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To `Open`.
    Opened(Slot),
    /// To `Append`.
    Appended(Appended),
    /// To `Await`.
    Acknowledged,
    /// To `BeginSync`; `None` when there is nothing to do.
    Ticket(Option<Box<SyncTicket>>),
    /// To `Synced`: how far the log is durable, and how many bytes the sync was for.
    Durable(Synced, u64),
    /// To `Close`: what the checkpoint is to know.
    Closed(Vec<Change>),
    /// To `Describe`.
    Described(Description),
    /// To `DeleteBelow`, `Retain` and `Replace`: what to record and then to remove; `None` when there is nothing to do.
    Deletion(Option<Box<Deletion>>),
    /// To `BeginCompaction`; `None` when none is worth it.
    Compaction(Option<Box<CompactionPass>>),
    /// To `Roll`, `FinishCompaction` and `ExpireProducers`.
    Done,
    /// To `Producers`.
    Producers(Vec<ProducerDescription>),
}

/// What only the writer of a log knows.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) bytes: u64,
    pub(crate) segments: u32,
    pub(crate) has_gaps: bool,
    /// Why it takes no writes.
    pub(crate) refusal: Option<Error>,
}

/// What a shard asks its driver for, in this order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A command is answered.
    Replied { token: Token, result: Result<Reply> },
    /// There are bytes to sync, within that time. Asked for again only for less time, or after the next `BeginSync`.
    Flush { slot: Slot, within: Duration },
    /// So many more bytes can be read, up to these offsets.
    Progress { slot: Slot, bytes: u64, offsets: LogOffsets },
    /// Nothing will be appended any more.
    Failed { slot: Slot, error: Error },
}

impl Command {
    /// What its answer is to, if it has one.
    pub(super) const fn token(&self) -> Option<Token> {
        match self {
            Self::Open { token, .. }
            | Self::Append { token, .. }
            | Self::Await { token, .. }
            | Self::BeginSync { token, .. }
            | Self::Synced { token, .. }
            | Self::Describe { token, .. }
            | Self::Producers { token, .. }
            | Self::DeleteBelow { token, .. }
            | Self::Retain { token, .. }
            | Self::Roll { token, .. }
            | Self::BeginCompaction { token, .. }
            | Self::Replace { token, .. }
            | Self::FinishCompaction { token, .. }
            | Self::ExpireProducers { token, .. }
            | Self::Close { token, .. } => Some(*token),
            Self::Configure { .. } | Self::PrepareClose { .. } | Self::Remove { .. } | Self::Fence { .. } => None,
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { token, log, flush } => {
                write!(f, "{token} open {} flush {flush}", log.reader().partition())
            }
            Self::Append { slot, token, batch, acks } => {
                let acks = if *acks == Acks::All { "all" } else { "written" };
                write!(f, "{token} append to {slot} {} bytes, acks {acks}", batch.len())
            }
            Self::Await { slot, token, upto } => write!(f, "{token} await {slot} up to {upto}"),
            Self::BeginSync { slot, token } => write!(f, "{token} begin to sync {slot}"),
            Self::Synced { slot, token, ticket, result: Ok(()) } => {
                write!(f, "{token} synced {slot} up to {}", ticket.upto())
            }
            Self::Synced { slot, token, result: Err(error), .. } => write!(f, "{token} not synced {slot}: {error}"),
            Self::Describe { slot, token } => write!(f, "{token} describe {slot}"),
            Self::Producers { slot, token } => write!(f, "{token} producers of {slot}"),
            Self::DeleteBelow { slot, token, offset } => write!(f, "{token} delete below {offset} of {slot}"),
            Self::Retain { slot, token, retention: Retention { time, bytes } } => {
                write!(f, "{token} retain {time:?} and {bytes:?} bytes of {slot}")
            }
            Self::Roll { slot, token, age } => write!(f, "{token} roll {slot} if it is {age:?} old"),
            Self::BeginCompaction { slot, token, .. } => write!(f, "{token} begin to compact {slot}"),
            Self::Replace { slot, token, .. } => write!(f, "{token} replace segments of {slot}"),
            Self::FinishCompaction { slot, token, .. } => write!(f, "{token} compacted {slot}"),
            Self::ExpireProducers { slot, token, before } => {
                write!(f, "{token} expire producers of {slot} before {before}")
            }
            Self::Configure { slot, flush, segment_bytes, segment_age } => {
                write!(f, "configure {slot}: flush {flush}, segments of {segment_bytes} bytes, {segment_age:?}")
            }
            Self::PrepareClose { slot } => write!(f, "prepare to close {slot}"),
            Self::Close { slot, token, why } => write!(f, "{token} close {slot}: {why}"),
            Self::Remove { slot, why } => write!(f, "remove {slot}: {why}"),
            Self::Fence { error } => write!(f, "fence: {error}"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened(slot) => write!(f, "opened as {slot}"),
            Self::Appended(Appended { base_offset, last_offset, duplicate, .. }) => {
                write!(f, "appended [{base_offset}, {})", last_offset + 1)?;
                f.write_str(if *duplicate { " before" } else { "" })
            }
            Self::Acknowledged => f.write_str("acknowledged"),
            Self::Ticket(Some(ticket)) => write!(f, "a ticket up to {}", ticket.upto()),
            Self::Ticket(None) => f.write_str("nothing to sync"),
            Self::Durable(synced, bytes) => write!(f, "durable to {} (+{bytes} bytes)", synced.durable),
            Self::Closed(changes) => match changes.last() {
                Some(Change::Durable(point)) => write!(f, "closed at {}", point.offset),
                _ => f.write_str("closed, nothing for the checkpoint"),
            },
            Self::Deletion(deletion) => {
                f.write_str(if deletion.is_some() { "a deletion" } else { "nothing to delete" })
            }
            Self::Compaction(Some(_)) => f.write_str("a compaction"),
            Self::Compaction(None) => f.write_str("nothing to compact"),
            Self::Done => f.write_str("done"),
            Self::Producers(producers) => write!(f, "{} producers", producers.len()),
            Self::Described(Description { bytes, segments, has_gaps, refusal }) => {
                let gaps = if *has_gaps { " with gaps" } else { "" };
                write!(f, "{bytes} bytes in {segments} segments{gaps}")?;
                refusal.as_ref().map_or(Ok(()), |error| write!(f, ", refuses: {error}"))
            }
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replied { token, result: Ok(reply) } => write!(f, "{token} {reply}"),
            Self::Replied { token, result: Err(error) } => write!(f, "{token} {}: {error}", error.code()),
            Self::Flush { slot, within } if within.is_zero() => write!(f, "flush {slot} now"),
            Self::Flush { slot, within } => write!(f, "flush {slot} within {} ms", within.as_millis()),
            Self::Progress { slot, bytes, offsets } => {
                write!(f, "{slot} readable to {} (+{bytes} bytes)", offsets.high_watermark)
            }
            Self::Failed { slot, error } => write!(f, "{slot} failed: {error}"),
        }
    }
}
