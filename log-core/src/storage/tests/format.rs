//! Data directories that this version wrote, kept under `tests/format/v2` in the root of the repository.
//!
//! ```text
//!   tests/format/v2/<history>/        the directory as its history left it; without LOCK and ballast, which say nothing
//!   tests/format/v2/<history>.txt     what a reader finds in it
//! ```
//! Three promises: what was written then is read today, to the last record; the same history written today gives the same
//! bytes; and a reader that was written after the specification alone ([`independent`]) finds the same.
//!
//! If the second one breaks, the format has changed. Files of released versions stay and are still to be read, so a new
//! format has a new version and a directory beside `v2`. Until the first release the files may be written anew, from this
//! package's directory: `UPDATE_GOLDENFILES=1 cargo test -p tailwater-log storage::tests::format`.

mod histories;
mod independent;

use super::*;
use crate::env::RealDisk;
use crate::record::batches;
use crate::types::OffsetRange;
use histories::{HISTORIES, History};
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("tests/format/v2")
}

/// Every file below `dir` by its path in it, but for those that say nothing.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_owned();
            if path.is_dir() {
                dirs.push(path);
            } else if ![Path::new("LOCK"), Path::new("ballast")].contains(&&*name) {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// The history written anew, in a directory of its own.
fn write(history: &History) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
    (history.write)(&disk, &dir.path().join("data"));
    dir
}

#[test]
fn the_same_history_gives_the_same_bytes() {
    for history in HISTORIES {
        let dir = write(history);
        let (written, kept) = (files(&dir.path().join("data")), fixtures().join(history.name));
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            let _ = std::fs::remove_dir_all(&kept);
            for (name, bytes) in &written {
                std::fs::create_dir_all(kept.join(name).parent().unwrap()).unwrap();
                std::fs::write(kept.join(name), bytes).unwrap();
            }
        }
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        let kept = files(&kept);
        assert_eq!(names(&written), names(&kept), "{}", history.name);
        for (name, bytes) in &written {
            let first = bytes.iter().zip(&kept[name]).position(|(a, b)| a != b);
            let differs = (bytes != &kept[name]).then_some(first);
            assert_eq!(differs, None, "{}/{} from this byte on", history.name, name.display());
        }
    }
}

#[test]
fn what_was_written_is_read() {
    for history in HISTORIES {
        let dir = copy(history);
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
        let mut opened = Opened::try_open(&disk, dir.path(), histories::SEGMENT_BYTES).unwrap();
        let found = told(&mut opened);
        opened.append(&batch(&["it goes on"])).unwrap();
        opened.close().unwrap();
        let path = fixtures().join(format!("{}.txt", history.name));
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{}", history.name);
    }
}

#[test]
fn the_specification_is_enough_to_read_it() {
    for history in HISTORIES {
        let dir = fixtures().join(history.name);
        let found = independent::read(&dir, TOPIC.0.as_bytes(), 0);
        let told = std::fs::read_to_string(fixtures().join(format!("{}.txt", history.name))).unwrap();
        // What only the log itself can say, such as what it made of a torn tail.
        let expected: Vec<&str> = told.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{}", history.name);
    }
}

/// A copy of what was kept, in a directory of its own.
fn copy(history: &History) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&fixtures().join(history.name)) {
        std::fs::create_dir_all(dir.path().join(&name).parent().unwrap()).unwrap();
        std::fs::write(dir.path().join(&name), bytes).unwrap();
    }
    dir
}

/// All that a log says of itself.
fn told(opened: &mut Opened) -> String {
    let mut out = String::new();
    let mut line = |text: String| writeln!(out, "{text}").unwrap();
    let OpenReport { torn_tail, damage, .. } = &opened.report;
    line(format!("# torn tail: {:?}", torn_tail.as_ref().map(|torn| (torn.position, torn.offset, torn.bytes))));
    line(format!("# damage: {damage:?}"));
    let offsets = opened.log.offsets();
    line(format!("# last stable offset: {}", offsets.last_stable_offset));
    for epoch in 0..10 {
        if let Some((of, end)) = opened.log.end_of_epoch(epoch).unwrap().filter(|(of, _)| *of == epoch) {
            line(format!("# leader epoch {of} ends at {end}"));
        }
    }
    for (stamp, last_offset) in opened.log.producers().unwrap() {
        let ProducerStamp { producer_id, producer_epoch, base_sequence } = stamp;
        line(format!("# producer {producer_id} in epoch {producer_epoch}: sequence {base_sequence} at {last_offset}"));
    }
    line(format!("log start {}", offsets.log_start_offset));
    let reader = opened.log.reader();
    let mut position = offsets.log_start_offset;
    while position < offsets.high_watermark {
        for batch in batches(reader.read(position, 1 << 20).unwrap()) {
            let batch = batch.unwrap();
            position = batch.header.next_offset();
            let (base, next, epoch) = (batch.header.base_offset, position, batch.header.leader_epoch);
            line(format!("batch [{base}, {next}) epoch {epoch} producer {}", batch.header.producer_id));
            for record in records(batch.bytes) {
                let StoredRecord { offset, timestamp, key, value, headers } = record.unwrap();
                let text = |bytes: Option<Bytes>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
                let headers: Vec<_> = headers.into_iter().map(|h| (h.key, text(h.value))).collect();
                line(format!("  {offset} at {}: {:?} {:?} {headers:?}", timestamp.0, text(key), text(value)));
            }
        }
    }
    for aborted in reader.aborted(OffsetRange::new(0, offsets.log_end_offset)).unwrap() {
        let AbortedTransaction { producer_id, first_offset, last_offset, .. } = aborted;
        line(format!("# aborted: producer {producer_id} from {first_offset} to {last_offset}"));
    }
    line(format!("end {}", offsets.log_end_offset));
    out
}
