//! `tw topic`: create, list, describe, delete, delete records.

use super::{Context, Error, Result, parse};
use crate::output::{Style, bytes, counted, grouped, span};
use std::time::Duration;
use tailwater::log::Log;
use tailwater::log::service::TopicDescription;
use tailwater::log::types::{Cleanup, Flush, TopicConfig};
use tailwater::log::{TopicName, TopicPartition, TopicSpec};

/// `tw topic …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Create a topic
    Create(Create),
    /// List the topics
    List {
        /// Also the system's own topics
        #[arg(long)]
        all: bool,
    },
    /// Show a topic's settings, partitions and offsets
    Describe {
        /// The topic
        topic: String,
    },
    /// Delete the records of a topic before a position
    DeleteRecords {
        /// The topic
        topic: String,
        /// latest, an offset, a time like 2013-02-08T21:00:00Z, or a span like `7d ago`
        #[arg(long, value_name = "POSITION", value_parser = parse::position)]
        before: parse::Position,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Delete a topic with all its records
    Delete {
        /// The topic
        topic: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Arguments of `tw topic create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// 1 to 249 of a-z A-Z 0-9 . _ -
    name: String,
    /// How many partitions: the units of order and of parallel reading
    #[arg(short, long, default_value_t = 1, value_name = "N")]
    partitions: u32,
    /// When a record is acknowledged: durable, once it is on disk; os, once the operating system has it;
    /// interval:200ms, likewise, and on disk at least that often
    #[arg(long, default_value = "durable", value_name = "WHEN", value_parser = parse::flush)]
    flush: Flush,
    /// Largest batch of records, in bytes
    #[arg(long, value_name = "BYTES")]
    max_batch_bytes: Option<u32>,
    /// Roll segment files at this size, in bytes
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u64>,
    /// Roll segment files at this age, as in 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    segment_age: Option<Duration>,
    /// What becomes of old records: delete, by age and size; compact, to the last of each key;
    /// compact,delete
    #[arg(long, default_value = "delete", value_name = "HOW", hide_possible_values = true)]
    cleanup: CleanupArg,
    /// Keep records at least that long, as in 7d; without it for ever
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    retention: Option<Duration>,
    /// Delete the oldest records of a partition above this size, in bytes
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<u64>,
    /// When compacting, keep the deletion of a key visible that long
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    tombstone_delay: Option<Duration>,
    /// As a queue: how long a worker holds a record
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    lease: Option<Duration>,
    /// As a queue: deliveries of a record before it goes to NAME.dead
    #[arg(long, value_name = "N")]
    deliveries: Option<u16>,
}

/// [`Cleanup`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CleanupArg {
    /// By age and size
    Delete,
    /// The last record of each key stays
    Compact,
    /// Both
    #[value(name = "compact,delete", alias = "delete,compact")]
    CompactAndDelete,
}

impl From<CleanupArg> for Cleanup {
    fn from(arg: CleanupArg) -> Self {
        match arg {
            CleanupArg::Delete => Self::Delete,
            CleanupArg::Compact => Self::Compact,
            CleanupArg::CompactAndDelete => Self::CompactAndDelete,
        }
    }
}

/// The setting as the user writes it.
const fn cleanup_name(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactAndDelete => "compact,delete",
    }
}

/// What becomes of old records, in words.
fn cleanup_line(config: &TopicConfig) -> String {
    let keeps = match (config.retention, config.retention_bytes) {
        (None, None) => "for ever".into(),
        (Some(time), None) => format!("for {}", span(time)),
        (None, Some(size)) => format!("up to {} a partition", bytes(size)),
        (Some(time), Some(size)) => format!("for {}, up to {} a partition", span(time), bytes(size)),
    };
    let tombstones = span(config.tombstone_delay);
    match config.cleanup {
        Cleanup::Delete => format!("cleanup delete: records are kept {keeps}"),
        Cleanup::Compact => {
            format!("cleanup compact: the last record of each key is kept, tombstones for {tombstones}")
        }
        Cleanup::CompactAndDelete => {
            format!("cleanup compact,delete: the last record of each key is kept {keeps}, tombstones for {tombstones}")
        }
    }
}

/// How many records can be read; at most that many if offsets have gaps.
pub(crate) fn records(topic: &TopicDescription) -> u64 {
    topic.partitions.iter().map(|p| p.offsets.readable().len()).sum()
}

/// Whether compaction or a repair may have left offsets without a record.
fn has_gaps(topic: &TopicDescription) -> bool {
    topic.partitions.iter().any(|p| p.has_gaps)
}

pub(crate) async fn run(command: Command, cx: &mut Context) -> Result<()> {
    match command {
        Command::Create(create) => {
            let spec = spec(&create)?;
            cx.with_log(async |log, cx| {
                let topic = log.admin().create_topic(spec).await?;
                if cx.out.json() {
                    return cx.out.line(json(&topic));
                }
                let (n, flush) = (topic.partitions.len() as u64, topic.config.flush);
                cx.out.note(format!("created `{}`: {}, flush {flush}", topic.name, counted(n, "partition")));
                Ok(())
            })
            .await
        }
        Command::List { all } => cx.with_present_log(async |log, cx| list(log, cx, all).await).await,
        Command::Describe { topic } => {
            cx.with_present_log(async |log, cx| {
                let topic = log.admin().describe_topic(TopicName::new(topic)?).await?;
                describe(&topic, cx)?;
                super::scan::intact(&topic, None)
            })
            .await
        }
        Command::DeleteRecords { topic, before, yes } => {
            cx.with_present_log(async |log, cx| delete_records(log, cx, TopicName::new(topic)?, before, yes).await)
                .await
        }
        Command::Delete { topic, yes } => {
            cx.with_present_log(async |log, cx| delete(log, cx, TopicName::new(topic)?, yes).await).await
        }
    }
}

fn spec(create: &Create) -> Result<TopicSpec> {
    let mut spec = TopicSpec::new(&create.name, create.partitions)?;
    let config = &mut spec.config;
    config.flush = create.flush;
    config.batch_bytes_max = create.max_batch_bytes.unwrap_or(config.batch_bytes_max);
    config.segment_bytes = create.segment_bytes.unwrap_or(config.segment_bytes);
    config.segment_age = create.segment_age.unwrap_or(config.segment_age);
    config.cleanup = create.cleanup.into();
    config.retention = create.retention;
    config.retention_bytes = create.retention_bytes;
    config.tombstone_delay = create.tombstone_delay.unwrap_or(config.tombstone_delay);
    config.lease = create.lease.unwrap_or(config.lease);
    config.deliveries_max = create.deliveries.unwrap_or(config.deliveries_max);
    spec.validate()?;
    Ok(spec)
}

async fn list(log: &Log, cx: &mut Context, all: bool) -> Result<()> {
    let topics = log.admin().list_topics(all).await?;
    if cx.out.json() {
        return topics.iter().try_for_each(|topic| cx.out.line(json(topic)));
    }
    if topics.is_empty() {
        cx.out.note("no topics yet; make one with   tw topic create NAME");
        return Ok(());
    }
    let row = |t: &TopicDescription| {
        let size = t.partitions.iter().map(|p| p.bytes).sum();
        vec![
            t.name.to_string(),
            t.partitions.len().to_string(),
            format!("{}{}", if has_gaps(t) { "≤ " } else { "" }, grouped(records(t))),
            bytes(size),
            t.config.flush.to_string(),
        ]
    };
    let rows: Vec<_> = topics.iter().map(row).collect();
    cx.out.table(&["topic", "partitions", "records", "size", "flush"], &[1, 2, 3], &rows)
}

fn describe(topic: &TopicDescription, cx: &mut Context) -> Result<()> {
    if cx.out.json() {
        return cx.out.line(json(topic));
    }
    let config = &topic.config;
    cx.out.line(format!(
        "{}  {}",
        cx.out.paint(Style::Bold, topic.name.as_str()),
        cx.out.paint(Style::Dim, &topic.id.to_string())
    ))?;
    cx.out.line(format!(
        "flush {}, batches to {}, segments of {} or {}; as a queue: lease {}, {}",
        config.flush,
        bytes(config.batch_bytes_max.into()),
        bytes(config.segment_bytes),
        span(config.segment_age),
        span(config.lease),
        if config.deliveries_max == 1 { "1 delivery".into() } else { format!("{} deliveries", config.deliveries_max) },
    ))?;
    cx.out.line(cleanup_line(config))?;
    if let Some(schema) = &config.schema {
        cx.out.line(format!("schema {schema}"))?;
    }
    let rows: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            let o = p.offsets;
            vec![
                p.partition.to_string(),
                o.log_start_offset.to_string(),
                o.high_watermark.to_string(),
                o.log_end_offset.to_string(),
                p.segments.to_string(),
                bytes(p.bytes),
            ]
        })
        .collect();
    let header = ["partition", "log start", "high watermark", "log end", "segments", "size"];
    cx.out.table(&header, &[0, 1, 2, 3, 4, 5], &rows)?;
    for partition in &topic.partitions {
        if let Some(damage) = &partition.damage {
            let (n, code) = (partition.partition, damage.code());
            let text = format!("partition {n} is damaged and takes no writes ({code})");
            cx.out.line(cx.out.paint(Style::Red, &text))?;
        }
    }
    Ok(())
}

async fn delete(log: &Log, cx: &mut Context, name: TopicName, yes: bool) -> Result<()> {
    let topic = log.admin().describe_topic(&name).await?;
    let size = topic.partitions.iter().map(|p| p.bytes).sum();
    let readers = readers(log, &name).await?;
    let mut what = format!(
        "`{name}`: {}{} in {}, {}",
        if has_gaps(&topic) { "up to " } else { "" },
        counted(records(&topic), "record"),
        counted(topic.partitions.len() as u64, "partition"),
        bytes(size)
    );
    if !readers.is_empty() {
        what.push_str(&format!("; read by {}", readers.join(", ")));
    }
    if !yes && !confirmed(&what, cx)? {
        return Ok(());
    }
    log.admin().delete_topic(&name).await?;
    if cx.out.json() {
        return cx.out.line(serde_json::json!({ "deleted": name.as_str(), "records": records(&topic) }).to_string());
    }
    cx.out.note(format!("deleted {what}"));
    Ok(())
}

async fn delete_records(
    log: &Log,
    cx: &mut Context,
    name: TopicName,
    before: parse::Position,
    yes: bool,
) -> Result<()> {
    let admin = log.admin();
    let spec = before.spec(log.clock().now());
    let topic = admin.describe_topic(&name).await?;
    let mut fewer = 0;
    for p in &topic.partitions {
        let to = admin.offset(TopicPartition::new(name.clone(), p.partition), spec).await?;
        fewer += to.saturating_sub(p.offsets.log_start_offset).max(0).unsigned_abs();
    }
    let what = format!("{} of `{name}`", counted(fewer, "record"));
    if fewer > 0 && !yes && !confirmed(&what, cx)? {
        return Ok(());
    }
    let begin = admin.delete_records(&name, spec).await?;
    if cx.out.json() {
        return begin.iter().try_for_each(|(partition, offset)| {
            let json = serde_json::json!({
                "topic": name.as_str(), "partition": partition.partition, "log_start_offset": offset,
            });
            cx.out.line(json.to_string())
        });
    }
    let old = topic.partitions.iter().map(|p| p.offsets.log_start_offset);
    let row = |((partition, offset), old): (&(TopicPartition, i64), i64)| {
        vec![partition.partition.to_string(), old.to_string(), offset.to_string()]
    };
    let rows: Vec<_> = begin.iter().zip(old).map(row).collect();
    cx.out.table(&["partition", "began at", "begins at"], &[0, 1, 2], &rows)?;
    cx.out.note(format!("deleted {what}"));
    Ok(())
}

/// Asks whether to delete `what`.
fn confirmed(what: &str, cx: &mut Context) -> Result<bool> {
    if !cx.out.can_ask() {
        return Err(Error::NeedsYes { what: format!("confirmation to delete {what}") });
    }
    cx.out.ask(&format!("delete {what}? [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let yes = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        cx.out.note("nothing was deleted");
    }
    Ok(yes)
}

/// The groups that have a position in the topic.
async fn readers(log: &Log, name: &TopicName) -> Result<Vec<String>> {
    let groups = match log.admin().list_groups().await {
        // A broker without groups has none that read it.
        Err(tailwater::log::Error::Unsupported { .. }) => Vec::new(),
        groups => groups?,
    };
    let reads =
        |g: &&tailwater::log::service::GroupDescription| g.partitions.iter().any(|p| p.partition.topic == *name);
    Ok(groups.iter().filter(reads).map(|g| format!("group `{}`", g.group)).collect())
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// A topic as one line of JSON.
fn json(topic: &TopicDescription) -> String {
    let config = &topic.config;
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            serde_json::json!({
                "partition": p.partition,
                "log_start_offset": p.offsets.log_start_offset,
                "high_watermark": p.offsets.high_watermark,
                "log_end_offset": p.offsets.log_end_offset,
                "bytes": p.bytes,
                "segments": p.segments,
                "damage": p.damage.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    serde_json::json!({
        "topic": topic.name.as_str(),
        "id": topic.id.to_string(),
        "records": records(topic),
        "flush": config.flush.to_string(),
        "batch_bytes_max": config.batch_bytes_max,
        "segment_bytes": config.segment_bytes,
        "segment_age_ms": millis(config.segment_age),
        "cleanup": cleanup_name(config.cleanup),
        "retention_ms": config.retention.map(millis),
        "retention_bytes": config.retention_bytes,
        "tombstone_delay_ms": millis(config.tombstone_delay),
        "lease_ms": millis(config.lease),
        "deliveries_max": config.deliveries_max,
        "partitions": partitions,
    })
    .to_string()
}
