//! What is said when a statement is wrong.

use super::memory_log::{MemoryLog, record};
use super::{error, rows, schema, session};
use crate::Error;
use tailwater_log::codec::{FieldType, Format};

fn flights() -> MemoryLog {
    let log = MemoryLog::default();
    log.topic("flights", 1, None);
    log.topic("word-counts", 1, None);
    log.put("flights", &[("k", r#"{"origin":"EWR","dep_delay":5,"Tail":"N1","zero":0,"word":"x"}"#)]);
    log
}

/// The text that an error points at.
fn at<'a>(sql: &'a str, error: &Error) -> &'a str {
    error.span().map_or("nothing", |(start, end)| &sql[start..end])
}

#[tokio::test]
async fn an_unknown_column_is_pointed_at_and_the_near_one_is_named() {
    let session = session(&flights());
    let sql = "SELECT origin,\n  avg(dep_dealy)\nFROM flights GROUP BY origin";
    let e = error(&session, sql).await;
    assert_eq!((e.code(), at(sql, &e)), ("TW0301", "dep_dealy"));
    assert_eq!(e.to_string(), "no column `dep_dealy` in `flights`");
    assert_eq!(e.help().unwrap(), "did you mean `dep_delay` (BIGINT)?");
    assert_eq!(e.note().unwrap(), "the columns of `flights` are inferred from 1 record; see them with   \\d flights");
    for (sql, token, help) in [
        ("SELECT f.orign FROM flights f", "f.orign", "did you mean `origin` (VARCHAR)?"),
        ("SELECT tail FROM flights", "tail", "did you mean `\"Tail\"` (VARCHAR)?"),
        ("SELECT 1 FROM flights WHERE 'ä' = orgin", "orgin", "did you mean `origin` (VARCHAR)?"),
        ("SELECT something_else FROM flights", "something_else", "see the columns with   \\d TOPIC"),
    ] {
        let e = error(&session, sql).await;
        assert_eq!((e.code(), at(sql, &e), e.help().unwrap().as_str()), ("TW0301", token, help), "{sql}");
    }
}

#[tokio::test]
async fn an_unknown_topic_is_pointed_at_and_the_near_one_is_named() {
    let session = session(&flights());
    for (sql, token, message, help) in [
        ("SELECT * FROM flihgts", "flihgts", "there is no topic `flihgts`", "did you mean `flights`?"),
        ("SELECT * FROM wordcounts", "wordcounts", "there is no topic `wordcounts`", "did you mean `\"word-counts\"`?"),
        ("SELECT * FROM xyz", "xyz", "there is no topic `xyz`", "list the topics with   SHOW TABLES"),
    ] {
        let e = error(&session, sql).await;
        assert_eq!((e.code(), at(sql, &e)), ("TW0302", token), "{sql}");
        assert_eq!((e.to_string().as_str(), e.help().unwrap().as_str()), (message, help));
    }
    let e = error(&session, "SELECT * FROM latest('flihgts')").await;
    assert_eq!((e.code(), e.help().unwrap().as_str()), ("TW0302", "did you mean `flights`?"));
    assert_eq!(session.describe("flihgts").await.unwrap_err().code(), "TW0302");
}

#[tokio::test]
async fn text_that_is_not_sql_is_pointed_at() {
    let session = session(&flights());
    for (sql, token) in [
        ("SELEC origin FROM flights", "SELEC"),
        ("SELECT origin\nFROM flights WHERE GROUP BY origin", "BY"),
        ("SELECT (1 + 2", ""),
        ("SELECT 'open", "'"),
    ] {
        let e = error(&session, sql).await;
        assert_eq!((e.code(), at(sql, &e)), ("TW0303", token), "{sql}: {e}");
        assert!(e.to_string().starts_with("syntax error: "), "{e}");
        assert!(!e.to_string().contains("Line:") && !e.to_string().contains("sql parser"), "{e}");
    }
    assert_eq!(error(&session, " ; ").await.code(), "TW0303");
    assert_eq!(error(&session, &format!("SELECT {}1", "(".repeat(5000))).await.code(), "TW0303");
}

#[tokio::test]
async fn nothing_that_writes_runs() {
    let session = session(&flights());
    for (sql, help) in [
        ("INSERT INTO flights VALUES (1)", "tw put"),
        ("EXPLAIN INSERT INTO flights VALUES (1)", "tw put"),
        ("DELETE FROM flights", "tw put"),
        ("UPDATE flights SET origin = 'x'", "tw put"),
        ("CREATE TABLE t (x INT)", "tw topic create"),
        ("CREATE VIEW v AS SELECT 1", "SELECT"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "SELECT"),
        ("COPY flights TO '/tmp/x.csv'", "SELECT"),
        ("DROP TABLE flights", "tw topic delete"),
        ("SET datafusion.execution.batch_size = 1", "SELECT"),
        ("SELECT 1; SELECT 2", "one after the other"),
    ] {
        let e = error(&session, sql).await;
        assert_eq!(e.code(), "TW0304", "{sql}: {e}");
        assert!(e.help().unwrap().contains(help), "{sql}: {e:?}");
    }
    for sql in ["SELECT 1 INTO t", "SELECT * FROM '/etc/passwd'"] {
        let e = error(&session, sql).await;
        assert!(matches!(e.code(), "TW0302" | "TW0305"), "{sql}: {e:?}");
    }
    assert_eq!(rows(&session, "SELECT 1;").await, ["1"]);
}

#[tokio::test]
async fn errors_speak_without_the_layers_they_came_through() {
    let session = session(&flights());
    for (sql, code, message) in [
        ("SELECT dep_delay / zero FROM flights", "TW0306", "division by zero"),
        ("SELECT CAST(word AS BIGINT) FROM flights", "TW0306", "Cannot cast string 'x' to value of Int64 type"),
        ("SELECT latest FROM latest(1)", "TW0305", "latest takes the name of a topic as text: latest('word-counts')"),
    ] {
        let e = error(&session, sql).await;
        assert_eq!((e.code(), e.to_string().as_str()), (code, message), "{sql}");
    }
    let e = error(&session, "SELECT sum(origin) FROM flights").await;
    assert_eq!(e.to_string(), "no function matches the given name and argument types 'sum(Utf8)'");
    // A past state of a topic is not taken for its present one.
    assert_eq!(error(&session, "SELECT 1 FROM flights FOR SYSTEM_TIME AS OF now()").await.code(), "TW0303");
    for sql in [
        "SELECT origin, count(*) FROM flights",
        "SELECT averge(dep_delay) FROM flights",
        "SELECT origin + 1 > true FROM flights",
        "SELECT a.origin FROM flights a, flights a",
        "SELECT origin FROM flights a, flights b",
        "SELECT sum(origin) FROM flights",
    ] {
        let e = error(&session, sql).await;
        assert_eq!(e.code(), "TW0305", "{sql}: {e:?}");
        for noise in ["DataFusion", "External error", "Error during planning", "Schema error", "tailwater.public"] {
            assert!(!e.to_string().contains(noise), "{e}");
        }
    }
}

#[tokio::test]
async fn a_schema_without_columns_is_refused_by_its_topic_only() {
    let log = flights();
    log.topic("nested", 1, Some(&schema(Format::Bincode, &[("items", FieldType::Other, false)])));
    log.append("nested", None, &record(None, Some(&[1, 0]), 0));
    let session = session(&log);
    let e = error(&session, "SELECT * FROM nested").await;
    assert_eq!(e.code(), "TW0307");
    assert_eq!(
        e.to_string(),
        "the schema of topic `nested` cannot be used: field `items` is nested, and bincode does not say how"
    );
    assert_eq!(rows(&session, "SHOW TABLES").await.len(), 3);
    assert_eq!(rows(&session, "SELECT count(*) FROM flights").await, ["1"]);
}
