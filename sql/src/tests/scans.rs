//! What scans fetch, and which records they see.

use super::memory_log::{MemoryLog, record};
use super::{lines, rows, session};

/// 4 partitions of 1,000 records; partition and offset as fields, a second between timestamps.
fn numbers() -> MemoryLog {
    let log = MemoryLog::default();
    log.topic("t", 4, None);
    for n in 0..1000 {
        for p in 0..4 {
            let value = format!("{{\"p\":{p},\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(200));
            log.append("t", Some(p), &record(None, Some(value.as_bytes()), n * 1000));
        }
    }
    log
}

#[tokio::test]
async fn filters_on_metadata_are_exact_and_fetch_only_what_they_need() {
    let log = numbers();
    let session = session(&log);
    rows(&session, "SELECT count(p) FROM t").await;
    let all: usize = log.take_fetched().iter().map(|f| f.1).sum();
    let _ = rows(&session, "SELECT count(p) FROM t").await;
    let all = all.min(log.take_fetched().iter().map(|f| f.1).sum());
    // (filter, rows, partitions touched, at most this share of the bytes in percent)
    let cases = [
        ("_partition = 2", 1000, vec![2], 26),
        ("_partition IN (0, 3)", 2000, vec![0, 3], 51),
        ("_partition > 1 AND _partition <> 3", 1000, vec![2], 26),
        ("_offset < 10", 40, vec![0, 1, 2, 3], 100),
        ("_offset >= 990", 40, vec![0, 1, 2, 3], 11),
        ("_offset BETWEEN 300 AND 309 OR _offset = 999", 44, vec![0, 1, 2, 3], 100),
        ("_partition = 1 AND _offset = 950", 1, vec![1], 4),
        ("_timestamp >= '1970-01-01T00:16:30Z'", 40, vec![0, 1, 2, 3], 11),
        ("_timestamp >= to_timestamp('1970-01-01T00:16:30Z') AND _partition = 0", 10, vec![0], 4),
        ("_timestamp < '1970-01-01T00:00:05Z'", 20, vec![0, 1, 2, 3], 100),
        ("_timestamp = '1970-01-01T00:00:05Z'", 4, vec![0, 1, 2, 3], 100),
        ("_partition = 7", 0, vec![], 0),
        ("_offset < 0 OR _offset > 5000", 0, vec![], 0),
        ("_offset = NULL", 0, vec![], 0),
    ];
    for (filter, expected, partitions, percent) in cases {
        // A column of the value has to be read, so the count cannot come from the offsets.
        let sql = format!("SELECT count(p) FROM t WHERE {filter}");
        assert_eq!(rows(&session, &sql).await, [expected.to_string()], "{filter}");
        let fetched = log.take_fetched();
        let mut touched: Vec<u32> = fetched.iter().map(|f| f.0).collect();
        touched.sort_unstable();
        touched.dedup();
        assert_eq!(touched, partitions, "{filter}");
        let bytes: usize = fetched.iter().map(|f| f.1).sum();
        assert!(bytes * 100 <= all * percent, "{filter}: {bytes} of {all} bytes");
    }
}

#[tokio::test]
async fn counts_come_from_the_offsets_without_a_fetch() {
    let log = numbers();
    let session = session(&log);
    rows(&session, "SELECT p FROM t LIMIT 1").await;
    log.take_fetched();
    for (sql, expected) in [
        ("SELECT count(*) FROM t", "4000"),
        ("SELECT count(*) FROM t WHERE _partition < 2 AND _offset < 10", "20"),
        ("SELECT min(_offset), max(_offset), max(_partition) FROM t WHERE _offset > 3", "4|999|3"),
    ] {
        assert_eq!(rows(&session, sql).await, [expected], "{sql}");
        assert!(log.take_fetched().is_empty(), "{sql}");
    }
    // Timestamps are looked at, record by record.
    let sql = "SELECT count(*) FROM t WHERE _timestamp < '1970-01-01T00:00:05Z'";
    assert_eq!(rows(&session, sql).await, ["20"]);
    assert!(!log.take_fetched().is_empty());
}

#[tokio::test]
async fn a_limit_reads_the_first_records_in_order_and_no_more() {
    let log = numbers();
    let session = session(&log);
    rows(&session, "SELECT p FROM t LIMIT 1").await;
    log.take_fetched();
    assert_eq!(rows(&session, "SELECT p, n FROM t LIMIT 3").await, ["0|0", "0|1", "0|2"]);
    assert_eq!(log.take_fetched().len(), 1, "one fetch of one partition");
    assert_eq!(rows(&session, "SELECT n FROM t WHERE _partition = 3 LIMIT 2 OFFSET 1").await, ["1", "2"]);
    assert!(log.take_fetched().iter().all(|f| f.0 == 3));
    assert_eq!(rows(&session, "SELECT n FROM t WHERE n = 900 LIMIT 9").await.len(), 4, "a filter comes first");
    assert_eq!(rows(&session, "SELECT n FROM t WHERE _timestamp > '1970-01-01T00:00:05Z' LIMIT 1").await, ["6"]);
}

#[tokio::test]
async fn timestamps_that_go_back_are_found() {
    let log = MemoryLog::default();
    log.topic("t", 1, None);
    for (n, timestamp) in [5, 9, 2, 7, 1].into_iter().enumerate() {
        log.append("t", None, &record(None, Some(format!("{{\"n\":{n}}}").as_bytes()), timestamp * 1000));
    }
    let session = session(&log);
    let sql = "SELECT n FROM t WHERE _timestamp >= '1970-01-01T00:00:07Z' ORDER BY n";
    assert_eq!(rows(&session, sql).await, ["1", "3"]);
    let sql = "SELECT n FROM t WHERE _timestamp BETWEEN '1970-01-01T00:00:01Z' AND '1970-01-01T00:00:05Z' ORDER BY n";
    assert_eq!(rows(&session, sql).await, ["0", "2", "4"]);
}

#[tokio::test]
async fn a_statement_sees_one_cut_of_the_log() {
    let log = numbers();
    let session = session(&log);
    let sql = "SELECT count(a.p), count(DISTINCT b.n) FROM t a JOIN t b ON a.p = b.p AND a.n = b.n
               UNION ALL SELECT count(p), 0 FROM t";
    let answer = session.query(sql).await.unwrap();
    for p in 0..4 {
        log.append("t", Some(p), &record(None, Some(b"{\"p\":9,\"n\":9}"), 0));
    }
    let mut seen = lines(&answer.batches().await.unwrap());
    seen.sort();
    assert_eq!(seen, ["4000|0", "4000|1000"], "records that came after the statement began");
    assert_eq!(rows(&session, "SELECT count(*), count(p) FROM t").await, ["4004|4004"]);
}

#[tokio::test]
async fn latest_keeps_the_last_value_of_each_key() {
    let log = MemoryLog::default();
    log.topic("balances", 3, None);
    for i in 0..500 {
        let value = format!("{{\"balance\":{i}}}");
        log.append("balances", None, &record(Some(&format!("k{}", i % 7)), Some(value.as_bytes()), i));
    }
    log.append("balances", None, &record(Some("k3"), None, 500));
    log.append("balances", None, &record(None, Some(b"{\"balance\":1}"), 501));
    let session = session(&log);
    let sql = "SELECT _key, balance FROM latest('balances') ORDER BY _key";
    assert_eq!(rows(&session, sql).await, ["k0|497", "k1|498", "k2|499", "k4|494", "k5|495", "k6|496"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM latest('balances')").await, ["6"]);
    assert_eq!(rows(&session, "SELECT count(*) FROM (SELECT 1 FROM latest('balances') LIMIT 2)").await, ["2"]);
    // A filter comes after the choice of the last one: k0's last record has offset 70 or more.
    assert_eq!(rows(&session, "SELECT count(*) FROM latest('balances') WHERE _offset < 5").await, ["0"]);
    assert_eq!(
        rows(&session, "SELECT count(*) FROM latest('balances') WHERE _timestamp < '1970-01-01T00:00:00.1Z'").await,
        ["0"]
    );
}

#[tokio::test]
async fn a_topic_of_one_partition_is_read_by_several_streams() {
    let log = MemoryLog::default();
    log.topic("one", 1, None);
    for n in 0..40_000 {
        log.append("one", Some(0), &record(None, Some(format!("{{\"n\":{n}}}").as_bytes()), 0));
    }
    let session = session(&log);
    let plan = rows(&session, "EXPLAIN SELECT sum(n) FROM one").await.join("\n");
    assert!(plan.contains("ranges=3, records=40000"), "{plan}");
    assert_eq!(rows(&session, "SELECT sum(n), count(DISTINCT _offset) FROM one").await, ["799980000|40000"]);
}
