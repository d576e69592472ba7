//! `kill -9` at any moment, then the same command again: everything acknowledged is there, once, in order.

use super::{assert_checked, stdout, tw};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const KILLS: usize = 25;
const ROWS: u64 = 40_000;
/// The random moments; print it when a test fails.
const SEED: u64 = 20_130_208;

/// A small generator (Steele and Vigna's splitmix64), so that the moments are the same in every run.
struct Moments(u64);

impl Moments {
    /// A number in `[0, below)`.
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }
}

fn start(data: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tw"));
    command.arg("--data").arg(data).args(args).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the binary runs")
}

/// Kills the child, this one and no other, as `kill -9` does; whether it was still running.
fn kill(mut child: Child) -> bool {
    child.kill().expect("it is our child");
    // A process that ended by itself has an exit code; one that was killed has none.
    child.wait().expect("it is our child").code().is_none()
}

/// Records that a topic holds, by its description.
fn held(data: &Path, topic: &str) -> u64 {
    let output = tw(Some(data), &["--json", "topic", "describe", topic]);
    if !output.status.success() {
        // Killed before the topic was made.
        return 0;
    }
    let description: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a description is JSON");
    let partitions = description["partitions"].as_array().expect("partitions");
    partitions.iter().map(|p| p["high_watermark"].as_u64().expect("an offset")).sum()
}

/// A row of the file.
fn row(n: u64) -> String {
    format!(r#"{{"key":"k{}","n":{n},"text":"row {n} of a file that is loaded"}}"#, n * n % 97)
}

#[test]
fn a_load_that_is_killed_anywhere_has_every_record_once_and_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, file) = (dir.path().join("data"), dir.path().join("rows.jsonl"));
    std::fs::write(&file, (0..ROWS).map(|n| row(n) + "\n").collect::<String>()).expect("a file");
    let file = file.to_str().expect("UTF-8");

    let mut moments = Moments(SEED);
    let mut kills = 0;
    // A load that ends before it is killed 25 times is followed by one into another topic.
    for topic in (0..KILLS).map(|n| format!("rows{n}")) {
        let load = ["load", file, topic.as_str(), "--key", "key", "--partitions", "4", "--progress-lines"];
        kills += kill_load(&data, &load, &mut moments, KILLS - kills);
        stdout(&tw(Some(&data), &load));
        assert_loaded(&data, &topic);
        if kills == KILLS {
            return;
        }
    }
    panic!("only {kills} loads could be killed before they ended");
}

/// Starts the load again and again and kills it, up to `times`; how often it was killed before it ended.
fn kill_load(data: &Path, load: &[&str], moments: &mut Moments, times: usize) -> usize {
    let (mut acknowledged, mut there) = (0_u64, 0);
    for kills in 0..times {
        let mut child = start(data, load);
        // Beyond what is there already, so that it dies while it writes.
        let until = there + moments.draw(1_500);
        for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
            let line = line.expect("UTF-8");
            let Some(acked) = line.strip_prefix("acked ") else { continue };
            acknowledged = acknowledged.max(acked.parse().expect("a number"));
            if acknowledged > until {
                break;
            }
        }
        if !kill(child) {
            return kills;
        }
        there = held(data, load[2]);
        assert!(there >= acknowledged, "kill {kills} (seed {SEED}): {acknowledged} acknowledged and {there} held");
    }
    times
}

/// Every row is there once, and each partition has its rows in the order of the file.
fn assert_loaded(data: &Path, topic: &str) {
    let dump = stdout(&tw(Some(data), &["dump", topic, "--metadata"]));
    let mut last = BTreeMap::new();
    let mut seen = vec![0; ROWS as usize];
    for line in dump.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a record is JSON");
        let n = record["value"]["n"].as_u64().expect("a number");
        let before = last.insert(record["partition"].as_u64().expect("a partition"), n);
        assert!(before.is_none_or(|before| before < n), "{n} after {before:?} (seed {SEED})");
        assert_eq!(record["value"].to_string(), row(n), "{line}");
        seen[n as usize] += 1;
    }
    assert!(seen.iter().all(|times| *times == 1), "seed {SEED}");
    assert_eq!(last.len(), 4);
}

/// About half of what the demo writes in a twenty-fifth of the week.
const BYTES_BETWEEN_KILLS: u64 = 700_000;

/// Bytes in the directory and below.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

#[test]
fn a_demo_that_is_killed_anywhere_ends_with_the_right_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path();
    let mut moments = Moments(SEED);
    for kills in 0..KILLS {
        let mut child = start(data, &["demo", "--fast", "--plain"]);
        // Drawn from before the first topic is made to well into the week.
        let until = size(data) + moments.draw(BYTES_BETWEEN_KILLS);
        while size(data) < until {
            assert!(child.try_wait().expect("it is our child").is_none(), "over after {kills} kills (seed {SEED})");
            std::thread::yield_now();
        }
        assert!(kill(child), "over after {kills} kills (seed {SEED})");
    }
    let before = held(data, "flights");
    assert!(before < 6_098, "the week was over before the last kill (seed {SEED})");
    assert_checked(&stdout(&tw(Some(data), &["demo", "--check"])), 4);

    // The topics hold every event once, and each partition has them in delivery order.
    for (topic, records) in [("flights", 6_098), ("flight_reports", 5_107), ("weather", 504), ("planes", 3_322)] {
        let dump = stdout(&tw(Some(data), &["dump", topic, "--metadata"]));
        let mut last = BTreeMap::new();
        let mut keys = std::collections::BTreeSet::new();
        for line in dump.lines() {
            let record: serde_json::Value = serde_json::from_str(line).expect("a record is JSON");
            let at = record["timestamp"].as_str().expect("a timestamp").to_owned();
            let before = last.insert(record["partition"].as_u64().expect("a partition"), at.clone());
            assert!(before.as_ref().is_none_or(|before| *before <= at), "{at} after {before:?} in {topic}");
            assert!(keys.insert(record["key"].to_string()), "{} is twice in {topic}", record["key"]);
        }
        assert_eq!(keys.len(), records, "{topic} (seed {SEED})");
    }
}
