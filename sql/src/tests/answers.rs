//! What statements answer.

use super::memory_log::{MemoryLog, record};
use super::{rows, schema, session};
use crate::{Origin, SqlSession};
use tailwater_log::codec::{FieldType, Format, to_bincode};
use tailwater_log::types::PartitionIndex;

/// Six flights and two planes, on any number of partitions.
fn airports(partitions: PartitionIndex) -> MemoryLog {
    let log = MemoryLog::default();
    log.topic("flights", partitions, None);
    log.topic("planes", partitions, None);
    log.topic("word-counts", partitions, None);
    log.topic("empty", partitions, None);
    log.put(
        "flights",
        &[
            ("N1", r#"{"origin":"EWR","tail":"N1","dep":"2013-02-08T15:00:00Z","delay":5,"ok":true}"#),
            ("N2", r#"{"origin":"JFK","tail":"N2","dep":"2013-02-08T16:00:00Z","delay":-3,"ok":true}"#),
            ("N1", r#"{"origin":"EWR","tail":"N1","dep":"2013-02-08T17:00:00-05:00","delay":null,"ok":false}"#),
            ("N3", r#"{"origin":"LGA","tail":"N3","dep":null,"delay":40.5,"ok":true,"note":{"b":[1,"x"],"a":null}}"#),
            ("N2", r#"{"origin":"JFK","tail":"N2","dep":"2013-02-09T00:00:00Z","delay":12}"#),
            ("N1", r#"{"origin":"EWR","tail":"N1","dep":"2013-02-09T01:30:00Z","delay":7,"ok":true}"#),
        ],
    );
    log.put("planes", &[("N1", r#"{"tail":"N1","seats":180}"#), ("N2", r#"{"tail":"N2","seats":55}"#)]);
    log.put("word-counts", &[("the", "3"), ("a", "1"), ("the", "4"), ("an", "2")]);
    log
}

#[tokio::test]
async fn types_are_inferred_and_shown() {
    let session = session(&airports(2));
    let described = session.describe("flights").await.unwrap();
    let columns: Vec<String> = described.columns.iter().map(|c| format!("{} {}", c.name, c.sql_type)).collect();
    let mut value: Vec<&str> = columns.iter().take(6).map(String::as_str).collect();
    value.sort_unstable();
    assert_eq!(
        value,
        ["delay DOUBLE", "dep TIMESTAMP", "note VARCHAR", "ok BOOLEAN", "origin VARCHAR", "tail VARCHAR"]
    );
    assert_eq!(
        columns[6..],
        [
            "_partition INT",
            "_offset BIGINT",
            "_timestamp TIMESTAMP",
            "_key VARCHAR",
            "_value VARCHAR",
            "_error VARCHAR"
        ]
    );
    assert_eq!(described.origin, Origin::Inferred { records: 6 });
    assert_eq!(
        rows(&session, "SELECT dep, delay, ok, note FROM flights WHERE tail = 'N3' OR delay IS NULL ORDER BY tail")
            .await,
        ["2013-02-08T22:00:00Z|∅|false|∅", r#"∅|40.5|true|{"b":[1,"x"],"a":null}"#]
    );
}

#[tokio::test]
async fn one_and_eight_partitions_and_streams_give_the_same_answers() {
    let statements = [
        "SELECT origin, count(*), sum(delay), avg(delay) FROM flights GROUP BY origin ORDER BY origin",
        "SELECT f.tail, seats, delay FROM flights f JOIN planes p ON f.tail = p.tail ORDER BY dep, f.tail",
        "SELECT f.tail, seats FROM flights f LEFT JOIN planes p ON f._key = p._key ORDER BY f.tail, seats",
        "SELECT count(*), count(delay), min(dep), max(_timestamp) FROM flights",
        "SELECT date_trunc('hour', dep) AS h, count(*) FROM flights GROUP BY h ORDER BY h",
        "SELECT tail FROM flights WHERE delay > 5 AND ok ORDER BY delay DESC LIMIT 2",
        "SELECT count(*) FROM (SELECT * FROM flights LIMIT 4)",
        "SELECT _key, _value FROM \"word-counts\" ORDER BY _timestamp",
        "SELECT _key, CAST(_value AS BIGINT) AS n FROM latest('word-counts') ORDER BY n DESC",
        "WITH late AS (SELECT * FROM flights WHERE delay > 0) SELECT count(*) FROM late a, late b WHERE a.tail = b.tail",
        "SELECT tail, row_number() OVER (PARTITION BY origin ORDER BY dep) FROM flights ORDER BY tail, 2",
        "SELECT count(*) FROM empty",
    ];
    let reference = SqlSession::with_streams(airports(1).log(), 1);
    for (partitions, streams) in [(1, 4), (8, 1), (8, 4)] {
        let session = SqlSession::with_streams(airports(partitions).log(), streams);
        for sql in statements {
            assert_eq!(rows(&session, sql).await, rows(&reference, sql).await, "{partitions} partitions: {sql}");
        }
    }
    assert_eq!(rows(&reference, statements[0]).await, ["EWR|3|12.0|6.0", "JFK|2|9.0|4.5", "LGA|1|40.5|40.5"]);
    assert_eq!(rows(&reference, statements[8]).await, ["the|4", "an|2", "a|1"]);
}

#[tokio::test]
async fn tables_are_listed_and_described_by_statements_too() {
    let log = airports(1);
    log.topic("__consumer_offsets", 1, None);
    let session = session(&log);
    assert_eq!(rows(&session, "SHOW TABLES").await, ["empty", "flights", "planes", "word-counts"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM __consumer_offsets").await, ["0"]);
    assert_eq!(rows(&session, "DESCRIBE planes").await[0], "tail|Utf8|YES");
    assert_eq!(rows(&session, "SHOW COLUMNS FROM \"word-counts\"").await.len(), 6);
    let tables = session.tables().await.unwrap();
    assert_eq!(tables.iter().map(|t| t.records).collect::<Vec<_>>(), [0, 6, 2, 4]);
}

#[tokio::test]
async fn an_empty_topic_has_its_metadata_columns() {
    let answer = session(&airports(3)).query("SELECT * FROM empty").await.unwrap();
    let names: Vec<String> = answer.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["_partition", "_offset", "_timestamp", "_key", "_value", "_error"]);
    assert_eq!(answer.batches().await.unwrap()[0].num_rows(), 0);
}

#[tokio::test]
async fn a_bad_record_is_told_and_never_fails_a_statement() {
    let log = MemoryLog::default();
    log.topic("t", 1, None);
    log.put("t", &[("a", r#"{"n":1,"s":"x"}"#)]);
    let mut session = session(&log);
    // The columns are those of the first thousand records.
    for i in 0..1000 {
        log.append("t", None, &record(None, Some(format!("{{\"n\":{i},\"s\":\"y\"}}").as_bytes()), 1));
    }
    for bad in [&br#"{"n":2,"s":"trunc"#[..], b"42", br#"{"n":"two","s":"kept"}"#, b"\xff\x00", br#"{"n":1.0,"s":[1]}"#]
    {
        log.append("t", None, &record(Some("bad"), Some(bad), 5));
    }
    log.append("t", None, &record(Some("bad"), None, 6));
    let sql = "SELECT n, s, _value, _error FROM t WHERE _key = 'bad' ORDER BY _offset";
    let expected = [
        r#"∅|∅|{"n":2,"s":"trunc|EOF while parsing a string at line 1 column 17"#,
        "∅|∅|42|invalid type: integer `42`, expected a JSON object at line 1 column 2",
        "∅|kept|∅|column `n` is BIGINT but the value is \"two\"",
        "∅|∅|\\xff00|expected value at line 1 column 1",
        "1|[1]|∅|∅",
        "∅|∅|∅|∅",
    ];
    assert_eq!(rows(&session, sql).await, expected);
    // What is reported does not depend on the columns that are asked for.
    let errors = "SELECT _error FROM t WHERE _error IS NOT NULL ORDER BY _offset";
    assert_eq!(rows(&session, errors).await.len(), 4);
    assert_eq!(rows(&session, "SELECT s FROM t WHERE s = 'kept'").await, ["kept"]);
    session = SqlSession::new(log.log());
    assert_eq!(rows(&session, "SELECT count(*), count(n) FROM t").await, ["1007|1002"]);
}

#[tokio::test]
async fn keys_values_and_fields_that_are_json_text() {
    let log = MemoryLog::default();
    log.topic("w", 1, None);
    log.put("w", &[(r#"{"key":"EWR","start":1360288800000,"end":null}"#, r#"{"n":5,"by":{"a":{"b":"deep"}}}"#)]);
    log.append("w", None, &record(None, Some(br#"{"n":6}"#), 0));
    let session = session(&log);
    let sql = "SELECT json_get(_key, 'key'), json_get(_key, 'start'), json_get(_key, 'end'), json_get(_key, 'no'),
               json_get(json_get(\"by\", 'a'), 'b'), n FROM w ORDER BY n";
    assert_eq!(rows(&session, sql).await, ["EWR|1360288800000|∅|∅|deep|5", "∅|∅|∅|∅|∅|6"]);
    assert_eq!(rows(&session, "SELECT json_get('{\"a\":1.5}', 'a'), json_get('nonsense', 'a')").await, ["1.5|∅"]);
}

#[tokio::test]
async fn names_in_capitals_are_found_in_quotes() {
    let log = MemoryLog::default();
    log.topic("Flights", 1, None);
    log.put("Flights", &[("k", r#"{"Origin":"EWR"}"#)]);
    let session = session(&log);
    assert_eq!(rows(&session, "SELECT \"Origin\" FROM \"Flights\"").await, ["EWR"]);
}

#[tokio::test]
async fn bincode_topics_are_read_by_their_schema() {
    #[derive(serde::Serialize)]
    struct Reading<'a>(u64, Option<i32>, &'a str, f64, bool, Option<&'a str>, i64, u8, f32);
    let fields = [
        ("id", FieldType::U64, false),
        ("delta", FieldType::I32, true),
        ("name", FieldType::String, false),
        ("level", FieldType::F64, false),
        ("on", FieldType::Bool, false),
        ("note", FieldType::String, true),
        ("at", FieldType::Timestamp, false),
        ("small", FieldType::U8, false),
        ("ratio", FieldType::F32, false),
    ];
    let log = MemoryLog::default();
    log.topic("readings", 1, Some(&schema(Format::Bincode, &fields)));
    let mut expected = Vec::new();
    for (i, id) in [0, 250, 251, 65_535, 65_536, u64::from(u32::MAX) + 1, u64::MAX].into_iter().enumerate() {
        let delta = [None, Some(-1), Some(i32::MIN), Some(i32::MAX)][i % 4];
        let note = (i % 2 == 0).then_some("naïve");
        let mut value = Vec::new();
        to_bincode(&Reading(id, delta, "n", 0.5, i % 2 == 0, note, -1000, 255, 0.1), &mut value);
        log.append("readings", None, &record(None, Some(&value), 0));
        let null = || "∅".to_owned();
        expected.push(format!(
            "{id}|{}|n|0.5|{}|{}|1969-12-31T23:59:59Z|255|0.1",
            delta.map_or_else(null, |d| d.to_string()),
            i % 2 == 0,
            note.map_or_else(null, str::to_owned)
        ));
    }
    let session = session(&log);
    let sql = "SELECT id, delta, name, level, \"on\", note, \"at\", small, ratio FROM readings ORDER BY _offset";
    assert_eq!(rows(&session, sql).await, expected);
    assert_eq!(rows(&session, "SELECT ratio, delta FROM readings WHERE id = 250").await, ["0.1|-1"]);
    assert_eq!(rows(&session, "SELECT max(id) - min(id) FROM readings").await, ["18446744073709551615"]);

    // Every cut of a value is an error of its record, and never a panic.
    let mut whole = Vec::new();
    to_bincode(&Reading(1, Some(1), "name", 1.0, true, Some("note"), 1, 1, 1.0), &mut whole);
    for len in 0..whole.len() {
        log.append("readings", None, &record(Some("cut"), Some(&whole[..len]), 0));
    }
    whole.push(0);
    log.append("readings", None, &record(Some("cut"), Some(&whole), 0));
    let sql = "SELECT count(*), count(id), count(_error), max(_error) FROM readings WHERE _key = 'cut'";
    assert_eq!(rows(&session, sql).await, [format!("{0}|0|{0}|not a bincode value of version 1", whole.len())]);
}

#[tokio::test]
async fn a_declared_json_schema_gives_the_columns() {
    let fields = [("n", FieldType::U32, false), ("at", FieldType::Timestamp, true), ("tags", FieldType::Other, false)];
    let log = MemoryLog::default();
    log.topic("t", 1, Some(&schema(Format::Json, &fields)));
    let session = session(&log);
    assert_eq!(session.describe("t").await.unwrap().origin, Origin::Declared { name: "Test".into() });
    log.put("t", &[("k", r#"{"tags":{"z":1,"a":[]},"at":1000,"n":7,"unknown":1}"#), ("k", r#"{"n":-1,"tags":[]}"#)]);
    assert_eq!(
        rows(&session, "SELECT n, \"at\", tags FROM t ORDER BY _offset").await,
        [r#"7|1970-01-01T00:00:01Z|{"z":1,"a":[]}"#, "-1|∅|[]"]
    );
}
