//! One partition of a shard: its log, the appends that wait for room, and its leader, who says what is acknowledged.
//!
//! This is the one file of the layer that calls the log. Appends queue up while a step gathers them and are written
//! together at its end, as many as there is room for; the rest stays parked, in order, until a sync has made room.

use super::messages::{Acks, Description, Effect, Reply, Slot, Token};
use crate::replica::{self, Leader};
use crate::storage::{
    Appended, CompactionPass, CompactionReport, CompactionSettings, Deletion, PartitionLog, ProducerDescription,
    Replacement, Retention, SyncTicket,
};
use crate::types::{Error, Flush, Offset, Result, Timestamp, limits};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Member {
    slot: Slot,
    log: Box<PartitionLog>,
    flush: Flush,
    /// Appends that are not written yet: of this step, or parked.
    queue: VecDeque<Append>,
    /// Who waits for what, and up to where records are safe.
    leader: Leader<(Token, Reply)>,
    /// Bytes that were ever written, handed out to be synced, and synced, in this order: each at most the one before.
    written: u64,
    begun: u64,
    synced: u64,
    /// Of these, how many readers were told of.
    told: u64,
    /// Within what time a sync was asked for that has not begun.
    asked: Option<Duration>,
    /// Why nothing is appended or acknowledged any more.
    failed: Option<Error>,
}

#[derive(Debug)]
struct Append {
    token: Token,
    batch: Bytes,
    acks: Acks,
}

impl Member {
    pub(super) fn new(slot: Slot, log: Box<PartitionLog>, flush: Flush) -> Self {
        let leader = Leader::alone(log.offsets().high_watermark);
        Self {
            slot,
            log,
            flush,
            queue: VecDeque::new(),
            leader,
            written: 0,
            begun: 0,
            synced: 0,
            told: 0,
            asked: None,
            failed: None,
        }
    }

    /// Works by other settings from here on.
    pub(super) fn configure(&mut self, flush: Flush, segment_bytes: u64, segment_age: Duration) {
        self.flush = flush;
        self.log.configure(flush, segment_bytes, segment_age);
    }

    /// Queues an append; whether it is the first in the queue.
    pub(super) fn push(&mut self, token: Token, batch: Bytes, acks: Acks) -> bool {
        self.queue.push_back(Append { token, batch, acks });
        self.queue.len() == 1
    }

    /// Writes queued appends, in order, as far as there is room for bytes that are not synced.
    pub(super) fn write(&mut self, now: Timestamp, scratch: &mut Scratch, effects: &mut Vec<Effect>) {
        let mut room = self.room();
        while let Some(next) = self.queue.front()
            && next.batch.len() as u64 <= room
        {
            let append = self.queue.pop_front().expect("it was looked at");
            room -= append.batch.len() as u64;
            scratch.batches.push(append.batch);
            scratch.asked.push((append.token, append.acks));
        }
        let parked = !self.queue.is_empty();
        if !scratch.batches.is_empty() {
            scratch.results = self.log.append_all(&scratch.batches, now);
            self.answer(scratch, effects);
        }
        self.ask_for_sync(parked, effects);
    }

    /// How many bytes may be written now. A batch that is larger than the bound goes alone.
    fn room(&self) -> u64 {
        let unsynced = self.written - self.synced;
        match self.flush {
            Flush::Os => u64::MAX,
            _ if unsynced == 0 => {
                self.queue.front().map_or(0, |a| a.batch.len() as u64).max(limits::UNSYNCED_BYTES_MAX)
            }
            _ => limits::UNSYNCED_BYTES_MAX.saturating_sub(unsynced),
        }
    }

    /// Answers the appends of `scratch`, or lets them wait.
    fn answer(&mut self, scratch: &mut Scratch, effects: &mut Vec<Effect>) {
        let is_new = |appended: &Result<Appended>| appended.as_ref().is_ok_and(|appended| !appended.duplicate);
        let written = scratch.results.iter().zip(&scratch.batches).filter(|(appended, _)| is_new(appended));
        self.written += written.map(|(_, batch)| batch.len() as u64).sum::<u64>();
        if !self.flush.is_durable() {
            self.advance(self.log.offsets().high_watermark, self.written, effects);
        }
        scratch.batches.clear();
        for (result, (token, acks)) in scratch.results.drain(..).zip(scratch.asked.drain(..)) {
            let appended: Appended = match result {
                Ok(appended) => appended,
                Err(error) => {
                    effects.push(Effect::Replied { token, result: Err(error) });
                    continue;
                }
            };
            let reply = (token, Reply::Appended(appended));
            let due = match acks {
                Acks::Written => Some(reply),
                Acks::All => self.leader.wait(appended.last_offset + 1, reply),
            };
            effects.extend(due.map(|(token, reply)| Effect::Replied { token, result: Ok(reply) }));
        }
    }

    /// Tells the leader that this log counts up to `upto`, which are so many of the bytes that were ever written, and
    /// carries out what follows.
    fn advance(&mut self, upto: Offset, bytes: u64, effects: &mut Vec<Effect>) {
        let Self { slot, leader, log, told, .. } = self;
        leader.step(replica::Input::Own { upto }, |effect| {
            effects.push(match effect {
                replica::Effect::HighWatermark(_) => {
                    let more = bytes.saturating_sub(*told);
                    *told += more;
                    Effect::Progress { slot: *slot, bytes: more, offsets: log.offsets() }
                }
                replica::Effect::Acknowledge((token, reply)) => Effect::Replied { token, result: Ok(reply) },
            });
        });
    }

    /// Asks for a sync of what was written, unless one was asked for that comes soon enough.
    fn ask_for_sync(&mut self, parked: bool, effects: &mut Vec<Effect>) {
        let waiting = self.written - self.begun;
        if waiting == 0 {
            return;
        }
        let within = match self.flush {
            Flush::Durable => Duration::ZERO,
            // Early enough that appends seldom have to wait for it.
            Flush::Interval(_) if parked || waiting > limits::UNSYNCED_BYTES_MAX / 2 => Duration::ZERO,
            Flush::Interval(every) => every,
            Flush::Os if waiting > limits::OS_FLUSH_BYTES => Duration::ZERO,
            Flush::Os => limits::OS_FLUSH_INTERVAL,
        };
        if self.asked.is_none_or(|asked| within < asked) {
            self.asked = Some(within);
            effects.push(Effect::Flush { slot: self.slot, within });
        }
    }

    /// Answers `token` when everything below `upto` is acknowledged.
    pub(super) fn wait(&mut self, token: Token, upto: Offset, effects: &mut Vec<Effect>) {
        if let (true, Some(error)) = (upto > self.leader.high_watermark(), &self.failed) {
            effects.push(Effect::Replied { token, result: Err(error.clone()) });
            return;
        }
        let due = self.leader.wait(upto, (token, Reply::Acknowledged));
        effects.extend(due.map(|(token, reply)| Effect::Replied { token, result: Ok(reply) }));
    }

    pub(super) fn begin_sync(&mut self) -> Option<SyncTicket> {
        self.asked = None;
        let ticket = self.log.begin_sync()?;
        self.begun = self.written;
        Some(ticket)
    }

    /// Takes a ticket back. A sync that failed is this log's end; the caller fences all others.
    pub(super) fn finish_sync(
        &mut self,
        ticket: SyncTicket,
        result: Result<()>,
        effects: &mut Vec<Effect>,
    ) -> Result<Reply> {
        let synced = self.log.finish_sync(ticket, result).inspect_err(|error| self.fail(error, effects))?;
        let bytes = self.begun - self.synced;
        self.synced = self.begun;
        self.advance(synced.durable, self.synced, effects);
        Ok(Reply::Durable(synced, bytes))
    }

    pub(super) fn describe(&self) -> Description {
        Description {
            bytes: self.log.bytes(),
            segments: self.log.segments(),
            has_gaps: self.log.has_gaps(),
            refusal: self.log.refusal().or(self.failed.as_ref()).cloned(),
        }
    }

    pub(super) fn producers(&mut self) -> Result<Vec<ProducerDescription>> {
        self.log.describe_producers()
    }

    pub(super) fn delete_below(&mut self, offset: Offset) -> Result<Option<Box<Deletion>>> {
        Ok(self.log.delete_below(offset)?.map(Box::new))
    }

    pub(super) fn retain(&mut self, retention: Retention, now: Timestamp) -> Result<Option<Box<Deletion>>> {
        Ok(self.log.apply_retention(retention, now)?.map(Box::new))
    }

    /// Begins a new segment if the active one is so old, and asks for a sync: nobody else would.
    pub(super) fn roll(&mut self, age: Duration, now: Timestamp, effects: &mut Vec<Effect>) -> Result<()> {
        if self.log.roll_if_older(age, now)? && self.asked.is_none() {
            let within = match self.flush {
                Flush::Durable => Duration::ZERO,
                Flush::Interval(every) => every,
                Flush::Os => limits::OS_FLUSH_INTERVAL,
            };
            self.asked = Some(within);
            effects.push(Effect::Flush { slot: self.slot, within });
        }
        Ok(())
    }

    pub(super) fn begin_compaction(
        &mut self,
        settings: CompactionSettings,
        now: Timestamp,
    ) -> Result<Option<Box<CompactionPass>>> {
        Ok(self.log.begin_compaction(settings, now)?.map(Box::new))
    }

    pub(super) fn replace(&mut self, replacement: Replacement) -> Box<Deletion> {
        Box::new(self.log.replace(replacement))
    }

    pub(super) fn finish_compaction(&mut self, report: CompactionReport) {
        self.log.finish_compaction(report);
    }

    pub(super) fn expire_producers(&mut self, before: Timestamp) {
        self.log.expire_producers(before);
    }

    pub(super) fn prepare_close(&mut self) {
        self.log.prepare_close();
    }

    /// Syncs and closes the log. After a failed sync nothing is synced any more: it is left as after a crash.
    pub(super) fn close(mut self, why: &Error, fenced: bool, effects: &mut Vec<Effect>) -> Result<Reply> {
        self.fail(why, effects);
        Ok(Reply::Closed(if fenced { Vec::new() } else { self.log.close()? }))
    }

    /// Tells everyone who waits that it is in vain.
    pub(super) fn fail(&mut self, error: &Error, effects: &mut Vec<Effect>) {
        let parked = self.queue.drain(..).map(|append| append.token);
        for token in self.leader.give_up().map(|(token, _)| token).chain(parked) {
            effects.push(Effect::Replied { token, result: Err(error.clone()) });
        }
        if self.failed.is_none() {
            self.failed = Some(error.clone());
            effects.push(Effect::Failed { slot: self.slot, error: error.clone() });
        }
    }
}

/// The appends of one write; kept from step to step for its memory.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    batches: Vec<Bytes>,
    asked: Vec<(Token, Acks)>,
    results: Vec<Result<Appended>>,
}
