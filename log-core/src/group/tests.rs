//! Golden scripts of the group machine, and what must hold whatever comes.

use super::*;
use crate::types::{CommittedPosition, GroupClient, OwnedPartitions, SyncGroup, TopicId, TopicName};
use bytes::Bytes;
use uuid::Uuid;

mod model;

fn settings() -> GroupSettings {
    GroupSettings {
        initial_delay: Duration::ZERO,
        session_min: Duration::from_secs(1),
        session_max: Duration::from_secs(100),
        members_max: 4,
        retention: Some(Duration::from_hours(1)),
    }
}

fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

fn id(n: u128) -> TopicId {
    TopicId(Uuid::from_u128(n))
}

/// `lines-3`
fn partition(text: &str) -> TopicPartition {
    let (name, index) = text.rsplit_once('-').unwrap();
    TopicPartition::new(TopicName::new(name).unwrap(), index.parse().unwrap())
}

/// What an input with this text is, for a member `id` or `id@instance`.
fn who(text: &str, generation: &str) -> Option<Membership> {
    let (member, instance) = match text.split_once('@') {
        Some((member, instance)) => (member, Some(instance.to_owned())),
        None => (text, None),
    };
    let generation = generation.parse().unwrap();
    (text != "-").then(|| Membership { member: member.to_owned(), instance, generation })
}

/// A machine, driven by commands of text.
struct Script {
    groups: Groups,
    now: Now,
    requests: u64,
    persisted: Vec<(u64, Vec<Record>)>,
    log: Vec<Record>,
    topics: BTreeMap<String, (TopicId, u32)>,
    /// Whether records are durable at once.
    is_prompt: bool,
}

impl Script {
    fn new() -> Self {
        let now = Now { instant: Instant(0), time: Timestamp(0) };
        Self {
            groups: Groups::new(0, settings()),
            now,
            requests: 0,
            persisted: Vec::new(),
            log: Vec::new(),
            topics: BTreeMap::new(),
            is_prompt: true,
        }
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        self.groups.step(self.now, input, &mut effects);
        let mut text: Vec<String> = effects
            .iter()
            .flat_map(|effect| effect.to_string().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>())
            .collect();
        for effect in effects {
            if let Effect::Persist { number, records } = effect {
                self.persisted.push((number, records));
            }
        }
        while self.is_prompt && !self.persisted.is_empty() {
            text.extend(self.stored());
        }
        text
    }

    fn stored(&mut self) -> Vec<String> {
        if self.persisted.is_empty() {
            return vec!["nothing to store".into()];
        }
        let (number, records) = self.persisted.remove(0);
        self.log.extend(records);
        self.step(Input::Stored { number })
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn join(&mut self, id: &str, member: &str, protocols: &[&str], takes_member_id: bool) -> Vec<String> {
        let request = self.request();
        let who = who(member, "0").unwrap_or(Membership { member: String::new(), instance: None, generation: 0 });
        let said = |protocol: &&str| match protocol.split_once(':') {
            Some((name, said)) => (name.to_owned(), Bytes::from(said.to_owned())),
            None => ((*protocol).to_owned(), Bytes::new()),
        };
        let join = JoinGroup {
            group: group(id),
            member: if who.member == "new" { String::new() } else { who.member },
            instance: who.instance,
            client: GroupClient { id: "c".into(), host: "h".into() },
            protocol_type: "consumer".into(),
            protocols: protocols.iter().map(said).collect(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(30),
            takes_member_id,
            takes_skip: true,
        };
        self.step(Input::Join { request, join: Box::new(join) })
    }

    fn owned(&self, text: &str) -> OwnedPartitions {
        let mut owned: BTreeMap<TopicId, Vec<u32>> = BTreeMap::new();
        for text in text.split(',').filter(|text| !text.is_empty()) {
            let partition = partition(text);
            owned.entry(self.topics[partition.topic.as_str()].0).or_default().push(partition.partition);
        }
        owned.into_iter().collect()
    }

    fn beat(&mut self, id: &str, member: &str, epoch: &str, fields: &[&str]) -> Vec<String> {
        let request = self.request();
        let Membership { member, instance, generation } = who(member, epoch).unwrap();
        let field =
            |name: &str| fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned);
        let names = |names: String| {
            names.split(',').filter(|name| !name.is_empty()).map(|name| TopicName::new(name).unwrap()).collect()
        };
        let beat = ConsumerHeartbeat {
            group: group(id),
            member,
            epoch: generation,
            instance,
            rack: None,
            client: GroupClient { id: "c".into(), host: "h".into() },
            rebalance_timeout: (generation == 0).then_some(Duration::from_secs(30)),
            topics: field("topics").map(names),
            regex: field("regex"),
            assignor: field("assignor"),
            owned: field("owned").map(|text| self.owned(&text)),
        };
        let (session_timeout, interval) = (Duration::from_secs(45), Duration::from_secs(5));
        self.step(Input::Beat { request, beat: Box::new(beat), session_timeout, interval })
    }

    /// `lines-0=7`
    fn position(&self, text: &str) -> Position {
        let (name, offset) = text.split_once('=').unwrap();
        let partition = partition(name);
        let topic_id = self.topics.get(partition.topic.as_str()).map_or(id(0), |(id, _)| *id);
        Position { partition, topic_id, position: CommittedPosition::from(offset.parse::<i64>().unwrap()) }
    }

    fn run(&mut self, command: &[&str]) -> Vec<String> {
        let input = match command {
            ["at", seconds] => {
                let seconds: u64 = seconds.parse().unwrap();
                self.now = Now { instant: Instant(seconds * 1_000_000_000), time: Timestamp(seconds as i64 * 1000) };
                Input::Tick
            }
            ["delay", seconds] => {
                self.groups.settings.initial_delay = Duration::from_secs(seconds.parse().unwrap());
                return Vec::new();
            }
            ["topic", name, partitions] => {
                let next = id(self.topics.len() as u128 + 1);
                let partitions = partitions.parse().unwrap();
                let (id, count) = self.topics.entry((*name).to_owned()).or_insert((next, partitions));
                *count = partitions;
                Input::Topic { name: TopicName::new(name).unwrap(), id: *id, partitions }
            }
            ["topic-deleted", name] => Input::TopicDeleted { id: self.topics.remove(*name).unwrap().0 },
            ["join", id, member, protocols @ ..] => return self.join(id, member, protocols, false),
            ["join4", id, member, protocols @ ..] => return self.join(id, member, protocols, true),
            ["sync", id, member, generation, assignments @ ..] => {
                let request = self.request();
                let given = |text: &&str| {
                    let (member, bytes) = text.split_once('=').unwrap();
                    (member.to_owned(), Bytes::from(bytes.to_owned()))
                };
                let sync = SyncGroup {
                    group: group(id),
                    who: who(member, generation).unwrap(),
                    protocol_type: None,
                    protocol: None,
                    assignments: assignments.iter().map(given).collect(),
                };
                Input::Sync { request, sync: Box::new(sync) }
            }
            ["alive", id, member, generation] => {
                Input::Heartbeat { request: self.request(), group: group(id), who: who(member, generation).unwrap() }
            }
            ["leave", id, members @ ..] => {
                let member = |text: &&str| {
                    let who = who(text, "0").unwrap();
                    (who.member, who.instance)
                };
                let members = members.iter().map(member).collect();
                Input::Leave { request: self.request(), group: group(id), members }
            }
            ["beat", id, member, epoch, fields @ ..] => return self.beat(id, member, epoch, fields),
            ["commit", id, member, generation, positions @ ..] => Input::Commit {
                request: self.request(),
                group: group(id),
                who: who(member, generation),
                producer: None,
                positions: positions.iter().map(|text| self.position(text)).collect(),
            },
            ["commit-in", producer, id, positions @ ..] => Input::Commit {
                request: self.request(),
                group: group(id),
                who: None,
                producer: Some(ProducerIdentity { id: producer.parse().unwrap(), epoch: 0 }),
                positions: positions.iter().map(|text| self.position(text)).collect(),
            },
            ["end", producer, outcome] => Input::EndTransaction {
                request: self.request(),
                producer_id: producer.parse().unwrap(),
                commit: *outcome == "commit",
            },
            ["forget", id, partitions @ ..] => Input::DeleteOffsets {
                request: self.request(),
                group: group(id),
                partitions: partitions.iter().map(|text| partition(text)).collect(),
            },
            ["delete", id] => Input::Delete { request: self.request(), group: group(id) },
            ["slowly"] => {
                self.is_prompt = false;
                return Vec::new();
            }
            ["stored"] => return self.stored(),
            ["not-stored"] => {
                let (number, _) = self.persisted.remove(0);
                Input::NotStored { number, error: Error::Closed }
            }
            ["restart"] => {
                self.restart();
                return Vec::new();
            }
            ["show", id] => return self.show(id).iter().map(|line| line.trim_end().to_owned()).collect(),
            other => panic!("no such command: {other:?}"),
        };
        self.step(input)
    }

    /// Another machine, made from what is durable.
    fn restart(&mut self) {
        self.groups = Groups::new(1, settings());
        self.persisted.clear();
        let topics = self.topics.clone();
        for (name, (id, partitions)) in topics {
            self.step(Input::Topic { name: TopicName::new(name).unwrap(), id, partitions });
        }
        for record in self.log.clone() {
            let (key, value) = record.to_bytes();
            for record in Record::read(key.as_deref(), value.as_deref()).unwrap() {
                self.step(Input::Replay(record));
            }
        }
        self.step(Input::Replayed);
    }

    fn show(&self, name: &str) -> Vec<String> {
        let Some(shown) = self.groups.group(&group(name)) else { return vec!["no such group".into()] };
        let mut lines = Vec::new();
        match &shown.members {
            Members::Classic(classic) => {
                let leader = classic.leader.as_deref().unwrap_or("-");
                lines.push(format!("classic {} g{} leader {leader}", classic.state, classic.generation));
                for (id, member) in &classic.members {
                    let instance = member.instance.as_deref().map(|name| format!("@{name}")).unwrap_or_default();
                    lines.push(format!("  {id}{instance}: {}", String::from_utf8_lossy(&member.assignment)));
                }
            }
            Members::Consumer(consumer) => {
                let state = consumer.state();
                lines.push(format!("consumer {state} epoch {} {}", consumer.epoch, consumer.assignor()));
                for (id, member) in &consumer.members {
                    let instance = member.instance.as_deref().map(|name| format!("@{name}")).unwrap_or_default();
                    let listed = records::Listed(member.assigned());
                    lines.push(format!("  {id}{instance} epoch {}:{listed}", member.epoch()));
                }
            }
        }
        let offsets = shown.offsets.committed.iter();
        lines.extend(offsets.map(|(partition, committed)| format!("  {partition} at {}", committed.position.offset)));
        for (producer, pending) in &shown.offsets.pending {
            let pending = pending.iter();
            lines.extend(pending.map(|(partition, pending)| {
                format!("  {partition} at {} if {producer} commits", pending.committed.position.offset)
            }));
        }
        lines
    }
}

fn script(file: &str) {
    let mut script = Script::new();
    crate::golden::check(file, |command| script.run(command));
}

#[test]
fn members_of_the_classic_protocol_come_and_go() {
    script("group/scripts/classic.txt");
}

#[test]
fn static_members_keep_their_place() {
    script("group/scripts/static.txt");
}

#[test]
fn rebalances_wait_so_long_and_no_longer() {
    script("group/scripts/timeouts.txt");
}

#[test]
fn the_log_assigns_in_the_consumer_protocol() {
    script("group/scripts/consumer.txt");
}

#[test]
fn positions_are_fenced_durable_and_forgotten_in_time() {
    script("group/scripts/offsets.txt");
}

#[test]
fn positions_of_transactions_count_when_they_are_committed() {
    script("group/scripts/transactions.txt");
}

#[test]
fn what_cannot_be_stored_is_refused_and_made_up_for() {
    script("group/scripts/failures.txt");
}

#[test]
fn a_join_of_an_unknown_member_leaves_nothing_behind() {
    let mut script = Script::new();
    script.join("g", "nobody", &["range"], false);
    script.join("g", "new", &[], false);
    assert!(script.groups.group(&group("g")).is_none());
    assert!(script.groups.next_deadline().is_none());
}
