//! Sessions against requests that say everything each time, and the rules by which they come and go.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key(index: i32) -> Key {
    Key { topic: Topic::Name("t".into()), index }
}

fn wanted(index: i32, offset: i64) -> Wanted {
    Wanted { key: key(index), offset, max_bytes: 100, leader_epoch: -1 }
}

const SEEN: Seen =
    Seen { has_error: false, has_records: false, high_watermark: 5, last_stable_offset: 5, log_start_offset: 0 };

fn at(seconds: u64) -> Instant {
    Instant(0) + Duration::from_secs(seconds)
}

fn ask(sessions: &mut Sessions, now: Instant, asked: Asked, seen: Seen) -> Result<(i32, Vec<bool>), Refused> {
    let (begun, all) = sessions.begin(now, asked)?;
    let read: Vec<_> = all.into_iter().map(|wanted| (wanted, seen)).collect();
    sessions.end(now, &begun, &read)
}

fn first(indexes: std::ops::Range<i32>) -> Asked {
    Asked { wanted: indexes.map(|index| wanted(index, 0)).collect(), ..Asked::default() }
}

fn begin(sessions: &mut Sessions, now: Instant, indexes: std::ops::Range<i32>) -> i32 {
    ask(sessions, now, first(indexes), SEEN).unwrap().0
}

fn following(id: i32, epoch: i32) -> Asked {
    Asked { id, epoch, ..Asked::default() }
}

#[test]
fn only_what_is_new_is_told() {
    let mut sessions = Sessions::new(7);
    let id = begin(&mut sessions, at(0), 0..2);
    assert!(id > 0);
    let none = vec![false, false];
    assert_eq!(ask(&mut sessions, at(1), following(id, 1), SEEN), Ok((id, none.clone())));
    for seen in [
        Seen { high_watermark: 6, ..SEEN },
        Seen { last_stable_offset: 4, ..SEEN },
        Seen { log_start_offset: 1, ..SEEN },
        Seen { has_error: true, ..SEEN },
    ] {
        let epoch = sessions.by_id[&id].epoch;
        assert_eq!(ask(&mut sessions, at(1), following(id, epoch), seen), Ok((id, vec![true, true])), "{seen:?}");
        let again = ask(&mut sessions, at(1), following(id, epoch + 1), seen);
        assert_eq!(again, Ok((id, vec![seen.has_error; 2])), "errors are told each time");
        assert_eq!(ask(&mut sessions, at(1), following(id, epoch + 2), SEEN), Ok((id, vec![true, true])));
    }
    // One more, and one less.
    let epoch = sessions.by_id[&id].epoch;
    let asked = Asked { wanted: vec![wanted(7, 3)], forgotten: vec![key(0), key(9)], ..following(id, epoch) };
    assert_eq!(ask(&mut sessions, at(1), asked, SEEN), Ok((id, vec![false, true])));
    let (_, all) = sessions.begin(at(1), following(id, epoch + 1)).unwrap();
    assert_eq!(all, [wanted(1, 0), wanted(7, 3)]);
    // Nothing is left.
    let asked = Asked { forgotten: vec![key(1), key(7)], ..following(id, epoch + 2) };
    assert_eq!(sessions.begin(at(1), asked), Ok((Begun::Alone, Vec::new())));
    assert_eq!((sessions.by_id.len(), sessions.partitions), (0, 0));
}

#[test]
fn what_had_records_is_read_after_the_others() {
    let mut sessions = Sessions::new(7);
    let id = begin(&mut sessions, at(0), 0..3);
    let (begun, all) = sessions.begin(at(0), following(id, 1)).unwrap();
    let seen = |has_records| Seen { has_records, ..SEEN };
    let read: Vec<_> = all.into_iter().zip([true, false, true]).map(|(one, has)| (one, seen(has))).collect();
    assert_eq!(sessions.end(at(0), &begun, &read), Ok((id, vec![true, false, true])));
    let (_, all) = sessions.begin(at(0), following(id, 2)).unwrap();
    assert_eq!(all.iter().map(|one| one.key.index).collect::<Vec<_>>(), [1, 0, 2]);
}

#[test]
fn numbers_and_epochs_have_to_fit() {
    let mut sessions = Sessions::new(7);
    let id = begin(&mut sessions, at(0), 0..1);
    let ask = |sessions: &mut Sessions, asked| sessions.begin(at(0), asked).map(|(begun, _)| begun);
    assert_eq!(ask(&mut sessions, following(id.wrapping_add(1).max(1), 1)), Err(Refused::UnknownId));
    assert_eq!(ask(&mut sessions, following(0, 1)), Err(Refused::UnknownId));
    assert_eq!(ask(&mut sessions, following(id, 2)), Err(Refused::WrongEpoch));
    assert_eq!(ask(&mut sessions, following(id, i32::MIN)), Err(Refused::WrongEpoch));
    assert_eq!(ask(&mut sessions, Asked { by_id: true, ..following(id, 1) }), Err(Refused::MixedTopics));
    let begun = ask(&mut sessions, following(id, 1)).unwrap();
    assert_eq!(ask(&mut sessions, following(id, 1)), Err(Refused::WrongEpoch), "it was used");
    // Another request of the session was faster.
    ask(&mut sessions, following(id, 2)).unwrap();
    assert_eq!(sessions.end(at(0), &begun, &[]), Err(Refused::WrongEpoch));

    sessions.by_id.get_mut(&id).unwrap().epoch = i32::MAX;
    ask(&mut sessions, following(id, i32::MAX)).unwrap();
    assert_eq!(ask(&mut sessions, following(id, 1)), Ok(Begun::Next { id, epoch: 2 }), "epochs begin again at 1");
    // One that ends it, which has all that it wants to read once more.
    assert_eq!(ask(&mut sessions, Asked { epoch: -1, ..following(id, 0) }), Ok(Begun::Alone));
    assert_eq!(ask(&mut sessions, following(id, 2)), Err(Refused::UnknownId));
    // One that begins another.
    let id = begin(&mut sessions, at(0), 0..1);
    assert_eq!(ask(&mut sessions, Asked { id, ..first(0..1) }), Ok(Begun::First { by_id: false }));
    assert!(sessions.by_id.is_empty());
    assert_eq!(ask(&mut sessions, first(0..0)), Ok(Begun::Alone), "a session of nothing");
}

#[test]
fn room_is_made_by_what_is_idle_or_old_and_smaller() {
    let mut sessions = Sessions::bounded(7, 2, 100);
    let small = begin(&mut sessions, at(0), 0..2);
    let large = begin(&mut sessions, at(0), 0..20);
    assert_eq!(begin(&mut sessions, at(100), 0..50), 0, "both are young");
    ask(&mut sessions, at(100), following(small, 1), SEEN).unwrap();
    ask(&mut sessions, at(100), following(large, 1), SEEN).unwrap();
    assert_eq!(begin(&mut sessions, at(130), 0..1), 0, "it is smaller than both");
    let third = begin(&mut sessions, at(130), 0..2);
    assert!(third > 0 && !sessions.by_id.contains_key(&small) && sessions.by_id.contains_key(&large));
    // Nobody has used `large` since 100.
    let fourth = begin(&mut sessions, at(221), 0..1);
    assert!(fourth > 0 && !sessions.by_id.contains_key(&large));
    assert_eq!(sessions.partitions, 3);

    let mut sessions = Sessions::bounded(7, 10, 100);
    assert_eq!(begin(&mut sessions, at(0), 0..101), 0);
    let id = begin(&mut sessions, at(0), 0..90);
    assert_eq!(begin(&mut sessions, at(0), 0..20), 0);
    let asked = Asked { wanted: (90..110).map(|index| wanted(index, 0)).collect(), ..following(id, 1) };
    assert_eq!(ask(&mut sessions, at(0), asked, SEEN), Err(Refused::UnknownId));
    assert_eq!(sessions.partitions, 0);
    assert!(begin(&mut sessions, at(0), 0..20) > 0);
}

/// What happens between two requests, or in one.
#[derive(Clone, Debug)]
enum Step {
    /// A partition of the world changes.
    Change(i32, Seen),
    /// The client wants a partition, or wants another place of it.
    Want(i32, i64),
    Forget(i32),
    /// It asks.
    Fetch,
    /// It asks without having had the last answer.
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let seen = (any::<bool>(), any::<bool>(), 0..3_i64, 0..3_i64, 0..2_i64);
    let seen = seen.prop_map(|(error, records, high_watermark, last_stable_offset, log_start_offset)| Seen {
        has_error: error && records,
        has_records: records && !error,
        high_watermark,
        last_stable_offset,
        log_start_offset,
    });
    prop_oneof![
        3 => (0..5_i32, seen).prop_map(|(index, seen)| Step::Change(index, seen)),
        2 => (0..5_i32, 0..3_i64).prop_map(|(index, offset)| Step::Want(index, offset)),
        1 => (0..5_i32).prop_map(Step::Forget),
        4 => Just(Step::Fetch),
        1 => Just(Step::Lose),
    ]
}

proptest! {
    /// A client that keeps what it was told knows after each answer what a request without a session would tell it.
    #[test]
    fn a_session_tells_what_full_requests_would(steps in prop::collection::vec(step(), 1..60), slots in 0..2_usize) {
        let mut sessions = Sessions::bounded(1, slots, 100);
        let mut world: BTreeMap<i32, Seen> = (0..5).map(|index| (index, SEEN)).collect();
        let mut wants = BTreeMap::<i32, i64>::new();
        // The client: its session, what it has sent, what it was told.
        let (mut id, mut epoch) = (0, 0);
        let mut sent = BTreeMap::<i32, i64>::new();
        let mut view = BTreeMap::<i32, Seen>::new();
        for step in steps {
            match step {
                Step::Change(index, seen) => {
                    world.insert(index, seen);
                }
                Step::Want(index, offset) => {
                    wants.insert(index, offset);
                }
                Step::Forget(index) => {
                    wants.remove(&index);
                }
                Step::Fetch | Step::Lose => {
                    if epoch == 0 {
                        sent.clear();
                        view.clear();
                    }
                    let news = wants.iter().filter(|(index, offset)| sent.get(index) != Some(offset));
                    let news = news.map(|(index, offset)| wanted(*index, *offset)).collect();
                    let forgotten = sent.keys().filter(|index| !wants.contains_key(index)).map(|index| key(*index));
                    let asked = Asked { id, epoch, by_id: false, wanted: news, forgotten: forgotten.collect() };
                    let (begun, all) = match sessions.begin(at(0), asked) {
                        Ok(begun) => begun,
                        Err(_) => {
                            (id, epoch) = (0, 0);
                            continue;
                        }
                    };
                    let mut read: Vec<_> = all.iter().map(|one| (one.key.index, one.offset)).collect();
                    read.sort_unstable();
                    prop_assert_eq!(read, wants.iter().map(|(index, offset)| (*index, *offset)).collect::<Vec<_>>());
                    let seen = |one: &Wanted| world[&one.key.index];
                    let read: Vec<_> = all.into_iter().map(|one| (one.clone(), seen(&one))).collect();
                    let (told, included) = sessions.end(at(0), &begun, &read).unwrap();
                    if matches!(step, Step::Lose) {
                        // It asks with the epoch from before, is refused, and begins anew.
                        continue;
                    }
                    sent = wants.clone();
                    view.retain(|index, _| wants.contains_key(index));
                    // What it has of records it has read.
                    view.values_mut().for_each(|seen| seen.has_records = false);
                    for ((one, seen), included) in read.iter().zip(included) {
                        if included {
                            view.insert(one.key.index, *seen);
                        }
                    }
                    let full: BTreeMap<_, _> = wants.keys().map(|index| (*index, world[index])).collect();
                    prop_assert_eq!(&view, &full);
                    (id, epoch) = (told, if told == 0 { 0 } else { next(epoch) });
                }
            }
        }
    }
}
