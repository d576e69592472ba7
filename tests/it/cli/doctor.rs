//! `tw doctor` and `tw repair` on a directory that was damaged by hand.

use super::Tw;
use serde_json::Value;
use std::path::PathBuf;

/// A topic of three segments or more, closed in order; its `.log` files.
fn filled(tw: &Tw) -> Vec<PathBuf> {
    tw.run(&["topic", "create", "lines", "--segment-bytes", "65536", "--max-batch-bytes", "65536"]).ok();
    for n in 0..8 {
        tw.feed(&["put", "lines"], &format!("{n}{}\n", "x".repeat(20_000))).ok();
    }
    let described: Value = serde_json::from_str(&tw.run(&["--json", "topic", "describe", "lines"]).ok()).unwrap();
    let dir = tw.path("data").join("t").join(described["id"].as_str().unwrap()).join("0");
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = names.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    logs.sort();
    assert!(logs.len() >= 3, "{logs:?}");
    logs
}

fn flip(path: &PathBuf, byte: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[byte] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

/// The numbers that lines begin with.
fn numbers(tw: &Tw) -> Vec<String> {
    tw.values("lines").iter().map(|line| line.trim_end_matches('x').to_owned()).collect()
}

#[test]
fn a_sound_log_has_no_findings() {
    let tw = Tw::new();
    tw.run(&["doctor"]).error("TW0509");
    filled(&tw);
    let ended = tw.run(&["doctor"]);
    assert!(ended.err.contains("nothing is damaged") && ended.err.contains("examined 2 partitions"), "{ended:?}");
    assert_eq!(ended.ok(), "");
    let summary: Value = serde_json::from_str(&tw.run(&["doctor", "--json"]).ok()).unwrap();
    assert_eq!((&summary["damaged"], &summary["partitions"]), (&false.into(), &2.into()));
    assert!(tw.run(&["repair", "lines"]).err.contains("is not damaged"));
}

#[test]
fn a_repair_keeps_what_is_intact_and_says_what_is_lost() {
    let tw = Tw::new();
    let logs = filled(&tw);
    flip(&logs[0], 5000);
    let ended = tw.run(&["doctor"]);
    assert!(ended.out.starts_with("lines\n") && ended.out.contains("damage  partition 0: "), "{ended:?}");
    assert!(ended.error("TW0204").contains("tw repair lines"));

    let before = std::fs::read(&logs[0]).unwrap();
    let ended = tw.run(&["repair", "lines"]);
    assert!(ended.out.contains("lines partition 0: 1 offset lost"), "{ended:?}");
    assert!(ended.error("TW0204").contains("--accept-data-loss"));
    assert_eq!(std::fs::read(&logs[0]).unwrap(), before, "nothing was changed");

    let ended = tw.run(&["repair", "lines", "--accept-data-loss"]);
    assert!(ended.err.contains("set aside") && ended.err.contains("repaired `lines`"), "{ended:?}");
    ended.ok();
    assert_eq!(numbers(&tw), ["1", "2", "3", "4", "5", "6", "7"]);
    let counted = tw.run(&["sql", "--format", "csv", "-c", "SELECT count(*) AS n FROM lines"]);
    assert_eq!(counted.ok(), "n\n7\n");
    tw.run(&["doctor"]).ok();
    let quarantine: Vec<_> =
        std::fs::read_dir(tw.path("data/quarantine")).unwrap().map(|e| e.unwrap().path()).collect();
    let report = quarantine.iter().find(|path| path.extension().is_some_and(|e| e == "json")).unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    assert_eq!((&report["topic"], &report["lost"][0]["offsets"]), (&"lines".into(), &serde_json::json!([0, 1])));
    assert!(quarantine.iter().any(|path| std::fs::read(path).unwrap() == before), "the original is set aside");

    // It takes records again, behind all that it had.
    tw.feed(&["put", "lines"], "8\n").ok();
    assert_eq!(numbers(&tw).last().map(String::as_str), Some("8"));
}

#[test]
fn a_lost_checkpoint_is_rebuilt() {
    let tw = Tw::new();
    filled(&tw);
    flip(&tw.path("data/checkpoint.log"), 30);
    assert!(tw.run(&["doctor"]).error("TW0204").contains("tw repair --checkpoint"));
    tw.run(&["repair", "--checkpoint"]).ok();
    tw.run(&["doctor"]).ok();
    assert_eq!(numbers(&tw).len(), 8);
    assert_eq!(tw.run(&["repair"]).code, Some(2), "a topic or the checkpoint");
}
