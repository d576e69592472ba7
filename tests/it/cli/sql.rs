//! `tw sql` without a terminal: formats, scripts, errors that point at the word.

use super::Tw;

fn with_flights() -> Tw {
    let tw = Tw::new();
    let file = tw.write("flights.csv", "origin,dep_delay\nEWR,10\nJFK,5\nEWR,20\n");
    tw.run(&["load", &file, "flights", "--key", "origin", "--partitions", "2"]).ok();
    tw
}

const BY_ORIGIN: &str = "SELECT origin, count(*) AS n FROM flights GROUP BY origin ORDER BY origin";

#[test]
fn rows_as_a_box_as_csv_as_json() {
    let tw = with_flights();
    let boxed = tw.run(&["sql", "-c", BY_ORIGIN]).ok();
    assert!(boxed.contains("│ EWR    ┆ 2 │"), "{boxed}");
    assert_eq!(tw.run(&["sql", "--format", "csv", "-c", BY_ORIGIN]).ok(), "origin,n\nEWR,2\nJFK,1\n");
    let json = "{\"origin\":\"EWR\",\"n\":2}\n{\"origin\":\"JFK\",\"n\":1}\n";
    assert_eq!(tw.run(&["sql", "--format", "json", "-c", BY_ORIGIN]).ok(), json);
    assert_eq!(tw.run(&["sql", "--json", "-c", BY_ORIGIN]).ok(), json);
    let none = tw.run(&["sql", "--format", "csv", "-c", "SELECT origin FROM flights WHERE origin = 'X'"]).ok();
    assert_eq!(none, "origin\n");
}

#[test]
fn commands_of_the_prompt_work_as_a_script() {
    let tw = with_flights();
    let listed = tw.run(&["sql", "-c", "\\d"]).ok();
    assert!(listed.contains("flights           2        3"), "{listed}");
    let described = tw.run(&["sql", "-c", "\\d flights"]).ok();
    assert!(described.contains("dep_delay   BIGINT     nullable"), "{described}");
    assert!(tw.run(&["sql", "-c", "\\d flihgts"]).error("TW0302").contains("did you mean `flights`?"));
    assert!(tw.run(&["sql", "-c", "\\nope"]).error("TW0303").contains("there is no command `\\nope`"));
    assert!(tw.run(&["sql", "-c", "\\?"]).ok().lines().all(|line| line.starts_with("  ")));
}

#[test]
fn scripts_run_to_the_first_error() {
    let tw = with_flights();
    let script = "SELECT 1 AS one;\nSELECT nope FROM flights;\nSELECT 3 AS three;";
    let file = tw.write("x.sql", script);
    let ended = tw.run(&["sql", "--format", "csv", "-f", &file]);
    assert_eq!(ended.out, "one\n1\n");
    assert!(ended.error("TW0301").contains("statement 2 of x.sql"));
    assert_eq!(tw.feed(&["sql", "--format", "csv"], "SELECT 1 AS one").ok(), "one\n1\n");
}

#[test]
fn an_error_points_at_the_word() {
    let tw = with_flights();
    let err = tw.run(&["sql", "-c", "SELECT avg(dep_dealy) FROM flights GROUP BY origin"]).error("TW0301");
    let drawing = "\
 1 │ SELECT avg(dep_dealy) FROM flights GROUP BY origin
   │            ────┬────
   │                ╰─ did you mean `dep_delay` (BIGINT)?
";
    assert!(err.contains(drawing), "{err}");
    let err = tw.run(&["sql", "-c", "SELECT * FROM flihgts"]).error("TW0302");
    assert!(err.contains("did you mean `flights`?"), "{err}");
    tw.run(&["sql", "-c", "SELEKT 1"]).error("TW0303");
    tw.run(&["sql", "-c", "DROP TABLE flights"]).error("TW0304");
    let json = tw.run(&["sql", "--json", "-c", "SELECT nope FROM flights"]);
    let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
    assert_eq!(error["error"]["code"], "TW0301");
}
