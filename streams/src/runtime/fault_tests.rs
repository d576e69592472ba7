//! What goes wrong around a job: full disks, records over the limit, topics made anew, user code that panics where
//! nobody calls it directly. In each case nothing is lost and nothing is counted twice.

use crate::{App, Codec, Sim, Topic, Topology, Tumbling, Windowed, millis};
use std::collections::BTreeMap;
use tailwater_log::{DecodeError, Log, Record, Timestamp, TopicName, TopicSpec};

const EVENTS: Topic<String, u64> = Topic::new("events");
const COUNTS: Topic<String, u64> = Topic::new("counts");
const TEXTS: Topic<String, String> = Topic::new("texts");
const LATE: Topic<String, u64> = Topic::new("late");
const SUMS: Topic<Windowed<String>, u64> = Topic::new("sums");

fn send(sim: &Sim, from: u64, to: u64) {
    for n in from..to {
        sim.input(EVENTS).send_at(Timestamp(n as i64), format!("k{}", n % 5), n);
    }
}

fn last_counts(sim: &Sim) -> BTreeMap<String, u64> {
    sim.output(COUNTS).drain().into_iter().collect()
}

#[test]
fn a_result_or_a_row_over_the_limit_stops_the_job() {
    let result = |t: &Topology| t.stream(EVENTS).map_values(|v| "x".repeat(1_000_000 * v as usize)).to(TEXTS);
    let hop = |t: &Topology| {
        let large = t.stream(EVENTS).map_values(|v| "x".repeat(1_000_000 * v as usize));
        large.key_by("again", |k, _| k.clone()).map_values(|text| text.len() as u64).to(COUNTS);
    };
    let row = |t: &Topology| {
        let grow = |_: &String, v: u64, row: &mut String| row.push_str(&"x".repeat(1_000_000 * v as usize));
        t.stream(EVENTS).group_by_key().aggregate("rows", grow);
    };
    for job in [result as fn(&Topology), hop, row] {
        let sim = Sim::new(job);
        send(&sim, 0, 3);
        assert_eq!(sim.try_run().unwrap_err().code(), "TW0105");
        assert_eq!(sim.try_run().unwrap_err().code(), "TW0105", "the record is not passed over");
    }
}

/// A step sends more than one batch to a partition; when the first does not fit on the disk the next one may.
#[test]
fn a_batch_that_the_disk_refuses_leaves_no_hole() {
    let job = |t: &Topology| {
        let copies = t.stream(EVENTS).flat_map_values(|v| vec![format!("{v:>9000}"); 5]);
        let keyed = copies.key_by("again", |k, _| k.clone()).group_by_key();
        keyed.reduce("rows", |_, last| last);
        keyed.count("counts").to(COUNTS);
    };
    let mut refused = 0;
    for write in 0..40 {
        let sim = Sim::new(job);
        send(&sim, 0, 40);
        sim.disk().fail_write_after(write);
        if sim.try_run().is_err() {
            refused += 1;
            sim.lose_power();
        }
        let expected = (0..5).map(|k| (format!("k{k}"), 40)).collect();
        assert_eq!(last_counts(&sim), expected, "after {write} writes");
    }
    assert!(refused > 5, "{refused}");
}

#[test]
fn a_topic_that_is_made_anew_is_read_from_its_start() {
    let stateless = |t: &Topology| t.stream(EVENTS).to(COUNTS);
    let counted = |t: &Topology| t.stream(EVENTS).group_by_key().count("counts").to(COUNTS);
    let hop =
        |t: &Topology| t.stream(EVENTS).key_by("again", |k, _| k.clone()).group_by_key().count("counts").to(COUNTS);
    for (job, stateful) in [(stateless as fn(&Topology), false), (counted, true), (hop, true)] {
        for more in [5, 25] {
            let sim = Sim::new(job);
            send(&sim, 0, 15);
            sim.run();
            sim.output(COUNTS).drain();
            sim.recreate(EVENTS);
            send(&sim, 0, more);
            let counts = sim.output(COUNTS).drain();
            assert_eq!(counts.len() as u64, more, "every record of the new topic is read");
            if stateful {
                let last: BTreeMap<_, _> = counts.into_iter().collect();
                assert_eq!(last["k0"], 3 + more / 5, "what the old topic gave stays in the state");
            }
        }
    }
}

#[test]
fn a_table_whose_topic_is_made_anew_has_its_new_rows() {
    const SIDE: Topic<String, u64> = Topic::new("side");
    let sim = Sim::new(|t: &Topology| {
        let side = t.table(SIDE, "side");
        t.stream(EVENTS).join(&side, |_, row| *row).to(COUNTS);
    });
    for n in 0..9 {
        sim.input(SIDE).send_at(Timestamp(n), "k0".into(), 1);
    }
    send(&sim, 0, 1);
    assert_eq!(sim.output(COUNTS).drain(), [("k0".to_string(), 1)]);
    sim.recreate(SIDE);
    sim.input(SIDE).send_at(Timestamp(9), "k0".into(), 2);
    sim.input(EVENTS).send_at(Timestamp(20), "k0".into(), 0);
    assert_eq!(sim.output(COUNTS).drain(), [("k0".to_string(), 2)]);
}

/// A value whose codec panics when it is written.
#[derive(Clone, Default)]
struct Brittle;

impl Codec for Brittle {
    fn encode(&self, _: &mut Vec<u8>) {
        panic!("brittle");
    }
    fn decode(_: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_codec_that_panics_at_a_commit_stops_the_app_with_its_message() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    log.admin().ensure_topic(TopicSpec::new("events", 1).unwrap()).await.unwrap();
    let seven = Record { key: Some("k".into()), value: Some("7".into()), ..Record::default() };
    let topic = TopicName::new("events").unwrap();
    log.producer().build().send(&topic, seven).await.unwrap().await.unwrap();
    let job = |t: &Topology| drop(t.stream(EVENTS).group_by_key().aggregate("rows", |_, _, _: &mut Brittle| ()));
    let running = App::new("job", job).start(log.clone()).await.unwrap();
    let error = running.failed().await;
    assert_eq!((error.code(), error.to_string().ends_with("brittle")), ("TW0405", true), "{error}");
    assert_eq!(running.stop().await.unwrap_err().code(), "TW0405");
    log.close().await.unwrap();
}

#[test]
fn any_event_time_is_taken() {
    for at in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
        let sim = Sim::new(|t: &Topology| {
            let windows = t.stream(EVENTS).key_by("again", |k, _| k.clone()).group_by_key();
            let windows = windows.window(Tumbling::of(millis(100)).lateness(std::time::Duration::MAX));
            windows.late().to(LATE);
            windows.count("counts").to(SUMS);
        });
        sim.input(EVENTS).send_at(Timestamp(at), "a".into(), 1).send_at(Timestamp(50), "a".into(), 2);
        sim.run();
    }
}

/// A record is late by the watermark of its own partition, which another partition's does not hold back; so that
/// watermark has to outlive a crash that comes between the record that moved it and the late one.
#[test]
fn a_record_that_is_late_without_a_crash_is_late_after_one() {
    let of = |partition: u32| {
        let mut keys = (0..).map(|n| format!("k{n}"));
        keys.find(|key| tailwater_log::record::partition_for_key(key.as_bytes(), 2) == partition).unwrap()
    };
    for seed in 0..40 {
        let sim = Sim::new(|t: &Topology| {
            let keyed = t.stream(EVENTS).key_by("one", |_, _| "all".to_string()).group_by_key();
            let windows = keyed.window(Tumbling::of(millis(100)));
            windows.late().to(LATE);
            windows.count("counts").to(SUMS);
        });
        let sim = sim.partitions(2).seed(seed);
        // Partition 1 keeps the window [0, 100) open while partition 0 is at 500.
        for n in 0..60 {
            sim.input(EVENTS).send_at(Timestamp(10), of(1), n);
            sim.input(EVENTS).send_at(Timestamp(if n < 20 { 500 } else { 20 }), of(0), n);
        }
        (0..3).for_each(|_| sim.crash_and_recover());
        let counts: BTreeMap<_, _> = sim.output(SUMS).drain().into_iter().collect();
        assert_eq!(counts.values().copied().collect::<Vec<_>>(), [60], "seed {seed}");
    }
}

/// A table made from the same records as the stream that it is joined with: each record meets the row that it has
/// just changed, however many records come at once.
#[test]
fn a_stream_joined_with_its_own_count_sees_each_value() {
    let sim = Sim::new(|t: &Topology| {
        let events = t.stream(EVENTS);
        let counts = events.group_by_key().count("counts");
        events.join(&counts, |_, n| *n).to(COUNTS);
    });
    for n in 0..4 {
        sim.input(EVENTS).send_at(Timestamp(n), "a".into(), 0);
    }
    let seen: Vec<u64> = sim.output(COUNTS).drain().into_iter().map(|(_, n)| n).collect();
    assert_eq!(seen, [1, 2, 3, 4]);
}
