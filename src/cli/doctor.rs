//! `tw doctor`: reads every byte of a closed data directory and says what is wrong, without changing anything.

use super::{Context, Error, Result};
use crate::output::{Style, bytes, counted, span};
use std::collections::BTreeSet;
use tailwater::log::doctor::{Doctor, Examined, Finding, Severity};
use tailwater::log::env::Clock;

/// Examines the directory; an error if it is damaged.
pub(crate) fn run(cx: &mut Context) -> Result<()> {
    if !cx.data.exists() {
        return Err(Error::NoData { dir: cx.data.clone() });
    }
    let doctor = Doctor::open(&cx.data)?;
    let clock = Clock::real();
    let began = clock.instant();
    let bar = cx.out.progress(0, "examining");
    let examined = doctor.examine(&mut |read| {
        bar.inc_length(read);
        bar.inc(read);
    })?;
    bar.finish_and_clear();
    let took = clock.instant().since(began);
    let unknown = doctor.unknown_topics()?;
    if cx.out.json() {
        for finding in &examined.findings {
            cx.out.line(json(&doctor, finding))?;
        }
        let summary = serde_json::json!({
            "partitions": examined.partitions,
            "segments": examined.segments,
            "bytes": examined.bytes,
            "seconds": took.as_secs_f64(),
            "damaged": examined.is_damaged(),
            "topics_without_name": unknown.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        cx.out.line(summary.to_string())?;
        return verdict(&doctor, &examined);
    }
    let mut group = None;
    for finding in &examined.findings {
        let heading = heading(&doctor, finding);
        if group.as_ref() != Some(&heading) {
            cx.out.line(cx.out.paint(Style::Bold, &heading))?;
            group = Some(heading);
        }
        let style = if finding.severity == Severity::Damage { Style::Red } else { Style::Dim };
        let severity = cx.out.paint(style, &format!("{:<8}", finding.severity.to_string()));
        let partition = finding.partition.map(|(_, index)| format!("partition {index}: ")).unwrap_or_default();
        let offsets = finding.offsets.filter(|offsets| !offsets.is_empty());
        let offsets = offsets.map(|offsets| format!("; offsets {offsets}")).unwrap_or_default();
        let (path, what) = (finding.path.display(), &finding.what);
        cx.out.line(format!("  {severity}{partition}{path}: {what}{offsets}"))?;
    }
    for id in &unknown {
        cx.out.line(format!("topic {id} has files and no name: it was deleted, or the metadata log has lost it"))?;
    }
    cx.out.note(format!(
        "examined {} in {}, {} in {}",
        counted(examined.partitions, "partition"),
        counted(examined.segments, "segment"),
        bytes(examined.bytes),
        span(took)
    ));
    verdict(&doctor, &examined)?;
    let derived = examined.findings.iter().any(|finding| finding.severity == Severity::Derived);
    cx.out.note(if derived {
        "no record is damaged; what is derived is made again when it is needed, or now with   tw repair TOPIC"
    } else {
        "nothing is damaged"
    });
    Ok(())
}

/// The topic that a finding belongs to, as a heading.
fn heading(doctor: &Doctor, finding: &Finding) -> String {
    match finding.partition {
        None => "the data directory".into(),
        Some((topic, _)) => doctor.name(topic).map_or_else(|| topic.to_string(), str::to_owned),
    }
}

fn json(doctor: &Doctor, finding: &Finding) -> String {
    serde_json::json!({
        "severity": finding.severity.to_string(),
        "topic": finding.partition.and_then(|(topic, _)| doctor.name(topic)),
        "topic_id": finding.partition.map(|(topic, _)| topic.to_string()),
        "partition": finding.partition.map(|(_, index)| index),
        "path": finding.path.display().to_string(),
        "what": finding.what,
        "offsets": finding.offsets.map(|offsets| [offsets.start, offsets.end]),
    })
    .to_string()
}

/// The error that says what to do, if anything is damaged.
fn verdict(doctor: &Doctor, examined: &Examined) -> Result<()> {
    let damaged = examined.findings.iter().filter(|finding| finding.severity == Severity::Damage);
    let topics: BTreeSet<_> = damaged.map(|finding| heading(doctor, finding)).collect();
    if topics.is_empty() {
        return Ok(());
    }
    let names = topics.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let commands = damaged_topics(doctor, examined).into_iter().map(|name| format!("tw repair {name}"));
    let mut commands: Vec<_> = commands.collect();
    if examined.findings.iter().any(|finding| finding.partition.is_none() && finding.severity == Severity::Damage) {
        commands.push("tw repair --checkpoint".into());
    }
    Err(Error::Coded {
        code: "TW0204",
        message: format!("damage in {names}"),
        help: Some(format!(
            "restore the files from a copy, or see what a repair would lose:   {}",
            commands.join("   ")
        )),
    })
}

fn damaged_topics(doctor: &Doctor, examined: &Examined) -> BTreeSet<String> {
    let damaged = examined.findings.iter().filter(|finding| finding.severity == Severity::Damage);
    damaged.filter_map(|finding| doctor.name(finding.partition?.0).map(str::to_owned)).collect()
}
