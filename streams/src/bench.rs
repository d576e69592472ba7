//! For unit tests: tasks on topics that are plain vectors, without a log. [`crate::Sim`] is the same with one.

use crate::operators::Outgoing;
use crate::task::epoch::Restore;
use crate::task::{Fetched, Task, TaskId};
use crate::topology::plan::Plan;
use crate::{Codec, Key, Result, Topic, Topology, Value};
use std::collections::BTreeMap;
use tailwater_log::env::Rng;
use tailwater_log::record::partition_for_key;
use tailwater_log::{Record, StoredRecord, Timestamp, TopicId, TopicName};

pub(crate) struct Bench {
    plan: Plan,
    partitions: u32,
    tasks: Vec<Task>,
    topics: BTreeMap<TopicName, Vec<Vec<StoredRecord>>>,
    changelogs: BTreeMap<TaskId, Vec<StoredRecord>>,
    rng: Rng,
    pass: u64,
}

impl Bench {
    pub(crate) fn new(partitions: u32, seed: u64, build: impl Fn(&Topology)) -> Self {
        let plan = Plan::of("bench", build).unwrap();
        let mut bench = Self {
            plan,
            partitions,
            tasks: Vec::new(),
            topics: BTreeMap::new(),
            changelogs: BTreeMap::new(),
            rng: Rng::seeded(seed),
            pass: 0,
        };
        bench.restart();
        bench
    }

    /// Throws the tasks away and builds them from what they committed.
    pub(crate) fn restart(&mut self) {
        let subs = vec![self.partitions; self.plan.subs.len()];
        let inputs = self.plan.subs.iter().flat_map(|sub| &sub.inputs).enumerate();
        let topics =
            inputs.map(|(n, input)| (input.topic.clone(), TopicId(uuid::Uuid::from_u128(n as u128)))).collect();
        self.tasks.clear();
        for sub in 0..subs.len() {
            for partition in 0..self.partitions {
                let id = TaskId { sub, partition };
                let outputs = vec![self.partitions; self.plan.subs[sub].outputs.len()];
                let mut task = Task::new(&self.plan, id, &subs, &outputs, &topics);
                let mut restore = Restore::default();
                for record in self.changelogs.entry(id).or_default() {
                    task.restore_record(&mut restore, record.clone()).unwrap();
                }
                if let Some(commit) = restore.commit {
                    task.resume(&commit);
                }
                for index in 0..task.inputs.len() {
                    let input = &task.inputs[index];
                    if input.table && input.position > 0 {
                        let (topic, until) = (input.partition.topic.clone(), input.position as usize);
                        let records = self.topics[&topic][partition as usize][..until].to_vec();
                        task.rebuild(index, records).unwrap();
                    }
                }
                self.tasks.push(task);
            }
        }
    }

    fn append(&mut self, topic: &TopicName, partition: u32, record: Record) {
        let partitions = self.partitions as usize;
        let log =
            &mut self.topics.entry(topic.clone()).or_insert_with(|| vec![Vec::new(); partitions])[partition as usize];
        log.push(stored(log.len(), record));
    }

    pub(crate) fn send<K: Key, V: Value>(&mut self, topic: Topic<K, V>, at: i64, key: K, value: Option<V>) {
        self.send_raw(topic, at, key, value.map(|value| value.to_bytes()));
    }

    pub(crate) fn send_raw<K: Key, V>(&mut self, topic: Topic<K, V>, at: i64, key: K, value: Option<Vec<u8>>) {
        let (name, key) = (TopicName::new(topic.name()).unwrap(), key.to_bytes());
        let partition = partition_for_key(&key, self.partitions);
        let record =
            Record { key: Some(key.into()), value: value.map(Into::into), timestamp: Timestamp(at), headers: vec![] };
        self.append(&name, partition, record);
    }

    /// Runs all tasks in drawn order until nothing is left, with fetches of drawn sizes.
    pub(crate) fn run(&mut self) -> Result<()> {
        loop {
            let mut progressed = false;
            for _ in 0..self.tasks.len() * 2 {
                let index = self.rng.below(self.tasks.len() as u64) as usize;
                progressed |= self.round(index)?;
            }
            for index in 0..self.tasks.len() {
                progressed |= self.round(index)?;
            }
            if !progressed {
                return Ok(());
            }
        }
    }

    /// One round of one task.
    pub(crate) fn round(&mut self, index: usize) -> Result<bool> {
        let mut got = false;
        for _ in 0..2 {
            self.pass += 1;
            for number in 0..self.tasks[index].inputs.len() {
                let input = &self.tasks[index].inputs[number];
                if !input.buffer.is_empty() && !input.table {
                    continue;
                }
                let (partition, from) = (input.partition.partition as usize, input.fetched as usize);
                let records = self.topics.get(&input.partition.topic).map_or(&[][..], |logs| &logs[partition]);
                let most = if input.table { usize::MAX } else { 1 + self.rng.below(5) as usize };
                let fetched: Vec<_> = records[from..].iter().take(most).cloned().collect();
                got |= !fetched.is_empty();
                let next = fetched.last().map_or(input.fetched, |last| last.offset + 1);
                let fetched = Fetched { records: fetched, next, high_watermark: records.len() as i64 };
                let pass = self.pass;
                self.tasks[index].offer(number, fetched, pass);
            }
        }
        let limit = 1 + self.rng.below(20) as usize;
        let done = self.tasks[index].step(limit)?;
        let out = self.tasks[index].take_outbox();
        self.deliver(index, out);
        let changed = self.tasks[index].has_changed() && self.rng.chance(1, 2);
        if changed {
            self.commit(index);
        }
        Ok(got || done > 0 || changed || self.tasks[index].has_changed())
    }

    fn commit(&mut self, index: usize) {
        let said = self.tasks[index].announce();
        self.deliver(index, said);
        let task = &mut self.tasks[index];
        let log = self.changelogs.get_mut(&task.id).unwrap();
        for record in task.commit(Timestamp(0)) {
            log.push(stored(log.len(), record));
        }
    }

    fn deliver(&mut self, index: usize, out: Vec<Outgoing>) {
        let sub = self.tasks[index].id.sub;
        for out in out {
            let topic = self.plan.subs[sub].outputs[out.output].topic.clone();
            let key = out.record.key.clone().unwrap_or_default();
            let partition = out.partition.unwrap_or_else(|| partition_for_key(&key, self.partitions));
            self.append(&topic, partition, out.record);
        }
    }

    /// Everything in a topic, partition by partition.
    pub(crate) fn read<K: Codec, V: Codec>(&self, topic: Topic<K, V>) -> Vec<(K, Option<V>)> {
        let name = TopicName::new(topic.name()).unwrap();
        let records = self.topics.get(&name).into_iter().flatten().flatten();
        let decoded = records.map(|r| {
            let key = K::decode(r.key.as_deref().unwrap_or_default()).unwrap();
            (key, r.value.as_deref().map(|value| V::decode(value).unwrap()))
        });
        decoded.collect()
    }

    pub(crate) fn records(&self, topic: &str) -> Vec<StoredRecord> {
        self.topics.get(&TopicName::new(topic).unwrap()).into_iter().flatten().flatten().cloned().collect()
    }

    pub(crate) fn counters(&self) -> crate::operators::Counters {
        let mut sum = crate::operators::Counters::default();
        for counters in self.tasks.iter().map(Task::counters) {
            sum.late += counters.late;
            sum.skipped += counters.skipped;
            sum.repeats += counters.repeats;
        }
        sum
    }
}

fn stored(offset: usize, record: Record) -> StoredRecord {
    let Record { key, value, timestamp, headers } = record;
    StoredRecord { offset: offset as i64, timestamp, key, value, headers }
}
