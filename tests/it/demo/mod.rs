//! `tw demo` as a user runs it: the check on 1 and on 8 partitions, and `kill -9` at 25 moments of it and of a load.
//!
//! The moments are drawn from a fixed seed. Nothing here sleeps or waits for a time: a process is killed once it has
//! printed or written a drawn amount, and a process that ends before is not counted as killed.

mod kill;

use std::path::Path;
use std::process::{Command, Output};

fn tw(data: Option<&Path>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tw"));
    command.env_remove("TW_DATA");
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    command.args(args).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}\nstdout:\n{}\nstderr:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).expect("the output is UTF-8")
}

/// What a check prints when every row is right.
fn assert_checked(text: &str, partitions: u32) {
    assert!(text.contains(&format!("11,709 events on {partitions} partitions")), "{text}");
    for table in
        ["delays-by-hour      401 ", "alerts               34 ", "late-reports        175 ", "daily, by SQL         7 "]
    {
        assert!(text.contains(table), "no `{table}` in\n{text}");
    }
}

#[test]
fn every_final_row_is_right_on_one_partition() {
    assert_checked(&stdout(&tw(None, &["demo", "--check", "--partitions", "1"])), 1);
}

#[test]
fn every_final_row_is_right_on_eight_partitions() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = stdout(&tw(Some(dir.path()), &["demo", "--check", "--partitions", "8"]));
    assert_checked(&text, 8);
    assert!(!text.contains("repeated"), "nothing crashed, so nothing is repeated:\n{text}");
    // A second start finds the week complete, and the rows as they were.
    assert_checked(&stdout(&tw(Some(dir.path()), &["demo", "--check"])), 8);
    let again = stdout(&tw(Some(dir.path()), &["demo", "--plain"]));
    assert!(again.contains("the week is loaded, all 11,709 events"), "{again}");
    assert!(again.contains("2013-02-08   930 flights  472 cancelled  50 %"), "{again}");
    assert!(again.contains("next:"), "{again}");
}

#[test]
fn a_directory_that_the_demo_did_not_make_is_not_reset() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("precious"), "data").expect("a file");
    let output = tw(Some(dir.path()), &["demo", "--reset"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("it was not made by"));
    assert!(dir.path().join("precious").exists());
}
