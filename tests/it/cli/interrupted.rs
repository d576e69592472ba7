//! Signals, pipes that break, and two processes on one directory.

use super::Tw;

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let tw = Tw::new();
    let many: String = (0..30_000).map(|i| format!("line {i} of a text that fills every pipe\n")).collect();
    tw.feed(&["put", "t", "--create"], &many).ok();
    for args in
        [&["tail", "t", "--from", "earliest"][..], &["dump", "t"], &["tail", "t", "--from", "earliest", "--json"]]
    {
        let mut running = tw.start(args);
        assert!(running.line().contains("line 0 of"));
        // Most of the output is still to come.
        assert_eq!(running.stop_reading_and_wait(), (Some(0), String::new()), "{args:?}");
    }
}

#[test]
fn ctrl_c_drains_a_tail_that_follows() {
    for signal in ["INT", "TERM"] {
        let tw = Tw::new();
        tw.feed(&["put", "t", "--create"], "1\n2\n").ok();
        let mut running = tw.start(&["tail", "t", "-f"]);
        assert_eq!((running.line(), running.line()), ("1".into(), "2".into()));
        running.signal(signal);
        assert_eq!(running.wait(), (Some(0), String::new()));
        // The directory is free again at once.
        assert_eq!(tw.values("t").len(), 2);
    }
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let tw = Tw::new();
    tw.feed(&["put", "t", "--create"], "1\n").ok();
    let mut running = tw.start(&["tail", "t", "-f"]);
    running.line();
    let err = tw.run(&["topic", "list"]).error("TW0201");
    assert!(err.contains(&running.child.id().to_string()), "{err}");
    tw.run(&["put", "t", "--value", "2"]).error("TW0201");
    running.signal("INT");
    running.wait();
    assert_eq!(tw.values("t"), ["1"]);
}

#[test]
fn what_is_typed_is_there_when_the_input_ends() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t"]).ok();
    let mut running = tw.start(&["put", "t"]);
    running.type_line("one");
    running.type_line("two");
    assert_eq!(running.wait(), (Some(0), "2 records put into `t` to 1 partition, durable\n".into()));
    assert_eq!(tw.values("t"), ["one", "two"]);
}

#[test]
fn ctrl_c_ends_a_put_that_waits_for_input() {
    let tw = Tw::new();
    // With --create and no line yet: once it holds the lock, signals are listened to.
    let running = tw.start(&["put", "t", "--create"]);
    let pid = running.child.id().to_string();
    while !std::fs::read_to_string(tw.path("data/LOCK")).is_ok_and(|holder| holder.trim() == pid) {
        std::thread::yield_now();
    }
    running.signal("INT");
    assert_eq!(running.wait_with_input_open(), (Some(0), "0 records put into `t`\n".into()));
}

#[test]
fn a_worker_killed_in_its_work_loses_nothing() {
    let tw = Tw::new();
    tw.feed(&["put", "jobs", "--create"], "1\n2\n").ok();
    let killed = tw.run(&["take", "jobs", "-g", "g", "--exec", "kill -9 $PPID"]);
    assert_eq!(killed.code, None, "{killed:?}");
    let taken = tw.run(&["take", "jobs", "-g", "g", "-n", "2"]).ok();
    assert_eq!(taken, "1\n2\n");
}
