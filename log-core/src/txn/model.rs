//! The coordinator against a naive model: partitions that hold batches and markers, producers that do what they like, and
//! crashes at any point. What has to hold at every prefix of every partition: a reader of committed records sees exactly
//! the records of the transactions whose commit was decided, in order, and nothing that a fenced producer wrote later.
//!
//! A partition here takes what the broker's would: a batch if the coordinator lets it, and refuses epochs that a marker
//! or a batch has superseded. Markers may be written late, twice (after a crash), and in any order between transactions.

use super::*;
use crate::types::TopicName;
use proptest::prelude::*;
use std::collections::VecDeque;

const IDS: usize = 2;
const PARTITIONS: u32 = 3;

/// What lies in a partition.
#[derive(Clone, Debug)]
enum Entry {
    /// A batch, and the number of the transaction that its producer wrote it in.
    Batch {
        producer: ProducerIdentity,
        transaction: usize,
    },
    Marker {
        producer: ProducerIdentity,
        commit: bool,
    },
}

/// What one producer believes.
#[derive(Clone, Debug, Default)]
struct Client {
    identity: Option<ProducerIdentity>,
    /// The transaction that it is in.
    transaction: Option<usize>,
    version: Option<TransactionVersion>,
    waits: Option<RequestId>,
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Init,
    Add(u32),
    End { commit: bool },
}

/// What became of a transaction, as its producer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Open,
    /// It asked and got no answer: either.
    Unknown,
    Committed,
    Aborted,
}

#[derive(Clone, Debug)]
enum Step {
    Init {
        client: usize,
        v2: bool,
    },
    Write {
        client: usize,
        partition: u32,
    },
    End {
        client: usize,
        commit: bool,
    },
    /// What is asked to be stored is, up to so many; or the oldest is not.
    Store(usize),
    FailToStore,
    WriteMarkers {
        some: usize,
        fails: bool,
    },
    Wait(u64),
    Crash,
}

struct World {
    machine: Transactions,
    now: Timestamp,
    requests: u64,
    block: i64,
    partitions: Vec<Vec<Entry>>,
    persists: VecDeque<(TransactionalId, u64, Option<Transaction>)>,
    markers: Vec<Effect>,
    log: Vec<(TransactionalId, Option<Transaction>)>,
    /// Two for each id: the second is another instance, so the two fence each other.
    clients: Vec<Client>,
    told: Vec<Told>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Transactions::new(Duration::from_secs(60)),
            now: Timestamp(0),
            requests: 0,
            block: 0,
            partitions: vec![Vec::new(); PARTITIONS as usize],
            persists: VecDeque::new(),
            markers: Vec::new(),
            log: Vec::new(),
            clients: vec![Client::default(); 2 * IDS],
            told: Vec::new(),
        };
        world.grant();
        world
    }

    fn grant(&mut self) {
        self.block += 1000;
        self.step(Input::ProducerIds(self.block..self.block + 1000));
    }

    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.machine.step(self.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist { id, number, record } => self.persists.push_back((id, number, record)),
                Effect::WriteMarkers { .. } => self.markers.push(effect),
                Effect::Reply { request, result } => self.answered(request, result),
            }
        }
    }

    fn answered(&mut self, request: RequestId, result: Result<ProducerIdentity>) {
        let Some(client) = self.clients.iter_mut().position(|client| client.waits == Some(request)) else { return };
        self.clients[client].waits = None;
        let asked = self.clients[client].asked.take().expect("it asked");
        let transaction = self.clients[client].transaction;
        match (asked, result) {
            (Asked::Init, Ok(producer)) => {
                self.clients[client].identity = Some(producer);
                self.clients[client].transaction = None;
            }
            (Asked::Add(partition), Ok(_)) => self.write(client, partition),
            (Asked::End { commit }, Ok(producer)) => {
                let transaction = transaction.expect("it was in one");
                self.told[transaction] = if commit { Told::Committed } else { Told::Aborted };
                self.clients[client].identity = Some(producer);
                self.clients[client].transaction = None;
            }
            // It asks again when it likes.
            (_, Err(Error::ConcurrentTransactions { .. } | Error::DiskFull { .. })) => {}
            (_, Err(_)) => {
                // Fenced, or it asked for what cannot be: it is over.
                let version = self.clients[client].version;
                self.clients[client] = Client { version, ..Client::default() };
            }
        }
    }

    /// A client writes a batch, if it may.
    fn write(&mut self, client: usize, partition: u32) {
        let Client { identity: Some(producer), transaction: Some(transaction), .. } = self.clients[client] else {
            return;
        };
        if matches!(self.machine.may_write(&id_of(client), producer, &name(partition)), Ok(true)) {
            let log = &mut self.partitions[partition as usize];
            let newest = log.iter().map(|entry| match entry {
                Entry::Batch { producer, .. } | Entry::Marker { producer, .. } => *producer,
            });
            if newest.filter(|other| other.id == producer.id).all(|other| other.epoch <= producer.epoch) {
                log.push(Entry::Batch { producer, transaction });
            }
        }
    }

    fn ask(&mut self, client: usize, asked: Asked, input: impl FnOnce(RequestId) -> Input) {
        self.requests += 1;
        let request = RequestId(self.requests);
        (self.clients[client].waits, self.clients[client].asked) = (Some(request), Some(asked));
        self.step(input(request));
    }

    fn run(&mut self, step: &Step) {
        if self.machine.producer_ids_left() < 500 {
            self.grant();
        }
        match *step {
            Step::Init { client, v2 } => {
                let was = std::mem::take(&mut self.clients[client]);
                if let (Some(transaction), Some(Asked::End { .. })) = (was.transaction, was.asked) {
                    self.told[transaction] = Told::Unknown;
                }
                let version = if v2 { TransactionVersion::V2 } else { TransactionVersion::V1 };
                self.clients[client].version = Some(version);
                let timeout = Duration::from_secs(10);
                self.ask(client, Asked::Init, |request| Input::InitProducerId {
                    request,
                    id: id_of(client),
                    timeout,
                    expected: None,
                });
            }
            Step::Write { client, partition } => {
                let Client { identity: Some(producer), waits: None, .. } = self.clients[client] else { return };
                if self.clients[client].transaction.is_none() {
                    self.clients[client].transaction = Some(self.told.len());
                    self.told.push(Told::Open);
                }
                let partitions = BTreeSet::from([name(partition)]);
                self.ask(client, Asked::Add(partition), |request| Input::AddPartitions {
                    request,
                    id: id_of(client),
                    producer,
                    partitions,
                });
            }
            Step::End { client, commit } => {
                let Client {
                    identity: Some(producer), waits: None, transaction: Some(_), version: Some(version), ..
                } = self.clients[client]
                else {
                    return;
                };
                self.ask(client, Asked::End { commit }, |request| Input::End {
                    request,
                    id: id_of(client),
                    producer,
                    commit,
                    version,
                });
            }
            Step::Store(n) => {
                for _ in 0..n {
                    let Some((id, number, record)) = self.persists.pop_front() else { return };
                    self.log.push((id.clone(), record));
                    self.step(Input::Stored { id, number });
                }
            }
            Step::FailToStore => {
                // As a log does it: what was appended behind it is not there either.
                for (id, number, _) in std::mem::take(&mut self.persists) {
                    let error = Error::DiskFull { path: "/data".into(), needed: 1 };
                    self.step(Input::NotStored { id, number, error });
                }
            }
            Step::WriteMarkers { some, fails } => {
                if self.markers.is_empty() {
                    return;
                }
                let Effect::WriteMarkers { id, producer, commit, partitions } =
                    self.markers.swap_remove(some % self.markers.len())
                else {
                    unreachable!("only these are kept")
                };
                let n = if fails { partitions.len() / 2 } else { partitions.len() };
                for partition in partitions.iter().take(n) {
                    self.partitions[partition.partition as usize].push(Entry::Marker { producer, commit });
                }
                self.step(match fails {
                    true => Input::MarkersFailed { id, producer },
                    false => Input::MarkersWritten { id, producer },
                });
            }
            Step::Wait(seconds) => {
                self.now = self.now + Duration::from_secs(seconds);
                self.step(Input::Tick);
            }
            Step::Crash => self.crash(),
        }
    }

    fn crash(&mut self) {
        self.machine = Transactions::new(Duration::from_secs(60));
        self.persists.clear();
        self.markers.clear();
        for client in &mut self.clients {
            if let (Some(transaction), Some(Asked::End { .. })) = (client.transaction, client.asked) {
                self.told[transaction] = Told::Unknown;
            }
            *client = Client::default();
        }
        self.grant();
        for (id, record) in self.log.clone() {
            self.step(Input::Replay { id, record });
        }
        self.step(Input::Replayed);
    }

    /// Lets everything come to its end.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.run(&Step::Wait(11));
            while !self.persists.is_empty() || !self.markers.is_empty() {
                self.run(&Step::Store(1));
                self.run(&Step::WriteMarkers { some: 0, fails: false });
            }
        }
    }

    /// What every reader of committed records sees of a partition, in order: transactions' numbers. And whether any
    /// transaction is open in it.
    fn read(log: &[Entry]) -> (Vec<usize>, bool) {
        let mut seen = Vec::new();
        for (at, entry) in log.iter().enumerate() {
            let Entry::Batch { producer, transaction } = entry else { continue };
            let end = log[at..].iter().find_map(|entry| match entry {
                Entry::Marker { producer: of, commit } if of.id == producer.id => Some(*commit),
                _ => None,
            });
            match end {
                // The last stable offset: nothing is read from here on.
                None => return (seen, true),
                Some(true) => seen.push(*transaction),
                Some(false) => {}
            }
        }
        (seen, false)
    }
}

fn id_of(client: usize) -> TransactionalId {
    TransactionalId::new(format!("id-{}", client % IDS)).unwrap()
}

fn name(partition: u32) -> TopicPartition {
    TopicPartition::new(TopicName::new("lines").unwrap(), partition)
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..2 * IDS;
    prop_oneof![
        2 => (client.clone(), any::<bool>()).prop_map(|(client, v2)| Step::Init { client, v2 }),
        8 => (client.clone(), 0..PARTITIONS).prop_map(|(client, partition)| Step::Write { client, partition }),
        4 => (client, any::<bool>()).prop_map(|(client, commit)| Step::End { client, commit }),
        12 => (1..4usize).prop_map(Step::Store),
        1 => Just(Step::FailToStore),
        5 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(some, fails)| Step::WriteMarkers { some, fails }),
        1 => (1..12u64).prop_map(Step::Wait),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]
    #[test]
    fn readers_of_committed_records_see_whole_transactions_in_order(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        let mut before = vec![Vec::new(); PARTITIONS as usize];
        for step in &steps {
            world.run(step);
            for (log, before) in world.partitions.iter().zip(&mut before) {
                let (seen, _) = World::read(log);
                // What was read once stays as it was read.
                prop_assert!(seen.starts_with(before), "{:?} became {:?} by {:?}", before, seen, step);
                *before = seen;
            }
        }
        world.settle();
        let mut outcome = vec![None; world.told.len()];
        for log in &world.partitions {
            let (seen, open) = World::read(log);
            prop_assert!(!open, "a transaction hangs in {:?}", log);
            prop_assert!(seen.is_sorted_by(|a, b| a <= b || !same_client(&world, log, *a, *b)), "{:?}", seen);
            for (number, told) in world.told.iter().enumerate() {
                let written = log.iter().any(|e| matches!(e, Entry::Batch { transaction, .. } if *transaction == number));
                if !written {
                    continue;
                }
                let committed = seen.contains(&number);
                // All of it, or nothing of it, in every partition.
                prop_assert_eq!(*outcome[number].get_or_insert(committed), committed, "transaction {} is torn", number);
                let all = log.iter().filter(|e| matches!(e, Entry::Batch { transaction, .. } if *transaction == number));
                let read = seen.iter().filter(|seen| **seen == number);
                prop_assert_eq!(read.count(), if committed { all.count() } else { 0 });
                match told {
                    Told::Committed => prop_assert!(committed, "transaction {} was committed", number),
                    Told::Aborted | Told::Open => prop_assert!(!committed, "transaction {} was not committed", number),
                    Told::Unknown => {}
                }
            }
        }
        for (_, current) in world.machine.iter() {
            prop_assert!(!current.is_ending() && current.state != State::Ongoing);
        }
    }
}

/// Whether two transactions were written under the same producer id.
fn same_client(_: &World, log: &[Entry], a: usize, b: usize) -> bool {
    let producer = |number: usize| {
        log.iter().find_map(|entry| match entry {
            Entry::Batch { producer, transaction } if *transaction == number => Some(producer.id),
            _ => None,
        })
    };
    producer(a) == producer(b)
}
