//! `tw load` and `tw dump`: what is loaded, what is refused, and that each record is there once.

use super::Tw;

/// A jsonl file of `n` records over a few keys.
fn rows(n: usize) -> String {
    (0..n).map(|i| format!("{{\"k\":\"{}\",\"n\":{i}}}\n", i % 7)).collect()
}

/// Asserts that the topic has every row of the file once, and those of a key in the order of the file.
#[track_caller]
fn assert_each_once(tw: &Tw, topic: &str, n: usize) {
    let mut seen: Vec<serde_json::Value> = tw.values(topic).iter().map(|v| serde_json::from_str(v).unwrap()).collect();
    for key in ["0", "1", "2", "3", "4", "5", "6"] {
        let of_key: Vec<u64> = seen.iter().filter(|v| v["k"] == *key).map(|v| v["n"].as_u64().unwrap()).collect();
        assert!(of_key.is_sorted(), "key {key}: {of_key:?}");
    }
    seen.sort_by_key(|v| v["n"].as_u64());
    let numbers: Vec<u64> = seen.iter().map(|v| v["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..n as u64).collect::<Vec<_>>());
}

#[test]
fn a_file_is_loaded_once_however_often() {
    let tw = Tw::new();
    let file = tw.write("rows.jsonl", rows(500));
    let load = ["load", &file, "t", "--key", "k", "--partitions", "4"];
    let first = tw.run(&load);
    assert_eq!(first.err, "loaded 500 records into `t`\n");
    first.ok();
    let again = tw.run(&load);
    assert_eq!(again.err, "already loaded: all 500 records of rows.jsonl are in `t`\n");
    again.ok();
    assert_each_once(&tw, "t", 500);
    // Other content, other key, asked for again: other loads.
    tw.run(&["load", &file, "t", "--key", "k", "--again"]).ok();
    assert_eq!(tw.values("t").len(), 1000);
    tw.run(&["load", &file, "t"]).ok();
    assert_eq!(tw.values("t").len(), 1500);
}

#[test]
fn killed_at_any_acknowledgement_it_goes_on_where_it_was() {
    for (partitions, kill_after) in [("1", 1), ("4", 300), ("4", 1500), ("8", 2900)] {
        let tw = Tw::new();
        let file = tw.write("rows.jsonl", rows(3000));
        let load = ["load", &file, "t", "--key", "k", "--partitions", partitions, "--progress-lines"];
        let mut running = tw.start(&load);
        let acked = loop {
            let line = running.line();
            let acked: u64 =
                line.strip_prefix("acked ").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
            if acked >= kill_after {
                break acked;
            }
        };
        running.kill();
        assert!(tw.values("t").len() as u64 >= acked, "acknowledged and not there");
        tw.run(&load).ok();
        assert_each_once(&tw, "t", 3000);
    }
}

#[test]
fn records_without_a_key_go_round_and_resume_too() {
    let tw = Tw::new();
    let file = tw.write("rows.jsonl", rows(400));
    let load = ["load", &file, "t", "--partitions", "3", "--progress-lines"];
    let mut running = tw.start(&load);
    running.line();
    running.kill();
    tw.run(&load).ok();
    assert_eq!(tw.values("t").len(), 400);
    let described = tw.run(&["topic", "describe", "t", "--json"]).ok();
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    let ends: Vec<_> = (0..3).map(|p| described["partitions"][p]["log_end_offset"].as_u64().unwrap()).collect();
    assert_eq!(ends, [134, 133, 133]);
}

#[test]
fn a_malformed_line_stops_the_load_where_it_is() {
    let tw = Tw::new();
    let file = tw.write("x.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\": tru}\n{\"n\":4}\n");
    let err = tw.run(&["load", &file, "t"]).error("TW0501");
    assert!(err.contains("line 3, column 10 of x.jsonl"), "{err}");
    assert!(err.contains("loaded 2 records into `t`"), "{err}");
    assert_eq!(tw.values("t"), ["{\"n\":1}", "{\"n\":2}"]);
    // The same file, bad lines left out: what is there is not stored twice.
    let skipped = tw.run(&["load", &file, "t", "--skip-bad"]);
    assert!(skipped.err.contains("loaded 1 record into `t`; 2 were there already"), "{skipped:?}");
    assert!(skipped.err.contains("left out 1 bad line; the first: line 3"), "{skipped:?}");
    skipped.ok();
    assert_eq!(tw.values("t"), ["{\"n\":1}", "{\"n\":2}", "{\"n\":4}"]);
}

#[test]
fn a_corrected_file_goes_on_from_its_line() {
    let tw = Tw::new();
    let file = tw.write("x.jsonl", "1\n2\n{\n4\n");
    assert!(tw.run(&["load", &file, "t"]).error("TW0501").contains("--from-line 3"));
    tw.write("x.jsonl", "1\n2\n3\n4\n");
    tw.run(&["load", &file, "t", "--from-line", "3"]).ok();
    assert_eq!(tw.values("t"), ["1", "2", "3", "4"]);
}

#[test]
fn a_record_over_the_limit_counts_as_a_bad_line() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t", "--max-batch-bytes", "2000"]).ok();
    let file = tw.write("x.jsonl", format!("1\n\"{}\"\n3\n", "x".repeat(3000)));
    assert!(tw.run(&["load", &file, "t"]).error("TW0105").contains("line 2 of x.jsonl"));
    let skipped = tw.run(&["load", &file, "t", "--skip-bad"]);
    assert!(skipped.err.contains("left out 1 bad line; the first: line 2: a record of "), "{skipped:?}");
    skipped.ok();
    tw.run(&["load", &file, "t", "--skip-bad"]).ok();
    assert_eq!(tw.values("t"), ["1", "3"]);
}

#[test]
fn csv_is_typed_keyed_and_timed() {
    let tw = Tw::new();
    let csv = "origin,n,delay,time,note\nEWR,1,2.5,2013-02-08T21:00:00Z,\nJFK,2,NA,2013-02-08T22:00:00Z,\"a,b\"\n";
    let file = tw.write("x.csv", csv);
    tw.run(&["load", &file, "t", "--key", "origin", "--time", "time"]).ok();
    let records = tw.run(&["tail", "t", "--json"]).ok();
    let first: serde_json::Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!((&first["key"], &first["timestamp"]), (&"EWR".into(), &"2013-02-08T21:00:00Z".into()));
    let expected = [
        r#"{"origin":"EWR","n":1,"delay":2.5,"time":"2013-02-08T21:00:00Z","note":null}"#,
        r#"{"origin":"JFK","n":2,"delay":null,"time":"2013-02-08T22:00:00Z","note":"a,b"}"#,
    ];
    assert_eq!(tw.values("t"), expected);
    let err = tw.run(&["load", &file, "u", "--key", "orgin"]).error("TW0505");
    assert!(err.contains("did you mean `origin`?"), "{err}");
    tw.run(&["tail", "u"]).error("TW0102");
    tw.run(&["load", &file, "u", "--time", "note"]).error("TW0501");
}

#[test]
fn what_is_dumped_loads_as_it_was() {
    let tw = Tw::new();
    let csv = "a,b,c\n1,x,true\n2,\"y\n\"\"z\"\"\",false\n,NA,true\n";
    let file = tw.write("x.csv", csv);
    tw.run(&["load", &file, "t"]).ok();
    for name in ["d.jsonl", "d.jsonl.zst", "d.csv", "d.csv.zst"] {
        tw.run(&["dump", "t", "-o", name]).ok();
        tw.run(&["load", name, name]).ok();
        assert_eq!(tw.values(name), tw.values("t"), "{name}");
    }
    let lines = tw.run(&["dump", "t", "--metadata"]).ok();
    assert!(lines.lines().all(|l| l.contains("\"offset\":") && l.contains("\"timestamp\":")), "{lines}");
    let header = tw.run(&["dump", "t", "--format", "csv", "--metadata"]).ok();
    assert!(header.starts_with("_partition,_offset,_timestamp,_key,a,b,c\n"), "{header}");
    tw.run(&["dump", "t", "-o", "no/such/place.csv"]).error("TW0510");
}

#[test]
fn input_that_cannot_be_read_makes_no_topic() {
    let tw = Tw::new();
    tw.run(&["load", "missing.csv", "t"]).error("TW0502");
    tw.run(&["load", ".", "t", "--format", "csv"]).error("TW0502");
    let file = tw.write("x.dat", "1\n");
    tw.run(&["load", &file, "t"]).error("TW0507");
    tw.run(&["load", &file, "t", "--format", "jsonl"]).ok();
    let empty = tw.write("empty.csv", "");
    tw.run(&["load", &empty, "e"]).ok();
    tw.run(&["load", &file, "t", "--format", "jsonl", "--partitions", "3"]).error("TW0107");
    let garbage = tw.write("x.csv.zst", "this is not zstd");
    tw.run(&["load", &garbage, "g"]).error("TW0502");
    tw.run(&["tail", "g"]).error("TW0102");
}

#[test]
fn standard_input_loads_without_resuming() {
    let tw = Tw::new();
    for expected in [2, 4] {
        tw.feed(&["load", "-", "t", "--format", "csv"], "n,s\n1,a\n2,b\n").ok();
        assert_eq!(tw.values("t").len(), expected);
    }
    tw.feed(&["load", "-", "t"], "1\n").error("TW0507");
}

#[test]
fn csv_as_spreadsheets_write_it() {
    let tw = Tw::new();
    let file = tw.write("x.csv", "\u{feff}a,\"b,\"\r\n1,\"x, \"\"y\"\"\"\r\n\r\n,NA\r\n3\r\n");
    let err = tw.run(&["load", &file, "t"]).error("TW0501");
    assert!(err.contains("line 5, column 1 of x.csv: the row has 1 field and the header has 2"), "{err}");
    assert_eq!(tw.values("t"), [r#"{"a":1,"b,":"x, \"y\""}"#, r#"{"a":null,"b,":null}"#]);
    let file = tw.write("twice.csv", "a,b,a\n1,2,3\n");
    let err = tw.run(&["load", &file, "u"]).error("TW0501");
    assert!(err.contains("the header has column `a` twice") && !err.contains("--from-line"), "{err}");
    tw.run(&["tail", "u"]).error("TW0102");
}

#[test]
fn a_dump_says_no_to_what_it_cannot_write() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "empty"]).ok();
    assert_eq!(tw.run(&["dump", "empty"]).ok(), "");
    assert_eq!(tw.run(&["dump", "empty", "--format", "csv"]).ok(), "");
    tw.run(&["dump", "empty", "-o", "x.parquet"]).error("TW0507");
    assert!(!super::exists(&tw.path("x.parquet")));
    assert!(tw.run(&["dump", "emtpy"]).error("TW0102").contains("did you mean `empty`?"));
}

#[test]
fn a_damaged_topic_shows_what_is_intact_and_says_that_it_is_not_all() {
    let tw = Tw::new();
    tw.run(&["topic", "create", "t"]).ok();
    for value in ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"] {
        tw.run(&["put", "t", "--value", value]).ok();
    }
    let found = std::process::Command::new("find").arg(tw.path("data/t")).args(["-name", "*.log"]).output().unwrap();
    let segment = tw.path(String::from_utf8(found.stdout).unwrap().trim());
    let whole = std::fs::read(&segment).unwrap();
    let second_batch = whole.len() / 3;
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[second_batch + at] ^= 4;
        std::fs::write(&segment, bytes).unwrap();
    };
    let intact = "{\"n\":1}\n";
    let reads = [
        (&["tail", "t"][..], intact),
        (&["tail", "t", "--from", "earliest"], intact),
        (&["tail", "t", "-f"], intact),
        (&["dump", "t"], intact),
        (&["dump", "t", "--format", "csv"], "n\n1\n"),
    ];
    // In the length of the batch, and in a record.
    for at in [10, 65] {
        flip(at);
        for (args, out) in reads {
            let ended = tw.run(args);
            assert_eq!(ended.out, out, "{at} {args:?}: {ended:?}");
            let err = ended.error("TW0204");
            assert!(err.contains("partition 0 of `t`"), "{at} {args:?}: {err}");
            assert!(err.contains("help: records before offset 1 are intact"), "{at} {args:?}: {err}");
        }
        tw.run(&["sql", "-c", "SELECT count(n) FROM T"]).error("TW0204");
        let ended = tw.run(&["sql", "--format", "csv", "-c", "SELECT n FROM t WHERE _offset < 1"]);
        assert_eq!(ended.out, "n\n1\n", "{at}: {ended:?}");
    }
    flip(10);
    let examined = tw.run(&["doctor"]);
    assert!(examined.out.contains("offsets [1, 3)"), "{examined:?}");
    assert_eq!(examined.code, Some(1), "{examined:?}");
    // What is intact can be taken, and then the queue does not pretend to be empty.
    assert_eq!(tw.run(&["take", "t", "-g", "g"]).ok(), intact);
    tw.run(&["take", "t", "-g", "g", "--wait", "0s"]).error("TW0204");
    // The other topics are as they were.
    tw.run(&["put", "other", "--create", "--value", "1"]).ok();
    assert_eq!(tw.values("other"), ["1"]);
    tw.run(&["sql", "-c", "SELECT * FROM other"]).ok();
}
