//! How to query topics with SQL: joins, aggregates, and the columns that every topic has.
//!
//! `cargo run --example sql_over_topics -- 8` runs it on 8 partitions; without a number on 4.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use serde_json::json;
use tailwater::log::{Record, Timestamp};
use tailwater::sql::{SqlSession, arrow::util::pretty::pretty_format_batches};
use tailwater::{Log, TopicName, TopicSpec};

/// Flights from New York on 8 February 2013: flight, from, to, tail number, delay at departure (none: cancelled).
const FLIGHTS: &[(&str, &str, &str, &str, Option<i32>)] = &[
    ("UA565", "EWR", "LAS", "N568UA", Some(-1)),
    ("B6361", "LGA", "PBI", "N564JB", Some(0)),
    ("UA499", "EWR", "SEA", "N484UA", Some(19)),
    ("VX23", "JFK", "SFO", "N633VA", Some(31)),
    ("FL353", "LGA", "CAK", "N971AT", Some(-4)),
    ("EV4087", "EWR", "PWM", "N16961", None),
    ("EV4950", "EWR", "ATL", "N718EV", None),
    ("EV4628", "EWR", "STL", "N14998", Some(23)),
    ("UA1641", "EWR", "MCO", "N76265", Some(90)),
    ("DL4", "JFK", "MCO", "N3757D", None),
];

/// Aircraft: tail number, maker, seats.
const PLANES: &[(&str, &str, u32)] = &[
    ("N14998", "Embraer", 55),
    ("N16961", "Embraer", 55),
    ("N3757D", "Boeing", 189),
    ("N484UA", "Airbus Industrie", 200),
    ("N564JB", "Airbus", 200),
    ("N568UA", "Boeing", 178),
    ("N633VA", "Airbus", 182),
    ("N718EV", "Bombardier Inc", 80),
    ("N76265", "Boeing", 149),
    ("N971AT", "Boeing", 100),
];

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let partitions = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path()).await?;
    let flights = FLIGHTS.iter().map(|(flight, origin, dest, tailnum, delay)| {
        (*flight, json!({"flight": flight, "origin": origin, "dest": dest, "tailnum": tailnum, "delay": delay}))
    });
    send(&log, "flights", partitions, flights).await?;
    let planes = PLANES
        .iter()
        .map(|(tailnum, maker, seats)| (*tailnum, json!({"tailnum": tailnum, "maker": maker, "seats": seats})));
    send(&log, "planes", partitions, planes).await?;

    // A topic is a table; its columns come from the JSON in it. A statement sees one cut of all topics.
    let sql = SqlSession::new(log.clone());
    for statement in [
        "SELECT origin, count(*) AS flights, count(*) - count(delay) AS cancelled, avg(delay) AS delay
           FROM flights GROUP BY origin ORDER BY origin",
        "SELECT p.maker, sum(p.seats) AS seats
           FROM flights f JOIN planes p ON p.tailnum = f.tailnum
          WHERE f.delay IS NULL GROUP BY p.maker ORDER BY seats DESC, p.maker",
        // Filters on _partition, _offset and _timestamp decide what is read at all.
        "SELECT count(*) AS records, count(DISTINCT _key) AS keys FROM planes WHERE _offset < 1000",
    ] {
        let batches = sql.query(statement).await?.batches().await?;
        println!("{}", pretty_format_batches(&batches)?);
    }

    // A mistake is told with its place and its remedy.
    let mistake = sql.query("SELECT avg(delays) FROM flights").await.expect_err("there is no such column");
    println!("error[{}]: {mistake}", mistake.code());
    println!("  help: {}", mistake.help().unwrap_or_default());
    log.close().await?;
    Ok(())
}

/// Makes the topic and sends the rows, by their keys.
async fn send(
    log: &Log,
    name: &str,
    partitions: u32,
    rows: impl Iterator<Item = (&'static str, serde_json::Value)>,
) -> tailwater::Result<()> {
    let topic = TopicName::new(name)?;
    log.admin().create_topic(TopicSpec::new(name, partitions)?).await?;
    let producer = log.producer().build();
    for (key, row) in rows {
        let (key, value) = (Some(key.into()), Some(row.to_string().into()));
        producer
            .send(&topic, Record { key, value, timestamp: Timestamp(1_360_288_800_000), headers: Vec::new() })
            .await?;
    }
    producer.flush().await
}
