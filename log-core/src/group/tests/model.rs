//! Random histories, held against what must be true after every step.

use super::*;
use proptest::prelude::*;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// A member of the consumer protocol says a heartbeat with what it owns; the seconds that pass before.
    Beat {
        member: usize,
        tells: bool,
        topics: usize,
        pause: u8,
    },
    Leave {
        member: usize,
    },
    Grow {
        topic: usize,
    },
    Restart,
    /// Records become durable, so many of them.
    Store {
        count: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..4_usize, any::<bool>(), 0..3_usize, 0..20_u8)
            .prop_map(|(member, tells, topics, pause)| Act::Beat { member, tells, topics, pause }),
        1 => (0..4_usize).prop_map(|member| Act::Leave { member }),
        1 => (0..2_usize).prop_map(|topic| Act::Grow { topic }),
        1 => Just(Act::Restart),
        6 => (0..4_usize).prop_map(|count| Act::Store { count }),
    ]
}

/// What a client of the consumer protocol knows.
#[derive(Clone, Debug, Default)]
struct Client {
    epoch: i32,
    owned: BTreeSet<(TopicId, u32)>,
}

struct World {
    script: Script,
    clients: Vec<Client>,
    counts: [u32; 2],
    /// The answers that came, by request.
    answers: Vec<(RequestId, Result<Reply>)>,
}

const NAMES: [&str; 2] = ["x", "y"];

impl World {
    fn step(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.script.groups.step(self.script.now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Persist { number, records } => self.script.persisted.push((number, records)),
                Effect::Reply { request, result } => self.answers.push((request, result)),
                _ => {}
            }
        }
    }

    fn store(&mut self) {
        let (number, records) = self.script.persisted.remove(0);
        self.script.log.extend(records);
        self.step(Input::Stored { number });
    }

    fn store_all(&mut self) {
        while !self.script.persisted.is_empty() {
            self.store();
        }
    }

    fn topic(&mut self, topic: usize) {
        let (name, id) = (TopicName::new(NAMES[topic]).unwrap(), id(topic as u128 + 1));
        self.script.topics.insert(NAMES[topic].into(), (id, self.counts[topic]));
        self.step(Input::Topic { name, id, partitions: self.counts[topic] });
    }

    fn beat(&mut self, index: usize, epoch: i32, tells: bool, topics: usize) {
        let client = self.clients[index].clone();
        let mut owned: BTreeMap<TopicId, Vec<u32>> = BTreeMap::new();
        client.owned.iter().for_each(|(topic, partition)| owned.entry(*topic).or_default().push(*partition));
        let is_joining = epoch == 0;
        let names = NAMES[..topics.max(1)].iter().map(|name| TopicName::new(name).unwrap()).collect();
        let request = self.script.request();
        let beat = ConsumerHeartbeat {
            group: group("g"),
            member: format!("m{index}"),
            epoch,
            instance: None,
            rack: None,
            client: GroupClient::default(),
            rebalance_timeout: is_joining.then_some(Duration::from_secs(30)),
            topics: (is_joining || topics > 0).then_some(names),
            regex: None,
            assignor: None,
            owned: (tells || is_joining).then(|| owned.into_iter().collect()),
        };
        let (session_timeout, interval) = (Duration::from_secs(45), Duration::from_secs(5));
        self.step(Input::Beat { request, beat: Box::new(beat), session_timeout, interval });
        self.store_all();
        let at = self.answers.iter().position(|(of, _)| *of == request).expect("it is answered when it is durable");
        match self.answers.swap_remove(at).1 {
            Ok(Reply::Beat(answer)) => {
                let client = &mut self.clients[index];
                assert!(answer.epoch >= client.epoch || is_joining || epoch < 0, "an epoch went back");
                client.epoch = answer.epoch.max(0);
                if let Some(assignment) = answer.assignment {
                    client.owned = assignment
                        .into_iter()
                        .flat_map(|(topic, partitions)| partitions.into_iter().map(move |partition| (topic, partition)))
                        .collect();
                }
            }
            Ok(other) => panic!("{other}"),
            Err(_) => self.clients[index] = Client::default(),
        }
    }

    fn check(&self) {
        let Some(Members::Consumer(consumer)) = self.script.groups.group(&group("g")).map(|group| &group.members)
        else {
            return;
        };
        let mut seen = BTreeMap::new();
        for (id, member) in &consumer.members {
            assert!(member.epoch() <= consumer.epoch, "a member is ahead of its group");
            for (topic, partitions) in member.assigned() {
                for partition in partitions {
                    let other = seen.insert((*topic, *partition), id);
                    assert!(other.is_none(), "{topic}-{partition} is owned by {id} and {other:?}");
                }
            }
        }
        // What clients believe: none reads what another one that is a member reads.
        let mut read = BTreeMap::new();
        for (index, client) in self.clients.iter().enumerate() {
            let is_member = consumer.members.get(&format!("m{index}")).is_some_and(|m| m.epoch() == client.epoch);
            for partition in client.owned.iter().filter(|_| is_member) {
                let other = read.insert(*partition, index);
                assert!(other.is_none(), "{partition:?} is read by {index} and {other:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// In the consumer protocol a partition never has two members, epochs grow, what is answered survives a restart, and
    /// in the end everything is assigned.
    #[test]
    fn a_partition_has_one_member_at_any_moment(acts in prop::collection::vec(act(), 1..60)) {
        let script = Script { is_prompt: false, ..Script::new() };
        let clients = vec![Client::default(); 4];
        let mut world = World { script, clients, counts: [3, 2], answers: Vec::new() };
        (0..2).for_each(|topic| world.topic(topic));
        for act in acts {
            match act {
                Act::Beat { member, tells, topics, pause } => {
                    let instant = world.script.now.instant + Duration::from_secs(pause.into());
                    world.script.now.instant = instant;
                    let epoch = world.clients[member].epoch;
                    world.beat(member, epoch, tells, topics);
                }
                Act::Leave { member } if world.clients[member].epoch > 0 => {
                    world.beat(member, -1, false, 0);
                    world.clients[member] = Client::default();
                }
                Act::Leave { .. } => {}
                Act::Grow { topic } => {
                    world.counts[topic] += 1;
                    world.topic(topic);
                }
                Act::Restart => {
                    // What was not durable was told to nobody.
                    world.script.restart();
                }
                Act::Store { count } => {
                    for _ in 0..count.min(world.script.persisted.len()) {
                        world.store();
                    }
                }
            }
            world.check();
        }
        // Everybody goes on saying what it owns: it comes to rest.
        for _ in 0..12 {
            for member in 0..4 {
                let epoch = world.clients[member].epoch;
                world.beat(member, epoch, true, if epoch == 0 { 2 } else { 0 });
                world.check();
            }
        }
        let Some(Members::Consumer(consumer)) = world.script.groups.group(&group("g")).map(|group| &group.members)
        else { panic!("a group of the consumer protocol") };
        prop_assert_eq!(consumer.state(), GroupState::Stable);
        let read: BTreeSet<_> = consumer.members.values().flat_map(ConsumerMember::reads).collect();
        let expected: u32 = read.iter().map(|name| world.script.topics[name.as_str()].1).sum();
        let owned: usize = world.clients.iter().map(|client| client.owned.len()).sum();
        prop_assert_eq!(owned as u32, expected);
        let shown = world.script.show("g");
        world.script.restart();
        prop_assert_eq!(world.script.show("g"), shown, "a replay leads to the same group");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// In the classic protocol members that have synced in one generation have the same one, whatever order things come
    /// in; a commit counts only in the present generation.
    #[test]
    fn members_of_a_stable_group_have_one_generation(
        acts in prop::collection::vec((0..4_usize, 0..6_u8, 0..8_u64), 1..80),
    ) {
        let mut script = Script::new();
        let mut known: Vec<(String, i32)> = vec![("new".into(), 0); 4];
        let mut waits: BTreeMap<u64, usize> = BTreeMap::new();
        let mut seconds = 0;
        let mut committed = 0;
        for (member, act, pause) in acts {
            seconds += pause;
            script.now = Now { instant: Instant(seconds * 1_000_000_000), time: Timestamp(seconds as i64 * 1000) };
            let (id, generation) = known[member].clone();
            let generation_text = generation.to_string();
            let before = script.groups.group(&group("g")).map_or(0, |group| match &group.members {
                Members::Classic(classic) => classic.generation,
                Members::Consumer(_) => unreachable!(),
            });
            let out = match act {
                0 | 1 => {
                    waits.insert(script.requests + 1, member);
                    script.run(&["join", "g", &id, "range"])
                }
                2 if id != "new" => script.run(&["sync", "g", &id, &generation_text]),
                3 if id != "new" => script.run(&["alive", "g", &id, &generation_text]),
                4 if id != "new" => script.run(&["leave", "g", &id]),
                5 if id != "new" => {
                    let out = script.run(&["commit", "g", &id, &generation_text, &format!("x-0={}", committed + 1)]);
                    if out.iter().any(|line| line.ends_with("done")) {
                        committed += 1;
                        prop_assert_eq!(generation, before, "a commit of an older generation counted");
                    }
                    out
                }
                _ => Vec::new(),
            };
            for line in out {
                let words: Vec<_> = line.split_whitespace().collect();
                if let [request, "joined", member, generation, ..] = words[..] {
                    let request: u64 = request[1..].parse().unwrap();
                    if let Some(index) = waits.remove(&request) {
                        known[index] = (member.to_owned(), generation[1..].parse().unwrap());
                    }
                }
                if line.contains("TW0110") {
                    known[member] = ("new".into(), 0);
                }
            }
            if let Some(Group { members: Members::Classic(classic), offsets, .. }) = script.groups.group(&group("g")) {
                let at = offsets.committed.values().next().map_or(0, |committed| committed.position.offset);
                prop_assert_eq!(at, committed);
                if classic.state == GroupState::Stable {
                    let told = known.iter().filter(|(id, _)| classic.members.contains_key(id));
                    for (id, generation) in told {
                        prop_assert!(*generation <= classic.generation, "{} is ahead", id);
                    }
                }
            }
        }
        let stable = script.groups.group(&group("g")).is_some_and(|group| group.state() == GroupState::Stable);
        if stable {
            let shown = script.show("g");
            script.restart();
            prop_assert_eq!(script.show("g"), shown);
        }
    }
}
