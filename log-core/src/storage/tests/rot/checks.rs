//! What a damaged directory may do, and what it may not.

use super::super::*;
use super::made::{Written, files, open_log};
use crate::env::OpenMode;
use crate::record::{BatchHeader, batches};
use crate::storage::doctor;
use crate::types::{Error, OffsetRange};
use std::collections::BTreeMap;

/// Opens the directory as a broker does, reads everything, looks up times, and appends; what was reported of it.
/// Panics, with `context`, when anything is served that was not written, or when bytes of a segment are gone.
pub(super) fn examine(disk: &SimDisk, logs: &[&Written], context: &dyn Fn() -> String) -> Vec<String> {
    let before = segments(disk, logs);
    let reports = open(disk, logs, context);
    let after = segments(disk, logs);
    for (path, bytes) in before {
        let now = after.get(&path).unwrap_or_else(|| panic!("{}: {} is gone", context(), path.display()));
        assert!(now.starts_with(&bytes), "{}: {} is not as it was", context(), path.display());
    }
    reports
}

/// What is found by looking at the files without opening the directory.
pub(super) fn look_at(disk: &SimDisk) -> Vec<String> {
    match doctor::examine(shared(disk), Path::new("/data"), &mut |_| ()) {
        Ok(findings) => findings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// The bytes of all segments that can be read.
fn segments(disk: &SimDisk, logs: &[&Written]) -> BTreeMap<PathBuf, Vec<u8>> {
    let logs = files_of(disk, logs).filter(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
    logs.filter_map(|(path, _)| bytes_of(disk, &path).ok().map(|bytes| (path, bytes))).collect()
}

fn files_of(disk: &SimDisk, logs: &[&Written]) -> impl Iterator<Item = (PathBuf, u64)> {
    files(disk).into_iter().filter(|(path, _)| logs.iter().any(|log| path.starts_with(&log.dir)))
}

fn bytes_of(disk: &SimDisk, path: &Path) -> std::io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn open(disk: &SimDisk, logs: &[&Written], context: &dyn Fn() -> String) -> Vec<String> {
    let dir = match DataDir::open(shared(disk), Path::new("/data")) {
        Ok(dir) => dir,
        Err(error) => return vec![error.to_string()],
    };
    let (mut checkpoint, report) = match dir.checkpoint() {
        Ok(opened) => opened,
        Err(error) => return vec![error.to_string()],
    };
    let mut reports = Vec::new();
    reports.extend(report.damage.as_ref().map(ToString::to_string));
    reports.extend(report.torn_tail.map(|bytes| format!("{bytes} bytes of the checkpoint were torn")));
    for written in logs {
        let place = (written.topic, written.partition, written.dir.as_path());
        let (mut log, found) = match open_log(&dir, &mut checkpoint, &report, place) {
            Ok(opened) => opened,
            Err(error) => {
                reports.push(error.to_string());
                continue;
            }
        };
        assert_eq!(found.torn_tail, None, "{}", context());
        reports.extend(found.damage.as_ref().map(ToString::to_string));
        if found.damage.is_none() {
            assert_eq!(log.offsets().log_end_offset, written.offsets.log_end_offset, "{}", context());
        }
        let read = Read { written, reader: log.reader(), context };
        let faults = [read.batches(), read.times(), read.aborted(), append(&mut log, written, context)];
        reports.extend(faults.into_iter().flatten().map(|error| error.to_string()));
    }
    reports
}

struct Read<'a> {
    written: &'a Written,
    reader: LogReader,
    context: &'a dyn Fn() -> String,
}

impl Read<'_> {
    fn readable(&self, header: &BatchHeader) -> bool {
        let offsets = self.reader.offsets();
        header.next_offset() > offsets.log_start_offset && header.next_offset() <= offsets.high_watermark
    }

    /// Reads from every batch on, one at a time and many; the errors.
    fn batches(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        for (header, _) in self.written.batches.iter().filter(|(header, _)| self.readable(header)) {
            let offset = header.base_offset.max(self.reader.offsets().log_start_offset);
            // One at a time, and now and then all.
            let max_bytes = if header.base_offset % 8 == 0 { 1 << 20 } else { 1 };
            match self.reader.read(offset, max_bytes) {
                Ok(bytes) => self.check(offset, bytes),
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// What was read is what was written there.
    fn check(&self, offset: Offset, bytes: Bytes) {
        assert!(!bytes.is_empty(), "{}: nothing at {offset}", (self.context)());
        let first = self.written.batches.partition_point(|(header, _)| header.next_offset() <= offset);
        let mut expected = self.written.batches[first..].iter();
        for batch in batches(bytes) {
            let batch = batch.unwrap_or_else(|error| panic!("{}: served at {offset}: {error}", (self.context)()));
            let is_intact = expected.next().is_some_and(|(_, bytes)| *bytes == batch.bytes);
            assert!(is_intact, "{}: batch {} was served wrong at {offset}", (self.context)(), batch.header.base_offset);
        }
    }

    fn times(&self) -> Vec<Error> {
        let offsets = self.reader.offsets();
        let mut errors = Vec::new();
        for at in [0, 1010, 1501, 2004, 2016, 5000].map(Timestamp) {
            let mut all = self.written.times.iter();
            let expected = all.find(|(time, offset)| *time >= at && *offset >= offsets.log_start_offset);
            match self.reader.offset_for_time(at) {
                Ok(found) => {
                    let expected =
                        expected.map(|(_, offset)| *offset).filter(|offset| *offset < offsets.high_watermark);
                    assert_eq!(found, expected, "{}: the time {at:?}", (self.context)());
                }
                Err(error) => errors.push(error),
            }
        }
        errors
    }

    /// Whoever reads what is committed is told of every aborted transaction below the last stable offset.
    fn aborted(&self) -> Vec<Error> {
        let offsets = self.reader.offsets();
        let range = OffsetRange::new(offsets.log_start_offset, offsets.last_stable_offset);
        let told = match self.reader.aborted(range) {
            Ok(told) => told,
            Err(error) => return vec![error],
        };
        for aborted in &self.written.aborted {
            let concerns = aborted.first_offset < range.end && aborted.last_offset >= range.start;
            assert!(!concerns || told.contains(aborted), "{}: {aborted:?} of {told:?}", (self.context)());
        }
        assert!(told.iter().all(|t| self.written.aborted.contains(t)), "{}: {told:?}", (self.context)());
        Vec::new()
    }
}

/// Appends what an idempotent producer has sent before, and then something new.
fn append(log: &mut PartitionLog, written: &Written, context: &dyn Fn() -> String) -> Vec<Error> {
    let mut errors = Vec::new();
    if let Some((batch, base)) = &written.sent_last {
        match log.append(batch, NOW) {
            Ok(again) => assert_eq!((again.base_offset, again.duplicate), (*base, true), "{}", context()),
            Err(error) => errors.push(error),
        }
    }
    let end = written.offsets.log_end_offset;
    match log.append(&batch(&["new"]), NOW) {
        Ok(appended) => assert_eq!((appended.base_offset, appended.duplicate), (end, false), "{}", context()),
        Err(error) => errors.push(error),
    }
    errors
}
