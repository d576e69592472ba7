//! How to sync many files: each by itself, or all of the file system at once?
//!
//! Up to [`PARALLEL_SYNCS`] files are synced side by side. For more, `syncfs` takes one call and one journal commit
//! for all of them (log-engine.md measured 2 ms against 5 for 64 files), but it also writes what other programs have
//! dirty there, which may be much. So both are tried, and the one that was cheaper lately is used. From [`ALL_FROM`] files
//! on there is nothing to try: one sync after the other would take seconds.

use super::pool::PARALLEL_SYNCS;
use std::time::Duration;

/// So many files are never synced one by one.
const ALL_FROM: usize = 1024;
/// Rounds before the dearer method is tried again, at first and at most.
const PROBE_AFTER_MIN: u32 = 256;
const PROBE_AFTER_MAX: u32 = 65_536;
/// A new measurement counts for one part in so many.
const WEIGHT: u32 = 4;

/// A way to sync a round's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// `fdatasync` of each, side by side.
    Each,
    /// One `syncfs`.
    All,
}

/// What rounds have cost.
#[derive(Debug, Default)]
pub(super) struct Costs {
    /// By the binary logarithm of the number of files.
    classes: [Class; 24],
    /// The disk has no way to sync all at once.
    no_all: bool,
}

/// Rounds of about as many files.
#[derive(Clone, Copy, Debug, Default)]
struct Class {
    each: Option<Duration>,
    all: Option<Duration>,
    /// Rounds since both were measured, and how many of them make the next probe.
    rounds: u32,
    probe_after: u32,
}

impl Costs {
    /// How to sync so many files.
    pub(super) fn choose(&mut self, files: usize) -> Method {
        if files <= PARALLEL_SYNCS || self.no_all {
            return Method::Each;
        }
        if files >= ALL_FROM {
            return Method::All;
        }
        let class = self.class(files);
        let (Some(each), Some(all)) = (class.each, class.all) else {
            return if class.each.is_none() { Method::Each } else { Method::All };
        };
        let (cheaper, dearer) = if all < each { (Method::All, Method::Each) } else { (Method::Each, Method::All) };
        class.rounds += 1;
        if class.rounds < class.probe_after.max(PROBE_AFTER_MIN) {
            return cheaper;
        }
        // Probes become rare where they do not pay: a file system that others write to makes them slow.
        class.rounds = 0;
        class.probe_after = (class.probe_after.max(PROBE_AFTER_MIN) * 2).min(PROBE_AFTER_MAX);
        dearer
    }

    /// What a round has cost.
    pub(super) fn note(&mut self, files: usize, method: Method, took: Duration) {
        if files <= PARALLEL_SYNCS {
            return;
        }
        let class = self.class(files);
        let before = class.each.zip(class.all).map(|(each, all)| all < each);
        let known = if method == Method::All { &mut class.all } else { &mut class.each };
        *known = Some(known.map_or(took, |known| (known * (WEIGHT - 1) + took) / WEIGHT));
        let after = class.each.zip(class.all).map(|(each, all)| all < each);
        if before != after {
            (class.rounds, class.probe_after) = (0, PROBE_AFTER_MIN);
        }
    }

    /// The disk cannot sync all at once.
    pub(super) fn without_all(&mut self) {
        self.no_all = true;
    }

    fn class(&mut self, files: usize) -> &mut Class {
        let last = self.classes.len() - 1;
        &mut self.classes[(files.max(1).ilog2() as usize).min(last)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn few_files_are_synced_each_by_itself() {
        let mut costs = Costs::default();
        assert!((1..=16).all(|files| costs.choose(files) == Method::Each));
    }

    #[test]
    fn many_are_synced_by_what_was_cheaper_and_the_other_is_tried_now_and_then() {
        let mut costs = Costs::default();
        assert_eq!(costs.choose(64), Method::Each);
        costs.note(64, Method::Each, ms(5));
        assert_eq!(costs.choose(64), Method::All);
        costs.note(64, Method::All, ms(2));
        let mut tried = Vec::new();
        for round in 0..2000 {
            let method = costs.choose(64);
            if method == Method::Each {
                tried.push(round);
            }
            costs.note(64, method, if method == Method::Each { ms(5) } else { ms(2) });
        }
        assert_eq!(tried, [255, 255 + 512, 255 + 512 + 1024], "ever less often");
        // Another program begins to write a lot.
        costs.note(64, Method::All, ms(100));
        assert_eq!(costs.choose(64), Method::Each);
        assert_eq!(costs.choose(500), Method::Each, "other numbers of files know nothing of it");
    }

    #[test]
    fn very_many_are_never_synced_one_by_one() {
        let mut costs = Costs::default();
        costs.note(2000, Method::All, ms(100));
        assert!((0..1000).all(|_| costs.choose(2000) == Method::All));
        costs.without_all();
        assert_eq!(costs.choose(2000), Method::Each);
    }

    #[test]
    fn a_disk_without_such_a_call_is_not_asked_again() {
        let mut costs = Costs::default();
        costs.note(64, Method::Each, ms(5));
        costs.without_all();
        assert_eq!(costs.choose(64), Method::Each);
    }
}
