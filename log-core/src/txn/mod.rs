//! The transaction coordinator: who the producer of a transactional id is, and how its transactions end (KIP-98, 890).
//!
//! A pure machine: [`Transactions::step`] takes the moment, one [`Input`] and a list to append [`Effect`]s to. It reads
//! no clock, waits for nothing and stores nothing; the broker does, and tells it the outcome as another input.
//!
//! ```text
//!   InitProducerId ──▶ Persist(Empty) … Stored ──▶ Reply
//!   AddPartitions  ──▶ Persist(Ongoing) … Stored ──▶ Reply                  then batches are taken for them
//!   End            ──▶ Persist(PrepareCommit) … Stored ──▶ WriteMarkers     decided, whatever happens
//!                      … MarkersWritten ──▶ Persist(CompleteCommit), Reply
//! ```
//! Persist before speak: a reply says what is durable. A transaction is decided when its Prepare record is, so the answer
//! to an end need not wait for the Complete record: if that one is lost, the markers are written again, which changes
//! nothing, because no transaction of that producer can have begun without a record behind the Complete one.
//!
//! Invariants. A transactional id has at most one change that is asked for and not stored, and what comes meanwhile waits
//! for it. A partition gets markers only from a transaction that it was added to. While markers are being written nothing
//! is added and nothing starts: whoever asks is told to come back. Every transaction ends: by its producer, by the next
//! one that starts under its id, or when its timeout is over.
//!
//! Against Kafka. The answer to an end comes when the markers are written, not before, so that who has committed reads
//! what it wrote, and begins its next transaction without being told to come back. If they cannot be written now
//! (a full disk), the answer comes at the first failure: decided it is. And a fence raises the epoch by one in both
//! versions; a late end under the epoch before is known not to be a retry because `previous` does not name it.
//!
//! Left out: prepared transactions of other coordinators (KIP-939), more than one coordinator (its epoch is always 0).

mod messages;
mod producer_ids;
mod transaction;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub(crate) use messages::{Effect, Input, RequestId};
pub(crate) use transaction::Transaction;

use crate::types::{
    Error, ProducerIdentity, Result, Timestamp, TopicPartition, TransactionState as State, TransactionVersion,
    TransactionalId, limits,
};
use producer_ids::ProducerIds;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All transactional ids of a coordinator.
#[derive(Debug)]
pub(crate) struct Transactions {
    by_id: BTreeMap<TransactionalId, Entry>,
    /// When something is to be done about an id by itself: its transaction is too old, or it was not used for too long.
    deadlines: BTreeSet<(Timestamp, TransactionalId)>,
    ids: ProducerIds,
    /// Numbers what is to be stored.
    stores: u64,
    timeout_max: Duration,
}

#[derive(Debug)]
struct Entry {
    current: Transaction,
    /// What is being stored, to take its place.
    pending: Option<Pending>,
    /// Requests that wait until it is.
    parked: Vec<Input>,
    /// The end that waits for its markers.
    ending: Option<RequestId>,
    /// Markers could not be written and are to be written again then.
    retry_at: Option<Timestamp>,
    /// As in [`Transactions::deadlines`].
    deadline: Option<Timestamp>,
}

#[derive(Debug)]
struct Pending {
    number: u64,
    /// `None`: the id is forgotten.
    next: Option<Transaction>,
    request: Option<RequestId>,
}

impl Transactions {
    /// No transactional ids; a transaction may take `timeout_max`.
    pub(crate) fn new(timeout_max: Duration) -> Self {
        Self { by_id: BTreeMap::new(), deadlines: BTreeSet::new(), ids: ProducerIds::default(), stores: 0, timeout_max }
    }

    /// How many producer ids can be given out before [`Input::ProducerIds`] has to bring more. A step takes one at most,
    /// and one for each request that waited.
    pub(crate) fn producer_ids_left(&self) -> u64 {
        self.ids.left()
    }

    /// A producer id for a producer without a transactional id.
    pub(crate) fn take_producer_id(&mut self) -> Option<i64> {
        self.ids.take()
    }

    /// A transactional id as it is now.
    pub(crate) fn transaction(&self, id: &TransactionalId) -> Option<&Transaction> {
        self.by_id.get(id).map(|entry| &entry.current).filter(|current| current.producer.epoch >= 0)
    }

    /// All transactional ids in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TransactionalId, &Transaction)> {
        let known = self.by_id.iter().map(|(id, entry)| (id, &entry.current));
        known.filter(|(_, current)| current.producer.epoch >= 0)
    }

    /// The marker that a partition lacks in which this producer has a transaction open: who it is of and whether it
    /// commits. `None` if the coordinator knows that transaction and will end it.
    ///
    /// What was committed last under that producer is committed; everything else that has no end is aborted.
    pub(crate) fn lacks_marker(
        &self,
        producer: ProducerIdentity,
        partition: &TopicPartition,
    ) -> Option<(ProducerIdentity, bool)> {
        let is_of = |current: &&Transaction| {
            current.producer.id == producer.id || current.previous.is_some_and(|previous| previous.id == producer.id)
        };
        let Some((_, current)) = self.iter().find(|(_, current)| is_of(current)) else {
            return Some((producer, false));
        };
        if current.partitions.contains(partition) {
            return None;
        }
        let is_last = current.producer == producer || current.previous == Some(producer);
        let is_same_id = current.producer.id == producer.id;
        let epoch = if is_same_id { current.producer.epoch.max(producer.epoch) } else { producer.epoch };
        Some((ProducerIdentity { epoch, ..producer }, is_last && current.state == State::CompleteCommit))
    }

    /// When something happens by itself; step with [`Input::Tick`] then.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Whether a producer may write to a partition in its transaction; `false` if the partition has to be added first.
    ///
    /// [`Error::UnknownProducer`], [`Error::ProducerFenced`], or [`Error::ConcurrentTransactions`] while its last
    /// transaction is being ended.
    pub(crate) fn may_write(
        &self,
        id: &TransactionalId,
        producer: ProducerIdentity,
        partition: &TopicPartition,
    ) -> Result<bool> {
        let Some(entry) = self.by_id.get(id) else { return Err(unknown(id, producer, "the log does not know the id")) };
        if entry.is_ending() {
            return Err(busy(id, "its last transaction is being ended"));
        }
        let current = &entry.current;
        check_producer(id, producer, current)?;
        Ok(current.state == State::Ongoing && current.partitions.contains(partition))
    }

    /// Handles one input.
    pub(crate) fn step(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Tick => self.expire(now, effects),
            Input::ProducerIds(block) => self.ids.grant(block),
            Input::Stored { id, number } => self.stored(now, &id, number, effects),
            Input::NotStored { id, number, error } => self.not_stored(now, &id, number, &error, effects),
            Input::MarkersWritten { id, producer } => self.markers_written(now, &id, producer, effects),
            Input::MarkersFailed { id, producer } => self.markers_failed(now, &id, producer, effects),
            Input::Replay { id, record } => {
                match record {
                    Some(record) => drop(self.by_id.insert(id, Entry::new(record))),
                    None => drop(self.by_id.remove(&id)),
                };
            }
            Input::Replayed => {
                for (id, entry) in &self.by_id {
                    if entry.current.is_ending() {
                        effects.push(write_markers(id, &entry.current));
                    }
                }
                let ids: Vec<_> = self.by_id.keys().cloned().collect();
                ids.iter().for_each(|id| self.schedule(id));
            }
            Input::InitProducerId { .. } | Input::AddPartitions { .. } | Input::End { .. } => {
                let (id, request) = input.request().expect("these are requests");
                if let Some(entry) = self.by_id.get_mut(&id)
                    && entry.pending.is_some()
                {
                    if entry.parked.len() < limits::PARKED_REQUESTS_MAX {
                        entry.parked.push(input);
                    } else {
                        effects.push(refused(request, busy(&id, "too many of its requests wait")));
                    }
                    return;
                }
                if let Err(error) = self.request(now, input, effects) {
                    effects.push(refused(request, error));
                }
            }
        }
    }

    /// Answers a request or asks for what follows from it to be stored.
    fn request(&mut self, now: Timestamp, input: Input, effects: &mut Vec<Effect>) -> Result<()> {
        match input {
            Input::InitProducerId { request, id, timeout, expected } => {
                self.init(now, request, id, timeout, expected, effects)
            }
            Input::AddPartitions { request, id, producer, partitions } => {
                self.add(now, request, &id, producer, &partitions, effects)
            }
            Input::End { request, id, producer, commit, version } => {
                self.end(now, request, (&id, producer), commit, version, effects)
            }
            other => unreachable!("{other} is not a request"),
        }
    }

    fn init(
        &mut self,
        now: Timestamp,
        request: RequestId,
        id: TransactionalId,
        timeout: Duration,
        expected: Option<ProducerIdentity>,
        effects: &mut Vec<Effect>,
    ) -> Result<()> {
        if timeout.is_zero() || timeout > self.timeout_max {
            return Err(Error::InvalidTransactionTimeout { timeout, max: self.timeout_max });
        }
        let Some(entry) = self.by_id.get(&id) else {
            if self.by_id.len() >= limits::TRANSACTIONAL_IDS_MAX {
                let why = format!("there are {} transactional ids, which is the limit", limits::TRANSACTIONAL_IDS_MAX);
                return Err(Error::InvalidRequest { why });
            }
            let fresh = self.ids.take().ok_or_else(|| no_producer_id(&id))?;
            let first = Transaction::new(fresh, timeout, now);
            let next = first.init(timeout, false, None, now);
            self.by_id.insert(id.clone(), Entry::new(first));
            self.persist(&id, Some(next), Some(request), effects);
            return Ok(());
        };
        let current = &entry.current;
        if current.is_ending() {
            return Err(busy(&id, "its last transaction is being ended"));
        }
        let is_retry = expected.is_some() && expected == current.previous;
        if let Some(expected) = expected
            && expected != current.producer
            && !(is_retry && current.state != State::Ongoing)
        {
            return Err(fenced(&id, expected, current));
        }
        match current.state {
            State::Ongoing => {
                let next = current.fence(now);
                self.persist(&id, Some(next), None, effects);
                Err(busy(&id, "its open transaction is being aborted"))
            }
            _ if is_retry => {
                effects.push(Effect::Reply { request, result: Ok(current.producer) });
                Ok(())
            }
            _ => {
                let fresh = match current.is_exhausted() {
                    true => Some(self.ids.take().ok_or_else(|| no_producer_id(&id))?),
                    false => None,
                };
                let next = current.init(timeout, expected.is_some(), fresh, now);
                self.persist(&id, Some(next), Some(request), effects);
                Ok(())
            }
        }
    }

    fn add(
        &mut self,
        now: Timestamp,
        request: RequestId,
        id: &TransactionalId,
        producer: ProducerIdentity,
        partitions: &BTreeSet<TopicPartition>,
        effects: &mut Vec<Effect>,
    ) -> Result<()> {
        let current = self.current(id, producer)?;
        if current.is_ending() {
            return Err(busy(id, "its last transaction is being ended"));
        }
        check_producer(id, producer, current)?;
        if current.state == State::Ongoing && partitions.is_subset(&current.partitions) {
            effects.push(Effect::Reply { request, result: Ok(producer) });
            return Ok(());
        }
        let next = current.add(partitions, now);
        if next.partitions.len() > limits::TRANSACTION_PARTITIONS_MAX {
            let max = limits::TRANSACTION_PARTITIONS_MAX;
            return Err(Error::TransactionAbortable { why: format!("it has more than {max} partitions") });
        }
        self.persist(id, Some(next), Some(request), effects);
        Ok(())
    }

    fn end(
        &mut self,
        now: Timestamp,
        request: RequestId,
        (id, producer): (&TransactionalId, ProducerIdentity),
        commit: bool,
        version: TransactionVersion,
        effects: &mut Vec<Effect>,
    ) -> Result<()> {
        let current = self.current(id, producer)?;
        let is_v2 = version == TransactionVersion::V2;
        // Under version 2 an end that is asked for again has the epoch from before; the present one means the next end.
        let is_ended = current.is_ending() || matches!(current.state, State::CompleteCommit | State::CompleteAbort);
        let is_retry =
            is_ended && (if is_v2 { current.previous == Some(producer) } else { current.producer == producer });
        if !is_retry {
            check_producer(id, producer, current)?;
        }
        let invalid = || {
            let (what, state) = (if commit { "commit" } else { "abort" }, current.state);
            let why = format!("there is nothing to {what} for transactional id `{id}`: it is in state {state}");
            Err(Error::InvalidTransactionState { why })
        };
        let as_decided = match current.state {
            State::PrepareCommit | State::CompleteCommit => commit,
            State::PrepareAbort | State::CompleteAbort => !commit,
            State::Empty | State::Ongoing => false,
        };
        match current.state {
            State::Ongoing => {}
            _ if is_retry && !as_decided => return invalid(),
            State::PrepareCommit | State::PrepareAbort if !is_retry => return Err(fenced(id, producer, current)),
            State::PrepareCommit | State::PrepareAbort => return Err(busy(id, "it is being ended")),
            State::CompleteCommit | State::CompleteAbort if is_retry => {
                effects.push(Effect::Reply { request, result: Ok(current.producer) });
                return Ok(());
            }
            // An abort to which nothing was added: a client of version 2 gets its new epoch by it.
            State::Empty | State::CompleteCommit | State::CompleteAbort if is_v2 && !commit => {}
            _ => return invalid(),
        }
        let fresh = match is_v2 && current.is_exhausted() {
            true => Some(self.ids.take().ok_or_else(|| no_producer_id(id))?),
            false => None,
        };
        let next = self.current(id, producer)?.end(commit, version, fresh, now);
        self.persist(id, Some(next), Some(request), effects);
        Ok(())
    }

    /// Asks for a change to be stored.
    fn persist(
        &mut self,
        id: &TransactionalId,
        next: Option<Transaction>,
        request: Option<RequestId>,
        effects: &mut Vec<Effect>,
    ) {
        let number = self.next_store();
        let entry = self.by_id.get_mut(id).expect("a change is of an id that is there");
        assert!(entry.pending.is_none(), "one change at a time");
        effects.push(Effect::Persist { id: id.clone(), number, record: next.clone() });
        entry.pending = Some(Pending { number, next, request });
        self.schedule(id);
    }

    fn stored(&mut self, now: Timestamp, id: &TransactionalId, number: u64, effects: &mut Vec<Effect>) {
        let Some(entry) = self.by_id.get_mut(id) else { return };
        let Some(pending) = entry.pending.take_if(|pending| pending.number == number) else { return };
        let parked = std::mem::take(&mut entry.parked);
        entry.retry_at = None;
        match pending.next {
            None => drop(self.by_id.remove(id)),
            Some(next) if next.is_ending() => {
                effects.push(write_markers(id, &next));
                (entry.current, entry.ending) = (next, pending.request);
            }
            Some(next) => {
                let result = Ok(next.producer);
                entry.current = next;
                effects.extend(pending.request.map(|request| Effect::Reply { request, result }));
            }
        }
        self.schedule(id);
        parked.into_iter().for_each(|input| self.step(now, input, effects));
    }

    fn not_stored(
        &mut self,
        now: Timestamp,
        id: &TransactionalId,
        number: u64,
        error: &Error,
        effects: &mut Vec<Effect>,
    ) {
        let Some(entry) = self.by_id.get_mut(id) else { return };
        let Some(pending) = entry.pending.take_if(|pending| pending.number == number) else { return };
        let parked = std::mem::take(&mut entry.parked);
        entry.retry_at = pending.request.is_none().then_some(now + limits::MARKERS_RETRY);
        effects.extend(pending.request.map(|request| refused(request, error.clone())));
        if entry.current.producer.epoch < 0 {
            self.by_id.remove(id);
        }
        self.schedule(id);
        parked.into_iter().for_each(|input| self.step(now, input, effects));
    }

    fn markers_written(
        &mut self,
        now: Timestamp,
        id: &TransactionalId,
        producer: ProducerIdentity,
        effects: &mut Vec<Effect>,
    ) {
        let number = self.next_store();
        let Some(entry) = self.by_id.get_mut(id) else { return };
        if !entry.current.is_ending() || entry.current.producer != producer {
            return;
        }
        entry.current = entry.current.complete(now);
        entry.retry_at = None;
        effects.push(Effect::Persist { id: id.clone(), number, record: Some(entry.current.clone()) });
        let result = Ok(entry.current.producer);
        effects.extend(entry.ending.take().map(|request| Effect::Reply { request, result }));
        self.schedule(id);
    }

    fn markers_failed(
        &mut self,
        now: Timestamp,
        id: &TransactionalId,
        producer: ProducerIdentity,
        effects: &mut Vec<Effect>,
    ) {
        let Some(entry) = self.by_id.get_mut(id) else { return };
        if !entry.current.is_ending() || entry.current.producer != producer {
            return;
        }
        let result = Ok(entry.current.successor.unwrap_or(producer));
        effects.extend(entry.ending.take().map(|request| Effect::Reply { request, result }));
        entry.retry_at = Some(now + limits::MARKERS_RETRY);
        self.schedule(id);
    }

    /// Aborts what is too old, writes markers again, forgets what nobody uses.
    fn expire(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while let Some((at, id)) = self.deadlines.first().cloned()
            && at <= now
        {
            self.deadlines.pop_first();
            let entry = self.by_id.get_mut(&id).expect("a deadline is of an id that is there");
            (entry.deadline, entry.retry_at) = (None, None);
            match entry.current.state {
                State::Ongoing => {
                    let next = entry.current.fence(now);
                    self.persist(&id, Some(next), None, effects);
                }
                State::PrepareCommit | State::PrepareAbort => effects.push(write_markers(&id, &entry.current)),
                State::Empty | State::CompleteCommit | State::CompleteAbort => {
                    self.persist(&id, None, None, effects);
                }
            }
        }
    }

    /// Notes when something is to happen about an id. Nothing does by itself while a change is being stored, or markers
    /// are being written.
    fn schedule(&mut self, id: &TransactionalId) {
        let Some(entry) = self.by_id.get_mut(id) else { return };
        let current = &entry.current;
        let due = match current.state {
            _ if entry.pending.is_some() => None,
            State::Ongoing => Some(current.started + current.timeout),
            State::PrepareCommit | State::PrepareAbort => entry.retry_at,
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                Some(current.updated + limits::TRANSACTIONAL_ID_EXPIRY)
            }
        };
        // What could not be stored is not tried again at once.
        let due = due.map(|due| entry.retry_at.map_or(due, |retry_at| due.max(retry_at)));
        if let Some(before) = std::mem::replace(&mut entry.deadline, due) {
            self.deadlines.remove(&(before, id.clone()));
        }
        self.deadlines.extend(due.map(|due| (due, id.clone())));
    }

    fn current(&self, id: &TransactionalId, producer: ProducerIdentity) -> Result<&Transaction> {
        let entry = self.by_id.get(id).ok_or_else(|| unknown(id, producer, "the log does not know the id"))?;
        Ok(&entry.current)
    }

    fn next_store(&mut self) -> u64 {
        self.stores += 1;
        self.stores
    }
}

impl Entry {
    fn new(current: Transaction) -> Self {
        Self { current, pending: None, parked: Vec::new(), ending: None, retry_at: None, deadline: None }
    }

    /// Whether it is being ended, or will be when what is asked for is stored.
    fn is_ending(&self) -> bool {
        let next = self.pending.as_ref().and_then(|pending| pending.next.as_ref());
        self.current.is_ending() || next.is_some_and(Transaction::is_ending)
    }
}

impl Input {
    /// Whose request it is, and what its answer is to.
    fn request(&self) -> Option<(TransactionalId, RequestId)> {
        match self {
            Self::InitProducerId { id, request, .. }
            | Self::AddPartitions { id, request, .. }
            | Self::End { id, request, .. } => Some((id.clone(), *request)),
            _ => None,
        }
    }
}

fn write_markers(id: &TransactionalId, transaction: &Transaction) -> Effect {
    let Transaction { producer, state, ref partitions, .. } = *transaction;
    let commit = state == State::PrepareCommit;
    Effect::WriteMarkers { id: id.clone(), producer, commit, partitions: partitions.clone() }
}

const fn refused(request: RequestId, error: Error) -> Effect {
    Effect::Reply { request, result: Err(error) }
}

fn check_producer(id: &TransactionalId, producer: ProducerIdentity, current: &Transaction) -> Result<()> {
    if producer.id != current.producer.id {
        return Err(unknown(id, producer, &format!("producer id {} does", current.producer.id)));
    }
    if producer.epoch != current.producer.epoch {
        return Err(fenced(id, producer, current));
    }
    Ok(())
}

fn fenced(id: &TransactionalId, producer: ProducerIdentity, current: &Transaction) -> Error {
    let why = format!(
        "{} has taken its place; another producer was started, or the transaction took longer than {} ms",
        current.producer,
        current.timeout.as_millis()
    );
    Error::ProducerFenced { transactional_id: id.clone(), producer, why }
}

fn unknown(id: &TransactionalId, producer: ProducerIdentity, why: &str) -> Error {
    Error::UnknownProducer { transactional_id: id.clone(), producer, why: why.to_owned() }
}

fn busy(id: &TransactionalId, why: &str) -> Error {
    Error::ConcurrentTransactions { transactional_id: id.clone(), why: why.to_owned() }
}

fn no_producer_id(id: &TransactionalId) -> Error {
    busy(id, "no producer id is at hand")
}
