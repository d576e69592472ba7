//! `tw repair`: keeps what is intact of a damaged topic, sets aside what is not, and writes down what is lost.

use super::{Context, Error, Result};
use crate::output::{Style, bytes, counted};
use tailwater::log::Log;
use tailwater::log::doctor::{Doctor, METADATA_NAME, RepairPlan};

/// Arguments of `tw repair`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The topic; __metadata for the log of what topics there are
    #[arg(required_unless_present = "checkpoint")]
    topic: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Give up what cannot be brought back. Without it nothing is changed but what can be made again
    #[arg(long)]
    accept_data_loss: bool,
    /// Rebuild the checkpoint from the segments
    #[arg(long, conflicts_with_all = ["topic", "partition", "accept_data_loss"])]
    checkpoint: bool,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    if !cx.data.exists() {
        return Err(Error::NoData { dir: cx.data.clone() });
    }
    let Some(topic) = args.topic else { return checkpoint(cx).await };
    let doctor = Doctor::open(&cx.data)?;
    let plans = doctor.plan(&topic, args.partition)?;
    let plans: Vec<_> = plans.into_iter().filter(|plan| plan.is_damaged() || !plan.derived().is_empty()).collect();
    if plans.is_empty() {
        cx.out.note(format!("`{topic}` is not damaged"));
        return Ok(());
    }
    for plan in &plans {
        show(plan, &topic, cx)?;
    }
    let is_damaged = plans.iter().any(RepairPlan::is_damaged);
    if is_damaged && !args.accept_data_loss {
        let only = args.partition.map(|partition| format!(" --partition {partition}")).unwrap_or_default();
        return Err(Error::Coded {
            code: "TW0204",
            message: format!("`{topic}` is damaged, and nothing was changed"),
            help: Some(format!(
                "restore the files from a copy, or keep all but these records with   \
                 tw repair {topic}{only} --accept-data-loss"
            )),
        });
    }
    let unknown = doctor.unknown_topics()?;
    let plans: Vec<_> = plans
        .into_iter()
        .map(|plan| {
            let report = report(&plan, &topic).to_string();
            (plan, report)
        })
        .collect();
    let aside = doctor.repair(&plans)?;
    if cx.out.json() {
        let aside: Vec<_> = aside.iter().map(|path| path.display().to_string()).collect();
        return cx.out.line(serde_json::json!({ "repaired": topic, "set_aside": aside }).to_string());
    }
    for path in &aside {
        cx.out.note(format!("set aside {}", path.display()));
    }
    if topic == METADATA_NAME {
        for id in unknown {
            cx.out.note(format!("topic {id} has files and may have lost its name"));
        }
    }
    cx.out.note(format!("repaired `{topic}`"));
    Ok(())
}

/// Opening the log rebuilds the checkpoint, unless a partition is damaged.
async fn checkpoint(cx: &mut Context) -> Result<()> {
    Log::open(&cx.data).await?.close().await?;
    let examined = Doctor::open(&cx.data)?.examine(&mut |_| ())?;
    if examined.is_damaged() {
        return Err(Error::Coded {
            code: "TW0204",
            message: "the checkpoint cannot be rebuilt while topics are damaged".into(),
            help: Some("see which with   tw doctor   and repair them first".into()),
        });
    }
    cx.out.note("the checkpoint is whole");
    Ok(())
}

fn show(plan: &RepairPlan, topic: &str, cx: &mut Context) -> Result<()> {
    if cx.out.json() {
        return cx.out.line(report(plan, topic).to_string());
    }
    let lost: u64 = plan.losses().iter().map(|loss| loss.offsets.len()).sum();
    let title = match lost {
        0 => format!("{topic} partition {}: no record is lost", plan.partition()),
        n => format!("{topic} partition {}: {} lost", plan.partition(), counted(n, "offset")),
    };
    cx.out.line(cx.out.paint(Style::Bold, &title))?;
    for loss in plan.losses() {
        let (path, size) = (loss.path.display(), bytes(loss.bytes));
        cx.out.line(format!("  offsets {}  {size}  {path}: {}", loss.offsets, loss.why))?;
    }
    for path in plan.derived() {
        cx.out.line(format!("  {} is made again", path.display()))?;
    }
    Ok(())
}

/// What is lost, as it is kept beside the files that were set aside.
fn report(plan: &RepairPlan, topic: &str) -> serde_json::Value {
    let losses: Vec<_> = plan
        .losses()
        .iter()
        .map(|loss| {
            serde_json::json!({
                "path": loss.path.display().to_string(),
                "offsets": [loss.offsets.start, loss.offsets.end],
                "records_at_most": loss.offsets.len(),
                "bytes": loss.bytes,
                "why": loss.why,
            })
        })
        .collect();
    serde_json::json!({
        "topic": topic,
        "topic_id": plan.topic().to_string(),
        "partition": plan.partition(),
        "next_offset": plan.next_offset(),
        "lost": losses,
        "made_again": plan.derived().iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
    })
}
