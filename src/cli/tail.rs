//! `tw tail`: records out, from anywhere, bounded at now unless `--follow`.

use super::scan::{Scan, intact};
use super::{Context, Result, follow::Follow, parse, value};
use crate::output::Style;
use std::collections::VecDeque;
use tailwater::log::service::{ListOffsets, TopicDescription};
use tailwater::log::types::{Isolation, OffsetRange};
use tailwater::log::{Error as LogError, Log, StoredRecord, TopicName, TopicPartition};

/// Without `-n` and `--from`, as in tail(1).
const LINES_DEFAULT: u64 = 10;

/// Arguments of `tw tail`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tw tail flights                      the last 10 records\n  tw tail flights -f --from earliest   all records, then new ones\n  tw tail flights --from '10m ago' --json"
)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// The last N records; with --from, the first N from there
    #[arg(short = 'n', value_name = "N")]
    lines: Option<u64>,
    /// earliest, latest, an offset, a time like 2013-02-08T21:00:00Z, or `10m ago`
    #[arg(long, value_name = "WHERE", value_parser = parse::position)]
    from: Option<parse::Position>,
    /// Only this partition
    #[arg(short, long, value_name = "N")]
    partition: Option<u32>,
    /// Go on with new records until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Show the keys
    #[arg(short, long)]
    keys: bool,
    /// Show partition, offset and time
    #[arg(short, long)]
    offsets: bool,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let name = TopicName::new(&args.topic)?;
    cx.with_present_log(async |log, cx| {
        let topic = log.admin().describe_topic(&name).await?;
        let ranges = ranges(&args, &topic, log).await?;
        let mut left = args.lines.filter(|_| args.from.is_some());
        let stop = cx.stop.clone();
        tokio::select! {
            biased;
            () = stop.asked() => Ok(()),
            done = show(&args, log, &topic, ranges, &mut left, cx) => done,
        }
    })
    .await
}

/// What to read: from where `--from` or `-n` says to the high watermark of this moment.
async fn ranges(args: &Args, topic: &TopicDescription, log: &Log) -> Result<Vec<(TopicPartition, OffsetRange)>> {
    let mut chosen = Vec::new();
    for p in &topic.partitions {
        if args.partition.is_none_or(|only| only == p.partition) {
            chosen.push((TopicPartition::new(topic.name.clone(), p.partition), p.offsets.committed()));
        }
    }
    if let (Some(partition), true) = (args.partition, chosen.is_empty()) {
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        return Err(LogError::UnknownPartition { topic: topic.name.clone(), partition, partitions }.into());
    }
    if let Some(from) = args.from {
        let spec = from.spec(log.clock().now());
        let partitions = chosen.iter().map(|(p, _)| (p.clone(), spec)).collect();
        for listed in
            log.service().list_offsets(ListOffsets { partitions, isolation: Isolation::ReadCommitted }).await?
        {
            if let Some((_, range)) = chosen.iter_mut().find(|(p, _)| *p == listed.partition) {
                range.start = listed.offset.max(range.start);
            }
        }
    } else {
        // The last n of all are among the last n of each.
        let n = i64::try_from(args.lines.unwrap_or(LINES_DEFAULT)).unwrap_or(i64::MAX);
        for (_, range) in &mut chosen {
            range.start = range.end.saturating_sub(n).max(range.start);
        }
    }
    Ok(chosen)
}

async fn show(
    args: &Args,
    log: &Log,
    topic: &TopicDescription,
    ranges: Vec<(TopicPartition, OffsetRange)>,
    left: &mut Option<u64>,
    cx: &mut Context,
) -> Result<()> {
    let positions: Vec<_> = ranges.iter().map(|(p, range)| (p.clone(), range.start.max(range.end))).collect();
    let mut scan = Scan::new(log, ranges);
    if args.from.is_some() {
        while *left != Some(0)
            && let Some((partition, record)) = scan.next().await?
        {
            print(args, &partition, &record, cx)?;
            *left = left.map(|n| n - 1);
        }
    } else {
        let n = usize::try_from(args.lines.unwrap_or(LINES_DEFAULT)).unwrap_or(usize::MAX);
        let mut last = VecDeque::new();
        let ended = loop {
            match scan.next().await {
                Ok(Some(found)) => last.push_back(found),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if last.len() > n {
                last.pop_front();
            }
        };
        for (partition, record) in &last {
            print(args, partition, record, cx)?;
        }
        ended?;
    }
    cx.out.flush()?;
    if *left != Some(0) {
        intact(topic, args.partition)?;
    }
    if !args.follow {
        return Ok(());
    }
    let mut follow = Follow::new(log, positions);
    while *left != Some(0) {
        for (partition, record) in follow.next().await? {
            if *left == Some(0) {
                break;
            }
            print(args, &partition, &record, cx)?;
            *left = left.map(|n| n - 1);
        }
        cx.out.flush()?;
    }
    Ok(())
}

fn print(args: &Args, partition: &TopicPartition, record: &StoredRecord, cx: &mut Context) -> Result<()> {
    if cx.out.json() {
        return cx.out.line(value::record_json(partition, record));
    }
    if args.offsets {
        let place = format!("{}:{} {}", partition.partition, record.offset, record.timestamp);
        let place = cx.out.paint(Style::Dim, &place);
        cx.out.raw(place.as_bytes())?;
        cx.out.raw(b"\t")?;
    }
    if args.keys {
        let key = match &record.key {
            Some(key) if cx.out.on_terminal() => cx.out.paint(Style::Cyan, &value::harmless(key)),
            Some(key) => cx.out.paint(Style::Cyan, &value::text(Some(key))),
            None => "-".into(),
        };
        cx.out.raw(key.as_bytes())?;
        cx.out.raw(b"\t")?;
    }
    // The bytes as they are, so that what was put comes out; but nothing that a terminal would obey.
    let bytes = record.value.as_deref().unwrap_or(b"");
    if cx.out.on_terminal() { cx.out.line(&*value::harmless(bytes)) } else { cx.out.line(bytes) }
}
