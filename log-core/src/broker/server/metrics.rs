//! What the server counts, and the page that Prometheus reads.
//!
//! What is ours is called `tailwater_…`; topics and groups have the names of kafka_exporter (`kafka_consumergroup_lag`, …),
//! so that dashboards and alerts that exist work. Counting is a few atomic additions for each request; what follows from
//! the state of the broker is looked up when the page is read.

use super::context::Shared;
use super::dispatch::SERVED;
use crate::broker::Broker;
use crate::broker::histogram::Histogram;
use crate::service::{DescribeGroups, GroupKind, PartitionDescription, Service as _};
use crate::wire::{ApiKey, ErrorCode};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted while requests are served.
#[derive(Debug)]
pub(super) struct Metrics {
    /// In the order of what is served.
    apis: Vec<Api>,
    errors: Mutex<BTreeMap<(ApiKey, i16), u64>>,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) not_authenticated: AtomicU64,
}

#[derive(Debug, Default)]
struct Api {
    took: Histogram,
    received: AtomicU64,
    sent: AtomicU64,
    muted: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            apis: SERVED.iter().map(|_| Api::default()).collect(),
            errors: Mutex::default(),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            not_authenticated: AtomicU64::new(0),
        }
    }
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) took: Duration,
    pub(super) received: usize,
    pub(super) sent: usize,
    pub(super) muted: Duration,
}

impl Metrics {
    pub(super) fn note(&self, key: ApiKey, served: Served) {
        let Some(api) = SERVED.iter().position(|served| *served == key).and_then(|at| self.apis.get(at)) else {
            return;
        };
        api.took.note(served.took);
        api.received.fetch_add(served.received as u64, Ordering::Relaxed);
        api.sent.fetch_add(served.sent as u64, Ordering::Relaxed);
        if !served.muted.is_zero() {
            api.muted.fetch_add(u64::try_from(served.muted.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    pub(super) fn note_error(&self, key: ApiKey, code: i16) {
        *self.errors.lock().entry((key, code)).or_default() += 1;
    }
}

/// The page, line by line.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.put(format_args!("{name}"));
        for (n, (label, text)) in labels.iter().enumerate() {
            let before = if n == 0 { '{' } else { ',' };
            self.put(format_args!("{before}{label}=\"{}\"", escape(text)));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{end} {value}\n"));
    }

    /// A number without labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(name, &[], value);
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes it");
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// All that is known now, in Prometheus' text format.
pub(super) async fn page(shared: &Shared) -> String {
    let mut page = Page::default();
    requests(&mut page, &shared.metrics);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let metrics = &shared.metrics;
    page.one("tailwater_connections", "gauge", "Connections now.", shared.places.taken());
    page.one("tailwater_connections_total", "counter", "Connections accepted.", count(&metrics.accepted));
    page.one(
        "tailwater_connections_refused_total",
        "counter",
        "Connections refused, because there were too many or they came too fast.",
        count(&metrics.refused),
    );
    page.one(
        "tailwater_authentication_failures_total",
        "counter",
        "Peers that were not who they said they were.",
        count(&metrics.not_authenticated),
    );
    let (all, free) = (shared.config.limits.in_flight_bytes_max, shared.memory.free());
    page.one("tailwater_requests_in_flight_bytes", "gauge", "Memory that requests take.", all.saturating_sub(free));
    page.one("tailwater_requests_in_flight_bytes_max", "gauge", "The most that they may take.", all);
    let exposed = u8::from(shared.config.insecure_listen);
    page.one("tailwater_insecure_listen", "gauge", "Whether open listeners were asked for.", exposed);
    storage(&mut page, &shared.broker);
    topics(&mut page, &shared.broker);
    groups(&mut page, &shared.broker).await;
    page.0
}

fn requests(page: &mut Page, metrics: &Metrics) {
    let used = || SERVED.iter().zip(&metrics.apis).filter(|(_, api)| api.took.count() > 0);
    const TOOK: &str = "tailwater_request_duration_seconds";
    page.head(TOOK, "histogram", "From a request's last byte to its answer, with the time that it waited.");
    for (key, api) in used() {
        api.took.write(&mut page.0, TOOK, &format!("api=\"{key}\","));
    }
    let mut each = |name: &str, help: &str, of: &dyn Fn(&Api) -> u64| {
        page.head(name, "counter", help);
        for (key, api) in used() {
            page.line(name, &[("api", &key.to_string())], of(api));
        }
    };
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    each("tailwater_requests_total", "Requests answered.", &|api| api.took.count());
    each("tailwater_request_bytes_total", "Bytes of requests.", &|api| count(&api.received));
    each("tailwater_response_bytes_total", "Bytes of responses.", &|api| count(&api.sent));
    each("tailwater_throttled_milliseconds_total", "Time that peers were kept waiting.", &|api| count(&api.muted));
    page.head("tailwater_request_errors_total", "counter", "Errors in responses, by Kafka's names.");
    for ((key, code), count) in metrics.errors.lock().iter() {
        let labels = [("api", &*key.to_string()), ("error", ErrorCode::from_number(*code).name())];
        page.line("tailwater_request_errors_total", &labels, count);
    }
}

fn storage(page: &mut Page, broker: &Broker) {
    const ROUNDS: &str = "tailwater_sync_round_duration_seconds";
    page.head(ROUNDS, "histogram", "Rounds that made appended records durable, over all partitions.");
    broker.sync_rounds().write(&mut page.0, ROUNDS, "");
    let is_fenced = u8::from(broker.write_failure().is_some());
    page.one("tailwater_fenced", "gauge", "Whether a failed sync has ended all writing.", is_fenced);
}

fn topics(page: &mut Page, broker: &Broker) {
    let topics: Vec<_> = broker.open_topics().iter().map(|topic| topic.describe()).collect();
    let brokers = "kafka_brokers";
    page.one(brokers, "gauge", "Brokers of the cluster.", 1);
    page.head("kafka_topic_partitions", "gauge", "Partitions of a topic.");
    for topic in &topics {
        page.line("kafka_topic_partitions", &[("topic", topic.name.as_str())], topic.partitions.len());
    }
    let mut each = |name: &str, help: &str, of: &dyn Fn(&PartitionDescription) -> u64| {
        page.head(name, "gauge", help);
        for topic in &topics {
            for partition in &topic.partitions {
                let index = partition.partition.to_string();
                page.line(name, &[("topic", topic.name.as_str()), ("partition", &index)], of(partition));
            }
        }
    };
    let offset = |offset| u64::try_from(offset).unwrap_or(0);
    each("kafka_topic_partition_current_offset", "The high watermark.", &|p| offset(p.offsets.high_watermark));
    each("kafka_topic_partition_oldest_offset", "The first offset.", &|p| offset(p.offsets.log_start_offset));
    each("tailwater_partition_bytes", "Bytes of a partition's log.", &|p| p.bytes);
    each("tailwater_partition_damaged", "Whether some of it cannot be read.", &|p| u64::from(p.damage.is_some()));
}

async fn groups(page: &mut Page, broker: &Broker) {
    let mut groups = match broker.describe_groups(DescribeGroups { groups: None }).await {
        Ok(groups) => groups,
        Err(error) => return tracing::warn!(%error, "the groups are missing on the page of metrics"),
    };
    groups.retain(|group| group.kind == GroupKind::Consumer);
    page.head("kafka_consumergroup_members", "gauge", "Members of a group.");
    for group in &groups {
        page.line("kafka_consumergroup_members", &[("consumergroup", group.group.as_str())], group.members.len());
    }
    let mut each = |name: &str, help: &str, of: &dyn Fn(&crate::service::GroupPartition) -> f64| {
        page.head(name, "gauge", help);
        for group in &groups {
            for at in &group.partitions {
                let index = at.partition.partition.to_string();
                let labels = [
                    ("consumergroup", group.group.as_str()),
                    ("topic", at.partition.topic.as_str()),
                    ("partition", &index),
                ];
                page.line(name, &labels, of(at));
            }
        }
    };
    each("kafka_consumergroup_current_offset", "The committed offset.", &|at| at.position as f64);
    each("kafka_consumergroup_lag", "Records that are not consumed yet.", &|at| at.lag_records as f64);
    each("kafka_consumergroup_lag_seconds", "Age of the oldest of them.", &|at| {
        at.lag.map_or(0.0, |lag| lag.as_secs_f64())
    });
}
