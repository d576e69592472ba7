//! How fast does SQL read JSON topics, and what does a column cost that nobody asked for?
//!
//! Baseline: `serde_json` parsing the same values, one after the other, from memory, on one thread.
//! This is the one bench that needs DataFusion: `cargo bench -p tailwater --bench sql_scan`.

mod measure;

use measure::{Case, compare, machine, timed};
use std::time::Duration;
use tailwater::log::env::Rng;
use tailwater::log::types::{Flush, Timestamp};
use tailwater::log::{Log, Record};
use tailwater::sql::SqlSession;
use tailwater::{TopicName, TopicSpec};
use tokio::runtime::Runtime;

const ROWS: usize = 300_000;
const PARTITIONS: u32 = 4;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path())).expect("the log opens");
    let mut rng = Rng::seeded(7);
    let rows: Vec<String> = (0..ROWS).map(|n| row(n, &mut rng)).collect();
    runtime.block_on(fill(&log, &rows));
    let session = SqlSession::new(log.clone());
    let one_stream = SqlSession::with_streams(log.clone(), 1);

    let amount = ROWS as f64;
    let bytes: usize = rows.iter().map(String::len).sum();
    let query = |session: &SqlSession, sql: &str| runtime.block_on(run(session, sql));
    compare(
        &format!("Scanning {ROWS} JSON rows of 12 columns, {} bytes each, {PARTITIONS} partitions:", bytes / ROWS),
        "rows",
        vec![
            Case::raw("raw: serde_json to Value, 1 thread", amount, || {
                timed(|| {
                    for row in &rows {
                        let value: serde_json::Value = serde_json::from_str(row).expect("JSON");
                        std::hint::black_box(value);
                    }
                })
            }),
            Case::new("all 12 columns, 1 stream", amount, || query(&one_stream, "SELECT * FROM bench")),
            Case::new("all 12 columns, every core", amount, || query(&session, "SELECT * FROM bench")),
            Case::new("sum of 1 column by another, 1 stream", amount, || query(&one_stream, GROUPED)),
            Case::new("sum of 1 column by another, every core", amount, || query(&session, GROUPED)),
            Case::new("count(*) with a filter on _offset", amount, || {
                query(&session, "SELECT count(*) FROM bench WHERE _offset >= 10")
            }),
            Case::new("count(*)", amount, || query(&session, "SELECT count(*) FROM bench")),
        ],
    );
    runtime.block_on(log.close()).expect("the log closes");
}

const GROUPED: &str = "SELECT origin, sum(dep_delay) FROM bench GROUP BY origin";

/// A row like a flight: 12 columns, a third of them text.
fn row(n: usize, rng: &mut Rng) -> String {
    let mut below = |bound| rng.below(bound);
    format!(
        r#"{{"id":{n},"carrier":"{}","flight":{},"tailnum":"N{}","origin":"{}","dest":"D{}","sched_dep":{},"dep_delay":{},"arr_delay":{},"air_time":{},"distance":{}.5,"cancelled":{}}}"#,
        ["UA", "B6", "EV", "DL", "AA"][below(5) as usize],
        below(6000),
        10_000 + below(4000),
        ["EWR", "JFK", "LGA"][below(3) as usize],
        below(100),
        1_360_288_800_000 + n as u64 * 1000,
        below(200) as i64 - 20,
        below(300) as i64 - 60,
        30 + below(600),
        80 + below(4900),
        below(20) == 0,
    )
}

async fn fill(log: &Log, rows: &[String]) {
    let mut spec = TopicSpec::new("bench", PARTITIONS).expect("the topic is valid");
    spec.config.flush = Flush::Os;
    log.admin().create_topic(spec).await.expect("the topic is made");
    let topic = TopicName::new("bench").expect("a valid name");
    let producer = log.producer().batch_bytes(64 * 1024).build();
    for row in rows {
        let record = Record { value: Some(row.clone().into()), timestamp: Timestamp(0), ..Record::default() };
        producer.send(&topic, record).await.expect("there is room");
    }
    producer.flush().await.expect("all rows are acknowledged");
}

/// Runs a statement and reads all its rows.
async fn run(session: &SqlSession, sql: &str) -> Duration {
    let clock = tailwater::log::env::Clock::real();
    let start = clock.instant();
    let mut answer = session.query(sql).await.expect("the statement runs");
    while let Some(batch) = answer.next().await.expect("the rows") {
        std::hint::black_box(batch);
    }
    clock.instant().since(start)
}
