//! A golden script, and random histories of three replicas against a naive reading of the rule.

use super::*;
use proptest::prelude::*;

#[test]
fn a_leader_and_its_followers() {
    let mut leader = Leader::alone(0);
    crate::golden::check("replica/scripts/leader.script", |command| {
        let number = |text: &str| text.parse::<i64>().unwrap();
        let mut told = Vec::new();
        let input = match command {
            ["wait", upto, name] => {
                return match leader.wait(number(upto), (*name).to_owned()) {
                    Some(name) => vec![format!("{name} need not wait")],
                    None => Vec::new(),
                };
            }
            ["own", upto] => Input::Own { upto: number(upto) },
            ["broker", broker, upto] => Input::Follower { broker: number(broker) as i32, upto: number(upto) },
            ["in-sync", least, followers @ ..] => Input::InSync {
                followers: followers.iter().map(|broker| number(broker) as i32).collect(),
                least: number(least) as u16,
            },
            ["give-up"] => return leader.give_up().map(|name| format!("{name} waits in vain")).collect(),
            other => panic!("no such command: {other:?}"),
        };
        leader.step(input, |effect| told.push(effect.to_string()));
        told
    });
}

#[derive(Clone, Debug)]
enum Op {
    Wait(i64),
    Step(Input),
}

fn any_op() -> impl Strategy<Value = Op> {
    let in_sync = (prop::collection::btree_set(2..4_i32, 0..3), 1..4_u16);
    prop_oneof![
        (0..30_i64).prop_map(Op::Wait),
        (0..30_i64).prop_map(|upto| Op::Step(Input::Own { upto })),
        (2..4_i32, 0..30_i64).prop_map(|(broker, upto)| Op::Step(Input::Follower { broker, upto })),
        in_sync.prop_map(|(followers, least)| {
            Op::Step(Input::InSync { followers: followers.into_iter().collect(), least })
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_acknowledged_is_on_every_replica_in_sync(ops in prop::collection::vec(any_op(), 1..60)) {
        let mut leader = Leader::alone(0);
        // Told, by whom; kept as they were said.
        let (mut own, mut has, mut in_sync, mut least) = (0, BTreeMap::<i32, i64>::new(), Vec::new(), 1);
        let (mut safe, mut waiting, mut next) = (0, Vec::<(i64, usize)>::new(), 0);
        for op in ops {
            let mut told = Vec::new();
            match op {
                Op::Wait(upto) => {
                    let at_once = leader.wait(upto, next);
                    prop_assert_eq!(at_once.is_some(), upto <= safe);
                    if at_once.is_none() {
                        waiting.push((upto, next));
                    }
                    next += 1;
                    continue;
                }
                Op::Step(input) => {
                    match &input {
                        Input::Own { upto } => own = own.max(*upto),
                        Input::Follower { broker, upto } if in_sync.contains(broker) => {
                            let has = has.get_mut(broker).unwrap();
                            *has = (*has).max(*upto);
                        }
                        Input::Follower { .. } => {}
                        Input::InSync { followers, least: n } => {
                            has.retain(|broker, _| followers.contains(broker));
                            for broker in followers {
                                has.entry(*broker).or_insert(safe);
                            }
                            (in_sync, least) = (followers.clone(), *n);
                        }
                    }
                    leader.step(input, |effect| told.push(effect));
                }
            }
            let all = in_sync.iter().map(|broker| has[broker]).chain([own]).min().unwrap();
            let mut expected = Vec::new();
            if in_sync.len() + 1 >= usize::from(least) && all > safe {
                safe = all;
                expected.push(Effect::HighWatermark(safe));
            }
            waiting.sort_by_key(|(upto, _)| *upto);
            let due: Vec<_> = waiting.iter().filter(|(upto, _)| *upto <= safe).map(|(_, token)| *token).collect();
            waiting.retain(|(upto, _)| *upto > safe);
            expected.extend(due.into_iter().map(Effect::Acknowledge));
            prop_assert_eq!(told, expected);
            prop_assert_eq!(leader.high_watermark(), safe);
        }
        let left: Vec<_> = leader.give_up().collect();
        prop_assert_eq!(left.len(), waiting.len());
    }
}
