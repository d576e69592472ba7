//! Golden scripts of the coordinator.

use super::*;
use crate::types::TopicName;
use std::collections::VecDeque;

/// What a script runs against: a machine, what it asked for, and the log that it would find after a crash.
struct World {
    machine: Transactions,
    now: Timestamp,
    requests: u64,
    persists: VecDeque<(TransactionalId, u64, Option<Transaction>)>,
    markers: VecDeque<(TransactionalId, ProducerIdentity)>,
    log: Vec<(TransactionalId, Option<Transaction>)>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Transactions::new(Duration::from_secs(60)),
            now: Timestamp(0),
            requests: 0,
            persists: VecDeque::new(),
            markers: VecDeque::new(),
            log: Vec::new(),
        };
        world.step(Input::ProducerIds(0..1000));
        world
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        self.machine.step(self.now, input, &mut effects);
        let text = effects.iter().map(ToString::to_string).collect();
        for effect in effects {
            match effect {
                Effect::Persist { id, number, record } => self.persists.push_back((id, number, record)),
                Effect::WriteMarkers { id, producer, .. } => self.markers.push_back((id, producer)),
                Effect::Reply { .. } => {}
            }
        }
        text
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn run(&mut self, command: &[&str]) -> Vec<String> {
        let id = |name: &str| TransactionalId::new(name).unwrap();
        let input = match *command {
            ["at", seconds] => {
                self.now = Timestamp(0) + Duration::from_secs(seconds.parse().unwrap());
                Input::Tick
            }
            ["init", name, timeout, ref expected @ ..] => Input::InitProducerId {
                request: self.request(),
                id: id(name),
                timeout: Duration::from_secs(timeout.parse().unwrap()),
                expected: expected.first().map(|was| producer(was)),
            },
            ["add", name, who, ref partitions @ ..] => Input::AddPartitions {
                request: self.request(),
                id: id(name),
                producer: producer(who),
                partitions: partitions.iter().map(|name| partition(name)).collect(),
            },
            [verb @ ("commit" | "abort"), name, who, version] => Input::End {
                request: self.request(),
                id: id(name),
                producer: producer(who),
                commit: verb == "commit",
                version: if version == "v1" { TransactionVersion::V1 } else { TransactionVersion::V2 },
            },
            ["stored"] => {
                let (id, number, record) = self.persists.pop_front().expect("something is to be stored");
                self.log.push((id.clone(), record));
                Input::Stored { id, number }
            }
            ["not-stored"] => {
                let (id, number, _) = self.persists.pop_front().expect("something is to be stored");
                let error = Error::DiskFull { path: "/data".into(), needed: 1 };
                Input::NotStored { id, number, error }
            }
            ["markers-written"] => {
                let (id, producer) = self.markers.pop_front().expect("there are markers");
                Input::MarkersWritten { id, producer }
            }
            ["markers-failed"] => {
                let (id, producer) = self.markers.pop_front().expect("there are markers");
                Input::MarkersFailed { id, producer }
            }
            ["epoch", name, epoch] => {
                // As if the producer had been started so often.
                let mut record = self.machine.transaction(&id(name)).unwrap().clone();
                record.producer.epoch = epoch.parse().unwrap();
                Input::Replay { id: id(name), record: Some(record) }
            }
            ["may-write", name, who, to] => {
                return vec![match self.machine.may_write(&id(name), producer(who), &partition(to)) {
                    Ok(true) => "yes".into(),
                    Ok(false) => "not before it is added".into(),
                    Err(error) => format!("{}: {error}", error.code()),
                }];
            }
            ["show"] => return self.machine.iter().map(|(id, current)| format!("{id} {current}")).collect(),
            ["crash"] => {
                self.machine = Transactions::new(Duration::from_secs(60));
                self.persists.clear();
                self.markers.clear();
                self.step(Input::ProducerIds(1000..2000));
                for (id, record) in self.log.clone() {
                    self.step(Input::Replay { id, record });
                }
                Input::Replayed
            }
            ref other => panic!("no such command: {other:?}"),
        };
        self.step(input)
    }
}

/// `7:0`
fn producer(text: &str) -> ProducerIdentity {
    let (id, epoch) = text.split_once(':').unwrap();
    ProducerIdentity { id: id.parse().unwrap(), epoch: epoch.parse().unwrap() }
}

/// `lines-0`
fn partition(text: &str) -> TopicPartition {
    let (name, index) = text.rsplit_once('-').unwrap();
    TopicPartition::new(TopicName::new(name).unwrap(), index.parse().unwrap())
}

fn script(file: &str) {
    let mut world = World::new();
    crate::golden::check(&format!("txn/scripts/{file}.script"), |command| world.run(command));
}

#[test]
fn producers_start_and_start_again() {
    script("init");
}

#[test]
fn transactions_of_version_1() {
    script("version_1");
}

#[test]
fn transactions_of_version_2() {
    script("version_2");
}

#[test]
fn a_newer_producer_fences_and_a_timeout_too() {
    script("fencing");
}

#[test]
fn what_a_crash_leaves_is_ended() {
    script("recovery");
}

#[test]
fn what_cannot_be_written_is_tried_again() {
    script("failures");
}

#[test]
fn epochs_run_out_and_the_producer_gets_another_id() {
    script("exhaustion");
}

#[test]
fn records_are_read_back() {
    let mut record =
        Transaction::new(7, Duration::from_secs(1), Timestamp(5)).init(Duration::ZERO, false, None, Timestamp(6));
    record = record.add(&[partition("lines-3")].into(), Timestamp(9));
    let mut bytes = Vec::new();
    crate::codec::to_bincode(&record, &mut bytes);
    assert_eq!(crate::codec::from_bincode::<Transaction>(&bytes), Ok(record));
}
