//! How windows of event time work when data comes late: lateness keeps them open, and what is too late has a stream.
//!
//! Landing reports of real flights from New York on 8 February 2013. A report tells of a departure hours ago, so reports
//! come out of order. `cargo run --example windowed_flights -- 8` runs it on 8 partitions; without a number on 4.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tailwater::log::Record as RawRecord;
use tailwater::streams::{App, Emit, Record, Topic, Topology, Tumbling, Watermarks, Windowed, hours};
use tailwater::{Codec, Log, Timestamp, TopicSpec};

/// Flight, from, departed, landed (UTC), minutes of delay at departure; in the order in which they landed.
const REPORTS: &[(&str, &str, &str, &str, i64)] = &[
    ("US2163", "LGA", "12:18", "13:51", 18),
    ("B61305", "JFK", "12:35", "14:26", 6),
    ("AA303", "LGA", "12:06", "14:42", 36),
    ("9E4023", "EWR", "12:52", "14:56", -3),
    ("AA1815", "JFK", "12:09", "15:21", 10),
    ("EV4409", "EWR", "13:45", "15:31", 0),
    ("9E3521", "JFK", "13:11", "15:54", -4),
    ("B6341", "JFK", "12:34", "16:03", -1),
    ("AA1855", "LGA", "13:30", "16:28", 0),
    ("DL485", "EWR", "13:57", "16:41", -3),
    ("AA717", "LGA", "13:33", "17:53", -2),
    ("DL1889", "JFK", "12:41", "18:37", 1),
    ("UA799", "JFK", "12:06", "19:13", 6),
    ("UA1480", "EWR", "13:33", "20:15", 3),
];

#[derive(Clone, Debug, Record, Serialize, Deserialize)]
struct Report {
    flight: String,
    departed: Timestamp,
    delay: i64,
}

/// What is known of the departures of one airport in one hour.
#[derive(Clone, Debug, Default, Record, Serialize, Deserialize)]
struct Departures {
    flights: u64,
    delay: i64,
}

const LANDED: Topic<String, Report> = Topic::new("landed");
const BY_HOUR: Topic<Windowed<String>, Departures> = Topic::new("departures-by-hour");
const LATE: Topic<String, Report> = Topic::new("late-reports");

fn departures(t: &Topology) {
    let windows = t
        .stream(LANDED)
        .watermark(Watermarks::RecordTime) // the log's timestamps say when a report came …
        .event_time(|_, report| report.departed) // … and the report says when its flight departed
        .group_by_key()
        .window(Tumbling::of(hours(1)).lateness(hours(5)))
        .emit(Emit::OnUpdate);
    windows.late().to(LATE);
    windows
        .aggregate("departures", |_origin, report: Report, sum: &mut Departures| {
            sum.flights += 1;
            sum.delay += report.delay;
        })
        .changes()
        .to(BY_HOUR);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let partitions = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path()).await?;
    log.admin().create_topic(TopicSpec::new(LANDED.name(), partitions)?).await?;
    let producer = log.producer().build();
    for (flight, origin, departed, landed, delay) in REPORTS {
        let report = Report { flight: flight.to_string(), departed: at(departed), delay: *delay };
        let (key, value) = (Some((*origin).into()), Some(report.to_bytes().into()));
        let record = RawRecord { key, value, timestamp: at(landed), headers: Vec::new() };
        producer.send(&LANDED.name().try_into()?, record).await?;
    }
    producer.flush().await?;

    App::new("departures", departures).run_to_end(log.clone()).await?;

    // Every update of a window is a record; the last one of each window is its final row.
    let rows: BTreeMap<_, _> = shared::records(&log, BY_HOUR).await?.into_iter().collect();
    for (window, sum) in &rows {
        let average = sum.delay as f64 / sum.flights as f64;
        println!("{} {}  {} flights, {average:.1} min late on average", window.start, window.key, sum.flights);
    }
    let mut late = shared::records(&log, LATE).await?;
    late.sort_by_key(|(_, report)| report.departed);
    for (origin, report) in &late {
        println!("too late: {} from {origin}, departed {}", report.flight, report.departed);
    }
    let counted: u64 = rows.values().map(|sum| sum.flights).sum();
    assert_eq!(counted as usize + late.len(), REPORTS.len(), "every report is in a window or in the late stream");
    log.close().await?;
    Ok(())
}

/// A moment of 8 February 2013, from `hh:mm` UTC.
fn at(time: &str) -> Timestamp {
    let minutes = |range: std::ops::Range<usize>| time[range].parse::<u64>().expect("two digits");
    Timestamp(1_360_281_600_000) + Duration::from_secs(minutes(0..2) * 3600 + minutes(3..5) * 60)
}
