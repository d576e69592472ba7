//! A small file system that fills up. `FAULTS_SMALL_DISK` names a directory on it, of 16 to 64 MiB.

use crate::check::{assert_intact, on_log};
use crate::process::{Client, Life, Said};
use crate::tell;
use std::path::Path;
use tailwater_log::TopicSpec;
use tailwater_log::record::Record;

const DISK_FULL: &str = "TW0203";
/// Of the batches behind one that failed, which were under way already.
const OUT_OF_ORDER: &str = "TW0113";
/// More than fits.
const BATCHES: u64 = 400_000;
/// What lies in the way and can be deleted.
const OLD_BYTES: usize = 4 * 1024 * 1024;

#[test]
#[ignore = "needs a small file system; tests/faults/run mounts one"]
fn a_disk_that_is_full_fails_appends_until_there_is_room_again() {
    let Some(disk) = std::env::var_os("FAULTS_SMALL_DISK") else {
        return tell("full disk: skipped, FAULTS_SMALL_DISK names no directory");
    };
    let mut client = Client::new(&Path::new(&disk).join("data"));
    on_log(&client, async |log| {
        log.admin().create_topic(TopicSpec::new("old", 1).expect("a valid topic")).await.expect("there is room");
        let value = vec![b'x'; OLD_BYTES / 16];
        for _ in 0..16 {
            let record = Record { value: Some(value.clone().into()), ..Record::default() };
            let name = tailwater_log::TopicName::new("old").expect("a valid name");
            log.producer().build().send(&name, record).await.expect("sent").await.expect("there is room");
        }
    });

    // So that each lane has something, however slow its syncs are.
    assert_eq!(client.live(1_000, &[], |_| false).codes(), [""; 0]);
    // Killed when it is full for the first time.
    let killed = client.live(BATCHES, &[], |said| matches!(said, Said::Failed { .. }));
    assert!(killed.was_killed);
    assert_full(&killed);
    assert_intact(&client);
    let when_full = client.acked;

    // It opens, goes on failing, and closes.
    let failing = client.live(BATCHES, &[], |_| false);
    assert!(!failing.was_killed);
    assert_full(&failing);
    assert_intact(&client);

    let before = client.acked;
    on_log(&client, async |log| log.admin().delete_topic("old").await.expect("a full disk can be helped"));
    let resumed = client.live(BATCHES, &[], |_| false);
    assert_full(&resumed);
    assert!(client.acked.iter().zip(&before).all(|(now, before)| now > before), "{before:?}, then {:?}", client.acked);
    assert_intact(&client);
    let total = |acked: [u64; 5]| acked.iter().sum::<u64>();
    tell(&format!(
        "full disk: {} batches until it was full, {} more in what was left, {} after a topic was deleted; {} appends \
         failed with {DISK_FULL}; everything acknowledged was intact each time, also after kill -9 on the full disk",
        total(when_full),
        total(before) - total(when_full),
        total(client.acked) - total(before),
        [&killed, &failing, &resumed].iter().map(|life| life.codes().len()).sum::<usize>(),
    ));
}

/// Appends have failed, because the disk was full and for no other reason.
fn assert_full(life: &Life) {
    let codes = life.codes();
    assert!(codes.contains(&DISK_FULL), "{codes:?}");
    let other: Vec<_> = codes.iter().filter(|code| ![DISK_FULL, OUT_OF_ORDER].contains(code)).collect();
    assert!(other.is_empty(), "{other:?}");
}
