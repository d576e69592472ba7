//! Each operator on a small input, and what they do together.

use crate::bench::Bench;
use crate::{Decode, Emit, Error, Topic, Topology, Tumbling, Windowed, millis};
use tailwater_log::Timestamp;

const IN: Topic<String, u64> = Topic::new("in");
const SIDE: Topic<String, u64> = Topic::new("side");
const OUT: Topic<String, u64> = Topic::new("out");
const OTHER: Topic<String, u64> = Topic::new("other");
const WINDOWS: Topic<Windowed<String>, u64> = Topic::new("windows");

/// Runs `build` on records at 0, 1, 2, … and returns what is in `OUT`.
fn run(input: &[(&str, u64)], build: impl Fn(&Topology)) -> Vec<(String, u64)> {
    let mut bench = Bench::new(1, 1, build);
    for (at, (key, value)) in input.iter().enumerate() {
        bench.send(IN, at as i64, (*key).into(), Some(*value));
    }
    bench.run().unwrap();
    written(&bench, OUT)
}

fn written(bench: &Bench, topic: Topic<String, u64>) -> Vec<(String, u64)> {
    bench.read(topic).into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(key, value)| ((*key).into(), *value)).collect()
}

const ABC: &[(&str, u64)] = &[("a", 1), ("b", 2), ("c", 3)];

#[test]
fn filters_keep_and_drop() {
    assert_eq!(run(ABC, |t| t.stream(IN).filter(|_, v| v % 2 == 1).to(OUT)), pairs(&[("a", 1), ("c", 3)]));
    assert_eq!(run(ABC, |t| t.stream(IN).filter_not(|k, _| k == "b").to(OUT)), pairs(&[("a", 1), ("c", 3)]));
}

#[test]
fn maps_change_keys_and_values() {
    assert_eq!(
        run(ABC, |t| t.stream(IN).map(|k, v| (k + "!", v * 10)).to(OUT)),
        pairs(&[("a!", 10), ("b!", 20), ("c!", 30)])
    );
    assert_eq!(run(ABC, |t| t.stream(IN).map_values(|v| v + 1).to(OUT)), pairs(&[("a", 2), ("b", 3), ("c", 4)]));
    let repeat = |v: u64| (0..v - 1).collect::<Vec<_>>();
    assert_eq!(run(ABC, move |t| t.stream(IN).flat_map_values(repeat).to(OUT)), pairs(&[("b", 0), ("c", 0), ("c", 1)]));
    let both = |k: String, v: u64| [(k.clone(), v), (k + "2", v)];
    assert_eq!(run(&ABC[..1], move |t| t.stream(IN).flat_map(both).to(OUT)), pairs(&[("a", 1), ("a2", 1)]));
}

#[test]
fn inspect_and_for_each_see_every_record() {
    use std::sync::{Arc, atomic::AtomicU64, atomic::Ordering::SeqCst};
    let sum = Arc::new(AtomicU64::new(0));
    let (one, two) = (sum.clone(), sum.clone());
    let out = run(ABC, move |t| {
        let (one, two) = (one.clone(), two.clone());
        let seen = t.stream(IN).inspect(move |_, v| {
            one.fetch_add(*v, SeqCst);
        });
        seen.for_each(move |_, v| {
            two.fetch_add(100 * v, SeqCst);
        });
        seen.to(OUT);
    });
    assert_eq!((out, sum.load(SeqCst)), (pairs(ABC), 606));
}

#[test]
fn branches_that_merge_keep_the_order_of_the_input() {
    let input: Vec<(String, u64)> = (0..40).map(|n| (format!("k{}", n % 3), n)).collect();
    let input: Vec<(&str, u64)> = input.iter().map(|(k, v)| (k.as_str(), *v)).collect();
    let out = run(&input, |t| {
        let (odd, even) = t.stream(IN).branch(|_, v| v % 2 == 1);
        even.map_values(|v| v).merge(&odd).to(OUT);
    });
    assert_eq!(out, pairs(&input));
}

#[test]
fn tables_count_reduce_and_aggregate() {
    let input = [("a", 1), ("b", 5), ("a", 3)];
    assert_eq!(
        run(&input, |t| t.stream(IN).group_by_key().count("n").changes().to(OUT)),
        pairs(&[("a", 1), ("b", 1), ("a", 2)])
    );
    assert_eq!(
        run(&input, |t| t.stream(IN).group_by_key().reduce("max", u64::max).to(OUT)),
        pairs(&[("a", 1), ("b", 5), ("a", 3)])
    );
    let sums = |t: &Topology| {
        t.stream(IN).group_by_key().aggregate("sum", |_, v, sum: &mut u64| *sum += v).changes().to(OUT);
    };
    assert_eq!(run(&input, sums), pairs(&[("a", 1), ("b", 5), ("a", 4)]));
}

#[test]
fn a_record_meets_the_row_of_its_own_time() {
    let build = |t: &Topology| {
        let side = t.table(SIDE, "side");
        let stream = t.stream(IN);
        stream.join(&side, |v, s| v + s).to(OUT);
        stream.left_join(&side, |v, s| v + s.copied().unwrap_or(1000)).to(OTHER);
    };
    let mut bench = Bench::new(1, 3, build);
    for (at, v) in [(5, 1), (10, 2), (20, 3), (30, 4)] {
        bench.send(IN, at, "a".into(), Some(v));
    }
    bench.send(SIDE, 10, "a".into(), Some(100));
    bench.send(SIDE, 20, "a".into(), Some(200));
    bench.send(SIDE, 25, "a".into(), None);
    bench.run().unwrap();
    // At 10 and 20 the table comes first.
    assert_eq!(written(&bench, OUT), pairs(&[("a", 102), ("a", 203)]));
    assert_eq!(written(&bench, OTHER), pairs(&[("a", 1001), ("a", 102), ("a", 203), ("a", 1004)]));
}

#[test]
fn a_table_writes_removals_too() {
    let mut bench = Bench::new(1, 3, |t| t.table(SIDE, "side").to(OUT));
    bench.send(SIDE, 1, "a".into(), Some(1));
    bench.send(SIDE, 2, "a".into(), None);
    bench.run().unwrap();
    assert_eq!(bench.read(OUT), [("a".to_string(), Some(1)), ("a".to_string(), None)]);
}

#[test]
fn a_stream_skips_records_without_value_and_counts_them() {
    let mut bench = Bench::new(1, 3, |t| t.stream(IN).to(OUT));
    bench.send(IN, 1, "a".into(), None);
    bench.send(IN, 2, "a".into(), Some(7));
    bench.run().unwrap();
    assert_eq!((written(&bench, OUT), bench.counters().skipped), (pairs(&[("a", 7)]), 1));
}

#[test]
fn windows_close_in_order_and_late_records_go_their_own_way() {
    let build = |emit: Emit| {
        move |t: &Topology| {
            let windows = t.stream(IN).group_by_key().window(Tumbling::of(millis(10)).lateness(millis(5))).emit(emit);
            windows.late().to(OTHER);
            windows.aggregate("sums", |_, v, sum: &mut u64| *sum += v).to(WINDOWS);
        }
    };
    let input =
        [(1, "b", 1), (2, "a", 2), (12, "a", 4), (9, "a", 8), (14, "b", 16), (15, "a", 32), (8, "a", 64), (30, "c", 1)];
    let window = |key: &str, start, sum| {
        let key = Windowed { key: key.to_string(), start: Timestamp(start), end: Timestamp(start + 10) };
        (key, Some(sum))
    };
    let run = |emit| {
        let mut bench = Bench::new(1, 5, build(emit));
        for (at, key, value) in input {
            bench.send(IN, at, key.into(), Some(value));
        }
        bench.run().unwrap();
        // 9 comes when the watermark is 12, in time; 8 when it is 15, which is end and lateness of [0, 10).
        assert_eq!((written(&bench, OTHER), bench.counters().late), (pairs(&[("a", 64)]), 1));
        bench.read(WINDOWS)
    };
    let (a, b, next_a, next_b) = (window("a", 0, 10), window("b", 0, 1), window("a", 10, 36), window("b", 10, 16));
    assert_eq!(run(Emit::OnClose), [a.clone(), b.clone(), next_a.clone(), next_b.clone()]);
    let updates = [b, window("a", 0, 2), window("a", 10, 4), a, next_b, next_a, window("c", 30, 1)];
    assert_eq!(run(Emit::OnUpdate), updates);
}

#[test]
fn decode_policies_fail_skip_or_keep_the_original() {
    let bench = |decode: Decode| {
        let mut bench = Bench::new(1, 1, move |t| t.stream(IN).decode(decode.clone()).to(OUT));
        bench.send(IN, 1, "a".into(), Some(1));
        bench.send_raw(IN, 2, "b".into(), Some(b"x1".to_vec()));
        bench.send(IN, 3, "c".into(), Some(3));
        bench
    };
    let error = bench(Decode::Fail).run().unwrap_err();
    assert!(matches!(&error, Error::Undecodable { offset: 1, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "record in-0@1 does not decode: value: \"x1\" is not a u64: invalid digit found in string"
    );

    let mut skip = bench(Decode::Skip);
    skip.run().unwrap();
    assert_eq!((written(&skip, OUT), skip.counters().skipped), (pairs(&[("a", 1), ("c", 3)]), 1));

    let mut dead = bench(Decode::DeadLetter("dead"));
    dead.run().unwrap();
    assert_eq!(written(&dead, OUT), pairs(&[("a", 1), ("c", 3)]));
    let letters = dead.records("dead");
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].key.as_deref(), letters[0].value.as_deref()), (Some(&b"b"[..]), Some(&b"x1"[..])));
    let headers: Vec<_> = letters[0].headers.iter().map(|h| (h.key.as_str(), h.value.as_deref().unwrap())).collect();
    assert_eq!(headers[..3], [("tw.dead.topic", &b"in"[..]), ("tw.dead.partition", b"0"), ("tw.dead.offset", b"1")]);
}

/// Counts by the last digit through a repartition topic, on any number of partitions, with a restart at any time.
#[test]
fn a_rekeyed_count_survives_restarts_without_counting_twice() {
    let build = |t: &Topology| {
        t.stream(IN)
            .flat_map_values(|v| vec![v; (v % 3) as usize])
            .key_by("by-digit", |_, v| (v % 10).to_string())
            .group_by_key()
            .count("digits")
            .to(OUT);
    };
    for seed in 0..60 {
        let partitions = 1 + (seed % 4) as u32;
        let mut bench = Bench::new(partitions, seed, build);
        let mut expected = std::collections::BTreeMap::new();
        let mut rng = tailwater_log::env::Rng::seeded(seed);
        for round in 0..6_i64 {
            for n in 0..rng.below(30) {
                let value = rng.below(100);
                bench.send(IN, round * 100 + n as i64, format!("k{value}"), Some(value));
                let copies = value % 3;
                if copies > 0 {
                    *expected.entry((value % 10).to_string()).or_insert(0) += copies;
                }
            }
            let tasks = 2 * u64::from(partitions);
            for _ in 0..rng.below(30) {
                bench.round(rng.below(tasks) as usize).unwrap();
            }
            if rng.chance(2, 3) {
                bench.restart();
            }
        }
        bench.run().unwrap();
        let last: std::collections::BTreeMap<String, u64> = written(&bench, OUT).into_iter().collect();
        assert_eq!(last, expected, "seed {seed}");
    }
}
