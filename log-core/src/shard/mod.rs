//! Shards: each owns some of the partitions and is their only writer.
//!
//! ```text
//!   Append, Await, BeginSync, Synced, …        Replied, Flush, Progress, Failed
//!        │                                               ▲
//!        ▼                                               │
//!   ┌─────────┐  everything queued   ┌────────────────────────────────┐
//!   │  queue  │ ───────────────────▶ │ Shard::step                    │
//!   └─────────┘                      │   member 0: log, parked, acks  │──▶ files
//!                                    │   member 1: …                  │
//!                                    └────────────────────────────────┘
//!   driver: a thread of its own │ whoever submits, for all (flat combining) │ the simulator
//! ```
//! A step takes all commands that have gathered. Appends of one partition become one write at the end of the step, or
//! before the next command of another kind for that partition, so that each partition sees its commands in order.
//! Nothing is synced here: a partition that was written to asks for it by an effect, whoever does it comes with
//! `BeginSync`, syncs without the shard, and brings the ticket back with `Synced`.
//!
//! Invariants.
//! - Every command with a token is answered once: with its result, or with why there will be none.
//! - Appends of a partition are written in the order in which they were submitted, also when they were parked.
//! - At most [`limits::UNSYNCED_BYTES_MAX`](crate::types::limits::UNSYNCED_BYTES_MAX) of a partition are written and
//!   not synced, or one batch if that is larger; what is more waits. Not so under `flush = os`, which promises nothing.
//! - After a sync has failed nothing is appended and no sync begins, in any partition.
//!
//! `step` is synchronous and pure besides the files: the same commands give the same effects.
//!
//! What is acknowledged is said by the partition's `replica::Leader`, which is alone so far.
//!
//! Left out: followers, stealing partitions between shards.

mod driver;
mod member;
mod messages;
#[cfg(test)]
mod tests;

pub(crate) use driver::{Driver, Pending, Shards};
pub(crate) use messages::{Acks, Command, Description, Effect, Reply, Slot, Token};

use crate::types::{Error, Result, Timestamp};
use member::{Member, Scratch};

/// Some partitions, and all that is done to them.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    places: Vec<Place>,
    /// Places that are free.
    free: Vec<u32>,
    /// Members with appends of this step that are not written yet.
    touched: Vec<Slot>,
    scratch: Scratch,
    /// Why nothing is appended any more, in any partition.
    fence: Option<Error>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    member: Option<Member>,
}

impl Shard {
    /// Carries out `commands` in order, and leaves none. What is to be done outside is added to `effects`.
    pub(crate) fn step(&mut self, now: Timestamp, commands: &mut Vec<Command>, effects: &mut Vec<Effect>) {
        for command in commands.drain(..) {
            tracing::trace!(%command, "shard");
            self.apply(now, command, effects);
        }
        for slot in std::mem::take(&mut self.touched) {
            self.write(now, slot, effects);
        }
    }

    fn apply(&mut self, now: Timestamp, command: Command, effects: &mut Vec<Effect>) {
        // What comes behind an append sees it written.
        match &command {
            Command::Append { .. } | Command::Open { .. } | Command::Fence { .. } => {}
            Command::Await { slot, .. }
            | Command::BeginSync { slot, .. }
            | Command::Synced { slot, .. }
            | Command::Describe { slot, .. }
            | Command::Producers { slot, .. }
            | Command::DeleteBelow { slot, .. }
            | Command::Retain { slot, .. }
            | Command::Roll { slot, .. }
            | Command::BeginCompaction { slot, .. }
            | Command::Replace { slot, .. }
            | Command::FinishCompaction { slot, .. }
            | Command::ExpireProducers { slot, .. }
            | Command::Configure { slot, .. }
            | Command::PrepareClose { slot }
            | Command::Close { slot, .. }
            | Command::Remove { slot, .. } => self.write(now, *slot, effects),
        }
        let fence = self.fence.clone();
        let (token, result) = match command {
            Command::Open { token, log, flush } => (token, Ok(Reply::Opened(self.open(log, flush)))),
            Command::Append { slot, token, batch, acks } => {
                let refused = match (self.member(slot), fence) {
                    (Err(error), _) | (_, Some(error)) => error,
                    (Ok(member), None) => {
                        if member.push(token, batch, acks) {
                            self.touched.push(slot);
                        }
                        return;
                    }
                };
                (token, Err(refused))
            }
            Command::Await { slot, token, upto } => match self.member(slot) {
                Ok(member) => return member.wait(token, upto, effects),
                Err(error) => (token, Err(error)),
            },
            Command::BeginSync { slot, token } => {
                let ticket = self.member(slot).map(|member| match fence {
                    None => member.begin_sync().map(Box::new),
                    Some(_) => None,
                });
                (token, ticket.map(Reply::Ticket))
            }
            Command::Synced { slot, token, ticket, result } => {
                let member = self.member(slot);
                let finished = member.and_then(|member| member.finish_sync(*ticket, result, effects));
                match &finished {
                    Err(error @ Error::Fenced { .. }) => self.fence(error.clone(), effects),
                    // Now there is room for what was parked.
                    _ => self.write(now, slot, effects),
                }
                (token, finished)
            }
            Command::Describe { slot, token } => {
                (token, self.member(slot).map(|member| Reply::Described(member.describe())))
            }
            Command::Producers { slot, token } => {
                (token, self.member(slot).and_then(|member| member.producers().map(Reply::Producers)))
            }
            Command::DeleteBelow { slot, token, offset } => {
                (token, self.unfenced(slot).and_then(|member| member.delete_below(offset)).map(Reply::Deletion))
            }
            Command::Retain { slot, token, retention } => {
                (token, self.unfenced(slot).and_then(|member| member.retain(retention, now)).map(Reply::Deletion))
            }
            Command::Roll { slot, token, age } => {
                (token, self.unfenced(slot).and_then(|member| member.roll(age, now, effects)).map(|()| Reply::Done))
            }
            Command::BeginCompaction { slot, token, settings } => {
                let pass = self.unfenced(slot).and_then(|member| member.begin_compaction(settings, now));
                (token, pass.map(Reply::Compaction))
            }
            Command::Replace { slot, token, replacement } => {
                let replaced = self.unfenced(slot).map(|member| member.replace(*replacement));
                (token, replaced.map(|deletion| Reply::Deletion(Some(deletion))))
            }
            Command::FinishCompaction { slot, token, report } => {
                (token, self.member(slot).map(|member| member.finish_compaction(report)).map(|()| Reply::Done))
            }
            Command::ExpireProducers { slot, token, before } => {
                (token, self.member(slot).map(|member| member.expire_producers(before)).map(|()| Reply::Done))
            }
            Command::Configure { slot, flush, segment_bytes, segment_age } => {
                if let Ok(member) = self.member(slot) {
                    member.configure(flush, segment_bytes, segment_age);
                }
                // What was not to be synced soon may be now, and what waited for room may have it.
                return self.write(now, slot, effects);
            }
            Command::PrepareClose { slot } => {
                if let (None, Ok(member)) = (fence, self.member(slot)) {
                    member.prepare_close();
                }
                return;
            }
            Command::Close { slot, token, why } => {
                let member = self.take(slot);
                let closed = member.and_then(|member| member.close(&why, fence.is_some(), effects));
                (token, closed)
            }
            Command::Remove { slot, why } => {
                if let Ok(mut member) = self.take(slot) {
                    member.fail(&why, effects);
                }
                return;
            }
            Command::Fence { error } => return self.fence(error, effects),
        };
        effects.push(Effect::Replied { token, result });
    }

    fn open(&mut self, log: Box<crate::storage::PartitionLog>, flush: crate::types::Flush) -> Slot {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, member: None });
            self.places.len() as u32 - 1
        });
        let place = &mut self.places[index as usize];
        let slot = Slot { index, generation: place.generation };
        place.member = Some(Member::new(slot, log, flush));
        slot
    }

    /// Writes what a member has queued, if it is there.
    fn write(&mut self, now: Timestamp, slot: Slot, effects: &mut Vec<Effect>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        if let Ok(member) = self.member(slot) {
            member.write(now, &mut scratch, effects);
        }
        self.scratch = scratch;
    }

    /// Refuses appends from here on. The first reason stays.
    fn fence(&mut self, error: Error, effects: &mut Vec<Effect>) {
        if self.fence.is_none() {
            for member in self.places.iter_mut().filter_map(|place| place.member.as_mut()) {
                member.fail(&error, effects);
            }
            self.fence = Some(error);
        }
    }

    fn member(&mut self, slot: Slot) -> Result<&mut Member> {
        let place = self.places.get_mut(slot.index as usize).filter(|place| place.generation == slot.generation);
        place.and_then(|place| place.member.as_mut()).ok_or(Error::Closed)
    }

    /// A member whose files may be changed.
    fn unfenced(&mut self, slot: Slot) -> Result<&mut Member> {
        self.fence.clone().map_or(Ok(()), Err)?;
        self.member(slot)
    }

    fn take(&mut self, slot: Slot) -> Result<Member> {
        self.member(slot)?;
        let place = &mut self.places[slot.index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(slot.index);
        place.member.take().ok_or(Error::Closed)
    }
}
