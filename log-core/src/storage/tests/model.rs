//! Random histories against a model that is a vector of values; producers and times against naive searches.

use super::*;
use crate::types::Error;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Append(u8),
    Sync,
    Close,
    Kill,
    Crash(u64),
    FailSync,
    Fill(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..4u8).prop_map(Step::Append),
        3 => Just(Step::Sync),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Crash),
        1 => Just(Step::FailSync),
        1 => (0..400u16).prop_map(Step::Fill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_what_was_durable_and_invents_nothing(
        steps in prop::collection::vec(step(), 1..60),
        segment_bytes in 80..600u64,
    ) {
        let mut disk = SimDisk::default();
        let mut opened = Opened::on(&disk, segment_bytes);
        // All that was appended since the log last lost something, and how much of it was durable.
        let mut appended: Vec<String> = Vec::new();
        let mut durable = 0;
        let mut counter = 0;
        for step in steps {
            match step {
                Step::Append(count) => {
                    let new: Vec<String> = (0..count).map(|n| format!("{counter}.{n}")).collect();
                    counter += 1;
                    let refs: Vec<&str> = new.iter().map(String::as_str).collect();
                    match opened.append(&batch(&refs)) {
                        Ok(at) => {
                            prop_assert_eq!(at.base_offset, appended.len() as i64);
                            appended.extend(new);
                        }
                        Err(error) => prop_assert!(
                            matches!(error, Error::DiskFull { .. } | Error::Fenced { .. }), "{}", error),
                    }
                    disk.set_capacity(None);
                }
                Step::Sync => {
                    if opened.sync().is_ok() && opened.log.refusal().is_none() {
                        durable = appended.len();
                    }
                }
                Step::FailSync => disk.fail_sync_after(counter % 3),
                Step::Fill(room) => fill(&disk, u64::from(room)),
                Step::Close | Step::Kill | Step::Crash(_) => {
                    // A close that fails is a kill.
                    match step {
                        Step::Close => {
                            let refused = opened.log.refusal().is_some();
                            if opened.close().is_ok() && !refused {
                                durable = appended.len();
                            }
                        }
                        Step::Crash(seed) => {
                            disk = disk.crash(seed);
                            drop(opened);
                        }
                        _ => drop(opened),
                    }
                    disk.set_capacity(None);
                    opened = match Opened::try_open(&shared(&disk), Path::new("/data"), segment_bytes) {
                        Ok(opened) => opened,
                        // An injected fault that had been waiting for a sync strikes once.
                        Err(_) => Opened::on(&disk, segment_bytes),
                    };
                    prop_assert!(opened.report.damage.is_none(), "{:?}", opened.report);
                    let found = values(&opened.log.reader());
                    prop_assert!(found.len() >= durable, "lost: {:?} of {:?}", found, &appended[..durable]);
                    prop_assert!(appended.starts_with(&found), "invented: {:?} of {:?}", found, appended);
                    appended = found;
                    durable = appended.len();
                }
            }
            prop_assert_eq!(&values(&opened.log.reader()), &appended[..opened.log.offsets().high_watermark as usize]);
            prop_assert!(opened.log.offsets().high_watermark as usize >= durable);
        }
    }

    #[test]
    fn times_are_found_as_a_search_of_all_records_finds_them(
        batches in prop::collection::vec(prop::collection::vec(0..60i64, 1..5), 1..40),
        segment_bytes in 80..2000u64,
    ) {
        let disk = SimDisk::default();
        let mut opened = Opened::on(&disk, segment_bytes);
        let mut all: Vec<i64> = Vec::new();
        for times in &batches {
            let mut builder = BatchBuilder::new(Compression::None);
            for time in times {
                builder.push(&Record { timestamp: Timestamp(*time), ..Record::default() });
            }
            opened.append(&builder.finish()).unwrap();
            all.extend(times);
        }
        let durable = all.len();
        opened.sync().unwrap();
        // Not yet readable, so not found.
        opened.append(&batch(&["later"])).unwrap();
        for at in -1..=61 {
            let expected = all[..durable].iter().position(|time| *time >= at).map(|n| n as i64);
            prop_assert_eq!(opened.log.reader().offset_for_time(Timestamp(at)).unwrap(), expected, "at {}", at);
        }
    }
}

#[test]
fn a_batch_that_is_sent_again_is_answered_with_its_first_place() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    let send = |opened: &mut Opened, epoch, base_sequence, count: usize| {
        let stamp = ProducerStamp { producer_id: 9, producer_epoch: epoch, base_sequence };
        opened.append(&stamped(&vec!["x"; count], Some(stamp)))
    };
    assert_eq!(send(&mut opened, 0, 3, 1).unwrap_err().code(), "TW0113", "a new producer starts at 0");
    for n in 0..8 {
        assert_eq!(send(&mut opened, 0, n * 2, 2).unwrap().base_offset, i64::from(n) * 2);
    }
    for again in 0..2 {
        for n in 3..8 {
            let at = send(&mut opened, 0, n * 2, 2).unwrap();
            assert_eq!((at.base_offset, at.last_offset, at.duplicate), (i64::from(n) * 2, i64::from(n) * 2 + 1, true));
        }
        let gap = send(&mut opened, 0, 17, 1).unwrap_err();
        assert!(matches!(gap, Error::OutOfOrderSequence { got: 17, expected: 16, .. }), "{gap}");
        assert!(send(&mut opened, 0, 14, 1).is_err(), "the same start, but not the same batch");
        assert!(send(&mut opened, 0, 0, 2).is_err(), "older than what is remembered");
        assert_eq!(end(&opened), 16);
        if again == 0 {
            opened.sync().unwrap();
            let (stamp, last_offset) = opened.log.producers().unwrap()[0];
            assert_eq!((stamp.producer_id, stamp.base_sequence, last_offset), (9, 15, 15));
            opened.close().unwrap();
            opened = Opened::on(&disk, 300);
        }
    }
    assert_eq!(send(&mut opened, 1, 16, 1).unwrap_err().code(), "TW0113", "a new epoch starts at 0");
    assert_eq!(send(&mut opened, 1, 0, 1).unwrap().base_offset, 16);
    assert_eq!(send(&mut opened, 0, 16, 1).unwrap_err().code(), "TW0142");
    assert!(!send(&mut opened, 1, 1, 1).unwrap().duplicate);
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[
    ("a batch that is sent again", a_batch_that_is_sent_again_is_answered_with_its_first_place),
    ("any history", any_history_keeps_what_was_durable_and_invents_nothing),
];
