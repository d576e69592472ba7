//! Damage at rest: whatever becomes of the files of a closed directory, nothing wrong is served, nothing of a segment is
//! cut, and it is reported: by an error of opening, reading or appending, by what the checkpoint says of itself, or by
//! whoever checks the files without opening them.

mod checks;
mod made;

use super::*;
use crate::env::OpenMode;
use checks::{examine, look_at};
use made::{Made, files, make};
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// So many bytes of a file are flipped one by one, and behind them some.
const SMALL_FILE_BYTES: u64 = 2048;
const STRIDE: u64 = 211;

/// Of large files some bytes are left out.
fn is_flipped(byte: u64) -> bool {
    byte < SMALL_FILE_BYTES || byte.is_multiple_of(STRIDE)
}

/// Damages a copy of the directory and opens it; if that reports nothing, looks at its files. The panic of a case that
/// fails is its finding, so that one run shows all of them.
fn after(
    made: &Made,
    path: &Path,
    harm: impl Fn(&SimDisk),
    context: &dyn Fn() -> String,
) -> Result<Vec<String>, String> {
    let damaged = || {
        let disk = made.disk.crash(0);
        harm(&disk);
        disk
    };
    let examined = catch_unwind(AssertUnwindSafe(|| match examine(&damaged(), &made.concerned(path), context) {
        reports if reports.is_empty() => look_at(&damaged()),
        // It is made again from what is intact.
        reports if is_derived(path) => panic!("{}: {}", context(), reports.join(", ")),
        reports => reports,
    }));
    examined.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.unwrap_or_else(|| format!("{}: a panic", context()))
    })
}

/// The cases that went wrong.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn note(&mut self, reports: Result<Vec<String>, String>, context: &dyn Fn() -> String) {
        match reports {
            Ok(reports) if reports.is_empty() => self.0.push(format!("{}: nobody noticed", context())),
            Ok(_) => {}
            Err(why) => self.0.push(why),
        }
    }
}

impl Drop for Failures {
    fn drop(&mut self) {
        let count = self.0.len();
        self.0.truncate(20);
        assert!(count == 0 || std::thread::panicking(), "{count} cases went wrong:\n{}", self.0.join("\n"));
    }
}

/// Flips bits of all files, one of each of the `places`; how many it has flipped.
fn flip_bits(places: impl Fn(u64) -> bool) -> u64 {
    let made = make();
    let (mut cases, mut failures) = (0, Failures::default());
    for (path, len) in files(&made.disk) {
        for byte in (0..len).filter(|byte| places(*byte) && is_flipped(*byte)) {
            // The bytes differ in which bit it is.
            let bit = (byte * 5 / 3 % 8) as u32;
            let context = || format!("{} byte {byte} bit {bit}", path.display());
            failures.note(after(&made, &path, |disk| disk.flip_bit(&path, byte, bit), &context), &context);
            cases += 1;
        }
    }
    cases
}

#[test]
fn the_intact_directory_has_a_file_of_every_kind_and_nothing_to_report() {
    let made = make();
    let names: Vec<_> = files(&made.disk).into_iter().map(|(path, len)| (path.display().to_string(), len)).collect();
    for kind in ["/format", "/checkpoint.log", ".log", ".idx", ".snap", "/LOCK", "/meta/", ".2.log", ".2.idx"] {
        assert!(names.iter().any(|(name, _)| name.contains(kind)), "{kind} of {names:?}");
    }
    let bytes_of = |end: &str| names.iter().find(|(name, _)| name.ends_with(end)).map(|(_, len)| *len);
    assert_eq!((bytes_of("/LOCK"), bytes_of("/ballast")), (Some(0), Some(0)), "nothing in them can be damaged");
    assert_eq!(after(&made, Path::new("/data"), |_| (), &|| "intact".into()), Ok(Vec::new()));
}

#[test]
fn a_flipped_bit_is_never_served_and_always_reported_in_a_third_of_the_bytes() {
    let cases = flip_bits(|byte| byte % 3 == 0);
    assert!(cases >= 5_000, "{cases}");
}

#[test]
fn a_flipped_bit_is_never_served_and_always_reported_in_another_third() {
    let cases = flip_bits(|byte| byte % 3 == 1);
    assert!(cases >= 5_000, "{cases}");
}

#[test]
#[ignore = "takes half as long again"]
fn a_flipped_bit_is_never_served_and_always_reported_in_the_last_third() {
    let cases = flip_bits(|byte| byte % 3 == 2);
    assert!(cases >= 5_000, "{cases}");
}

/// Whether a file can be made again from the others, so that nothing is lost with it.
fn is_derived(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("idx" | "snap")) || matches!(path.to_str(), Some("/data/LOCK" | "/data/ballast"))
}

/// Whole pages, sectors, files and writes go wrong; how many have.
pub(super) fn lose_more() -> u64 {
    let made = make();
    let all = files(&made.disk);
    let (mut cases, mut failures) = (0, Failures::default());
    for (path, len) in &all {
        let mut case = |what: &str, must_report: bool, harm: &dyn Fn(&SimDisk)| {
            let context = || format!("{} {what}", path.display());
            let reports = after(&made, path, harm, &context);
            if must_report || reports.is_err() {
                failures.note(reports, &context);
            }
            cases += 1;
        };
        case("is missing", !is_derived(path), &|disk| disk.remove_file(path).unwrap());
        for sector in (0..*len).step_by(512) {
            case(&format!("cannot be read at {sector}"), true, &|disk| disk.lose_sector(path, sector));
        }
        for page in (0..*len).step_by(4096) {
            case(&format!("is zero at {page}"), true, &|disk| disk.zero_page(path, page));
        }
        for left in (0..*len).rev().step_by(if *len > SMALL_FILE_BYTES { 997 } else { 13 }) {
            case(&format!("is cut to {left}"), true, &|disk| {
                disk.open(path, OpenMode::ReadWrite).unwrap().set_len(left).unwrap();
            });
        }
        // Not an earlier checkpoint: it is in order, and nothing says that there was a later one.
        let earlier = made.earlier_bytes_of(path).filter(|_| !path.ends_with("checkpoint.log"));
        if let Some(bytes) = earlier {
            case("is as it was before", true, &|disk| {
                let file = disk.open(path, OpenMode::ReadWrite).unwrap();
                file.set_len(0).unwrap();
                file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
            });
        }
        for (other, other_len) in all.iter().filter(|(other, _)| other != path) {
            let bytes = (*len).min(*other_len).min(512);
            if bytes > 0 {
                let is_other = made.bytes_of(path, bytes) != made.bytes_of(other, bytes);
                case(&format!("begins as {}", other.display()), is_other, &|disk| {
                    disk.misdirect((other, 0), (path, 0), bytes);
                });
            }
        }
    }
    cases
}

#[test]
fn what_is_lost_misplaced_or_cut_is_never_served_and_always_reported() {
    let cases = lose_more();
    assert!(cases > 1_000, "{cases}");
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[
    ("an intact directory", the_intact_directory_has_a_file_of_every_kind_and_nothing_to_report),
    ("lost, misplaced or cut files", what_is_lost_misplaced_or_cut_is_never_served_and_always_reported),
    ("flipped bits of any file", || _ = flip_bits(|byte| byte.is_multiple_of(16))),
];
