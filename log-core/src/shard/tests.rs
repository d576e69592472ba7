//! A shard under its three drivers: by script and by a scheduler of ours, by many threads inline, with a thread.

use super::*;
use crate::env::{Clock, Rng, SimDisk};
use crate::record::{BatchBuilder, Compression, Record, records};
use crate::storage::{Known, LogConfig, LogReader, PartitionLog, Resources, SyncTicket};
use crate::types::{Flush, TopicId, TopicName, TopicPartition, limits};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

fn open(disk: &SimDisk, name: &str, flush: Flush) -> PartitionLog {
    let partition = TopicPartition::new(TopicName::new(name).unwrap(), 0);
    let config = LogConfig {
        partition,
        flush,
        segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
        segment_age: limits::SEGMENT_AGE_DEFAULT,
    };
    let dir = Path::new("/data").join(name);
    let resources = Resources::new(Arc::new(disk.clone()), 10, 0);
    PartitionLog::open(&resources, &dir, config, &Known::default()).unwrap().0
}

/// A batch of `n` records, each with the value.
fn batch(n: usize, value: Vec<u8>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let record = Record { value: Some(Bytes::from(value)), ..Record::default() };
    (0..n).for_each(|_| builder.push(&record));
    builder.finish()
}

/// The simulator: a shard that is stepped by hand.
struct Sim {
    disk: SimDisk,
    shard: Shard,
    slots: BTreeMap<String, Slot>,
    readers: BTreeMap<String, LogReader>,
    tickets: BTreeMap<Slot, Box<SyncTicket>>,
    next_token: u64,
}

impl Sim {
    fn new() -> Self {
        Self {
            disk: SimDisk::default(),
            shard: Shard::default(),
            slots: BTreeMap::new(),
            readers: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_token: 0,
        }
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token - 1)
    }

    fn step(&mut self, mut commands: Vec<Command>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.shard.step(Timestamp(0), &mut commands, &mut effects);
        effects
    }

    fn open(&mut self, name: &str, flush: Flush) -> Slot {
        let log = open(&self.disk, name, flush);
        self.readers.insert(name.into(), log.reader());
        let token = self.token();
        let effects = self.step(vec![Command::Open { token, log: Box::new(log), flush }]);
        let [Effect::Replied { result: Ok(Reply::Opened(slot)), .. }] = effects[..] else { panic!("{effects:?}") };
        self.slots.insert(name.into(), slot);
        slot
    }

    fn append(&mut self, name: &str, batch: Bytes, acks: Acks) -> Command {
        Command::Append { slot: self.slots[name], token: self.token(), batch, acks }
    }

    /// A command of a script.
    fn command(&mut self, words: &[&str]) -> Command {
        let slot = |sim: &Self, name: &str| sim.slots[name];
        let why = || Error::UnknownTopic { name: "it".into(), did_you_mean: None };
        match words {
            ["append", name, n, acks] => {
                let acks = if *acks == "all" { Acks::All } else { Acks::Written };
                self.append(name, batch(n.parse().unwrap(), b"v".into()), acks)
            }
            ["await", name, upto] => {
                Command::Await { slot: slot(self, name), token: self.token(), upto: upto.parse().unwrap() }
            }
            ["begin", name] => Command::BeginSync { slot: slot(self, name), token: self.token() },
            ["synced", name] | ["failed", name] => {
                let slot = slot(self, name);
                let ticket = self.tickets.remove(&slot).expect("a ticket is out");
                let failed = Error::io("sync", "/data", std::io::Error::other("EIO"));
                let result = if words[0] == "failed" { Err(failed) } else { ticket.run() };
                Command::Synced { slot, token: self.token(), ticket, result }
            }
            ["describe", name] => Command::Describe { slot: slot(self, name), token: self.token() },
            ["close", name] => Command::Close { slot: slot(self, name), token: self.token(), why: Error::Closed },
            ["remove", name] => Command::Remove { slot: slot(self, name), why: why() },
            ["fence"] => Command::Fence { error: Error::Fenced { why: "a sync failed elsewhere".into() } },
            other => panic!("no such command: {other:?}"),
        }
    }
}

/// Runs a script in which `;` parts the commands of one step.
fn script(file: &str) {
    let mut sim = Sim::new();
    crate::golden::check(file, |words| {
        if let ["open", name, flush] = words {
            let flush = match *flush {
                "os" => Flush::Os,
                "durable" => Flush::Durable,
                every => Flush::Interval(Duration::from_millis(every.parse().unwrap())),
            };
            let slot = sim.open(name, flush);
            return vec![format!("{name} is {slot}")];
        }
        let commands: Vec<_> = words.split(|word| *word == ";").map(|words| sim.command(words)).collect();
        let begun = commands.iter().filter_map(|command| match command {
            Command::BeginSync { slot, token } => Some((*token, *slot)),
            _ => None,
        });
        let begun: BTreeMap<Token, Slot> = begun.collect();
        let effects = sim.step(commands);
        let text = effects.iter().map(ToString::to_string).collect();
        for effect in effects {
            if let Effect::Replied { token, result: Ok(Reply::Ticket(Some(ticket))) } = effect {
                sim.tickets.insert(begun[&token], ticket);
            }
        }
        text
    });
}

#[test]
fn appends_and_acknowledgements() {
    script("shard/scripts/appends.txt");
}

#[test]
fn ends() {
    script("shard/scripts/ends.txt");
}

#[test]
fn appends_beyond_the_unsynced_bytes_wait_for_a_sync_and_keep_their_order() {
    let mebibyte = 1024 * 1024;
    for flush in [Flush::Durable, Flush::Interval(Duration::from_secs(3600))] {
        let mut sim = Sim::new();
        let slot = sim.open("lines", flush);
        let commands = (0..70u8).map(|n| sim.append("lines", batch(1, vec![n; mebibyte]), Acks::Written)).collect();
        let mut effects = sim.step(commands);
        let written = |effects: &[Effect]| {
            effects.iter().filter(|e| matches!(e, Effect::Replied { result: Ok(Reply::Appended(_)), .. })).count()
        };
        assert_eq!(written(&effects), 31, "as many as stay below 32 MiB with their headers");
        let (mut all, mut syncs) = (31, 0);
        while all < 70 {
            assert!(effects.iter().any(|e| matches!(e, Effect::Flush { within: Duration::ZERO, .. })), "asks for room");
            let token = sim.token();
            let mut begun = sim.step(vec![Command::BeginSync { slot, token }]);
            let Some(Effect::Replied { result: Ok(Reply::Ticket(Some(ticket))), .. }) = begun.pop() else {
                panic!("{begun:?}")
            };
            let result = ticket.run();
            let token = sim.token();
            effects = sim.step(vec![Command::Synced { slot, token, ticket, result }]);
            all += written(&effects);
            syncs += 1;
        }
        assert_eq!(syncs, 2);
        let log = open(&sim.disk, "lines", flush);
        let firsts = (0..70).map(|offset| {
            let record = records(log.reader().read(offset, 1).unwrap()).next().unwrap().unwrap();
            i64::from(record.value.unwrap()[0])
        });
        assert!(firsts.eq(0..70));
    }
}

#[test]
fn a_batch_larger_than_the_bound_goes_alone() {
    let mut sim = Sim::new();
    sim.open("lines", Flush::Durable);
    let large = batch(1, vec![7; limits::UNSYNCED_BYTES_MAX as usize]);
    let commands = (0..2).map(|_| sim.append("lines", large.clone(), Acks::Written)).collect();
    let effects: Vec<String> = sim.step(commands).iter().map(ToString::to_string).collect();
    assert_eq!(effects, ["@1 appended [0, 1)", "flush 0.0 now"]);
}

/// What a partition is told in a model run; a sync is begun and brought back by two commands.
#[derive(Clone, Copy, Debug)]
enum Told {
    Append { records: usize, all: bool },
    Await { upto: i64 },
    Begin,
    Synced,
    Describe,
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        6 => (1..4usize, any::<bool>()).prop_map(|(records, all)| Told::Append { records, all }),
        1 => (0..20i64).prop_map(|upto| Told::Await { upto }),
        2 => Just(Told::Begin),
        2 => Just(Told::Synced),
        1 => Just(Told::Describe),
    ]
}

const NAMES: [(&str, Flush); 3] =
    [("durable", Flush::Durable), ("often", Flush::Interval(Duration::from_millis(9))), ("os", Flush::Os)];

/// Runs what each partition is told, in an order and in steps that the seed draws; returns the replies by token, and the
/// bytes that each partition has said are readable. Tokens do not depend on the seed.
fn run(told: &[Vec<Told>; 3], seed: u64) -> (BTreeMap<Token, String>, [u64; 3]) {
    let mut rng = Rng::seeded(seed);
    let mut sim = Sim::new();
    let slots = NAMES.map(|(name, flush)| sim.open(name, flush));
    let (mut at, mut replies, mut readable) = ([0; 3], BTreeMap::new(), [0; 3]);
    // What each partition was synced up to, by its tickets.
    let mut durable = [0; 3];
    let mut uptos: BTreeMap<Token, (usize, i64)> = BTreeMap::new();
    while (0..3).any(|p| at[p] < told[p].len()) {
        let mut commands = Vec::new();
        for _ in 0..=rng.below(6) {
            let p = rng.below(3) as usize;
            let Some(next) = told[p].get(at[p]) else { continue };
            let (slot, token) = (slots[p], Token(1000 * (p as u64 + 1) + at[p] as u64));
            // A ticket comes back in a later step than it was handed out.
            let waits = matches!(next, Told::Synced) && commands.iter().any(|c| matches!(c, Command::BeginSync { .. }));
            if waits {
                continue;
            }
            at[p] += 1;
            commands.push(match *next {
                Told::Append { records, all } => {
                    let acks = if all { Acks::All } else { Acks::Written };
                    Command::Append { slot, token, batch: batch(records, vec![p as u8]), acks }
                }
                Told::Await { upto } => Command::Await { slot, token, upto },
                Told::Begin => Command::BeginSync { slot, token },
                Told::Describe => Command::Describe { slot, token },
                Told::Synced => match sim.tickets.remove(&slot) {
                    Some(ticket) => {
                        let result = ticket.run();
                        durable[p] = ticket.upto();
                        Command::Synced { slot, token, ticket, result }
                    }
                    None => Command::Describe { slot, token },
                },
            });
        }
        for effect in sim.step(commands) {
            match effect {
                Effect::Replied { token, result } => {
                    let p = (token.0 / 1000 - 1) as usize;
                    let text = match &result {
                        Ok(reply) => reply.to_string(),
                        Err(error) => error.to_string(),
                    };
                    assert_eq!(replies.insert(token, text), None, "{token} is answered once");
                    let upto = match (&told[p][(token.0 % 1000) as usize], &result) {
                        (Told::Append { all: true, .. }, Ok(Reply::Appended(appended))) => appended.last_offset + 1,
                        (Told::Await { upto }, Ok(_)) => *upto,
                        _ => 0,
                    };
                    let bound = if p == 0 { durable[p] } else { sim.readers[NAMES[p].0].offsets().log_end_offset };
                    assert!(upto <= bound, "{token} was acknowledged up to {upto} and {bound} is there");
                    uptos.insert(token, (p, upto));
                    if let Ok(Reply::Ticket(Some(ticket))) = result {
                        sim.tickets.insert(slots[p], ticket);
                    }
                }
                Effect::Progress { slot, bytes, offsets } => {
                    let p = slots.iter().position(|other| *other == slot).unwrap();
                    readable[p] += bytes;
                    assert!(offsets.high_watermark <= sim.readers[NAMES[p].0].offsets().high_watermark);
                }
                Effect::Flush { .. } => {}
                Effect::Failed { .. } => panic!("nothing fails here"),
            }
        }
    }
    // Whoever still waits is told that it is in vain.
    let closing = slots.iter().zip(5000..).map(|(slot, token)| {
        sim.tickets.remove(slot).map(|ticket| {
            let result = ticket.run();
            Command::Synced { slot: *slot, token: Token(token), ticket, result }
        })
    });
    let mut closing: Vec<_> = closing.flatten().collect();
    closing.extend(slots.iter().zip(6000..).map(|(slot, token)| Command::Close {
        slot: *slot,
        token: Token(token),
        why: Error::Closed,
    }));
    for effect in sim.step(closing) {
        match effect {
            Effect::Replied { token, result } => {
                let text = result.map_or_else(|error| error.to_string(), |reply| reply.to_string());
                assert_eq!(replies.insert(token, text), None, "{token} is answered once");
            }
            Effect::Progress { slot, bytes, .. } => {
                readable[slots.iter().position(|other| *other == slot).unwrap()] += bytes;
            }
            _ => {}
        }
    }
    (replies, readable)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn partitions_do_not_notice_each_other_or_where_steps_end(
        told in [
            proptest::collection::vec(told(), 0..40),
            proptest::collection::vec(told(), 0..40),
            proptest::collection::vec(told(), 0..40),
        ],
        seeds in any::<[u64; 2]>(),
    ) {
        let [one, two] = seeds.map(|seed| run(&told, seed));
        prop_assert_eq!(&one, &two);
        for (p, told) in told.iter().enumerate() {
            for i in 0..told.len() {
                prop_assert!(one.0.contains_key(&Token(1000 * (p as u64 + 1) + i as u64)), "command {} of {}", i, p);
            }
            if p > 0 {
                let bytes = told.iter().map(|told| match told {
                    Told::Append { records, .. } => batch(*records, vec![p as u8]).len() as u64,
                    _ => 0,
                });
                prop_assert_eq!(one.1[p], bytes.sum::<u64>());
            }
        }
    }
}

/// Many threads append to few partitions and wait for each; someone else syncs whatever asks for it.
fn stress(threaded: bool) {
    const THREADS: u64 = 8;
    const EACH: u64 = 300;
    const PARTITIONS: u32 = 5;
    let disk = SimDisk::default();
    // One place for each partition in each of its states suffices: a slot asks again only after it was begun.
    let (asks, asked) = mpsc::sync_channel::<Option<(usize, Slot)>>(4 * PARTITIONS as usize);
    let sink = {
        let asks = asks.clone();
        Box::new(move |shard, effect| {
            if let Effect::Flush { slot, .. } = effect {
                asks.send(Some((shard, slot))).unwrap();
            }
        })
    };
    let clock = Clock::manual(Timestamp(0));
    let shards = if threaded { Shards::threaded(2, &clock, sink).unwrap() } else { Shards::inline(2, &clock, sink) };
    let topic = TopicId(uuid::Uuid::from_u128(4));
    let slots: Vec<Slot> = (0..PARTITIONS)
        .map(|index| {
            let log = Box::new(open(&disk, &format!("p{index}"), Flush::Durable));
            let opened = shards.of(topic, index).1.ask(|token| Command::Open { token, log, flush: Flush::Durable });
            match opened.wait() {
                Ok(Reply::Opened(slot)) => slot,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let mut offsets: Vec<(u32, i64)> = std::thread::scope(|scope| {
        let shards = &shards;
        let syncer = scope.spawn(move || {
            while let Some((number, slot)) = asked.recv().unwrap() {
                let driver = (0..PARTITIONS).map(|p| shards.of(topic, p)).find(|(n, _)| *n == number).unwrap().1;
                let Reply::Ticket(ticket) = driver.ask(|token| Command::BeginSync { slot, token }).wait().unwrap()
                else {
                    panic!("not a ticket")
                };
                let Some(ticket) = ticket else { continue };
                let result = ticket.run();
                driver.ask(|token| Command::Synced { slot, token, ticket, result }).wait().unwrap();
            }
        });
        let appenders: Vec<_> = (0..THREADS)
            .map(|thread| {
                let slots = &slots;
                scope.spawn(move || {
                    let append = |i: u64| {
                        let index = ((thread + i) % u64::from(PARTITIONS)) as u32;
                        let slot = slots[index as usize];
                        let acks = if i.is_multiple_of(3) { Acks::Written } else { Acks::All };
                        let batch = batch(1, thread.to_be_bytes().to_vec());
                        let driver = shards.of(topic, index).1;
                        match driver.ask(|token| Command::Append { slot, token, batch, acks }).wait() {
                            Ok(Reply::Appended(appended)) => (index, appended.base_offset),
                            other => panic!("{other:?}"),
                        }
                    };
                    (0..EACH).map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        let offsets = appenders.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        asks.send(None).unwrap();
        syncer.join().unwrap();
        offsets
    });
    offsets.sort_unstable();
    let each = (THREADS * EACH) as i64 / i64::from(PARTITIONS);
    let expected = (0..PARTITIONS).flat_map(|index| (0..each).map(move |offset| (index, offset)));
    assert!(offsets.into_iter().eq(expected), "every append has an offset of its own, without a gap");
}

#[test]
fn many_threads_drive_shards_inline() {
    stress(false);
}

#[test]
fn many_threads_use_shards_with_threads() {
    stress(true);
}
