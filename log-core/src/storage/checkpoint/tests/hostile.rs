//! Bytes that are not what was written: flipped bits, files that are cut short, bytes of chance.

use super::*;
use crate::types::Error;
use proptest::prelude::*;

fn closed() -> (SimDisk, Model) {
    let (disk, mut history) = (SimDisk::default(), History::new());
    let (mut checkpoint, _) = history.open(&disk).unwrap();
    for step in steps().into_iter().take(6) {
        history.run(&mut checkpoint, &step).unwrap();
    }
    history.close(&mut checkpoint).unwrap();
    (disk, history.last().clone())
}

fn bytes_of(disk: &SimDisk) -> Vec<u8> {
    read(&*disk.open(Path::new(PATH), OpenMode::Read).unwrap()).unwrap()
}

#[test]
fn a_flipped_bit_of_a_closed_file_is_damage_until_everything_was_looked_after() {
    let (intact, model) = closed();
    let bytes = bytes_of(&intact);
    let last_frame = frame::scan(&bytes).frames.last().unwrap().position;
    for byte in 0..bytes.len() as u64 {
        'bits: for bit in 0..8 {
            let disk = intact.crash(0);
            disk.flip_bit(Path::new(PATH), byte, bit);
            for _ in 0..2 {
                let (checkpoint, report) = open(&disk).unwrap();
                if byte >= last_frame {
                    // Not known to have been durable when the rest was written.
                    assert!(report.torn_tail.is_some() && report.damage.is_none() && !report.clean);
                    assert_eq!(found(&checkpoint), model);
                    continue 'bits;
                }
                assert!(matches!(report.damage, Some(Error::Malformed { .. })), "byte {byte} bit {bit}: {report:?}");
                assert!(!report.clean && report.torn_tail.is_none() && !report.is_new);
                assert!(bytes_of(&disk).len() > bytes.len(), "nothing is cut");
                let readable = found(&checkpoint);
                assert!(readable.keys().all(|key| model.contains_key(key)), "nothing is invented");
            }
            // Closing and compacting do not hide it.
            let (mut checkpoint, _) = open(&disk).unwrap();
            checkpoint.close().unwrap();
            let (mut checkpoint, report) = open(&disk).unwrap();
            assert!(report.damage.is_some() && !report.clean, "byte {byte} bit {bit}: {report:?}");
            checkpoint.reconciled().unwrap();
            checkpoint.reconciled().unwrap();
            drop(checkpoint);
            assert!(open(&disk.crash(0)).unwrap().1.damage.is_none());
        }
    }
}

#[test]
fn a_flipped_bit_of_a_file_in_use_is_reported() {
    let disk = SimDisk::default();
    let mut history = History::new();
    let (mut checkpoint, _) = history.open(&disk).unwrap();
    for step in steps() {
        history.run(&mut checkpoint, &step).unwrap();
    }
    checkpoint.sync().unwrap();
    let synced = checkpoint.synced;
    checkpoint.append(&[(topic(1), 0, point(99))]).unwrap();
    let bytes = bytes_of(&disk);
    assert!(0 < synced && synced < bytes.len() as u64);
    for byte in 0..bytes.len() as u64 {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[byte as usize] ^= 1 << bit;
            let report = replay::replay(Path::new(PATH), &bytes).report;
            assert!(!report.clean && !report.is_new);
            assert_eq!(report.damage.is_some(), byte < synced, "byte {byte}: {report:?}");
            assert_eq!(report.torn_tail.is_some(), byte >= synced, "byte {byte}: {report:?}");
        }
    }
}

#[test]
fn a_file_that_is_cut_short_is_never_clean() {
    let (intact, _) = closed();
    let bytes = bytes_of(&intact);
    let last_frame = frame::scan(&bytes).frames.last().unwrap().position;
    for keep in 1..bytes.len() as u64 {
        let disk = intact.crash(0);
        disk.open(Path::new(PATH), OpenMode::ReadWrite).unwrap().set_len(keep).unwrap();
        let report = open(&disk).unwrap().1;
        // Without its last frame it is a file that was not closed.
        let is_told = report.damage.is_some() || report.torn_tail.is_some();
        assert!(!report.clean && (is_told || keep == last_frame), "{keep}: {report:?}");
        let no_more_than_a_first_frame = keep <= frame::HEADER_BYTES as u64 + 1;
        assert_eq!(report.is_new, no_more_than_a_first_frame, "{keep}: {report:?}");
    }
    intact.remove_file(Path::new(PATH)).unwrap();
    assert!(open(&intact).unwrap().1.is_new);
}

/// What is appended to a file that lost its end grows over the length that gave the loss away.
#[test]
fn damage_is_not_grown_over() {
    let (disk, _) = closed();
    let bytes = bytes_of(&disk);
    let frames = frame::scan(&bytes).frames;
    let keep = frames[frames.len() - 2].position;
    disk.open(Path::new(PATH), OpenMode::ReadWrite).unwrap().set_len(keep).unwrap();
    let (mut checkpoint, report) = open(&disk).unwrap();
    assert!(report.damage.is_some());
    while checkpoint.end <= bytes.len() as u64 {
        checkpoint.append(&[(topic(1), 0, point(1))]).unwrap();
    }
    checkpoint.sync().unwrap();
    assert!(open(&disk).unwrap().1.damage.is_some());
}

#[test]
fn a_frame_that_makes_no_sense_is_damage() {
    let change = |change| Entry::Change(topic(1), 0, change);
    let backwards = vec![segment(10, 0), segment(5, 0)];
    let mut senseless: Vec<Vec<u8>> = [
        change(Change::LogStart(-1)),
        change(Change::Segments { from: 10, to: 5, with: Vec::new() }),
        change(Change::Segments { from: 0, to: 100, with: backwards }),
        change(Change::Segments { from: 0, to: 5, with: vec![segment(5, 0)] }),
        change(point(-2)),
    ]
    .iter()
    .map(|entry| {
        let mut payload = Vec::new();
        entry.put(&mut payload);
        payload
    })
    .collect();
    senseless.push(vec![0]);
    senseless.push([vec![7; 21], vec![0; 15], vec![1, 255, 255, 255, 255]].concat());
    for payload in senseless {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, 0, &[1]);
        frame::put(&mut bytes, 0, &payload);
        let replay = replay::replay(Path::new(PATH), &bytes);
        assert!(replay.report.damage.is_some() && replay.keep == bytes.len() as u64, "{payload:?}");
    }
}

#[test]
fn a_leftover_of_a_compaction_is_removed() {
    let (disk, model) = closed();
    let new = new_path(Path::new(PATH));
    disk.open(&new, OpenMode::CreateNew).unwrap().write_at(&[IoSlice::new(b"half of it")], 0).unwrap();
    let (checkpoint, report) = open(&disk).unwrap();
    assert!(report.clean && found(&checkpoint) == model && !disk.exists(&new));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_of_chance_are_never_believed_and_never_too_much(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"TWck\0\x01".to_vec())], 0..300),
    ) {
        let replay = replay::replay(Path::new(PATH), &bytes);
        prop_assert_eq!(replay.states, States::default());
        prop_assert!(!replay.report.clean);
        entry::decode(&bytes);
    }

    #[test]
    fn a_mutated_file_is_never_clean_and_wrong(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6),
        moved in any::<[prop::sample::Index; 3]>(),
    ) {
        let (disk, model) = closed();
        let original = bytes_of(&disk);
        let mut bytes = original.clone();
        for (at, kind, byte) in edits {
            let at = at.index(bytes.len().max(1));
            match kind {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => {
                    // A stretch of the file lies somewhere else, too.
                    let [from, len, to] = moved.map(|index| index.index(bytes.len()));
                    let stretch = bytes[from..(from + len).min(bytes.len())].to_vec();
                    bytes.splice(to..to, stretch);
                }
            }
        }
        let replay = replay::replay(Path::new(PATH), &bytes);
        if bytes != original && replay.report.clean {
            let states = replay.states.iter().map(|(topic, partition, s)| ((topic, partition), s.clone()));
            prop_assert_eq!(states.collect::<Model>(), model);
        }
    }
}
