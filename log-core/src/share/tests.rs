//! Golden scripts of the queue machine, and a model that is too simple to be wrong.

use super::*;
use crate::types::TopicName;
use proptest::prelude::*;

const LEASE: Duration = Duration::from_secs(30);

fn fresh(deliveries_max: u16) -> SharePartition {
    let partition = TopicPartition::new(TopicName::new("jobs").unwrap(), 0);
    SharePartition::new(partition, 0, deliveries_max, LEASE)
}

/// A machine with the broker's part played: what it wants stored is stored at once, unless `deny` is set.
struct Driver {
    machine: SharePartition,
    deliveries_max: u16,
    now: Instant,
    stored: Vec<Change>,
    deny: bool,
}

impl Driver {
    fn new(deliveries_max: u16) -> Self {
        let machine = fresh(deliveries_max);
        Self { machine, deliveries_max, now: Instant(0), stored: Vec::new(), deny: false }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.machine.step(self.now, input, &mut effects);
        let change = effects.iter().find_map(|effect| match effect {
            Effect::Persist(change) => Some(change.clone()),
            _ => None,
        });
        if let Some(change) = change {
            if std::mem::take(&mut self.deny) {
                self.machine.step(self.now, Input::NotPersisted, &mut effects);
            } else {
                self.stored.push(change);
                self.machine.step(self.now, Input::Persisted, &mut effects);
            }
        }
        effects
    }

    fn restart(&mut self) {
        self.machine = fresh(self.deliveries_max);
        for change in &self.stored {
            self.machine.replay(change);
        }
    }
}

fn script(file: &str, deliveries_max: u16) {
    let mut driver = Driver::new(deliveries_max);
    crate::golden::check(file, |command| {
        let input = match command {
            ["at", seconds] => {
                driver.now = Instant(0) + Duration::from_secs(seconds.parse().unwrap());
                Input::Tick
            }
            ["acquire", member, max, high_watermark] => Input::Acquire {
                member: (*member).to_owned(),
                max: max.parse().unwrap(),
                high_watermark: high_watermark.parse().unwrap(),
            },
            [outcome @ ("accept" | "release" | "reject" | "renew"), member, offsets @ ..] => {
                let outcome = match *outcome {
                    "accept" => ShareOutcome::Accept,
                    "release" => ShareOutcome::Release,
                    "reject" => ShareOutcome::Reject,
                    _ => ShareOutcome::Renew,
                };
                let outcomes = offsets.iter().map(|offset| (offset.parse().unwrap(), outcome)).collect();
                Input::Acknowledge { member: (*member).to_owned(), outcomes }
            }
            ["missing", ranges @ ..] => {
                let ends = ranges.iter().map(|range| range.split_once("..").unwrap());
                let range = |(start, end): (&str, &str)| OffsetRange::new(start.parse().unwrap(), end.parse().unwrap());
                Input::Missing { ranges: ends.map(range).collect() }
            }
            ["buried", offset] => Input::DeadLettered { offset: offset.parse().unwrap() },
            ["not-buried", offset] => Input::DeadLetterFailed { offset: offset.parse().unwrap() },
            ["deny"] => {
                driver.deny = true;
                return Vec::new();
            }
            ["restart"] => {
                driver.restart();
                return Vec::new();
            }
            ["show"] => {
                let machine = &driver.machine;
                return vec![format!("{} end {} leased {}", machine.snapshot(), machine.end, machine.leased)];
            }
            other => panic!("no such command: {other:?}"),
        };
        driver.step(input).iter().map(ToString::to_string).collect()
    });
}

#[test]
fn leases_and_outcomes() {
    script("share/scripts/leases.txt", 3);
}

#[test]
fn offsets_without_records() {
    script("share/scripts/gaps.txt", 3);
}

#[test]
fn dead_letters() {
    script("share/scripts/dead_letters.txt", 2);
}

/// What happens to a queue.
#[derive(Clone, Debug)]
enum Op {
    Acquire {
        worker: u8,
        max: u32,
    },
    /// To the nth record that this worker has leased.
    Outcome {
        worker: u8,
        nth: usize,
        outcome: u8,
    },
    Advance {
        seconds: u64,
    },
    Append {
        n: i64,
    },
    /// The next thing to be stored is not.
    Deny,
    Bury {
        works: bool,
    },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..3_u8, 0..5_u32).prop_map(|(worker, max)| Op::Acquire { worker, max }),
        4 => (0..3_u8, 0..4_usize, 0..4_u8).prop_map(|(worker, nth, outcome)| Op::Outcome { worker, nth, outcome }),
        2 => (0..40_u64).prop_map(|seconds| Op::Advance { seconds }),
        2 => (1..6_i64).prop_map(|n| Op::Append { n }),
        1 => Just(Op::Deny),
        2 => any::<bool>().prop_map(|works| Op::Bury { works }),
        1 => Just(Op::Restart),
    ]
}

/// What the model knows of one record.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    deliveries: u16,
    finished: bool,
    lease: Option<(u8, Instant)>,
    dying: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_list_of_records(ops in proptest::collection::vec(op(), 1..120), deliveries_max in 1..4_u16) {
        let mut driver = Driver::new(deliveries_max);
        let mut known: Vec<Known> = Vec::new();
        let mut to_bury: Vec<Offset> = Vec::new();
        let mut start = 0;
        for op in ops {
            let effects = match op.clone() {
                Op::Acquire { worker, max } => {
                    let high_watermark = known.len() as Offset;
                    driver.step(Input::Acquire { member: worker.to_string(), max, high_watermark })
                }
                Op::Outcome { worker, nth, outcome } => {
                    let now = driver.now;
                    let mine = |k: &Known| k.lease.is_some_and(|(of, until)| of == worker && until > now);
                    let held: Vec<_> = (0..known.len()).filter(|i| mine(&known[*i])).collect();
                    let Some(&offset) = held.get(nth) else { continue };
                    let outcome =
                        [ShareOutcome::Accept, ShareOutcome::Release, ShareOutcome::Reject, ShareOutcome::Renew]
                            [usize::from(outcome)];
                    let denied = driver.deny;
                    let outcomes = vec![(offset as Offset, outcome)];
                    let effects = driver.step(Input::Acknowledge { member: worker.to_string(), outcomes });
                    let refused = effects.iter().any(|e| matches!(e, Effect::Refused(_)));
                    prop_assert!(!refused, "an outcome under a valid lease is taken");
                    match outcome {
                        ShareOutcome::Accept if denied => {}
                        ShareOutcome::Accept => known[offset] = Known { finished: true, ..known[offset].clone() },
                        ShareOutcome::Renew => known[offset].lease = Some((worker, now + LEASE)),
                        ShareOutcome::Release | ShareOutcome::Reject => known[offset].lease = None,
                    }
                    effects
                }
                Op::Advance { seconds } => {
                    driver.now = driver.now + Duration::from_secs(seconds);
                    driver.step(Input::Tick)
                }
                Op::Append { n } => {
                    known.resize(known.len() + n as usize, Known::default());
                    Vec::new()
                }
                Op::Deny => {
                    driver.deny = true;
                    Vec::new()
                }
                Op::Bury { works } => {
                    let Some(offset) = to_bury.pop() else { continue };
                    if works {
                        driver.step(Input::DeadLettered { offset })
                    } else {
                        driver.step(Input::DeadLetterFailed { offset })
                    }
                }
                Op::Restart => {
                    driver.restart();
                    to_bury.clear();
                    known.iter_mut().for_each(|k| {
                        k.lease = None;
                        k.dying = false;
                    });
                    driver.step(Input::Tick)
                }
            };
            for k in &mut known {
                if k.lease.is_some_and(|(_, until)| until <= driver.now) {
                    k.lease = None;
                }
            }
            for effect in effects {
                match effect {
                    Effect::Leased { offsets, deliveries } => {
                        let Op::Acquire { worker, max } = op else { panic!("only an acquisition leases") };
                        prop_assert!(offsets.len() <= u64::from(max), "no more than asked for");
                        prop_assert!(deliveries == 1 || offsets.len() == 1, "what was delivered before goes alone");
                        for offset in offsets.start..offsets.end {
                            let k = &mut known[offset as usize];
                            prop_assert!(k.lease.is_none() && !k.finished && !k.dying, "{offset} is free: {k:?}");
                            k.deliveries += 1;
                            prop_assert_eq!(deliveries, k.deliveries);
                            prop_assert!(deliveries <= deliveries_max);
                            k.lease = Some((worker, driver.now + LEASE));
                        }
                    }
                    Effect::DeadLetter { offset, deliveries, .. } => {
                        let k = &mut known[offset as usize];
                        prop_assert!(!k.finished && !to_bury.contains(&offset));
                        prop_assert_eq!(deliveries, k.deliveries);
                        (k.dying, k.lease) = (true, None);
                        to_bury.push(offset);
                    }
                    Effect::Finished { offsets } => {
                        for offset in offsets {
                            let k = &mut known[offset as usize];
                            (k.finished, k.lease, k.dying) = (true, None, false);
                        }
                    }
                    Effect::Persist(_) | Effect::Available { .. } | Effect::Refused(_) => {}
                }
            }
            let finished = known.iter().take_while(|k| k.finished).count() as Offset;
            prop_assert!(driver.machine.start >= start, "the start only grows");
            start = driver.machine.start;
            prop_assert_eq!(start, finished, "and stands behind what is finished");
            let unfinished = known.iter().filter(|k| !k.finished).count() as u64;
            prop_assert_eq!(driver.machine.unfinished(known.len() as Offset), unfinished);
            let leased = known.iter().filter(|k| k.lease.is_some()).count() as u64;
            prop_assert_eq!(driver.machine.leased(), leased);
            let mut snapshot = fresh(deliveries_max);
            snapshot.replay(&driver.machine.snapshot());
            prop_assert_eq!(snapshot.snapshot(), driver.machine.snapshot(), "a snapshot says all that is durable");
        }
        // In the end everything ends: workers accept what they get, the dead are buried.
        driver.deny = false;
        for _ in 0..known.len() * 8 + 8 {
            driver.now = driver.now + Duration::from_secs(31);
            let high_watermark = known.len() as Offset;
            let mut effects = driver.step(Input::Acquire { member: "last".into(), max: 10, high_watermark });
            to_bury.extend(effects.iter().filter_map(|effect| match effect {
                Effect::DeadLetter { offset, .. } => Some(*offset),
                _ => None,
            }));
            effects.retain(|effect| matches!(effect, Effect::Leased { .. }));
            for effect in effects {
                let Effect::Leased { offsets, .. } = effect else { continue };
                let outcomes = (offsets.start..offsets.end).map(|o| (o, ShareOutcome::Accept)).collect();
                driver.step(Input::Acknowledge { member: "last".into(), outcomes });
            }
            for offset in std::mem::take(&mut to_bury) {
                driver.step(Input::DeadLettered { offset });
            }
        }
        prop_assert_eq!(driver.machine.unfinished(known.len() as Offset), 0, "no record is stuck");
    }
}

#[test]
fn a_dead_letter_that_failed_does_not_swallow_what_else_is_due() {
    let mut driver = Driver::new(1);
    for _ in 0..2 {
        driver.step(Input::Acquire { member: "w".into(), max: 1, high_watermark: 2 });
    }
    driver.step(Input::Acknowledge { member: "w".into(), outcomes: vec![(0, ShareOutcome::Reject)] });
    driver.now = Instant(0) + LEASE;
    // The broker says so where it has no use for effects.
    driver.step(Input::DeadLetterFailed { offset: 0 });
    let effects = driver.step(Input::Tick);
    assert!(matches!(&effects[..], [Effect::DeadLetter { offset: 1, .. }]), "{effects:?}");
}
