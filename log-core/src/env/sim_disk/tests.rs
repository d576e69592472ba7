//! Power cuts and faults: each rule of durability, each thing that goes wrong.

use super::*;
use std::collections::BTreeSet;
use std::io::IoSlice;

/// A disk with a durable file "/f" of `synced` and an unsynced write of `unsynced` behind it.
fn half_synced(synced: &[u8], unsynced: &[u8]) -> SimDisk {
    let disk = SimDisk::default();
    let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(synced)], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(&[IoSlice::new(unsynced)], synced.len() as u64).unwrap();
    disk
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

#[test]
fn a_crash_keeps_what_was_synced_and_any_part_of_the_rest() {
    let disk = half_synced(&[7; 700], &[9; 2000]);
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let bytes = content(&disk.crash(seed), "/f").unwrap();
        assert_eq!(bytes[..700], [7; 700]);
        assert!(bytes.len() <= 2700 && bytes[700..].iter().all(|b| [0, 9].contains(b)));
        assert_eq!(Some(&bytes), content(&disk.crash(seed), "/f").as_ref(), "a seed is a fate");
        seen.insert(bytes);
    }
    assert!(seen.contains(&vec![7; 700]), "nothing of it");
    assert!(seen.iter().any(|bytes| bytes[700..] == [9; 2000]), "all of it");
    assert!(seen.iter().any(|bytes| bytes.len() == 2700 && bytes[700..] == [0; 2000]), "its length only");
    assert!(seen.len() > 8, "torn at sectors in several ways");
    assert_eq!(content(&disk, "/f").unwrap().len(), 2700, "the disk that was crashed goes on");
}

#[test]
fn a_name_is_durable_after_its_directory_was_synced() {
    let disk = half_synced(b"x", b"");
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.open(&PathBuf::from("/d/new"), OpenMode::CreateNew).unwrap().sync_data().unwrap();
    disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
    let outcomes: BTreeSet<(bool, bool)> = (0..100)
        .map(|seed| {
            let after = disk.crash(seed);
            assert!(content(&after, "/f").is_some() != content(&after, "/g").is_some(), "a rename is atomic");
            (content(&after, "/g").is_some(), content(&after, "/d/new").is_some())
        })
        .collect();
    assert_eq!(outcomes.len(), 4);
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    for seed in 0..100 {
        let after = disk.crash(seed);
        assert!(content(&after, "/g").is_some() && content(&after, "/d/new").is_some());
    }
}

#[test]
fn a_failed_sync_loses_what_a_later_one_claims() {
    let disk = half_synced(b"old", b"new");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.fail_sync_after(0);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(content(&disk, "/f").unwrap(), b"oldnew");
    assert_eq!(content(&disk.crash(1), "/f").unwrap(), b"old");
}

#[test]
fn a_full_disk_and_a_failing_one_write_a_part() {
    let disk = half_synced(b"1234", b"");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.set_capacity(Some(6));
    let error = file.write_at(&[IoSlice::new(b"56789")], 4).unwrap_err();
    assert_eq!((error.kind(), file.len().unwrap()), (io::ErrorKind::StorageFull, 6));
    file.write_at(&[IoSlice::new(b"abcdef")], 0).unwrap();
    disk.set_capacity(None);
    disk.fail_write_after(1);
    file.write_at(&[IoSlice::new(b"xx")], 6).unwrap();
    assert!(file.write_at(&[IoSlice::new(b"yyyy")], 8).is_err());
    assert_eq!(content(&disk, "/f").unwrap(), b"abcdefxxyy");
}

#[test]
fn a_machine_that_stopped_takes_no_more_calls() {
    let disk = half_synced(b"1", b"");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.crash_at(disk.ops());
    assert!(file.write_at(&[IoSlice::new(b"2")], 1).is_err());
    assert!(file.sync_data().is_err() && file.len().is_err() && !disk.exists(Path::new("/f")));
    let fates: BTreeSet<Vec<u8>> = (0..50).map(|seed| content(&disk.crash(seed), "/f").unwrap()).collect();
    assert_eq!(fates, BTreeSet::from([b"1".to_vec(), b"1\0".to_vec(), b"12".to_vec()]));
}

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = disk.open(Path::new(path), OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    file
}

fn all_names(disk: &SimDisk) -> Vec<String> {
    let state = disk.0.lock();
    state.names.keys().map(|path| path.display().to_string()).collect()
}

/// Every set of names that 300 crashes leave.
fn fates_of_names(disk: &SimDisk) -> BTreeSet<Vec<String>> {
    (0..300).map(|seed| all_names(&disk.crash(seed))).collect()
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_rename_to_another_directory_is_durable_once_both_were_synced() {
    let disk = SimDisk::default();
    for dir in ["/a", "/b"] {
        disk.create_dir_all(Path::new(dir)).unwrap();
    }
    create(&disk, "/a/x", b"1");
    disk.sync_all(Path::new("/")).unwrap();
    disk.rename(Path::new("/a/x"), Path::new("/b/x")).unwrap();
    let (old, new) = (names(["/a", "/a/x", "/b"]), names(["/a", "/b", "/b/x"]));
    disk.sync_dir(Path::new("/b")).unwrap();
    assert_eq!(fates_of_names(&disk), BTreeSet::from([old, new.clone()]));
    disk.sync_dir(Path::new("/a")).unwrap();
    assert_eq!(fates_of_names(&disk), BTreeSet::from([new]));
}

#[test]
fn a_file_never_has_two_names_and_a_name_keeps_its_history() {
    let disk = SimDisk::default();
    create(&disk, "/new", b"1");
    disk.rename(Path::new("/new"), Path::new("/f")).unwrap();
    disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
    disk.remove_file(Path::new("/g")).unwrap();
    let possible = BTreeSet::from([names([]), names(["/new"]), names(["/f"]), names(["/g"])]);
    assert_eq!(fates_of_names(&disk), possible);
    assert_eq!(disk.survivors(1000).iter().map(all_names).collect::<BTreeSet<_>>(), possible);
}

#[test]
fn what_is_in_a_directory_that_did_not_survive_is_gone() {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new("/d/e")).unwrap();
    create(&disk, "/d/e/f", b"1").sync_data().unwrap();
    disk.sync_dir(Path::new("/d/e")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(fates_of_names(&disk), BTreeSet::from([names(["/d"]), names(["/d", "/d/e", "/d/e/f"])]));
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(fates_of_names(&disk).len(), 1);
}

#[test]
fn a_directory_goes_after_what_is_in_it_and_its_successor_starts_empty() {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new("/d")).unwrap();
    create(&disk, "/d/f", b"1");
    disk.sync_all(Path::new("/")).unwrap();
    disk.remove_dir_all(Path::new("/d")).unwrap();
    disk.create_dir_all(Path::new("/d")).unwrap();
    create(&disk, "/d/g", b"2");
    let possible = [names(["/d", "/d/f"]), names(["/d"]), names([]), names(["/d", "/d/g"])];
    assert_eq!(fates_of_names(&disk), BTreeSet::from(possible));
    disk.sync_dir(Path::new("/d")).unwrap();
    assert_eq!(fates_of_names(&disk), BTreeSet::from([names(["/d", "/d/g"])]));
}

#[test]
fn one_sync_of_all_makes_all_files_and_names_durable_or_drops_all_bytes() {
    let disk = SimDisk::default();
    create(&disk, "/a", b"1");
    create(&disk, "/b", b"2");
    disk.fail_sync_after(0);
    assert!(disk.sync_all(Path::new("/")).is_err());
    create(&disk, "/c", b"3");
    disk.sync_all(Path::new("/")).unwrap();
    assert_eq!(content(&disk, "/a").unwrap(), b"1");
    for seed in 0..20 {
        let after = disk.crash(seed);
        let contents = ["/a", "/b", "/c"].map(|path| content(&after, path).unwrap());
        assert_eq!(contents, [b"".to_vec(), b"".to_vec(), b"3".to_vec()]);
    }
}

#[test]
fn the_simple_survivors_are_enumerated() {
    let disk = half_synced(&[7; 100], &[9; 1500]); // in sectors 0 to 3
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[IoSlice::new(b"end")], 1600).unwrap();
    disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
    let survivors = disk.survivors(1000);
    let fates: Vec<String> = survivors.iter().map(SimDisk::fate).collect();
    assert_eq!(fates, disk.survivors(1000).iter().map(SimDisk::fate).collect::<Vec<_>>(), "always the same");
    let parts: BTreeSet<&str> = fates.iter().map(|fate| fate.split_once(": ").unwrap().1).collect();
    assert_eq!(parts.len(), fates.len(), "each once: {fates:#?}");
    for limit in [0, 1, 3, 7] {
        assert_eq!(disk.survivors(limit).len(), limit);
    }

    let found = |name: &str, end: &[&[u8]]| {
        let wanted = [&[7; 100], &end.concat()[..]].concat();
        survivors.iter().any(|disk| content(disk, name).as_deref() == Some(&wanted[..]))
    };
    for name in ["/f", "/g"] {
        assert!(found(name, &[]), "nothing written");
        assert!(found(name, &[&[9; 1500], b"end"]), "everything written");
    }
    assert!(found("/f", &[&[9; 1500]]) && found("/f", &[&[0; 1500], b"end"]), "one of two writes");
    assert!(found("/f", &[&[9; 412]]) && found("/f", &[&[0; 1436], &[9; 64]]), "torn, and nothing after it");
    assert!(found("/g", &[&[9; 412], &[0; 1088], b"end"]), "torn, and all after it");
    assert!(found("/f", &[&[0; 1500]]), "its length only");
    assert!(survivors.iter().all(|disk| content(disk, "/f").is_some() != content(disk, "/g").is_some()));
}

#[test]
fn reserved_space_counts_until_the_length_is_set_and_removed_files_until_they_are_closed() {
    let disk = SimDisk::default();
    let root = Path::new("/");
    disk.set_capacity(Some(100));
    let file = create(&disk, "/f", b"1234");
    file.allocate(4, 56).unwrap();
    assert_eq!((file.len().unwrap(), disk.free_bytes(root).unwrap()), (4, 40));
    let other = create(&disk, "/g", &[2; 40]);
    assert_eq!(other.write_at(&[IoSlice::new(b"x")], 40).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_at(&[IoSlice::new(&[1; 56])], 4).unwrap();
    assert_eq!(file.allocate(60, 1).unwrap_err().kind(), io::ErrorKind::StorageFull);

    disk.remove_file(Path::new("/g")).unwrap();
    assert_eq!(disk.free_bytes(root).unwrap(), 0);
    drop(other);
    assert_eq!(disk.free_bytes(root).unwrap(), 40);
    assert_eq!(file.allocate(60, 50).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.free_bytes(root).unwrap(), 0, "what there was is reserved");
    file.set_len(60).unwrap();
    assert_eq!(disk.free_bytes(root).unwrap(), 40);
}

#[test]
fn faults_strike_once_or_always_in_calls_of_their_kind() {
    let disk = half_synced(b"1234", b"");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    let reads = || file.read_at(&mut [0; 4], 0).is_ok();
    disk.inject(Fault::eio(Call::Read).after(1));
    assert_eq!([reads(), reads(), reads()], [true, false, true]);
    disk.inject(Fault::eio(Call::Read).always());
    assert_eq!([reads(), reads()], [false, false]);
    file.write_at(&[IoSlice::new(b"5")], 4).unwrap();
    disk.heal();
    assert!(reads());

    disk.inject(Fault::errno(Call::Open, 24));
    assert_eq!(disk.open(Path::new("/f"), OpenMode::Read).unwrap_err().raw_os_error(), Some(24));
    for call in [Call::SetLen, Call::Allocate, Call::Name, Call::Look] {
        disk.inject(Fault::eio(call));
    }
    assert!(file.set_len(1).is_err() && file.allocate(0, 9).is_err() && file.len().is_err());
    assert!(disk.rename(Path::new("/f"), Path::new("/g")).is_err());
    assert_eq!((file.len().unwrap(), disk.exists(Path::new("/g"))), (5, false));
    file.sync_data().unwrap();
    disk.inject(Fault::eio(Call::Read).always());
    assert_eq!(content(&disk.crash(1), "/f").unwrap(), b"12345", "a new machine has no faults");
}

#[test]
fn slowness_is_a_sum_of_virtual_time() {
    let busy = |seed| {
        let disk = half_synced(b"1", b"");
        let typical = Duration::from_micros(100);
        disk.slow(seed, typical);
        assert!((0..1000).all(|_| disk.exists(Path::new("/f"))));
        assert!(disk.busy() > typical * 500 && disk.busy() < typical * 3000);
        disk.busy()
    };
    assert_eq!(busy(1), busy(1));
    assert_ne!(busy(1), busy(2));
    let disk = half_synced(b"1", b"");
    disk.inject(Fault::stall(Call::Sync, Duration::from_secs(30)).after(1));
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(disk.busy(), Duration::ZERO);
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(disk.busy(), Duration::from_secs(30));
}

#[test]
fn a_cold_page_cache_has_nothing_and_a_drawn_one_whole_pages() {
    let disk = half_synced(&[3; 10_000], b"");
    let file = disk.open(Path::new("/f"), OpenMode::Read).unwrap();
    disk.set_page_cache(PageCache::Cold);
    assert_eq!(file.read_cached_at(&mut [0; 10], 0).unwrap(), None);
    assert_eq!(file.read_cached_at(&mut [0; 10], 10_000).unwrap(), Some(0), "the end needs no wait");
    disk.set_page_cache(PageCache::Drawn(Rng::seeded(1)));
    let seen: BTreeSet<Option<usize>> =
        (0..200).map(|_| file.read_cached_at(&mut [0; 20_000], 4000).unwrap()).collect();
    assert_eq!(seen, BTreeSet::from([None, Some(96), Some(4192), Some(6000)]));
}

#[test]
fn damage_at_rest_survives_and_is_where_it_was_put() {
    let disk = half_synced(&[5; 9000], b"");
    create(&disk, "/other", &[6; 2000]);
    disk.sync_all(Path::new("/")).unwrap();
    let (f, other) = (Path::new("/f"), Path::new("/other"));
    disk.zero_page(f, 8999);
    disk.misdirect((other, 0), (f, 512), 512);
    disk.flip_bit(f, 0, 1);
    let bytes = content(&disk.crash(0), "/f").unwrap();
    assert_eq!(bytes, [&[7][..], &[5; 511], &[6; 512], &[5; 7168], &[0; 808]].concat());

    disk.lose_sector(f, 1300);
    let disk = disk.crash(0);
    let file = disk.open(f, OpenMode::ReadWrite).unwrap();
    let reads = |at| file.read_at(&mut [0; 100], at).is_ok();
    assert_eq!([reads(900), reads(925), reads(1400), reads(1536)], [true, false, false, true]);
    file.write_at(&[IoSlice::new(&[0; 512])], 1024).unwrap();
    assert!(reads(1300));
}

#[test]
fn a_trace_has_a_line_for_each_call_and_crash() {
    let disk = SimDisk::default();
    disk.trace_calls();
    create(&disk, "/f", b"12").sync_data().unwrap();
    disk.crash_at(4);
    assert!(disk.sync_dir(Path::new("/")).is_ok() && disk.rename(Path::new("/f"), Path::new("/g")).is_err());
    let trace = disk.crash(1).trace();
    assert_eq!(trace[..2], ["0 open /f CreateNew", "1 write /f [0, +2)"]);
    assert_eq!(trace[2..4], ["2 sync /f", "3 sync directory /"]);
    assert_eq!(trace[4], "4 rename /f to /g: the simulated machine has stopped");
    assert_eq!(trace[5], "-- crash(1): of 0 changes 0 kept, 0 lost");
}

proptest::proptest! {
    #[test]
    fn content_is_a_vector_of_bytes(steps in proptest::collection::vec((0..3u8, 0..20_000u64, 1..9000usize), 1..20)) {
        let (mut paged, mut plain) = (content::Content::default(), Vec::new());
        for (n, (kind, position, len)) in steps.into_iter().enumerate() {
            let shared = paged.clone();
            let before = plain.clone();
            if kind == 0 {
                paged.set_len(position);
                plain.resize(position as usize, 0);
            } else {
                let bytes = vec![n as u8 + 1; len];
                paged.write(position, &bytes);
                let end = position as usize + len;
                plain.resize(plain.len().max(end), 0);
                plain[position as usize..end].copy_from_slice(&bytes);
            }
            for (paged, plain) in [(&paged, &plain), (&shared, &before)] {
                let mut read = vec![0xFF; plain.len() + 10];
                proptest::prop_assert_eq!(paged.read(&mut read, 0), plain.len());
                proptest::prop_assert_eq!(&read[..plain.len()], &plain[..]);
            }
        }
    }
}
