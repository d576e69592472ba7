//! The engine on a real log: a simulated one that crashes, and one on the machine's disk.

use crate::{App, Codec, Error, Sim, Stream, Topic, Topology, Tumbling, Windowed, millis};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tailwater_log::env::Rng;
use tailwater_log::{Log, Timestamp, TopicSpec};

const EVENTS: Topic<String, u64> = Topic::new("events");
const COUNTS: Topic<String, u64> = Topic::new("counts");
const SUMS: Topic<Windowed<String>, u64> = Topic::new("sums");
const LATE: Topic<String, u64> = Topic::new("late");

fn digit(v: &u64) -> String {
    (v % 10).to_string()
}

fn counted(t: &Topology) {
    let stream: Stream<String, u64> = t.stream(EVENTS).flat_map_values(|v| vec![v; (v % 3) as usize]);
    stream.key_by("by-digit", |_, v| digit(v)).group_by_key().count("digits").to(COUNTS);
}

/// Window sums by key without a hop, with late records set aside.
fn summed(t: &Topology) {
    let windows = t.stream(EVENTS).group_by_key().window(Tumbling::of(millis(100)).lateness(millis(30)));
    windows.late().to(LATE);
    windows.aggregate("sums", |_, v, sum: &mut u64| *sum += v).to(SUMS);
}

/// Window sums behind a hop.
fn summed_by_digit(t: &Topology) {
    let events = t.stream(EVENTS).key_by("by-digit", |_, v| digit(v));
    let windows = events.group_by_key().window(Tumbling::of(millis(100)).lateness(millis(30)));
    windows.late().to(LATE);
    windows.aggregate("sums", |_, v, sum: &mut u64| *sum += v).to(SUMS);
}

type Build = fn(&Topology);
type KeyOf = fn(&Event) -> String;

#[derive(Clone, Debug)]
struct Event {
    at: i64,
    key: String,
    value: u64,
}

/// Events whose times advance by drawn steps and are out of order by drawn amounts.
fn events(rng: &mut Rng, n: u64) -> Vec<Event> {
    let mut now = 0;
    let event = |_| {
        now += rng.below(20) as i64;
        let disorder = if rng.chance(1, 10) { 300 } else { 40 };
        let at = now - rng.below(disorder) as i64;
        Event { at, key: format!("k{}", rng.below(7)), value: rng.below(100) }
    };
    (0..n).map(event).collect()
}

fn send(sim: &Sim, events: &[Event]) {
    let input = sim.input(EVENTS);
    for event in events {
        input.send_at(Timestamp(event.at), event.key.clone(), event.value);
    }
}

/// The whole answer recomputed: sums of the windows, and the late records.
fn model(
    events: &[Event],
    partitions: u32,
    key: impl Fn(&Event) -> String,
) -> (BTreeMap<(i64, String), u64>, Vec<u64>) {
    let mut watermarks = BTreeMap::new();
    let (mut sums, mut late) = (BTreeMap::new(), Vec::new());
    for event in events {
        let partition = tailwater_log::record::partition_for_key(&event.key.to_bytes(), partitions);
        let watermark = watermarks.entry(partition).or_insert(i64::MIN);
        *watermark = event.at.max(*watermark);
        let start = event.at.div_euclid(100) * 100;
        if *watermark >= start + 130 {
            late.push(event.value);
        } else {
            *sums.entry((start, key(event))).or_insert(0) += event.value;
        }
    }
    late.sort_unstable();
    (sums, late)
}

/// Ends all windows: one event far ahead for each partition, whose own windows stay open.
fn finish(sim: &Sim, partitions: u32) {
    let mut missing: Vec<u32> = (0..partitions).collect();
    for n in 0.. {
        let key = format!("end{n}");
        let partition = tailwater_log::record::partition_for_key(key.as_bytes(), partitions);
        if missing.contains(&partition) {
            missing.retain(|p| *p != partition);
            sim.input(EVENTS).send_at(Timestamp(1_000_000), key, 0);
        }
        if missing.is_empty() {
            return;
        }
    }
}

fn last_of<K: Ord, V>(rows: Vec<(K, V)>) -> BTreeMap<K, V> {
    rows.into_iter().collect()
}

fn windows(rows: Vec<(Windowed<String>, u64)>) -> BTreeMap<(i64, String), u64> {
    last_of(rows.into_iter().map(|(key, sum)| ((key.start.0, key.key), sum)).collect())
}

#[test]
fn counts_through_a_hop_equal_the_undisturbed_ones_after_any_crash() {
    for seed in 0..60 {
        let mut rng = Rng::seeded(seed);
        let partitions = [1, 2, 8][rng.below(3) as usize];
        let all = events(&mut rng, 120);
        let sim = Sim::new(counted).partitions(partitions).seed(seed);
        for part in all.chunks(30) {
            send(&sim, part);
            if rng.chance(3, 4) {
                sim.crash_and_recover();
            }
        }
        let mut expected = BTreeMap::new();
        for event in &all {
            if event.value % 3 > 0 {
                *expected.entry(digit(&event.value)).or_insert(0) += event.value % 3;
            }
        }
        assert_eq!(last_of(sim.output(COUNTS).drain()), expected, "seed {seed}, {partitions} partitions");
    }
}

#[test]
fn windows_equal_the_whole_recomputed_answer_on_one_partition_and_on_eight() {
    for seed in 0..30 {
        let partitions = if seed % 2 == 0 { 1 } else { 8 };
        let all = events(&mut Rng::seeded(seed), 150);
        let jobs: [(Build, KeyOf); 2] =
            [(summed, |event| event.key.clone()), (summed_by_digit, |event| digit(&event.value))];
        for (job, key) in jobs {
            let (sums, late) = model(&all, partitions, key);
            let sim = Sim::new(job).partitions(partitions).seed(seed);
            send(&sim, &all);
            finish(&sim, partitions);
            assert_eq!(windows(sim.output(SUMS).drain()), sums, "seed {seed}, {partitions} partitions");
            let mut found: Vec<u64> = sim.output(LATE).drain().into_iter().map(|(_, value)| value).collect();
            found.sort_unstable();
            assert_eq!(found, late, "seed {seed}, {partitions} partitions");
        }
    }
}

#[test]
fn windows_behind_a_hop_equal_the_undisturbed_ones_after_any_crash() {
    for seed in 0..40 {
        let partitions = [1, 3][(seed % 2) as usize];
        let all = events(&mut Rng::seeded(seed), 120);
        let sim = Sim::new(summed_by_digit).partitions(partitions).seed(seed);
        // All of it is there before the job runs, so no partition is idle before its end.
        send(&sim, &all);
        finish(&sim, partitions);
        (0..3).for_each(|_| sim.crash_and_recover());
        let (sums, _) = model(&all, partitions, |event| digit(&event.value));
        assert_eq!(windows(sim.output(SUMS).drain()), sums, "seed {seed}, {partitions} partitions");
    }
}

#[test]
fn tables_and_watermarks_are_what_they_were_after_a_restart() {
    const SIDE: Topic<String, u64> = Topic::new("side");
    const JOINED: Topic<String, u64> = Topic::new("joined");
    for (seed, crash) in [(1, false), (2, true), (3, true), (4, true)] {
        let sim = Sim::new(|t: &Topology| {
            summed(t);
            let side = t.table(SIDE, "side");
            let other = t.stream(Topic::<String, u64>::new("more"));
            other.left_join(&side, |v, s| v + s.copied().unwrap_or(900)).to(JOINED);
        });
        let sim = sim.seed(seed);
        sim.input(SIDE).send_at(Timestamp(1), "a".into(), 10).send_at(Timestamp(2), "b".into(), 20);
        sim.input(SIDE).remove_at(Timestamp(3), "b".into());
        sim.input(EVENTS).send_at(Timestamp(500), "a".into(), 1);
        sim.run();
        if crash {
            sim.crash_and_recover()
        } else {
            sim.restart()
        }
        let more = sim.input(Topic::<String, u64>::new("more"));
        more.send_at(Timestamp(10), "a".into(), 1).send_at(Timestamp(11), "b".into(), 2);
        assert_eq!(sim.output(JOINED).drain(), [("a".to_string(), 11), ("b".to_string(), 902)], "seed {seed}");
        // In the window [0, 100), which 500 has closed.
        sim.input(EVENTS).send_at(Timestamp(5), "z".into(), 77);
        assert_eq!(sim.output(LATE).drain(), [("z".to_string(), 77)], "seed {seed}");
    }
}

#[test]
fn an_orderly_restart_repeats_nothing() {
    let sim = Sim::new(counted).partitions(2).seed(3);
    let all = events(&mut Rng::seeded(3), 60);
    send(&sim, &all[..30]);
    sim.run();
    sim.restart();
    send(&sim, &all[30..]);
    let written = sim.output(COUNTS).drain();
    let mut expected = BTreeMap::new();
    for (key, count) in written {
        let last = expected.entry(key).or_insert(0);
        assert_eq!(count, *last + 1);
        *last = count;
    }
}

#[test]
fn a_record_that_does_not_decode_stops_the_job_and_commits_nothing_of_it() {
    let sim = Sim::new(counted).seed(1);
    sim.input(EVENTS).send_at(Timestamp(0), "a".into(), 4).send_raw_at(Timestamp(1), "a".into(), b"x");
    let error = sim.try_run().unwrap_err();
    assert_eq!(error.code(), "TW0404");
    assert_eq!(
        error.to_string(),
        "record events-0@1 does not decode: value: \"x\" is not a u64: invalid digit found in string"
    );
    assert_eq!(sim.try_run().unwrap_err().code(), "TW0404", "it stays there until something is done");
}

#[test]
fn a_record_without_a_key_is_not_taken_for_an_empty_key() {
    let sim = Sim::new(counted).seed(1);
    sim.input(Topic::<(), u64>::new("events")).send_at(Timestamp(0), (), 4);
    let error = sim.try_run().unwrap_err().to_string();
    assert!(error.contains("key: the record has none; declare the topic as `Topic<(), _>`"), "{error}");
}

async fn open(dir: &tempfile::TempDir, partitions: u32) -> Log {
    let log = Log::open(dir.path()).await.unwrap();
    log.admin().ensure_topic(TopicSpec::new("events", partitions).unwrap()).await.unwrap();
    log
}

async fn fill(log: &Log, n: u64) {
    let producer = log.producer().build();
    let topic = tailwater_log::TopicName::new("events").unwrap();
    for value in 0..n {
        let key = Some(format!("k{}", value % 7).into());
        let record = tailwater_log::Record {
            key,
            value: Some(value.to_bytes().into()),
            timestamp: Timestamp(value as i64),
            headers: vec![],
        };
        drop(producer.send(&topic, record).await.unwrap());
    }
    producer.flush().await.unwrap();
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().sum()
}

async fn read_counts(log: &Log) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let described = log.admin().describe_topic("counts").await.unwrap();
    for partition in described.partitions {
        let at = tailwater_log::TopicPartition::new(described.name.clone(), partition.partition);
        let from = tailwater_log::service::FetchPartition { partition: at, offset: 0, max_bytes: 1 << 24 };
        let request = tailwater_log::service::Fetch {
            partitions: vec![from],
            max_wait: millis(0),
            min_bytes: 1,
            isolation: tailwater_log::types::Isolation::ReadCommitted,
        };
        let fetched = log.service().fetch(request).await.unwrap().pop().unwrap();
        for record in tailwater_log::record::records(fetched.batches) {
            let record = record.unwrap();
            counts.insert(String::decode(&record.key.unwrap()).unwrap(), u64::decode(&record.value.unwrap()).unwrap());
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_catches_up_drains_and_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir, 4).await;
    fill(&log, 300).await;
    let running = App::new("job", counted).start(log.clone()).await.unwrap();
    running.caught_up().await.unwrap();
    assert_eq!(total(&read_counts(&log).await), 300);
    fill(&log, 30).await;
    running.caught_up().await.unwrap();
    assert_eq!(total(&read_counts(&log).await), 330);
    let progress = running.progress();
    assert_eq!((progress.len(), progress.iter().map(crate::TaskProgress::lag).sum::<u64>()), (8, 0));
    fill(&log, 3).await;
    running.stop().await.unwrap();
    log.close().await.unwrap();

    let log = open(&dir, 4).await;
    App::new("job", counted).run_to_end(log.clone()).await.unwrap();
    assert_eq!(total(&read_counts(&log).await), 333);
    let group = log.admin().describe_group("job").await.unwrap();
    assert!(group.partitions.iter().all(|partition| partition.lag_records == 0), "{group:?}");
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_panic_in_user_code_stops_the_app_with_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir, 2).await;
    fill(&log, 10).await;
    let app = App::new("job", |t: &Topology| t.stream(EVENTS).for_each(|_, v| assert!(v != 7, "seven")));
    let error = app.run_to_end(log.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Panicked { message, .. } if message == "seven"), "{error}");
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_missing_source_is_named_with_its_neighbour() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir, 1).await;
    let app = App::new("job", |t: &Topology| t.stream(Topic::<String, u64>::new("evnets")).to(COUNTS));
    let error = app.start(log.clone()).await.unwrap_err();
    assert_eq!((error.code(), error.help().unwrap().as_str()), ("TW0403", "did you mean `events`?"));
    log.close().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Joins see the row as of the record's time wherever the crashes fall.
    #[test]
    fn joins_equal_a_naive_model(seed: u64, rows in proptest::collection::vec((0..60_i64, 0..3_u8, 0..9_u64), 1..40)) {
        const SIDE: Topic<String, u64> = Topic::new("side");
        const JOINED: Topic<String, u64> = Topic::new("joined");
        let sim = Sim::new(|t: &Topology| {
            let side = t.table(SIDE, "side");
            t.stream(EVENTS).left_join(&side, |v, s| v * 1000 + s.copied().unwrap_or(999)).to(JOINED);
        });
        let sim = sim.seed(seed);
        sim.run();
        let mut sorted = rows;
        sorted.sort_by_key(|(at, _, _)| *at);
        let (mut table, mut expected) = (BTreeMap::new(), Vec::new());
        for (n, (at, key, value)) in sorted.iter().enumerate() {
            if n % 10 == 9 {
                sim.crash_and_recover();
            }
            let name = format!("k{key}");
            if at % 2 == 0 {
                sim.input(SIDE).send_at(Timestamp(*at), name.clone(), *value);
                table.insert(name, *value);
            } else {
                sim.input(EVENTS).send_at(Timestamp(*at), name.clone(), *value);
                expected.push((name.clone(), value * 1000 + table.get(&name).copied().unwrap_or(999)));
            }
        }
        // A crash writes results again and never leaves one out or changes one: what is written is the expected list,
        // with jumps back to results that stood there before.
        let mut at = 0;
        for result in sim.output(JOINED).drain() {
            if expected.get(at) != Some(&result) {
                at = expected[..at].iter().rposition(|earlier| *earlier == result).expect("a result that was expected");
            }
            at += 1;
        }
        prop_assert_eq!(at, expected.len());
    }

    /// Everything together: a join, branch and merge, a hop, windows with late records, and counts, with crashes.
    #[test]
    fn a_whole_job_equals_a_naive_model(seed: u64, eight: bool, crashes in 0..4_u32) {
        const SIDE: Topic<String, u64> = Topic::new("side");
        const ODD: Topic<String, u64> = Topic::new("odd");
        let partitions = if eight { 8 } else { 1 };
        let sim = Sim::new(|t: &Topology| {
            let side = t.table(SIDE, "side");
            // What has a row goes on with 1000 added.
            let joined = t.stream(EVENTS).left_join(&side, |v, row| v + row.map_or(0, |_| 1000));
            let (odd, even) = joined.branch(|_, v| v % 2 == 1);
            odd.to(ODD);
            let both = even.map_values(|v| v).merge(&odd.flat_map_values(|v| vec![v; 2]));
            let keyed = both.key_by("by-digit", |_, v| digit(v)).group_by_key();
            keyed.count("digits").to(COUNTS);
            let windows = keyed.window(Tumbling::of(millis(100)).lateness(millis(30)));
            windows.late().to(LATE);
            windows.aggregate("sums", |_, v, sum: &mut u64| *sum += v).to(SUMS);
        });
        let sim = sim.partitions(partitions).seed(seed);
        for k in 0..7 {
            sim.input(SIDE).send_at(Timestamp(-900), format!("k{k}"), 1);
        }
        for k in [2, 5] {
            sim.input(SIDE).remove_at(Timestamp(-800), format!("k{k}"));
        }
        let all = events(&mut Rng::seeded(seed), 100);
        // All of it is there before the job runs, so no partition is idle before its end.
        send(&sim, &all);
        finish(&sim, partitions);
        (0..crashes).for_each(|_| sim.crash_and_recover());

        let has_row = |event: &Event| !["k2", "k5"].contains(&event.key.as_str());
        let through: Vec<Event> = (all.iter())
            .map(|e| Event { value: e.value + if has_row(e) { 1000 } else { 0 }, ..e.clone() })
            .flat_map(|e| vec![e.clone(); 1 + (e.value % 2) as usize])
            .collect();
        let (sums, late) = model(&through, partitions, |event| digit(&event.value));
        let mut counts = BTreeMap::new();
        through.iter().for_each(|event| *counts.entry(digit(&event.value)).or_insert(0) += 1);
        prop_assert_eq!(windows(sim.output(SUMS).drain()), sums);
        let mut counted = last_of(sim.output(COUNTS).drain());
        // The records that end the windows count as well.
        *counted.get_mut("0").unwrap() -= u64::from(partitions);
        counted.retain(|_, n| *n > 0);
        prop_assert_eq!(counted, counts);
        let odd: Vec<u64> = through.iter().map(|e| e.value).filter(|v| v % 2 == 1).collect();
        let found = |topic| sim.output(topic).drain().into_iter().map(|(_, v)| v).collect::<Vec<u64>>();
        let distinct = |values: &[u64]| values.iter().copied().collect::<std::collections::BTreeSet<_>>();
        let (found_late, found_odd) = (found(LATE), found(ODD));
        prop_assert_eq!(distinct(&found_late), distinct(&late));
        prop_assert_eq!(distinct(&found_odd), distinct(&odd));
        if crashes == 0 {
            prop_assert_eq!((found_late.len(), 2 * found_odd.len()), (late.len(), odd.len()));
        }
    }
}
