//! How to write a stream job: from lines to words, one re-key, a count that survives restarts.
//!
//! `cargo run --example word_count -- 8` runs it on 8 partitions; without a number on 4.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::collections::BTreeMap;
use tailwater::streams::{App, Topic, Topology};
use tailwater::{Log, TopicSpec};

const LINES: Topic<(), String> = Topic::new("lines");
const COUNTS: Topic<String, u64> = Topic::new("word-counts");

fn word_count(t: &Topology) {
    t.stream(LINES)
        .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .key_by("by-word", |_, word| word.clone()) // brings equal words together, through a topic
        .group_by_key()
        .count("counts") // a table; its rows are durable
        .changes()
        .to(COUNTS);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let partitions = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path()).await?;
    log.admin().create_topic(TopicSpec::new(LINES.name(), partitions)?).await?;

    for line in ["Whose woods these are I think I know", "His house is in the village though"] {
        log.send(LINES.name(), &line.to_string()).await?;
    }
    // All that is there, and then it stops; `run` goes on until Ctrl-C.
    App::new("word-count", word_count).run_to_end(log.clone()).await?;
    show(2, &shared::records(&log, COUNTS).await?.into_iter().collect());

    // The job has stopped. Started again, it goes on with its counts, behind the last line that it counted.
    for line in ["He will not see me stopping here", "To watch his woods fill up with snow"] {
        log.send(LINES.name(), &line.to_string()).await?;
    }
    App::new("word-count", word_count).run_to_end(log.clone()).await?;
    let counts: BTreeMap<String, u64> = shared::records(&log, COUNTS).await?.into_iter().collect();
    show(4, &counts);
    assert_eq!((counts["woods"], counts["his"], counts["snow"]), (2, 2, 1));
    log.close().await?;
    Ok(())
}

/// The words that came more than once.
fn show(lines: usize, counts: &BTreeMap<String, u64>) {
    let often = counts.iter().filter(|(_, n)| **n > 1).map(|(word, n)| format!("{word} {n}"));
    println!("after {lines} lines, {} words: {}", counts.len(), often.collect::<Vec<_>>().join(", "));
}
