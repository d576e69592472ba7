//! Every example runs to its end and says what it should, on 1 and on 8 partitions alike.
//!
//! `cargo test` builds the examples beside this test; `cargo test --test it` alone does not, so build them first then.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn produce_consume() {
    says(
        "produce_consume",
        &[
            "1000 readings are durable",
            "sensor-0: 100 readings, average 495",
            "sensor-9: 100 readings, average 504",
            "opened again: 0 readings are left to read",
        ],
    );
}

#[test]
fn queue_workers() {
    says(
        "queue_workers",
        &[
            "59 images were resized by 3 workers, each once",
            "image 13 took 2 deliveries",
            "image 42 is in resize.dead after 3 deliveries",
        ],
    );
}

#[test]
#[cfg(feature = "streams")]
fn word_count() {
    says("word_count", &["after 2 lines, 14 words: i 2", "after 4 lines, 27 words: his 2, i 2, woods 2"]);
}

#[test]
#[cfg(feature = "streams")]
fn windowed_flights() {
    says(
        "windowed_flights",
        &[
            "2013-02-08T12:00:00Z LGA  2 flights, 27.0 min late on average",
            "2013-02-08T13:00:00Z JFK  1 flights, -4.0 min late on average",
            "too late: UA1480 from EWR, departed 2013-02-08T13:33:00Z",
        ],
    );
}

#[test]
#[cfg(feature = "streams")]
fn stream_table_join() {
    says(
        "stream_table_join",
        &[
            "customer 2, Grace: 19.99",
            "customer 2, Grace Hopper: 7.00",
            "customer 3, unknown: 0.10",
            "customer 9, unknown: 0.50",
        ],
    );
}

#[test]
#[cfg(feature = "sql")]
fn sql_over_topics() {
    says(
        "sql_over_topics",
        &[
            "| EWR    | 6       | 2         | 32.75 |",
            "| Boeing         | 189   |",
            "| 10      | 10   |",
            "error[TW0301]: no column `delays` in `flights`",
        ],
    );
}

/// Runs the example on 1 and on 8 partitions: it must end well, print the same both times, and hold these lines.
fn says(name: &str, lines: &[&str]) {
    let (one, eight) = (run(name, 1), run(name, 8));
    assert_eq!(one, eight, "{name} depends on the number of partitions");
    for line in lines {
        assert!(one.lines().any(|l| l == *line), "{name} does not say {line:?}:\n{one}");
    }
}

fn run(name: &str, partitions: u32) -> String {
    let program = program(name);
    let output = Command::new(&program).arg(partitions.to_string()).output();
    let output = output.unwrap_or_else(|e| panic!("{}: {e}; build it with cargo build --examples", program.display()));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} on {partitions} partitions: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// Cargo puts this test at `target/<profile>/deps/it-…` and the examples at `target/<profile>/examples/`.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test.ancestors().nth(2).expect("a test lies in target/<profile>/deps");
    profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}
