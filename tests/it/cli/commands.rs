//! Each command with good and with wrong input.

use super::{Tw, exists};
use serde_json::Value;

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

#[test]
fn lines_put_come_out_of_tail() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t"]).ok();
    let put = tw.feed(&["put", "t"], "one\r\ntwo\n\nlast without line feed");
    assert_eq!(put.err, "4 records put into `t` to 1 partition, durable\n");
    put.ok();
    assert_eq!(tw.run(&["tail", "t"]).ok(), "one\ntwo\n\nlast without line feed\n");
    assert_eq!(tw.run(&["tail", "t", "-n", "1"]).ok(), "last without line feed\n");
    assert_eq!(tw.run(&["tail", "t", "--from", "1", "-n", "1"]).ok(), "two\n");
    assert_eq!(tw.run(&["tail", "t", "--from", "latest"]).ok(), "");
    assert_eq!(tw.run(&["tail", "t", "--from", "1970-01-01", "-n", "1"]).ok(), "one\n");
    assert_eq!(tw.run(&["tail", "t", "--from", "2999-01-01"]).ok(), "");
}

#[test]
fn keys_choose_the_partition_and_are_shown() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t", "-p", "4"]).ok();
    tw.feed(&["put", "t", "--separator", "\\t"], "a\t1\nb\t2\na\t3\n").ok();
    tw.feed(&["put", "t", "--key-field", "k"], "{\"k\":\"a\",\"n\":4}\n").ok();
    tw.run(&["put", "t", "--key", "a", "--value", "5"]).ok();
    let records = json_lines(&tw.run(&["tail", "t", "--from", "earliest", "--json"]).ok());
    let of_a: Vec<&Value> = records.iter().filter(|r| r["key"] == "a").collect();
    let values: Vec<String> = of_a.iter().map(|r| r["value"].to_string()).collect();
    assert_eq!(values, ["1", "3", r#"{"k":"a","n":4}"#, "5"]);
    assert!(of_a.iter().all(|r| r["partition"] == of_a[0]["partition"]));
    let offsets: Vec<i64> = of_a.iter().filter_map(|r| r["offset"].as_i64()).collect();
    assert!(offsets.is_sorted() && offsets.len() == 4, "{offsets:?}");
    assert!(tw.run(&["tail", "t", "--keys"]).ok().contains("b\t2\n"));
}

#[test]
fn put_refuses_a_bad_line_and_keeps_those_before_it() {
    let tw = Tw::new();
    let put = tw.feed(&["put", "t", "--create", "--key-field", "k"], "{\"k\":1}\n{\"k\":\n{\"k\":3}\n");
    let err = put.error("TW0501");
    assert!(err.contains("line 2, column 5 of standard input"), "{err}");
    assert!(err.starts_with("1 record put into `t`"), "{err}");
    assert!(!err.contains("--from-line") && !err.contains("--skip-bad"), "flags that put does not have: {err}");
    assert_eq!(tw.values("t"), ["{\"k\":1}"]);
}

#[test]
fn a_record_over_the_limit_is_refused_with_its_line() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t", "--max-batch-bytes", "2000"]).ok();
    let put = tw.feed(&["put", "t"], &format!("small\n{}\n", "x".repeat(3000)));
    assert!(put.error("TW0105").contains("line 2 of standard input"));
    assert_eq!(tw.values("t"), ["small"]);
}

#[test]
fn wrong_names_get_their_code_and_the_fix() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "flights"]).ok();
    tw.run(&["topic", "create", "a/b"]).error("TW0101");
    assert!(tw.run(&["tail", "flihgts"]).error("TW0102").contains("did you mean `flights`?"));
    tw.run(&["put", "nope"]).error("TW0102");
    tw.run(&["topic", "create", "flights"]).error("TW0103");
    tw.run(&["tail", "flights", "--partition", "7"]).error("TW0104");
    tw.run(&["put", "flights", "--partition", "7", "--value", "x"]).error("TW0104");
    tw.run(&["topic", "create", "x", "-p", "0"]).error("TW0107");
    tw.run(&["topic", "create", "x", "--lease", "0s"]).error("TW0107");
    tw.run(&["take", "flights", "--group", ""]).error("TW0108");
    tw.run(&["group", "describe", "nope"]).error("TW0109");
    tw.run(&["put", "flights", "no-such-file"]).error("TW0502");
    tw.run(&["explain", "TW9999"]).error("TW0504");
}

#[test]
fn the_command_line_itself_wrong_is_exit_code_2() {
    let tw = Tw::new();
    for args in [&["nonsense"][..], &["tail"], &["tail", "t", "--from", "yesterday"], &["take", "t"], &[]] {
        let ended = tw.run(args);
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(!ended.err.is_empty() && ended.out.is_empty());
    }
    assert!(!exists(&tw.path("data")));
}

#[test]
fn a_look_into_a_directory_that_is_not_there_makes_none() {
    let tw = Tw::new();
    tw.run(&["topic", "list"]).error("TW0509");
    tw.run(&["tail", "t"]).error("TW0509");
    assert!(!exists(&tw.path("data")));
}

#[test]
fn errors_are_json_when_asked() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "flights"]).ok();
    let ended = tw.run(&["tail", "flihgts", "--json"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    let error: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(error["error"]["code"], "TW0102");
    assert_eq!(error["error"]["message"], "there is no topic `flihgts`");
    assert_eq!(error["error"]["help"], "did you mean `flights`?");
}

#[test]
fn topics_are_listed_described_and_deleted() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t", "-p", "3", "--flush", "os", "--lease", "5m", "--deliveries", "2"]).ok();
    tw.feed(&["put", "t"], "1\n2\n").ok();
    let listed = json_lines(&tw.run(&["topic", "list", "--json"]).ok());
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["topic"], &listed[0]["records"], &listed[0]["flush"]),
        (&"t".into(), &2.into(), &"os".into())
    );
    let described = &json_lines(&tw.run(&["--json", "topic", "describe", "t"]).ok())[0];
    assert_eq!((&described["lease_ms"], &described["deliveries_max"]), (&300_000.into(), &2.into()));
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3));
    // Without a terminal nobody can be asked.
    let err = tw.run(&["topic", "delete", "t"]).error("TW0503");
    assert!(err.contains("`t`: 2 records in 3 partitions"), "{err}");
    assert_eq!(tw.values("t").len(), 2);
    tw.run(&["topic", "delete", "t", "--yes"]).ok();
    tw.run(&["topic", "describe", "t"]).error("TW0102");
}

#[test]
fn no_escape_sequences_in_a_pipe_unless_asked() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t"]).ok();
    assert!(!tw.run(&["topic", "list"]).ok().contains('\x1b'));
    assert!(tw.run(&["topic", "list", "--color", "always"]).ok().contains('\x1b'));
    assert!(!tw.run(&["tail", "nope"]).err.contains('\x1b'));
}

#[test]
fn take_gives_each_record_once() {
    let tw = Tw::new();
    tw.feed(&["put", "jobs", "--create"], "1\n2\n3\n").ok();
    assert_eq!(tw.run(&["take", "jobs", "--group", "g"]).ok(), "1\n");
    let rest = json_lines(&tw.run(&["take", "jobs", "-g", "g", "-n", "2", "--json"]).ok());
    assert_eq!((&rest[0]["value"], &rest[1]["value"]), (&2.into(), &3.into()));
    let none = tw.run(&["take", "jobs", "-g", "g", "--wait", "0s"]);
    assert_eq!(none.err, "nothing to take from `jobs`\n");
    none.ok();
    tw.run(&["take", "nope", "-g", "g"]).error("TW0102");
}

#[test]
fn take_exec_acknowledges_by_exit_code_and_the_rest_goes_to_the_dead_letters() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "jobs", "--deliveries", "3"]).ok();
    tw.feed(&["put", "jobs", "--key", "k"], "good\nbad\n").ok();
    let command = "read line; echo \"$TW_KEY $line\" >> log; test \"$line\" = good";
    tw.run(&["take", "jobs", "-g", "g", "--exec", command, "--wait", "0s"]).ok();
    let log = std::fs::read_to_string(tw.path("log")).unwrap();
    assert_eq!(log.matches("k good").count(), 1, "{log}");
    assert!((2..=3).contains(&log.matches("k bad").count()), "{log}");
    assert_eq!(tw.values("jobs.dead"), ["bad"]);
    tw.feed(&["put", "jobs"], "worse\n").ok();
    tw.run(&["take", "jobs", "-g", "g", "--reject"]).ok();
    assert_eq!(tw.values("jobs.dead"), ["bad", "worse"]);
}

#[test]
fn take_leaves_the_deliveries_of_the_neighbours_alone() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "jobs", "--deliveries", "1"]).ok();
    tw.feed(&["put", "jobs"], "1\n2\n3\n").ok();
    for expected in ["1\n", "2\n", "3\n"] {
        assert_eq!(tw.run(&["take", "jobs", "-g", "g", "-n", "1"]).ok(), expected);
    }
    tw.run(&["tail", "jobs.dead"]).error("TW0102");
    tw.run(&["topic", "create", "more"]).ok();
    tw.feed(&["put", "more"], "1\n2\n").ok();
    for n in 1..=2 {
        let taken = json_lines(&tw.run(&["take", "more", "-g", "g", "--json"]).ok());
        assert_eq!((&taken[0]["value"], &taken[0]["delivery"]), (&n.into(), &1.into()));
    }
}

#[test]
fn help_fits_a_screen() {
    let tw = Tw::new();
    let commands = [
        "",
        "demo",
        "topic",
        "start",
        "topic create",
        "topic list",
        "topic describe",
        "topic delete",
        "topic delete-records",
        "put",
        "tail",
        "take",
        "group",
        "group reset",
        "user",
        "user add",
        "acl",
        "acl add",
        "acl remove",
        "load",
        "dump",
        "sql",
        "doctor",
        "repair",
        "bench",
        "bench produce",
        "explain",
        "completions",
    ];
    for command in commands {
        for help in ["-h", "--help"] {
            let mut args: Vec<&str> = command.split_whitespace().collect();
            args.push(help);
            let text = tw.run(&args).ok();
            assert!(text.lines().count() <= 30, "`tw {command} {help}` has {} lines:\n{text}", text.lines().count());
            assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        }
    }
}

#[test]
fn groups_show_their_lag_and_move() {
    let tw = Tw::new();
    tw.feed(&["put", "t", "--create"], "1\n2\n3\n").ok();
    tw.run(&["take", "t", "-g", "q"]).ok();
    let queue = &json_lines(&tw.run(&["group", "describe", "q", "--json"]).ok())[0];
    assert_eq!((&queue["kind"], &queue["lag_records"]), (&"queue".into(), &2.into()));
    let err = tw.run(&["group", "reset", "q", "t", "--to", "earliest", "--execute"]).error("TW0107");
    assert!(err.contains("`q` is a queue group") && err.contains("tw take t --group NAME"), "{err}");
    let dry = json_lines(&tw.run(&["group", "reset", "c", "t", "--to", "1", "--json"]).ok());
    assert_eq!((&dry[0]["to"], &dry[0]["executed"]), (&1.into(), &false.into()));
    tw.run(&["group", "describe", "c"]).error("TW0109");
    tw.run(&["group", "reset", "c", "t", "--to", "1", "--execute"]).ok();
    let group = &json_lines(&tw.run(&["group", "describe", "c", "--json"]).ok())[0];
    assert_eq!((&group["kind"], &group["lag_records"]), (&"consumer".into(), &2.into()));
    assert!(group["lag_seconds"].is_number());
    // The group has its offsets in a topic of the system now, which nobody else writes.
    tw.run(&["put", "__consumer_offsets", "--value", "x"]).error("TW0107");
    let listed = tw.run(&["group", "list"]).ok();
    assert!(listed.contains("consumer") && listed.contains("queue"), "{listed}");
    tw.run(&["group", "delete", "c"]).ok();
    tw.run(&["group", "describe", "c"]).error("TW0109");
}

#[test]
fn bench_measures_and_leaves_nothing() {
    let tw = Tw::new();
    tw.write("scratch-is-a-directory", "");
    std::fs::create_dir(tw.path("scratch")).unwrap();
    for kind in ["produce", "consume"] {
        let args = ["bench", kind, "--records", "500", "-p", "2", "--flush", "os", "--dir", "scratch", "--json"];
        let measured = &json_lines(&tw.run(&args).ok())[0];
        assert_eq!(measured["records"], 500);
        assert!(measured["latency_us"]["p99"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(std::fs::read_dir(tw.path("scratch")).unwrap().count(), 0);
}

#[test]
fn completions_are_a_script() {
    assert!(Tw::new().run(&["completions", "bash"]).ok().contains("complete -F"));
}

#[test]
fn records_before_a_position_are_deleted_when_one_says_so() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t"]).ok();
    tw.feed(&["put", "t"], "one\ntwo\nthree\n").ok();
    tw.run(&["topic", "delete-records", "t", "--before", "2"]).error("TW0503");
    assert_eq!(tw.values("t"), ["one", "two", "three"]);
    let deleted = tw.run(&["topic", "delete-records", "t", "--before", "2", "--yes"]);
    assert!(deleted.err.contains("deleted 2 records of `t`"), "{}", deleted.err);
    deleted.ok();
    assert_eq!(tw.values("t"), ["three"]);
    tw.run(&["topic", "delete-records", "t", "--before", "9", "--yes"]).error("TW0106");
    tw.run(&["topic", "delete-records", "nope", "--before", "1", "--yes"]).error("TW0102");
    assert_eq!(tw.values("t"), ["three"]);
}
