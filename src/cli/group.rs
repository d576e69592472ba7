//! `tw group`: who reads what, how far behind, and moving them.

use super::{Context, Error, Result, parse};
use crate::output::{Style, counted, grouped, span};
use tailwater::log::service::{GroupDescription, GroupKind};
use tailwater::log::{Error as LogError, Log, Offset, OffsetSpec, TopicName, TopicPartition};

/// `tw group …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the groups with their lag
    List,
    /// Show a group's members, positions and lag by partition
    Describe {
        /// The group
        group: String,
    },
    /// Move a group without active members to another position in a topic; a dry run unless --execute
    Reset {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// earliest, latest, an offset, a time like 2013-02-08T21:00:00Z, or `10m ago`
        #[arg(long, value_name = "WHERE", value_parser = parse::position)]
        to: parse::Position,
        /// Do it
        #[arg(long)]
        execute: bool,
    },
    /// Forget a group without active members, and its positions
    Delete {
        /// The group
        group: String,
    },
}

pub(crate) async fn run(command: Command, cx: &mut Context) -> Result<()> {
    cx.with_present_log(async |log, cx| match command {
        Command::List => list(log, cx).await,
        Command::Describe { group } => {
            let group = log.admin().describe_group(group).await?;
            describe(&group, cx)
        }
        Command::Reset { group, topic, to, execute } => {
            let spec = to.spec(log.clock().now());
            reset(log, cx, &group, TopicName::new(topic)?, spec, execute).await
        }
        Command::Delete { group } => {
            log.admin().delete_group(&group).await?;
            if cx.out.json() {
                return cx.out.line(serde_json::json!({ "deleted": group }).to_string());
            }
            cx.out.note(format!("deleted group `{group}`"));
            Ok(())
        }
    })
    .await
}

const fn kind(group: &GroupDescription) -> &'static str {
    match group.kind {
        GroupKind::Consumer => "consumer",
        GroupKind::Share => "queue",
    }
}

fn lag_records(group: &GroupDescription) -> u64 {
    group.partitions.iter().map(|p| p.lag_records).sum()
}

async fn list(log: &Log, cx: &mut Context) -> Result<()> {
    let groups = log.admin().list_groups().await?;
    if cx.out.json() {
        return groups.iter().try_for_each(|group| cx.out.line(json(group)));
    }
    if groups.is_empty() {
        cx.out.note("no groups yet; a group begins with its first reader:   tw take TOPIC --group NAME");
        return Ok(());
    }
    let row = |g: &GroupDescription| {
        let mut topics: Vec<_> = g.partitions.iter().map(|p| p.partition.topic.to_string()).collect();
        topics.dedup();
        let lag = g.partitions.iter().filter_map(|p| p.lag).max();
        vec![
            g.group.to_string(),
            kind(g).into(),
            g.members.len().to_string(),
            grouped(lag_records(g)),
            lag.map_or("-".into(), span),
            topics.join(", "),
        ]
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    cx.out.table(&["group", "kind", "members", "lag", "lag in time", "topics"], &[2, 3, 4], &rows)
}

fn describe(group: &GroupDescription, cx: &mut Context) -> Result<()> {
    if cx.out.json() {
        return cx.out.line(json(group));
    }
    let name = cx.out.paint(Style::Bold, group.group.as_str());
    let members = counted(group.members.len() as u64, "member");
    let generation = match group.kind {
        GroupKind::Consumer => format!(", generation {}", group.generation),
        GroupKind::Share => String::new(),
    };
    cx.out.line(format!("{name}  {}, {members}{generation}", kind(group)))?;
    let owner = |partition: &TopicPartition| {
        let owner = group.members.iter().find(|m| m.assignment.contains(partition));
        owner.map_or("-".to_owned(), |m| m.member.clone())
    };
    let rows: Vec<_> = group
        .partitions
        .iter()
        .map(|p| {
            vec![
                p.partition.topic.to_string(),
                p.partition.partition.to_string(),
                p.position.to_string(),
                grouped(p.lag_records),
                p.lag.map_or("-".into(), span),
                match group.kind {
                    GroupKind::Consumer => owner(&p.partition),
                    GroupKind::Share => p.leased.to_string(),
                },
            ]
        })
        .collect();
    let last = match group.kind {
        GroupKind::Consumer => "member",
        GroupKind::Share => "leased",
    };
    cx.out.table(&["topic", "partition", "position", "lag", "lag in time", last], &[1, 2, 3, 4], &rows)
}

async fn reset(
    log: &Log,
    cx: &mut Context,
    group: &str,
    topic: TopicName,
    spec: OffsetSpec,
    execute: bool,
) -> Result<()> {
    let admin = log.admin();
    let described = admin.describe_topic(&topic).await?;
    // A group that never read may be given its first position.
    let before = match admin.describe_group(group).await {
        Ok(found) if found.kind == GroupKind::Share => {
            let message = format!("`{group}` is a queue group: what it has finished is not undone");
            let help = format!("take the records again with a new group:   tw take {topic} --group NAME");
            return Err(Error::Coded { code: "TW0107", message, help: Some(help) });
        }
        Ok(group) => group.partitions,
        Err(LogError::UnknownGroup { .. }) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let after: Vec<(TopicPartition, Offset)> = if execute {
        admin.reset_group(group, &topic, spec).await?
    } else {
        let mut planned = Vec::new();
        for p in &described.partitions {
            let partition = TopicPartition::new(topic.clone(), p.partition);
            let offset = admin.offset(partition.clone(), spec).await?;
            planned.push((partition, offset));
        }
        planned
    };
    let old = |partition: &TopicPartition| before.iter().find(|p| p.partition == *partition).map(|p| p.position);
    if cx.out.json() {
        for (partition, offset) in &after {
            let json = serde_json::json!({
                "group": group,
                "topic": topic.as_str(),
                "partition": partition.partition,
                "from": old(partition),
                "to": offset,
                "executed": execute,
            });
            cx.out.line(json.to_string())?;
        }
        return Ok(());
    }
    let row = |(p, offset): &(TopicPartition, Offset)| {
        vec![p.partition.to_string(), old(p).map_or("-".into(), |o| o.to_string()), offset.to_string()]
    };
    let rows: Vec<_> = after.iter().map(row).collect();
    cx.out.table(&["partition", "from", "to"], &[0, 1, 2], &rows)?;
    cx.out.note(if execute {
        format!("moved group `{group}`")
    } else {
        "a dry run: nothing was moved; do it with   --execute".into()
    });
    Ok(())
}

/// A group as one line of JSON.
fn json(group: &GroupDescription) -> String {
    let partitions: Vec<_> = group
        .partitions
        .iter()
        .map(|p| {
            serde_json::json!({
                "topic": p.partition.topic.as_str(),
                "partition": p.partition.partition,
                "position": p.position,
                "lag_records": p.lag_records,
                "lag_seconds": p.lag.map(|lag| lag.as_secs_f64()),
                "leased": p.leased,
            })
        })
        .collect();
    let members: Vec<_> = group.members.iter().map(|m| m.member.as_str()).collect();
    serde_json::json!({
        "group": group.group.as_str(),
        "kind": kind(group),
        "members": members,
        "lag_records": lag_records(group),
        "lag_seconds": group.partitions.iter().filter_map(|p| p.lag).max().map(|lag| lag.as_secs_f64()),
        "partitions": partitions,
    })
    .to_string()
}
