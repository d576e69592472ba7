//! Retention and compaction of an open log, and power cuts during them.

use super::*;
use crate::record::records_at;
use std::collections::BTreeMap;
use std::time::Duration;

const SETTINGS: CompactionSettings = CompactionSettings {
    dirty_ratio: 0.0,
    tombstone_delay: Duration::from_secs(1),
    segment_bytes: 400,
    key_bytes_max: 1 << 20,
};
const LATER: Timestamp = Timestamp(100_000);

/// A batch of `key` to `value`; without a value it is a tombstone.
fn put(records: &[(&str, Option<&str>)]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for (key, value) in records {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let (key, value) = (Some(bytes(key)), value.map(bytes));
        builder.push(&Record { key, value, timestamp: NOW, ..Record::default() });
    }
    builder.finish()
}

type Found = (Offset, String, Option<String>);

/// What a reader gets from the log start to the high watermark, over gaps.
fn found(reader: &LogReader) -> Vec<Found> {
    let mut position = reader.offsets().log_start_offset;
    let mut all = Vec::new();
    while position < reader.offsets().high_watermark {
        let before = position;
        for record in records_at(reader.read(position, 100).unwrap(), &mut position) {
            let record = record.unwrap();
            let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
            all.push((record.offset, text(record.key.unwrap()), record.value.map(text)));
        }
        assert!(position > before, "a reader moves on from {before}");
    }
    all
}

fn table(found: &[Found]) -> BTreeMap<String, Option<String>> {
    found.iter().map(|(_, key, value)| (key.clone(), value.clone())).collect()
}

impl Opened {
    /// The changes to the checkpoint, then the files.
    fn delete(&mut self, deletion: &Deletion) -> Result<()> {
        note(&mut self.checkpoint, deletion.changes().to_vec())?;
        self.checkpoint.sync()?;
        deletion.run()
    }

    /// Compacts as a broker does; how many segments were written.
    fn compact(&mut self, now: Timestamp) -> Result<usize> {
        let Some(mut pass) = self.log.begin_compaction(SETTINGS, now)? else { return Ok(0) };
        let mut written = 0;
        loop {
            match pass.step(100)? {
                CompactionStep::More => {}
                CompactionStep::Replace(replacement) => {
                    let deletion = self.log.replace(replacement);
                    self.delete(&deletion)?;
                    written += 1;
                }
                CompactionStep::Done(report) => {
                    self.log.finish_compaction(report);
                    return Ok(written);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Story {
    appended: Vec<Found>,
    /// How many of them are durable.
    durable: usize,
    /// Where retention may have moved the log start to.
    deleted_to: Offset,
}

impl Story {
    fn append(&mut self, opened: &mut Opened, records: &[(&str, Option<&str>)]) -> Result<()> {
        for (key, value) in records {
            let offset = self.appended.len() as Offset;
            self.appended.push((offset, (*key).to_owned(), value.map(str::to_owned)));
        }
        opened.append(&put(records))?;
        opened.sync()?;
        self.durable = self.appended.len();
        Ok(())
    }

    fn rounds(&mut self, opened: &mut Opened, rounds: usize) -> Result<()> {
        for n in 0..rounds {
            let value = format!("value {n}");
            self.append(opened, &[("a", Some(&value)), ("b", Some("once"))])?;
            self.append(opened, &[(&format!("key {}", n % 3), Some(&value)), ("gone", None)])?;
        }
        Ok(())
    }
}

fn live(disk: &SimDisk, story: &mut Story) -> Result<()> {
    let mut opened = Opened::try_open(&shared(disk), Path::new("/data"), 300)?;
    story.rounds(&mut opened, 4)?;
    opened.compact(NOW)?;
    story.rounds(&mut opened, 3)?;
    opened.compact(LATER)?;
    story.append(&mut opened, &[("last", Some("value"))])?;
    let retention = Retention { bytes: Some(300), time: None };
    // Where it may come to, whether or not the power is cut meanwhile.
    let mut preview = Vec::new();
    if let Some(deletion) = opened.log.apply_retention(retention, LATER)? {
        story.deleted_to = opened.log.offsets().log_start_offset;
        preview.push(deletion);
    }
    preview.iter().try_for_each(|deletion| opened.delete(deletion))?;
    opened.close()
}

#[test]
fn a_power_cut_in_any_disk_call_keeps_the_last_value_of_each_key() {
    let whole = SimDisk::default();
    let mut story = Story::default();
    live(&whole, &mut story).unwrap();
    assert!(story.deleted_to > 0, "retention has deleted something");
    let mut compacted = 0;
    for op in 0..whole.ops() {
        let disk = SimDisk::default();
        disk.crash_at(op);
        let mut story = Story::default();
        assert!(live(&disk, &mut story).is_err(), "op {op}");
        for seed in 0..12 {
            let context = format!("op {op}, seed {seed}");
            let after = disk.crash(seed);
            let mut opened = Opened::on(&after, 300);
            assert!(opened.report.damage.is_none(), "{context}: {:?}", opened.report);
            let (reader, offsets) = (opened.log.reader(), opened.log.offsets());
            let records = found(&reader);
            assert!(offsets.high_watermark >= story.durable as Offset, "{context}: lost");
            assert!(offsets.log_start_offset == 0 || offsets.log_start_offset == story.deleted_to, "{context}");
            assert!(records.iter().all(|record| story.appended.contains(record)), "{context}: invented");
            assert!(records.windows(2).all(|pair| pair[0].0 < pair[1].0), "{context}: out of order");
            let readable = &story.appended[..offsets.high_watermark as usize];
            let mut expected = table(readable);
            if offsets.log_start_offset > 0 {
                expected = table(&readable[offsets.log_start_offset as usize..]);
            }
            // A tombstone may have gone, and so may be one that says the same.
            let mut found_table = table(&records);
            found_table.retain(|_, value| value.is_some());
            expected.retain(|_, value| value.is_some());
            assert_eq!(found_table, expected, "{context}");
            compacted += usize::from(records.len() < readable.len());

            // Opening again comes to the same, and the log goes on.
            let again = Opened::on(&after.crash(seed + 1), 300);
            assert_eq!(found(&again.log.reader()), records, "{context}, twice");
            let next = opened.append(&put(&[("next", Some("value"))])).unwrap();
            assert_eq!(next.base_offset, offsets.high_watermark, "{context}");
            opened.sync().unwrap();
            opened.compact(LATER).unwrap();
            let mut now_table = table(&found(&opened.log.reader()));
            now_table.retain(|_, value| value.is_some());
            expected.insert("next".into(), Some("value".into()));
            assert_eq!(now_table, expected, "{context}, compacted again");
        }
    }
    assert!(compacted > 100, "the cuts come after compactions too: {compacted}");
}

#[test]
fn a_compacted_log_opens_without_its_checkpoint() {
    let disk = SimDisk::default();
    let mut story = Story::default();
    let mut opened = Opened::on(&disk, 300);
    story.rounds(&mut opened, 5).unwrap();
    assert!(opened.compact(NOW).unwrap() > 0);
    let before = found(&opened.log.reader());
    assert!(before.len() < story.appended.len());
    opened.close().unwrap();
    disk.remove_file(Path::new("/data/checkpoint.log")).unwrap();
    let opened = Opened::on(&disk, 300);
    assert!(opened.report.damage.is_none(), "{:?}", opened.report);
    assert_eq!(found(&opened.log.reader()), before);
}

#[test]
fn what_was_deleted_during_a_compaction_does_not_come_back() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    Story::default().rounds(&mut opened, 5).unwrap();
    let mut pass = opened.log.begin_compaction(SETTINGS, NOW).unwrap().unwrap();
    let replacement = loop {
        match pass.step(100).unwrap() {
            CompactionStep::More => {}
            CompactionStep::Replace(replacement) => break replacement,
            CompactionStep::Done(_) => panic!("there is something to compact"),
        }
    };
    let high_watermark = opened.log.offsets().high_watermark;
    let deletion = opened.log.delete_below(high_watermark).unwrap().unwrap();
    opened.delete(&deletion).unwrap();
    let files = partition_files(&disk).len();
    let deletion = opened.log.replace(replacement);
    assert_eq!(deletion.changes(), []);
    opened.delete(&deletion).unwrap();
    assert_eq!(partition_files(&disk).len(), files - 1, "the new segment goes");
    assert_eq!(found(&opened.log.reader()), []);
    opened.close().unwrap();
    let opened = Opened::on(&disk, 300);
    assert!(opened.report.damage.is_none());
    assert_eq!(opened.log.offsets().log_start_offset, high_watermark);
}

#[test]
fn nothing_that_is_not_durable_is_compacted_or_deleted() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    for n in 0..8 {
        opened.append(&put(&[("a", Some(&format!("a rather long value {n}")))])).unwrap();
    }
    assert!(opened.log.segments() > 2);
    let all = Retention { time: Some(Duration::ZERO), bytes: Some(1) };
    assert!(opened.log.begin_compaction(SETTINGS, LATER).unwrap().is_none());
    assert!(opened.log.apply_retention(all, LATER).unwrap().is_none());
    opened.sync().unwrap();
    assert!(opened.log.begin_compaction(SETTINGS, LATER).unwrap().is_some());
    let deletion = opened.log.apply_retention(all, LATER).unwrap().unwrap();
    opened.delete(&deletion).unwrap();
    assert_eq!(opened.log.segments(), 1, "the active one stays");
}

#[test]
fn retention_by_age_counts_from_the_append() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    let minute = Duration::from_secs(60);
    for n in 0..8 {
        let mut builder = BatchBuilder::new(Compression::None);
        let timestamp = Timestamp::MAX;
        builder.push(&Record { value: Some(Bytes::from(vec![b'x'; 100])), timestamp, ..Record::default() });
        opened.log.append(&builder.finish(), NOW + minute * n).unwrap();
    }
    opened.sync().unwrap();
    let mut start = |now| {
        let deletion = opened.log.apply_retention(Retention { time: Some(minute * 3), bytes: None }, now).unwrap();
        deletion.into_iter().for_each(|deletion| opened.delete(&deletion).unwrap());
        opened.log.offsets().log_start_offset
    };
    assert_eq!(start(NOW + minute * 3), 0, "no segment is older than three minutes");
    assert_eq!(start(NOW + minute * 4), 1, "one batch in each");
    assert_eq!(start(NOW + minute * 5), 2);
    assert_eq!(start(NOW + minute * 600), 7, "all but the active one");
}

/// Batches dated at the end of time, each in a segment of its own, appended at `NOW`.
fn dated_in_the_future(opened: &mut Opened, count: usize) {
    for _ in 0..count {
        let mut builder = BatchBuilder::new(Compression::None);
        let timestamp = Timestamp::MAX;
        builder.push(&Record { value: Some(Bytes::from(vec![b'x'; 200])), timestamp, ..Record::default() });
        opened.append(&builder.finish()).unwrap();
    }
    opened.log.sync().unwrap();
}

/// Where the log begins after what is older than three minutes went.
fn start_after_retention(opened: &mut Opened, now: Timestamp) -> Offset {
    let retention = Retention { time: Some(MINUTE * 3), bytes: None };
    let deletion = opened.log.apply_retention(retention, now).unwrap();
    deletion.into_iter().for_each(|deletion| opened.delete(&deletion).unwrap());
    opened.log.offsets().log_start_offset
}

const MINUTE: Duration = Duration::from_mins(1);

#[test]
fn when_segments_were_appended_is_known_after_a_crash() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    dated_in_the_future(&mut opened, 4);
    drop(opened); // and the checkpoint does not come to know
    let mut opened = Opened::on(&disk, 300);
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 3), 0);
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 4), 3, "all but the active one");
}

#[test]
fn records_of_the_future_do_not_pin_segments_whose_footers_were_lost() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    dated_in_the_future(&mut opened, 4);
    let footers: Vec<_> = partition_files(&disk).iter().map(|path| path.with_extension("idx")).collect();
    let lose = |opened: Opened, closes: bool| {
        if closes {
            opened.close().unwrap();
        } else {
            drop(opened);
        }
        footers.iter().filter(|path| disk.exists(path)).for_each(|path| disk.remove_file(path).unwrap());
        Opened::on(&disk, 300)
    };
    let mut opened = lose(opened, false);
    // From here on it is known that they are no younger than this.
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 9), 0);
    opened.close().unwrap();
    let mut opened = Opened::on(&disk, 300);
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 12), 0);
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 13), 3, "although it was closed meanwhile");
    opened.close().unwrap();
    assert_eq!(super::doctor::look(&disk), []);
    // The same of sealed ones that the checkpoint knows.
    let mut opened = Opened::on(&disk, 300);
    dated_in_the_future(&mut opened, 4);
    let mut opened = lose(opened, true);
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 20), 3);
    opened.dir.resources().close_idle_files();
    opened.dir.resources().close_idle_files();
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 24), 7, "although its index was forgotten meanwhile");
}

#[test]
fn a_clock_that_was_set_back_dates_nothing() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    dated_in_the_future(&mut opened, 4);
    drop(opened);
    disk.remove_file(&partition_files(&disk)[1].with_extension("idx")).unwrap();
    let mut opened = Opened::on(&disk, 300);
    // The other footers say that it was later once.
    assert_eq!(start_after_retention(&mut opened, Timestamp(0)), 0);
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 4), 1, "the first has its date");
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 6), 1, "the second one's was not known before");
    assert_eq!(start_after_retention(&mut opened, NOW + MINUTE * 8), 3);
}

#[test]
fn records_of_the_future_do_not_keep_a_segment_from_rolling() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    dated_in_the_future(&mut opened, 2);
    drop(opened);
    let mut opened = Opened::on(&disk, 1 << 20);
    assert!(!opened.log.roll_if_older(MINUTE, NOW).unwrap());
    assert!(opened.log.roll_if_older(MINUTE, NOW + MINUTE * 2).unwrap());
}

#[test]
fn a_tombstone_stays_until_its_time_is_over() {
    let disk = SimDisk::default();
    let (mut opened, mut story) = (Opened::on(&disk, 300), Story::default());
    story.append(&mut opened, &[("t", Some("value"))]).unwrap();
    story.append(&mut opened, &[("t", None)]).unwrap();
    let values = |opened: &Opened| {
        let found = found(&opened.log.reader()).into_iter().filter(|(_, key, _)| key == "t");
        found.map(|(_, _, value)| value).collect::<Vec<_>>()
    };
    story.rounds(&mut opened, 5).unwrap();
    assert!(opened.compact(NOW).unwrap() > 0);
    assert_eq!(values(&opened), [None], "whoever has the value is to learn that it is gone");
    story.rounds(&mut opened, 5).unwrap();
    assert!(opened.compact(LATER).unwrap() > 0);
    assert_eq!(values(&opened), [None; 0]);
    opened.close().unwrap();
    assert_eq!(super::doctor::look(&disk), []);
}

#[test]
fn a_compaction_stops_at_an_open_transaction() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    let kept = (0, "a".to_owned(), Some("kept".to_owned()));
    opened.append(&put(&[("a", Some("kept"))])).unwrap();
    let fill = |opened: &mut Opened| {
        for n in 0..6 {
            opened.append(&put(&[(&format!("filler {n}"), Some("a rather long value"))])).unwrap();
        }
        opened.sync().unwrap();
    };
    fill(&mut opened);
    let stamp = ProducerStamp { producer_id: 1, producer_epoch: 0, base_sequence: 0 };
    let mut builder = BatchBuilder::new(Compression::None).stamp(stamp).transactional();
    let (key, value) = (Some(Bytes::from("a")), Some(Bytes::from("perhaps aborted")));
    builder.push(&Record { key, value, timestamp: NOW, ..Record::default() });
    opened.append(&builder.finish()).unwrap();
    fill(&mut opened);
    for now in [NOW, LATER] {
        opened.compact(now).unwrap();
        assert!(found(&opened.log.reader()).contains(&kept), "it may be the last one of its key");
    }
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[
    ("a tombstone stays", a_tombstone_stays_until_its_time_is_over),
    ("compaction stops at an open transaction", a_compaction_stops_at_an_open_transaction),
    ("what was deleted does not come back", what_was_deleted_during_a_compaction_does_not_come_back),
    ("nothing that is not durable is compacted", nothing_that_is_not_durable_is_compacted_or_deleted),
    ("power cuts during compaction", a_power_cut_in_any_disk_call_keeps_the_last_value_of_each_key),
];
