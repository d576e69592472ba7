//! What one step works with: the moment, the settings, where member ids come from, and what is being stored.

use super::messages::{Effect, Reply, RequestId};
use super::records::Record;
use crate::types::{Error, GroupId, GroupRefusal, Instant, PartitionIndex, Result, Timestamp, TopicId, TopicName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// What groups are told by the broker's settings.
#[derive(Clone, Debug)]
pub(crate) struct GroupSettings {
    /// How long an empty group waits for more members (`group.initial.rebalance.delay.ms`).
    pub(crate) initial_delay: Duration,
    /// The shortest session of a member (`group.min.session.timeout.ms`).
    pub(crate) session_min: Duration,
    /// The longest (`group.max.session.timeout.ms`).
    pub(crate) session_max: Duration,
    /// Members of one group (`group.max.size`).
    pub(crate) members_max: usize,
    /// How long the positions of a group without members are kept; `None` for ever (`offsets.retention.minutes`).
    pub(crate) retention: Option<Duration>,
}

/// The topics there are.
#[derive(Debug, Default)]
pub(super) struct Topics {
    pub(super) by_name: BTreeMap<TopicName, (TopicId, PartitionIndex)>,
    /// Grows with every change.
    pub(super) version: u64,
}

/// Makes member ids.
#[derive(Debug, Default)]
pub(super) struct MemberIds {
    /// Sets the members of one run of the broker apart from those of another.
    pub(super) run: u64,
    pub(super) last: u64,
}

impl MemberIds {
    /// An id that no member has or had.
    pub(super) fn next(&mut self, prefix: &str) -> String {
        self.last += 1;
        format!("{prefix}-{:x}-{}", self.run, self.last)
    }
}

/// What is being stored.
#[derive(Debug, Default)]
pub(super) struct Stores {
    pub(super) last: u64,
    pub(super) waiting: BTreeMap<u64, Store>,
}

/// Records, and what is to be done when they are durable.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) group: GroupId,
    pub(super) records: Vec<Record>,
    pub(super) then: Then,
}

/// What is to be done when records are durable.
#[derive(Debug)]
pub(super) enum Then {
    Nothing,
    Reply(RequestId, Box<Reply>),
    /// Give these assignments to the members of that generation.
    Assign {
        generation: i32,
        assignments: BTreeMap<String, Bytes>,
    },
}

/// One step, for one group.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) time: Timestamp,
    pub(super) group: GroupId,
    pub(super) settings: &'a GroupSettings,
    pub(super) topics: &'a Topics,
    pub(super) ids: &'a mut MemberIds,
    pub(super) stores: &'a mut Stores,
    pub(super) effects: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    pub(super) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.effects.push(Effect::Reply { request, result: Ok(reply) });
    }

    pub(super) fn refuse(&mut self, request: RequestId, error: Error) {
        self.effects.push(Effect::Reply { request, result: Err(error) });
    }

    pub(super) fn answer(&mut self, request: RequestId, result: Result<Reply>) {
        self.effects.push(Effect::Reply { request, result });
    }

    /// Asks for records to be stored. With none there is nothing to wait for.
    pub(super) fn persist(&mut self, records: Vec<Record>, then: Then) {
        if records.is_empty() {
            if let Then::Reply(request, reply) = then {
                self.reply(request, *reply);
            }
            return;
        }
        self.stores.last += 1;
        let number = self.stores.last;
        self.effects.push(Effect::Persist { number, records: records.clone() });
        self.stores.waiting.insert(number, Store { group: self.group.clone(), records, then });
    }

    pub(super) fn refused(&self, refusal: GroupRefusal) -> Error {
        Error::GroupRefused { group: self.group.to_string(), refusal }
    }

    /// It is not a member, or not any more (Kafka's `UNKNOWN_MEMBER_ID`).
    pub(super) fn unknown_member(&self, member: &str) -> Error {
        let why = format!("it does not know member `{member}`; its session may have expired");
        Error::StaleMember { group: self.group.to_string(), why }
    }
}
