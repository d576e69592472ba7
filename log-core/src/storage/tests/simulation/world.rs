//! One data directory and what is done to it, as a broker does it: sync tickets run without their log, the checkpoint is
//! appended to after a round and synced now and then, and a failed sync ends all writing.

use super::history::{Send, Setup, Step};
use super::model::{Expectation, Read};
use super::{Checked, ensure};
use crate::env::sim_disk::Fault;
use crate::env::{Disk, SimDisk};
use crate::record::{BatchHeader, records};
use crate::storage::{
    Checkpoint, DataDir, Deletion, Isolation, Known, LogConfig, LogReader, OpenReport, PartitionLog, SyncTicket,
};
use crate::types::{
    Error, Flush, Offset, OffsetRange, PartitionIndex, Result, Timestamp, TopicId, TopicName, TopicPartition, limits,
};
use bytes::Bytes;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

const ROOT: &str = "/data";
/// Times that are looked up when everything is read.
const TIMES: [i64; 4] = [0, 1100, 1400, 2000];

/// A data directory, what it may hold, and the process that has it open.
pub(super) struct World {
    pub(super) disk: SimDisk,
    slots: Vec<Slot>,
    /// `None` while no process runs.
    process: Option<Process>,
    /// Whether something was made to fail since the last open.
    faulty: bool,
    /// Whether the disk has a capacity.
    full: bool,
    /// Whether parts of failed writes may come back, to be cut off again.
    has_scraps: bool,
    /// The calls of the disk after which the machine stops, and the seed of what that leaves.
    stop: Option<(u64, u64)>,
    /// Whether nothing is opened after that.
    stays_down: bool,
    next_topic: u128,
    pub(super) counts: Counts,
}

/// One partition.
#[derive(Clone)]
struct Slot {
    topic: TopicId,
    setup: Setup,
    expected: Expectation,
}

/// What is open.
struct Process {
    dir: DataDir,
    checkpoint: Checkpoint,
    logs: Vec<Open>,
    deletions: Vec<Deletion>,
    /// A sync failed: nothing is written any more.
    fenced: bool,
}

struct Open {
    log: PartitionLog,
    ticket: Option<(SyncTicket, Option<Result<()>>)>,
    /// Whether this process has said which epoch it leads.
    leads: bool,
    /// It refuses writes for a reason of its own.
    refuses: bool,
}

/// How often a run came by what it is to test.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) steps: u64,
    pub(super) batches: u64,
    pub(super) opens: u64,
    pub(super) cuts: u64,
    pub(super) torn_tails: u64,
    pub(super) truncations: u64,
    pub(super) deletions: u64,
    pub(super) clean: u64,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        let Self { steps, batches, opens, cuts, torn_tails, truncations, deletions, clean } = *other;
        self.steps += steps;
        self.batches += batches;
        self.opens += opens;
        self.cuts += cuts;
        self.torn_tails += torn_tails;
        self.truncations += truncations;
        self.deletions += deletions;
        self.clean += clean;
    }

    /// Whether there was some of everything.
    pub(super) fn covers_everything(&self) -> bool {
        let Self { steps, batches, opens, cuts, torn_tails, truncations, deletions, clean } = *self;
        [steps, batches, opens, cuts, torn_tails, truncations, deletions, clean].into_iter().all(|n| n > 10)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, batches, opens, cuts, torn_tails, truncations, deletions, clean } = self;
        write!(f, "{steps} steps, {batches} batches, {opens} opens ({clean} clean), {cuts} power cuts, ")?;
        write!(f, "{torn_tails} torn tails, {truncations} truncations, {deletions} deletions")
    }
}

impl World {
    /// An empty data directory, open.
    pub(super) fn new(setups: &[Setup]) -> Self {
        let slot = |(n, setup): (usize, &Setup)| Slot {
            // The first two partitions are of one topic.
            topic: topic_id(1 + n.saturating_sub(1) as u128),
            setup: setup.clone(),
            expected: Expectation::new(setup.flush),
        };
        Self {
            disk: SimDisk::default(),
            slots: setups.iter().enumerate().map(slot).collect(),
            process: None,
            faulty: false,
            full: false,
            has_scraps: false,
            stop: None,
            stays_down: false,
            next_topic: 100,
            counts: Counts::default(),
        }
    }

    /// The same directory on another disk, which a crash has left of this one's.
    pub(super) fn after(&self, disk: SimDisk) -> Self {
        Self {
            disk,
            slots: self.slots.clone(),
            process: None,
            faulty: false,
            full: false,
            has_scraps: false,
            stop: None,
            stays_down: false,
            next_topic: self.next_topic,
            counts: Counts::default(),
        }
    }

    /// Does one step; the machine may stop in it. What must hold holds, or the error says what does not.
    pub(super) fn step(&mut self, step: &Step) -> Checked {
        self.counts.steps += 1;
        self.act(step)?;
        if self.has_stopped() {
            let (_, seed) = self.stop.take().unwrap_or_default();
            self.lose_power(seed);
            self.up(true)?;
        }
        self.check_offsets()
    }

    /// Does a step, in which the machine may stop; then nothing runs until [`World::up`].
    pub(super) fn act(&mut self, step: &Step) -> Checked {
        match *step {
            Step::Append { slot, ref sends } => return self.append(slot, sends),
            Step::BeginEpoch { slot } => return self.begin_epoch(slot),
            Step::BeginSync { slot } => self.begin_sync(slot),
            Step::RunSync { slot } => self.run_sync(slot),
            Step::FinishSync { slot } => return self.finish_syncs(slot..slot + 1),
            Step::Round { all } => return self.round(all),
            Step::SyncCheckpoint => self.sync_checkpoint(),
            Step::Roll { slot } => return self.roll(slot),
            Step::DeleteBelow { slot, permille, removes } => return self.delete_below(slot, permille, removes),
            Step::RunDeletions => self.run_deletions(),
            Step::Truncate { slot, permille } => return self.truncate(slot, permille),
            Step::ReplaceTopic { slot } => return self.replace_topic(slot),
            Step::Read { slot, max_bytes, from_files } => return self.read(slot, max_bytes, from_files),
            Step::CloseIdleFiles => {
                let Some(process) = &self.process else { return Ok(()) };
                // The first time spares those that were used.
                (0..2).for_each(|_| process.dir.resources().close_idle_files());
            }
            Step::Fill { room } => {
                const LARGE: u64 = 1 << 40;
                self.full = true;
                self.disk.set_capacity(Some(LARGE));
                let used = LARGE - self.disk.free_bytes(Path::new("/")).unwrap_or(0);
                self.disk.set_capacity(Some(used + room));
            }
            Step::Fail { call, after } => {
                self.faulty = true;
                self.disk.inject(Fault::eio(call).after(after));
            }
            Step::Heal => self.heal(),
            Step::Close => {
                let clean = self.close()?;
                return self.up_after(false, clean);
            }
            Step::Kill => {
                self.process = None;
                return self.up(self.has_stopped());
            }
            Step::PowerCut { seed } => {
                self.lose_power(seed);
                return self.up(true);
            }
            Step::PowerOff { seed } => self.lose_power(seed),
            Step::PowerOn => return self.up(true),
            Step::PowerCutIn { calls, seed } => {
                if self.stop.is_none() {
                    let at = self.disk.ops() + calls;
                    self.disk.crash_at(at);
                    self.stop = Some((at, seed));
                }
            }
        }
        Ok(())
    }

    /// Whether the machine has stopped in a call of the disk.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop.is_some_and(|(at, _)| self.disk.ops() > at)
    }

    /// Stops the machine in call number `op`, for good.
    pub(super) fn stop_at(&mut self, op: u64) {
        self.disk.crash_at(op);
        self.stays_down = true;
        self.stop = Some((op, 0));
    }

    /// The process and all that it had not synced are gone, but for what chance keeps.
    pub(super) fn lose_power(&mut self, seed: u64) {
        self.process = None;
        self.disk = self.disk.crash(seed);
        (self.stop, self.faulty, self.full, self.has_scraps) = (None, false, false, false);
        self.counts.cuts += 1;
    }

    fn heal(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(None);
        self.full = false;
    }

    /// Opens the data directory and compares what is in it; `lost` is whether the power was off.
    pub(super) fn up(&mut self, lost: bool) -> Checked {
        self.up_after(lost, false)
    }

    fn up_after(&mut self, mut lost: bool, clean: bool) -> Checked {
        for attempt in 0..4 {
            if self.has_stopped() {
                if self.stays_down {
                    return Ok(());
                }
                let (_, seed) = self.stop.take().unwrap_or_default();
                self.lose_power(seed);
                lost = true;
            }
            match self.try_open() {
                Ok((process, reports, was_clean)) => {
                    self.counts.opens += 1;
                    self.counts.clean += u64::from(was_clean);
                    ensure!(was_clean || !clean || lost || attempt > 0, "it was closed in order, and is not clean");
                    self.disk.heal();
                    self.faulty = false;
                    self.process = Some(process);
                    return self.compare(&reports, lost);
                }
                Err(_) if self.has_stopped() => {}
                Err(error) => {
                    ensure!(attempt < 2 && (self.faulty || self.full), "it does not open: {error}");
                    self.heal();
                }
            }
        }
        Err("it was stopped again and again".into())
    }

    fn try_open(&self) -> Result<(Process, Vec<OpenReport>, bool)> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let dir = DataDir::open(disk, Path::new(ROOT))?;
        let (mut checkpoint, found) = dir.checkpoint()?;
        if let Some(damage) = found.damage {
            return Err(damage);
        }
        // Topics that were deleted, as far as the last process came.
        let is_deleted = |topic: &TopicId| self.slots.iter().all(|slot| slot.topic != *topic);
        for topic in dir.topics()?.into_iter().filter(is_deleted) {
            dir.delete_topic(topic)?;
        }
        let known: Vec<TopicId> = checkpoint.partitions().map(|(topic, ..)| topic).filter(is_deleted).collect();
        known.into_iter().try_for_each(|topic| checkpoint.forget(topic))?;
        let (mut logs, mut reports, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for (n, slot) in self.slots.iter().enumerate() {
            let known = Known::of(&checkpoint, &found, slot.topic, index(n));
            let (open, report) = slot.open(n, &dir, &known)?;
            changes.extend(report.changes.iter().map(|change| (slot.topic, index(n), change.clone())));
            logs.push(open);
            reports.push(report);
        }
        checkpoint.append(&changes)?;
        checkpoint.sync()?;
        Ok((Process { dir, checkpoint, logs, deletions: Vec::new(), fenced: false }, reports, found.clean))
    }

    fn compare(&mut self, reports: &[OpenReport], lost: bool) -> Checked {
        let Some(process) = &mut self.process else { return Ok(()) };
        for (n, (slot, open)) in self.slots.iter_mut().zip(&process.logs).enumerate() {
            let (report, offsets) = (&reports[n], open.log.offsets());
            let context = |why: String| format!("partition {n}, opened: {why}");
            if let Some(damage) = &report.damage {
                return Err(context(format!("damage where nothing was damaged: {damage}")));
            }
            if let Some(tail) = &report.torn_tail {
                self.counts.torn_tails += 1;
                ensure!(lost || tail.offset >= slot.expected.end(), "partition {n}: cut without a power cut: {tail:?}");
            }
            if !offsets.is_valid() || offsets.high_watermark != offsets.log_end_offset {
                return Err(context(format!("{offsets:?}")));
            }
            let found = match batches(&open.log.reader(), 1 << 20) {
                Ok(found) => found,
                Err(_) if self.disk.ops() > self.stop.map_or(u64::MAX, |(at, _)| at) => return Ok(()),
                Err(error) => return Err(context(error.to_string())),
            };
            let (start, end) = (offsets.log_start_offset, offsets.log_end_offset);
            slot.expected.reopened(start, end, &found, lost).map_err(context)?;
        }
        Ok(())
    }

    /// What is on the disk after another power cut opens to the same, without anything left to cut.
    pub(super) fn opens_again(&self, seed: u64) -> Checked {
        if self.has_stopped() {
            return Ok(());
        }
        let mut again = self.after(self.disk.crash(seed));
        again.up(true).map_err(|why| format!("opened again, {}: {why}", again.disk.fate()))?;
        ensure!(
            again.counts.torn_tails == 0 || self.has_scraps,
            "opened again, {}: there was a torn tail",
            again.disk.fate()
        );
        let ends = |world: &Self| -> Vec<(Offset, Offset)> {
            world.slots.iter().map(|slot| (slot.expected.start.1, slot.expected.end())).collect()
        };
        ensure!(ends(&again) == ends(self), "opened again: {:?}, not {:?}", ends(&again), ends(self));
        Ok(())
    }

    fn check_offsets(&self) -> Checked {
        let Some(process) = &self.process else { return Ok(()) };
        for (n, (slot, open)) in self.slots.iter().zip(&process.logs).enumerate() {
            let (offsets, expected) = (open.log.offsets(), &slot.expected);
            ensure!(offsets.is_valid(), "partition {n}: {offsets:?}");
            let found = (offsets.log_start_offset, offsets.high_watermark, offsets.log_end_offset);
            let wanted = (expected.start.1, expected.log.high_watermark, expected.end());
            ensure!(found == wanted, "partition {n}: {offsets:?}, not {wanted:?}");
        }
        Ok(())
    }

    /// Whether an error has a reason outside of the engine.
    fn is_trouble(&self, slot: usize, error: &Error) -> bool {
        let refuses = self.process.as_ref().is_none_or(|process| process.fenced || process.logs[slot].refuses);
        match error {
            Error::DiskFull { .. } => self.full,
            Error::InvalidRequest { .. }
            | Error::InvalidTransactionState { .. }
            | Error::StaleProducerEpoch { .. }
            | Error::OutOfOrderSequence { .. } => false,
            _ => self.faulty || refuses || self.has_stopped(),
        }
    }

    fn append(&mut self, slot: usize, sends: &[Send]) -> Checked {
        if !self.lead(slot)? {
            return Ok(());
        }
        let now = self.now();
        let Some(process) = &mut self.process else { return Ok(()) };
        let mut expected = self.slots[slot].expected.clone();
        let batches = expected.build(sends);
        self.counts.batches += batches.len() as u64;
        let answers = process.logs[slot].log.append_all(&batches, now);
        self.has_scraps |=
            answers.iter().any(|answer| answer.as_ref().is_err_and(|error| self.is_trouble(slot, error)));
        let checked = expected.appended(&batches, answers, |error| self.is_trouble(slot, error));
        self.slots[slot].expected = expected;
        checked.map_err(|why| format!("partition {slot}: {why}"))
    }

    /// Says which epoch the partition is in, as a leader does before it appends; whether the log has taken it.
    fn lead(&mut self, slot: usize) -> Checked<bool> {
        let Some(process) = &mut self.process else { return Ok(false) };
        let (open, expected) = (&mut process.logs[slot], &self.slots[slot].expected);
        if open.leads {
            return Ok(true);
        }
        match open.log.begin_epoch(expected.leader_epoch) {
            Ok(()) => open.leads = true,
            Err(error) => {
                ensure!(self.is_trouble(slot, &error), "partition {slot}: no leader: {error}");
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin_epoch(&mut self, slot: usize) -> Checked {
        let Some(process) = &mut self.process else { return Ok(()) };
        let (open, expected) = (&mut process.logs[slot], &mut self.slots[slot].expected);
        match open.log.begin_epoch(expected.leader_epoch + 1) {
            Ok(()) => {
                expected.leader_epoch += 1;
                open.leads = true;
            }
            Err(error) => ensure!(self.is_trouble(slot, &error), "partition {slot}: no leader: {error}"),
        }
        Ok(())
    }

    fn begin_sync(&mut self, slot: usize) {
        let Some(process) = self.process.as_mut().filter(|process| !process.fenced) else { return };
        let open = &mut process.logs[slot];
        if open.ticket.is_none() {
            open.ticket = open.log.begin_sync().map(|ticket| (ticket, None));
        }
    }

    fn run_sync(&mut self, slot: usize) {
        let Some(process) = &mut self.process else { return };
        if let Some((ticket, ran @ None)) = &mut process.logs[slot].ticket {
            *ran = Some(ticket.run());
        }
    }

    /// Ends what syncs are under way, and notes them in one append.
    fn finish_syncs(&mut self, slots: std::ops::Range<usize>) -> Checked {
        slots.clone().for_each(|slot| self.run_sync(slot));
        let (faulty, stopped) = (self.faulty, self.has_stopped());
        let Some(process) = &mut self.process else { return Ok(()) };
        let (mut changes, mut failed) = (Vec::new(), None);
        for slot in slots {
            let open = &mut process.logs[slot];
            let Some((ticket, Some(ran))) = open.ticket.take() else { continue };
            let upto = ticket.upto();
            match open.log.finish_sync(ticket, ran) {
                Ok(synced) => {
                    ensure!(synced.durable == upto, "partition {slot}: durable to {}, not {upto}", synced.durable);
                    self.slots[slot].expected.synced(upto);
                    let topic = self.slots[slot].topic;
                    changes.extend(synced.changes.into_iter().map(|change| (topic, index(slot), change)));
                }
                Err(error) => {
                    ensure!(faulty || stopped, "partition {slot}: a sync failed for no reason: {error}");
                    failed = Some(error);
                }
            }
        }
        // One that is behind makes the next open scan more.
        let _ = process.checkpoint.append(&changes);
        if let Some(error) = failed {
            process.fence(error);
        }
        Ok(())
    }

    fn round(&mut self, all: bool) -> Checked {
        let slots = 0..self.slots.len();
        if !all {
            slots.clone().for_each(|slot| self.begin_sync(slot));
            return self.finish_syncs(slots);
        }
        // One sync of all tells whoever asks first of an error, so it does not run beside others.
        self.finish_syncs(slots.clone())?;
        let Some(process) = self.process.as_mut().filter(|process| !process.fenced) else { return Ok(()) };
        let mut begun: Vec<_> = process.logs.iter_mut().filter(|open| open.ticket.is_none()).collect();
        for open in &mut begun {
            open.ticket = open.log.begin_sync().map(|ticket| (ticket, None));
        }
        if begun.iter().all(|open| open.ticket.is_none()) {
            return Ok(());
        }
        let synced = self.disk.sync_all(Path::new(ROOT)).map_err(|e| Error::io("sync", ROOT, e));
        for (ticket, ran) in begun.into_iter().filter_map(|open| open.ticket.as_mut()) {
            *ran = Some(synced.clone().and_then(|()| ticket.run_names()));
        }
        self.finish_syncs(slots)
    }

    fn sync_checkpoint(&mut self) {
        let Some(process) = self.process.as_mut().filter(|process| !process.fenced) else { return };
        if let Err(error) = process.checkpoint.sync() {
            process.fence(error);
        }
    }

    fn roll(&mut self, slot: usize) -> Checked {
        let now = self.now();
        let Some(process) = &mut self.process else { return Ok(()) };
        let rolled = process.logs[slot].log.roll(now);
        rolled.or_else(|error| {
            ensure!(self.is_trouble(slot, &error), "partition {slot}: no roll: {error}");
            Ok(())
        })
    }

    fn delete_below(&mut self, slot: usize, permille: u32, removes: bool) -> Checked {
        let Some(process) = self.process.as_mut().filter(|process| !process.fenced) else { return Ok(()) };
        let (open, Slot { topic, expected, .. }) = (&mut process.logs[slot], &mut self.slots[slot]);
        let (start, high_watermark) = (expected.start.1, expected.log.high_watermark);
        // What goes with an unsynced end is not promised, to whom it was visible and to whom it was not.
        let most = if expected.flush == Flush::Os { expected.durable.max(start) } else { high_watermark };
        let offset = start + (most - start) * i64::from(permille) / 1000;
        ensure!(open.log.delete_below(high_watermark + 1).is_err(), "partition {slot}: deleted what is not readable");
        let Some(deletion) = open.log.delete_below(offset).map_err(|e| e.to_string())? else {
            ensure!(offset == start, "partition {slot}: nothing was deleted below {offset}");
            return Ok(());
        };
        self.counts.deletions += 1;
        expected.start.1 = offset;
        let changes: Vec<_> = deletion.changes().iter().map(|change| (*topic, index(slot), change.clone())).collect();
        let recorded = process.checkpoint.append(&changes).and_then(|()| process.checkpoint.sync());
        match recorded {
            Ok(()) => {
                expected.start.0 = offset;
                process.deletions.push(deletion);
                if removes {
                    self.run_deletions();
                }
            }
            Err(error) => {
                ensure!(self.full || self.faulty || self.has_stopped(), "not recorded: {error}");
            }
        }
        Ok(())
    }

    fn run_deletions(&mut self) {
        let Some(process) = &mut self.process else { return };
        for deletion in process.deletions.drain(..) {
            // What stays is removed by the next open after a crash.
            let _ = deletion.run();
        }
    }

    fn truncate(&mut self, slot: usize, permille: u32) -> Checked {
        self.finish_syncs(slot..slot + 1)?;
        if !self.lead(slot)? {
            return Ok(());
        }
        let Some(process) = self.process.as_mut().filter(|process| !process.fenced) else { return Ok(()) };
        let (open, Slot { topic, expected, .. }) = (&mut process.logs[slot], &mut self.slots[slot]);
        let (start, end) = (expected.start.1, expected.end());
        let offset = end - (end - start) * i64::from(permille) / 1000;
        let truncation = match open.log.begin_truncation(offset) {
            Ok(Some(truncation)) => truncation,
            Ok(None) => {
                ensure!(offset == end, "partition {slot}: nothing was cut at {offset}");
                return Ok(());
            }
            Err(error) => {
                ensure!(self.is_trouble(slot, &error), "partition {slot}: no truncation: {error}");
                return Ok(());
            }
        };
        self.counts.truncations += 1;
        open.leads = false;
        let wanted = expected.truncate(offset);
        ensure!(truncation.end() == wanted, "partition {slot}: truncated to {}, not {wanted}", truncation.end());
        let changes: Vec<_> = truncation.changes().iter().map(|change| (*topic, index(slot), change.clone())).collect();
        let recorded = process.checkpoint.append(&changes).and_then(|()| process.checkpoint.sync());
        match open.log.finish_truncation(truncation, recorded) {
            Ok(()) => expected.truncated(),
            Err(error) => {
                open.refuses = true;
                ensure!(self.full || self.faulty || self.has_stopped(), "not truncated: {error}");
            }
        }
        Ok(())
    }

    fn replace_topic(&mut self, slot: usize) -> Checked {
        // The first two share theirs.
        if slot < 2 {
            return Ok(());
        }
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let old = self.slots[slot].topic;
        self.next_topic += 1;
        self.slots[slot].topic = topic_id(self.next_topic);
        self.slots[slot].expected = Expectation::new(self.slots[slot].setup.flush);
        process.deletions.clear();
        let opened = self.slots[slot].open(slot, &process.dir, &Known::new_partition());
        let (open, _) = opened.map_err(|e| format!("a new partition does not open: {e}"))?;
        process.logs[slot] = open;
        let _ = process.checkpoint.forget(old);
        let _ = process.dir.delete_topic(old);
        self.process = Some(process);
        Ok(())
    }

    fn read(&mut self, slot: usize, max_bytes: u32, from_files: bool) -> Checked {
        let Some(process) = &mut self.process else { return Ok(()) };
        let (open, expected) = (&mut process.logs[slot], &self.slots[slot].expected);
        if from_files {
            open.log.reader().shared.tail.clear();
        }
        let checked = compare_reads(&mut open.log, expected, max_bytes, open.refuses || self.faulty);
        match checked {
            Err(Unread::Error(error)) => {
                ensure!(self.is_trouble(slot, &error), "partition {slot}, read: {error}");
                Ok(())
            }
            Err(Unread::Wrong(why)) => Err(format!("partition {slot}, read: {why}")),
            Ok(()) => Ok(()),
        }
    }

    /// Closes everything in order; whether that went well. Otherwise it is as if the process was killed.
    pub(super) fn close(&mut self) -> Checked<bool> {
        self.finish_syncs(0..self.slots.len())?;
        let Some(mut process) = self.process.take() else { return Ok(false) };
        if process.fenced {
            return Ok(false);
        }
        let (mut changes, mut clean) = (Vec::new(), true);
        for (n, open) in process.logs.drain(..).enumerate() {
            let Slot { topic, expected, .. } = &mut self.slots[n];
            let refuses = open.log.refusal().is_some();
            match open.log.close() {
                Ok(of_log) => {
                    changes.extend(of_log.into_iter().map(|change| (*topic, index(n), change)));
                    if !refuses {
                        expected.synced(expected.end());
                    }
                }
                Err(error) => {
                    ensure!(self.faulty || self.full || self.stop.is_some(), "not closed: {error}");
                    clean = false;
                }
            }
        }
        if !clean {
            return Ok(false);
        }
        let closed = process.checkpoint.append(&changes).and_then(|()| process.checkpoint.close());
        Ok(closed.is_ok())
    }

    fn now(&self) -> Timestamp {
        Timestamp(1000 + self.counts.steps as i64)
    }
}

impl Slot {
    fn open(&self, n: usize, dir: &DataDir, known: &Known) -> Result<(Open, OpenReport)> {
        let name = TopicName::new("t").expect("it is a name");
        let config = LogConfig {
            partition: TopicPartition::new(name, index(n)),
            flush: self.setup.flush,
            segment_bytes: self.setup.segment_bytes,
            segment_age: limits::SEGMENT_AGE_DEFAULT,
        };
        let path = dir.partition_dir(self.topic, index(n));
        let (log, report) = PartitionLog::open(dir.resources(), &path, config, known)?;
        let refuses = log.refusal().is_some();
        Ok((Open { log, ticket: None, leads: false, refuses }, report))
    }
}

impl Process {
    /// Ends all writing, as a broker does after a sync has failed.
    fn fence(&mut self, error: Error) {
        self.fenced = true;
        for open in &mut self.logs {
            open.log.fence(error.clone());
        }
    }
}

enum Unread {
    /// For a reason outside of the engine, maybe.
    Error(Error),
    Wrong(String),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Reads everything that is readable in every way there is, and compares.
fn compare_reads(
    log: &mut PartitionLog,
    expected: &Expectation,
    max_bytes: u32,
    may_be_low: bool,
) -> std::result::Result<(), Unread> {
    let wrong = |why: String| Err(Unread::Wrong(why));
    let reader = log.reader();
    let offsets = reader.offsets();
    let (start, end) = (offsets.log_start_offset, offsets.high_watermark);
    let found = batches(&reader, max_bytes)?;
    let wanted: Vec<&Bytes> = expected.readable(start).map(|(_, bytes)| bytes).collect();
    if !found.iter().map(|(_, bytes)| bytes).eq(wanted.iter().copied()) {
        let bases: Vec<Offset> = found.iter().map(|(header, _)| header.base_offset).collect();
        return wrong(format!("{} batches, not {}, or other ones: {bases:?}", found.len(), wanted.len()));
    }

    let stable = offsets.last_stable_offset;
    // It stays low while the state cannot be loaded.
    if stable != expected.last_stable_offset() && !(may_be_low && stable < expected.last_stable_offset()) {
        return wrong(format!("last stable offset {stable}, not {}", expected.last_stable_offset()));
    }
    if !reader.read_isolated(stable, max_bytes, Isolation::ReadCommitted)?.is_empty() {
        return wrong(format!("committed readers see what lies at {stable}"));
    }
    if start < stable {
        let told = reader.aborted(OffsetRange::new(start, stable))?;
        let told: Vec<_> = told.iter().map(|t| (t.producer_id, t.first_offset, t.last_offset)).collect();
        let wanted = expected.aborted(start, stable);
        if told != wanted {
            return wrong(format!("aborted in [{start}, {stable}): {told:?}, not {wanted:?}"));
        }
    }

    let of_users = found.iter().filter(|(header, _)| !header.is_control);
    let records: Vec<_> = of_users.flat_map(|(_, bytes)| records(bytes.clone())).collect::<Result<_>>()?;
    for at in TIMES.map(Timestamp) {
        let readable = records.iter().filter(|record| (start..end).contains(&record.offset));
        let wanted = readable.filter(|record| record.timestamp >= at).map(|record| record.offset).next();
        let found = reader.offset_for_time(at)?;
        if found != wanted {
            return wrong(format!("the first record from {} on is {found:?}, not {wanted:?}", at.0));
        }
    }

    for (epoch, end) in expected.ends_of_epochs() {
        let found = log.end_of_epoch(epoch)?;
        if found != Some((epoch, end)) {
            return wrong(format!("epoch {epoch} ends at {found:?}, not {end}"));
        }
    }
    let described = log.producers()?;
    let described: Vec<_> = described.iter().map(|(stamp, last)| (stamp.producer_id, *last)).collect();
    let wanted = expected.producers();
    if described == wanted { Ok(()) } else { wrong(format!("producers {described:?}, not {wanted:?}")) }
}

/// All readable batches, read in steps of `max_bytes`.
fn batches(reader: &LogReader, max_bytes: u32) -> Result<Vec<Read>> {
    let offsets = reader.offsets();
    let (mut next, mut found) = (offsets.log_start_offset, Vec::new());
    while next < offsets.high_watermark {
        let mut bytes = reader.read(next, max_bytes)?;
        assert!(!bytes.is_empty(), "nothing at {next} of {offsets:?}");
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes)?.expect("batches are whole");
            next = header.next_offset();
            found.push((header, bytes.split_to(header.total_bytes())));
        }
    }
    Ok(found)
}

fn topic_id(n: u128) -> TopicId {
    TopicId(uuid::Uuid::from_u128(n))
}

fn index(slot: usize) -> PartitionIndex {
    slot as PartitionIndex
}
