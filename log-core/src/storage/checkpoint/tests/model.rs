//! Random histories against a map.

use super::*;
use crate::types::Error;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    Step(Step),
    Close,
    Kill,
    Crash(u64),
    Fill(u64),
    FailSync(u64),
}

fn change() -> impl Strategy<Value = Change> {
    let segments = (0..50i64, 0..50i64, prop::collection::btree_set(0..50i64, 0..4), 0..3u32);
    prop_oneof![
        3 => (0..1000i64).prop_map(point),
        1 => (0..1000i64).prop_map(Change::LogStart),
        2 => segments.prop_map(|(from, len, bases, generation)| {
            let to = from + len;
            let with = bases.into_iter().filter(|base| (from..to).contains(base));
            Change::Segments { from, to, with: with.map(|base| segment(base, generation)).collect() }
        }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let changes = prop::collection::vec(((1..4u8).prop_map(topic), 0..3u32, change()), 0..5);
    prop_oneof![
        12 => changes.prop_map(|changes| Event::Step(Step::Append(changes))),
        1 => (1..4u8).prop_map(|n| Event::Step(Step::Forget(topic(n)))),
        4 => Just(Event::Step(Step::Sync)),
        1 => Just(Event::Close),
        1 => Just(Event::Kill),
        2 => any::<u64>().prop_map(Event::Crash),
        1 => (0..400u64).prop_map(Event::Fill),
        1 => (0..3u64).prop_map(Event::FailSync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_what_was_synced_and_invents_nothing(events in prop::collection::vec(event(), 1..80)) {
        let (mut disk, mut history) = (SimDisk::default(), History::new());
        let (mut checkpoint, _) = history.open(&disk).unwrap();
        for event in events {
            let (mut restart, mut crash) = (false, None);
            match event {
                Event::Step(step) => {
                    match history.run(&mut checkpoint, &step) {
                        Ok(()) => {}
                        Err(Error::DiskFull { .. }) => {
                            history.states.pop();
                        }
                        // It was appended in full or in part, or not at all.
                        Err(Error::Fenced { .. }) => restart = true,
                        Err(error) => panic!("{error}"),
                    }
                    disk.set_capacity(None);
                }
                Event::Close => {
                    restart = true;
                    match history.close(&mut checkpoint) {
                        Ok(()) | Err(Error::DiskFull { .. } | Error::Fenced { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                Event::Kill => restart = true,
                Event::Crash(seed) => crash = Some(seed),
                Event::Fill(room) => disk.set_capacity(Some(checkpoint.end + room)),
                Event::FailSync(n) => disk.fail_sync_after(n),
            }
            if let Some(seed) = crash {
                disk = disk.crash(seed);
            }
            if restart || crash.is_some() {
                disk.set_capacity(None);
                // An injected fault that had been waiting for a sync strikes once.
                (checkpoint, _) = match history.open(&disk) {
                    Ok(opened) => opened,
                    Err(_) => history.open(&disk).unwrap(),
                };
            }
        }
    }
}
