//! One partition of a topic as a queue, for one group of workers: who has which record, and what became of it.
//!
//! A pure machine after KIP-932 (share groups): [`SharePartition::step`] takes the moment, one [`Input`] and a list
//! to append [`Effect`]s to. Each record below `end` is in one of these states:
//!
//! ```text
//!                    Acquire (delivery + 1)
//!       available ───────────────────────────▶ leased ──── Accept ───▶ finished
//!           ▲  ▲                                │ │ └─ Reject ──┐         ▲
//!           │  └── Release, the lease runs out ─┘ └─ …but that  │         │
//!           │      and deliveries are left          was the last▼         │
//!       after a restart                                       dying ──────┘
//!                                                   a copy is written to `<topic>.dead`
//!   offsets   finished … │start  mixed            end│ never delivered …
//! ```
//!
//! What is durable: delivery counts and what is finished, as [`Change`]s of the internal topic `__share_state`. A
//! change is stored *before* the records go out, so a record that kills its worker every time is dead-lettered in
//! the end, and before an acknowledgement returns. Leases are not durable: after a restart the records that were
//! leased are available again, with their counts.
//!
//! Changing durable state takes two steps. `Acquire`, `Acknowledge` and `DeadLettered` emit [`Effect::Persist`] and
//! remember what they propose; the broker appends it and answers `Persisted` or `NotPersisted` before any other
//! input. Only then the proposal is applied.
//!
//! Invariants: `start` only grows, and only over finished records. Delivery counts never fall. A record has at most
//! one lease. `end − start` is at most [`limits::LEASED_RECORDS_MAX`].
//!
//! A record that was delivered before, or that has only one delivery, is handed out alone: a worker that dies over
//! it must not take the deliveries of its neighbours.
//!
//! Offsets need not hold a record: compaction and retention take records away. The broker finds out when it reads what
//! it leases, and says so with `Missing`; such an offset is finished without an outcome.
//!
//! Left out: delays before redelivery, and ordering by key.

mod messages;
#[cfg(test)]
mod tests;

pub(crate) use messages::{Change, Effect, Input, RecordState, ShareRecord, StateRange};

use crate::types::{Error, Instant, Offset, OffsetRange, ShareOutcome, TopicPartition, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a record whose dead letter could not be written waits until that is tried again.
const DEAD_LETTER_RETRY: Duration = Duration::from_secs(1);

/// The queue of one group on one partition.
#[derive(Debug)]
pub(crate) struct SharePartition {
    partition: TopicPartition,
    deliveries_max: u16,
    lease: Duration,
    /// Everything below is finished.
    start: Offset,
    /// Nothing from here on was ever delivered.
    end: Offset,
    /// The state of every offset in `[start, end)`.
    records: BTreeMap<Offset, State>,
    available: BTreeSet<Offset>,
    /// When what happens by itself: leases run out, dead letters are tried again.
    deadlines: BTreeSet<(Instant, Offset)>,
    leased: u64,
    proposed: Option<Proposed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Available {
        deliveries: u16,
    },
    Leased {
        deliveries: u16,
        member: String,
        until: Instant,
    },
    /// `retry_at` is `None` while the broker writes the dead letter.
    Dying {
        deliveries: u16,
        reason: &'static str,
        retry_at: Option<Instant>,
    },
    Finished,
}

#[derive(Debug)]
enum Proposed {
    Lease { member: String, until: Instant, offsets: OffsetRange, deliveries: u16 },
    Finish { offsets: Vec<Offset> },
    Skip { start: Offset, ranges: Vec<OffsetRange> },
}

impl SharePartition {
    /// A queue that has delivered nothing and begins at `start`.
    pub(crate) fn new(partition: TopicPartition, start: Offset, deliveries_max: u16, lease: Duration) -> Self {
        Self {
            partition,
            deliveries_max: deliveries_max.max(1),
            lease,
            start,
            end: start,
            records: BTreeMap::new(),
            available: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            leased: 0,
            proposed: None,
        }
    }

    /// Everything below is finished (KIP-932's share-partition start offset).
    pub(crate) fn start_offset(&self) -> Offset {
        self.start
    }

    /// Records that are leased now.
    pub(crate) fn leased(&self) -> u64 {
        self.leased
    }

    /// Records below `high_watermark` that are not finished.
    pub(crate) fn unfinished(&self, high_watermark: Offset) -> u64 {
        let inside = self.records.values().filter(|state| **state != State::Finished).count() as u64;
        inside + OffsetRange::new(self.end, high_watermark).len()
    }

    /// When something happens by itself; step with [`Input::Tick`] then.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The durable state as one change that needs none before it.
    pub(crate) fn snapshot(&self) -> Change {
        let mut ranges: Vec<StateRange> = Vec::new();
        for (&offset, state) in &self.records {
            let state = match state {
                State::Available { deliveries }
                | State::Leased { deliveries, .. }
                | State::Dying { deliveries, .. } => RecordState::Delivered(*deliveries),
                State::Finished => RecordState::Finished,
            };
            match ranges.last_mut() {
                Some(last) if last.state == state && last.end == offset => last.end += 1,
                _ => ranges.push(StateRange { start: offset, end: offset + 1, state }),
            }
        }
        Change { start: self.start, ranges }
    }

    /// Applies a stored change, on replay. Ranges below the present start are finished already and ignored.
    pub(crate) fn replay(&mut self, change: &Change) {
        assert!(self.proposed.is_none(), "replay comes before any proposal");
        for range in &change.ranges {
            for offset in range.start.max(self.start)..range.end {
                let state = match range.state {
                    RecordState::Delivered(deliveries) => State::Available { deliveries },
                    RecordState::Finished => State::Finished,
                };
                self.set(offset, state);
            }
            self.end = self.end.max(range.end);
        }
        self.raise_start(change.start);
    }

    /// Handles one input. Leases that ran out by `now` end first, except with inputs that have no effects.
    pub(crate) fn step(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        let answer = matches!(input, Input::Persisted | Input::NotPersisted);
        assert_eq!(answer, self.proposed.is_some(), "a proposal is answered before anything else: {input}");
        if !answer && !matches!(input, Input::DeadLetterFailed { .. }) {
            self.expire(now, effects);
        }
        match input {
            Input::Tick => {}
            Input::Acquire { member, max, high_watermark } => self.acquire(now, member, max, high_watermark, effects),
            Input::Missing { ranges } => self.propose_missing(ranges, effects),
            Input::Acknowledge { member, outcomes } => self.acknowledge(now, &member, outcomes, effects),
            Input::DeadLettered { offset } => {
                if matches!(self.records.get(&offset), Some(State::Dying { .. })) {
                    self.propose_finished(vec![offset], effects);
                }
            }
            Input::DeadLetterFailed { offset } => {
                if let Some(State::Dying { deliveries, reason, retry_at: None }) = self.records.get(&offset) {
                    let retry_at = Some(now + DEAD_LETTER_RETRY);
                    self.set(offset, State::Dying { deliveries: *deliveries, reason, retry_at });
                }
            }
            Input::NotPersisted => {
                if let Some(Proposed::Finish { offsets }) = self.proposed.take() {
                    // A dead letter that was written but not noted is written again.
                    for offset in offsets {
                        if let Some(State::Dying { deliveries, reason, retry_at: None }) = self.records.get(&offset) {
                            let retry_at = Some(now + DEAD_LETTER_RETRY);
                            self.set(offset, State::Dying { deliveries: *deliveries, reason, retry_at });
                        }
                    }
                }
            }
            Input::Persisted => self.apply(effects),
        }
    }

    fn acquire(&mut self, now: Instant, member: String, max: u32, high_watermark: Offset, effects: &mut Vec<Effect>) {
        let until = now + self.lease;
        let (offsets, deliveries) = if let Some(&offset) = self.available.first() {
            let Some(State::Available { deliveries }) = self.records.get(&offset) else {
                unreachable!("what is in `available` is available")
            };
            (OffsetRange::new(offset, offset + 1), deliveries + 1)
        } else {
            let window = limits::LEASED_RECORDS_MAX as Offset - (self.end - self.start);
            let max = if self.deliveries_max == 1 { max.min(1) } else { max };
            let n = Offset::from(max).min(window).min(high_watermark - self.end).max(0);
            (OffsetRange::new(self.end, self.end + n), 1)
        };
        if offsets.is_empty() || max == 0 {
            return;
        }
        let range = StateRange { start: offsets.start, end: offsets.end, state: RecordState::Delivered(deliveries) };
        effects.push(Effect::Persist(Change { start: self.start, ranges: vec![range] }));
        self.proposed = Some(Proposed::Lease { member, until, offsets, deliveries });
    }

    fn acknowledge(
        &mut self,
        now: Instant,
        member: &str,
        outcomes: Vec<(Offset, ShareOutcome)>,
        effects: &mut Vec<Effect>,
    ) {
        let mut accepted = Vec::new();
        for (offset, outcome) in outcomes {
            let deliveries = match self.records.get(&offset) {
                Some(State::Leased { deliveries, member: holder, .. }) if holder == member => *deliveries,
                state => {
                    effects.push(Effect::Refused(self.lease_lost(offset, state)));
                    continue;
                }
            };
            match outcome {
                ShareOutcome::Accept if accepted.contains(&offset) => {}
                ShareOutcome::Accept => accepted.push(offset),
                ShareOutcome::Release => self.release(offset, deliveries, "released on its last delivery", effects),
                ShareOutcome::Reject => self.dead_letter(offset, deliveries, "rejected", effects),
                ShareOutcome::Renew => {
                    let until = now + self.lease;
                    self.set(offset, State::Leased { deliveries, member: member.to_owned(), until });
                }
            }
        }
        // An offset that was accepted and then released in one call is not accepted.
        accepted.retain(|offset| matches!(self.records.get(offset), Some(State::Leased { .. })));
        if !accepted.is_empty() {
            self.propose_finished(accepted, effects);
        }
    }

    fn propose_finished(&mut self, mut offsets: Vec<Offset>, effects: &mut Vec<Effect>) {
        offsets.sort_unstable();
        let mut ranges: Vec<StateRange> = Vec::new();
        for &offset in &offsets {
            match ranges.last_mut() {
                Some(last) if last.end == offset => last.end += 1,
                _ => ranges.push(StateRange { start: offset, end: offset + 1, state: RecordState::Finished }),
            }
        }
        effects.push(Effect::Persist(Change { start: self.start, ranges }));
        self.proposed = Some(Proposed::Finish { offsets });
    }

    /// Ranges that reach below the start raise it; others are of what was delivered.
    fn propose_missing(&mut self, mut ranges: Vec<OffsetRange>, effects: &mut Vec<Effect>) {
        let below = ranges.iter().filter(|range| range.start <= self.start).map(|range| range.end).max();
        let start = below.map_or(self.start, |end| end.max(self.start));
        ranges.retain(|range| range.start > self.start && !range.is_empty());
        assert!(ranges.iter().all(|range| range.end <= self.end), "what is missing was delivered: {ranges:?}");
        if start == self.start && ranges.is_empty() {
            return;
        }
        let finished =
            |range: &OffsetRange| StateRange { start: range.start, end: range.end, state: RecordState::Finished };
        effects.push(Effect::Persist(Change { start, ranges: ranges.iter().map(finished).collect() }));
        self.proposed = Some(Proposed::Skip { start, ranges });
    }

    /// Finishes everything below `start`.
    fn raise_start(&mut self, start: Offset) {
        while let Some((&offset, _)) = self.records.first_key_value()
            && offset < start
        {
            self.set(offset, State::Finished);
            self.records.remove(&offset);
        }
        self.start = self.start.max(start);
        self.end = self.end.max(start);
        self.advance();
    }

    fn apply(&mut self, effects: &mut Vec<Effect>) {
        match self.proposed.take().expect("`step` has checked that there is a proposal") {
            Proposed::Lease { member, until, offsets, deliveries } => {
                for offset in offsets.start..offsets.end {
                    self.set(offset, State::Leased { deliveries, member: member.clone(), until });
                }
                self.end = self.end.max(offsets.end);
                effects.push(Effect::Leased { offsets, deliveries });
            }
            Proposed::Finish { offsets } => {
                for &offset in &offsets {
                    self.set(offset, State::Finished);
                }
                self.advance();
                effects.push(Effect::Finished { offsets });
            }
            Proposed::Skip { start, ranges } => {
                for offset in ranges.iter().flat_map(|range| range.start..range.end) {
                    self.set(offset, State::Finished);
                }
                self.raise_start(start);
            }
        }
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(&(at, offset)) = self.deadlines.first() {
            if at > now {
                break;
            }
            match self.records.get(&offset) {
                Some(State::Leased { deliveries, .. }) => {
                    self.release(offset, *deliveries, "its lease ended on its last delivery", effects);
                }
                Some(State::Dying { deliveries, reason, .. }) => {
                    self.dead_letter(offset, *deliveries, reason, effects);
                }
                state => unreachable!("offset {offset} has a deadline and is {state:?}"),
            }
        }
        // After a restart a record may be available with no delivery left.
        let spent: Vec<_> =
            self.available.iter().copied().filter(|o| self.deliveries(*o) >= self.deliveries_max).collect();
        for offset in spent {
            self.dead_letter(offset, self.deliveries(offset), "its worker was lost on its last delivery", effects);
        }
    }

    fn deliveries(&self, offset: Offset) -> u16 {
        match self.records.get(&offset) {
            Some(
                State::Available { deliveries } | State::Leased { deliveries, .. } | State::Dying { deliveries, .. },
            ) => *deliveries,
            Some(State::Finished) | None => 0,
        }
    }

    /// Ends a lease without an outcome.
    fn release(&mut self, offset: Offset, deliveries: u16, reason: &'static str, effects: &mut Vec<Effect>) {
        if deliveries >= self.deliveries_max {
            self.dead_letter(offset, deliveries, reason, effects);
        } else {
            self.set(offset, State::Available { deliveries });
            effects.push(Effect::Available { offset });
        }
    }

    fn dead_letter(&mut self, offset: Offset, deliveries: u16, reason: &'static str, effects: &mut Vec<Effect>) {
        self.set(offset, State::Dying { deliveries, reason, retry_at: None });
        effects.push(Effect::DeadLetter { offset, deliveries, reason });
    }

    /// Moves the start over finished records.
    fn advance(&mut self) {
        while self.records.get(&self.start) == Some(&State::Finished) {
            self.records.remove(&self.start);
            self.start += 1;
        }
    }

    /// The one place where a record's state changes; keeps the sets beside it in step.
    fn set(&mut self, offset: Offset, state: State) {
        match self.records.get(&offset) {
            Some(State::Available { .. }) => {
                self.available.remove(&offset);
            }
            Some(State::Leased { until, .. }) => {
                self.leased -= 1;
                self.deadlines.remove(&(*until, offset));
            }
            Some(State::Dying { retry_at: Some(at), .. }) => {
                self.deadlines.remove(&(*at, offset));
            }
            Some(State::Dying { retry_at: None, .. } | State::Finished) | None => {}
        }
        match &state {
            State::Available { .. } => {
                self.available.insert(offset);
            }
            State::Leased { until, .. } => {
                self.leased += 1;
                self.deadlines.insert((*until, offset));
            }
            State::Dying { retry_at: Some(at), .. } => {
                self.deadlines.insert((*at, offset));
            }
            State::Dying { retry_at: None, .. } | State::Finished => {}
        }
        self.records.insert(offset, state);
    }

    fn lease_lost(&self, offset: Offset, state: Option<&State>) -> Error {
        let why = match state {
            Some(State::Leased { .. }) => "another worker has it",
            Some(State::Available { .. }) => "the lease has ended",
            Some(State::Dying { .. }) => "it goes to the dead-letter topic",
            Some(State::Finished) => "it is finished",
            None if offset < self.start => "it is finished",
            None => "it was never delivered",
        };
        Error::LeaseLost { partition: self.partition.clone(), offset, why: why.into() }
    }
}
