//! Loads the week into its topics: in delivery order, at any pace, and once.
//!
//! - **Once.** Every topic has its fixed producer id, so a batch that was sent twice is stored once, and only this
//!   loader writes to these topics. Which partition an event goes to is a function of its key, so after `kill -9` the
//!   end of each partition says how many of its events are there, and the rest is loaded.
//! - **In order.** The planes come first. Nothing of an hour is sent before the job is through with the hour
//!   before it ([`Gate`]): partitions are then never more than an hour apart in delivery time, windows close on full
//!   hours, and what is late depends on the data alone, not on threads. The weather of an hour is acknowledged
//!   before a flight of it is sent.
//! - **At a pace.** The simulated clock moves by real time times speed; it can be paused. Without a pace, everything
//!   goes as fast as the job follows.

use crate::demo::data::{Event, Source};
use crate::demo::model::{FLIGHTS, Flight, LandingReport, PLANES, Plane, REPORTS, WEATHER, WINDOW, Weather};
use futures::future::{BoxFuture, join_all};
use hdrhistogram::Histogram;
use std::collections::HashMap;
use std::time::Duration;
use tailwater_log::codec::Schema;
use tailwater_log::record::partition_for_key;
use tailwater_log::types::Instant;
use tailwater_log::{
    Codec, Log, PartitionIndex, Producer, Record, Result, Timestamp, TopicConfig, TopicName, TopicSpec,
};
use tokio::sync::watch;

/// Real time between two steps of the simulated clock.
const TICK: Duration = Duration::from_millis(20);
/// Most events that are sent before they are acknowledged.
const CHUNK: usize = 500;
/// The producer ids, "tw demo" and a number: fixed, so that a second run continues the first one's sequences.
const PRODUCER_ID: i64 = 0x7477_2064_656d_6f00;

/// How fast the week passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pace {
    /// Seconds of event time per real second; `None` for as fast as possible.
    pub(crate) speed: Option<f64>,
    pub(crate) paused: bool,
    /// Finish what is sent and return.
    pub(crate) stop: bool,
}

/// Where the load stands.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The simulated clock.
    pub(crate) now: Timestamp,
    /// Events of the week that are acknowledged, in this run or an earlier one.
    pub(crate) loaded: usize,
    /// Events that this run found loaded.
    pub(crate) resumed_at: usize,
    pub(crate) total: usize,
    /// From sending a record to its acknowledgement, in microseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) done: bool,
}

/// Returns when the job has processed and committed everything that is acknowledged so far.
pub(crate) type Gate = Box<dyn Fn() -> BoxFuture<'static, Result<(), crate::cli::Error>> + Send + Sync>;

/// One of the four topics that are loaded.
struct Target {
    name: TopicName,
    producer: Producer,
    /// Per partition: how many of its events the log already holds.
    held: Vec<usize>,
}

impl Target {
    /// Makes the topic unless it is there, and asks how far it is loaded.
    async fn open(log: &Log, name: &str, schema: Option<Schema>, partitions: PartitionIndex, id: i64) -> Result<Self> {
        let schema = schema.and_then(|schema| serde_json::to_string(&schema).ok());
        let config = TopicConfig { schema, ..TopicConfig::default() };
        let spec = TopicSpec { config, ..TopicSpec::new(name, partitions)? };
        let description = log.admin().ensure_topic(spec).await?;
        let producer = log.producer().idempotent(PRODUCER_ID + id).build();
        let held = description.partitions.iter().map(|p| usize::try_from(p.offsets.log_end_offset).unwrap_or(0));
        Ok(Self { held: held.collect(), name: description.name, producer })
    }

    #[expect(clippy::cast_possible_truncation, reason = "a topic has at most 10,000 partitions")]
    fn partition(&self, key: &str) -> PartitionIndex {
        partition_for_key(key.as_bytes(), self.held.len() as PartitionIndex)
    }
}

/// The loader, knowing what is left to do.
pub(crate) struct Loader {
    log: Log,
    planes: (Target, Vec<Plane>),
    targets: HashMap<Source, Target>,
    /// What is left of the week.
    events: Vec<Event>,
    /// The first moment of the week.
    start: Timestamp,
    progress: Progress,
}

impl Loader {
    /// Opens the topics, making those that are missing with `partitions` partitions, and finds out what is loaded.
    pub(crate) async fn open(
        log: &Log,
        partitions: PartitionIndex,
        planes: Vec<Plane>,
        events: Vec<Event>,
    ) -> Result<Self> {
        let mut targets = HashMap::new();
        for source in Source::ALL {
            let (name, schema, id) = match source {
                Source::Weather => (WEATHER.name(), Weather::schema(), 1),
                Source::Flights => (FLIGHTS.name(), Flight::schema(), 2),
                Source::FlightReports => (REPORTS.name(), LandingReport::schema(), 3),
            };
            targets.insert(source, Target::open(log, name, schema, partitions, id).await?);
        }
        let mut plane_target = Target::open(log, PLANES.name(), Plane::schema(), partitions, 0).await?;
        let planes = planes.into_iter().filter(|plane| !skip(&mut plane_target, &plane.tailnum)).collect();

        let total = events.len();
        let start = events.first().map_or(Timestamp(0), |e| e.delivered);
        let mut now = start;
        let mut left = Vec::new();
        for event in events {
            let target = targets.get_mut(&event.source).expect("every source has a target");
            if skip(target, &event.key) {
                now = event.delivered;
            } else {
                left.push(event);
            }
        }
        let resumed_at = total - left.len();
        let latency = Histogram::new(3).expect("3 digits are allowed");
        let progress = Progress { now, loaded: resumed_at, resumed_at, total, latency, done: left.is_empty() };
        Ok(Self { log: log.clone(), planes: (plane_target, planes), targets, events: left, start, progress })
    }

    /// Where the load stands before it runs.
    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// How many partitions the topics have.
    pub(crate) fn partitions(&self) -> usize {
        self.planes.0.held.len()
    }

    /// Loads the planes; then the job may start.
    pub(crate) async fn load_planes(&mut self) -> Result<()> {
        let (target, planes) = &mut self.planes;
        for chunk in planes.chunks(CHUNK) {
            let mut sent = Vec::new();
            for plane in chunk {
                let record = record(&plane.tailnum, plane.to_bytes(), self.start);
                sent.push(target.producer.send_to(&target.name, target.partition(&plane.tailnum), record).await?);
            }
            for delivery in join_all(sent).await {
                delivery?;
            }
        }
        planes.clear();
        Ok(())
    }

    /// Loads what is left of the week and reports after each step; ends early when `pace` says stop.
    pub(crate) async fn run(
        mut self,
        gate: Gate,
        mut pace: watch::Receiver<Pace>,
        report: watch::Sender<Progress>,
    ) -> Result<(), crate::cli::Error> {
        let events = std::mem::take(&mut self.events);
        let mut next = 0;
        let clock = self.log.clock();
        let mut last = clock.instant();
        // What a run before this one has sent may not be processed yet.
        let mut hour = Timestamp::MIN;
        while let Some(event) = events.get(next) {
            let Pace { speed, paused, stop } = *pace.borrow_and_update();
            if stop {
                return Ok(());
            }
            if event.delivered.floor(WINDOW) != hour {
                gate().await?;
                hour = event.delivered.floor(WINDOW);
                // The gate is part of the pace: the clock stands at the hour until it opens.
            }
            match speed {
                _ if paused => {
                    let _ = pace.changed().await;
                    last = clock.instant();
                    continue;
                }
                None => self.progress.now = Timestamp(hour.0 + WINDOW_MS - 1).max(self.progress.now),
                Some(speed) => {
                    let at = clock.instant();
                    let passed = at.since(last).as_secs_f64() * speed;
                    last = at;
                    let moved = self.progress.now + Duration::from_secs_f64(passed.clamp(0.0, 3600.0));
                    // It never runs past the hour that the gate opened, except over hours without an event.
                    self.progress.now = moved.min(event.delivered.max(Timestamp(hour.0 + WINDOW_MS - 1)));
                }
            }
            let now = self.progress.now;
            let due = events[next..].iter().take_while(|e| e.delivered <= now && e.delivered.floor(WINDOW) == hour);
            let due = next + due.count();
            if due == next {
                report.send_replace(self.progress.clone());
                let _ = tokio::time::timeout(TICK, pace.changed()).await;
                continue;
            }
            while next < due {
                next += self.send(&events[next..due]).await?;
                report.send_replace(self.progress.clone());
            }
        }
        gate().await?;
        self.progress.done = true;
        report.send_replace(self.progress);
        Ok(())
    }

    /// Sends one chunk and waits for its acknowledgements; a chunk ends where weather and flights meet.
    async fn send(&mut self, events: &[Event]) -> Result<usize> {
        let weather = events[0].source == Source::Weather;
        let chunk = events.iter().take(CHUNK).take_while(|e| (e.source == Source::Weather) == weather);
        let clock = self.log.clock();
        let mut sent = Vec::new();
        for event in chunk {
            let target = &self.targets[&event.source];
            let record = record(&event.key, event.value.clone().into_bytes(), event.delivered);
            let at: Instant = clock.instant();
            let delivery = target.producer.send_to(&target.name, target.partition(&event.key), record).await?;
            let clock = clock.clone();
            sent.push(async move { delivery.await.map(|_| clock.instant().since(at)) });
        }
        let count = sent.len();
        for latency in join_all(sent).await {
            let micros = u64::try_from(latency?.as_micros()).unwrap_or(u64::MAX);
            self.progress.latency.saturating_record(micros);
        }
        self.progress.loaded += count;
        Ok(count)
    }
}

const WINDOW_MS: i64 = WINDOW.as_millis() as i64;

fn record(key: &str, value: Vec<u8>, timestamp: Timestamp) -> Record {
    Record { key: Some(key.to_owned().into()), value: Some(value.into()), timestamp, headers: Vec::new() }
}

/// Whether the log holds this event: events are loaded in order, so the first ones of a partition are there.
fn skip(target: &mut Target, key: &str) -> bool {
    let partition = target.partition(key) as usize;
    let held = &mut target.held[partition];
    let there = *held > 0;
    *held -= usize::from(there);
    there
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::data;
    use crate::demo::tail::Tail;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tailwater_log::env::{Clock, SimDisk};

    const FAST: Pace = Pace { speed: None, paused: false, stop: false };

    /// Loads until the gate was passed `hours` times.
    async fn load(log: &Log, partitions: PartitionIndex, hours: usize) -> Progress {
        let mut loader = Loader::open(log, partitions, data::planes().unwrap(), data::events().unwrap()).await.unwrap();
        loader.load_planes().await.unwrap();
        let (pace, pace_reader) = watch::channel(FAST);
        let (reporter, progress) = watch::channel(loader.progress());
        let passed = Arc::new(AtomicUsize::new(0));
        let gate: Gate = Box::new(move || {
            if passed.fetch_add(1, Ordering::Relaxed) == hours {
                pace.send_replace(Pace { stop: true, ..FAST });
            }
            Box::pin(async { Ok(()) })
        });
        loader.run(gate, pace_reader, reporter).await.unwrap();
        progress.borrow().clone()
    }

    #[tokio::test]
    async fn a_load_that_stopped_goes_on_where_each_partition_ends() {
        let log = Log::open_on(Arc::new(SimDisk::default()), Clock::manual(Timestamp(0)), "/demo").await.unwrap();
        let first = load(&log, 3, 40).await;
        assert!(!first.done && first.resumed_at == 0 && first.loaded > 1_000, "{first:?}");
        let second = load(&log, 3, usize::MAX).await;
        assert!(second.done);
        assert_eq!((second.resumed_at, second.loaded), (first.loaded, 11_709));
        let third = load(&log, 8, usize::MAX).await;
        assert!(third.done && third.resumed_at == 11_709);

        let held: Vec<Weather> = Tail::start(&log, WEATHER.name()).await.unwrap().poll().await.unwrap();
        assert_eq!(held.len(), 504);
        let mut flights: Vec<Flight> = Tail::start(&log, FLIGHTS.name()).await.unwrap().poll().await.unwrap();
        assert_eq!(flights.len(), 6_098);
        flights.sort_by(|a, b| a.flight.cmp(&b.flight));
        flights.dedup_by(|a, b| a.flight == b.flight);
        assert_eq!(flights.len(), 6_098, "every flight once");
        let planes: Vec<Plane> = Tail::start(&log, PLANES.name()).await.unwrap().poll().await.unwrap();
        assert_eq!(planes.len(), 3_322);
    }
}
