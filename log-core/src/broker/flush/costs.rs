//! How to sync many files: each by itself, or all of the file system at once?
//!
//! Up to [`EACH_UPTO`] files are synced side by side. For more, `syncfs` takes one call and one journal commit
//! for all of them (`cargo bench --bench flush` shows it ahead from 16 files on), but it also writes what other programs
//! have dirty there, which may be much. So both are tried, and the one that was cheaper lately is used. From [`ALL_FROM`]
//! files on there is nothing to try: one sync after the other would take seconds.

use std::time::Duration;

/// So few files are never worth what a `syncfs` may cost when others write to the disk.
const EACH_UPTO: usize = 4;
/// So many files are never synced one by one.
const ALL_FROM: usize = 1024;
/// Each method is measured so often before one of them is chosen: the first rounds make files and threads.
const TRIES: u32 = 4;
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
    each: Cost,
    all: Cost,
    /// Rounds since both were known, and how many of them make the next probe.
    rounds: u32,
    probe_after: u32,
}

/// What a method costs.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    took: Duration,
    measured: u32,
}

impl Cost {
    /// Less is believed at once: a sync can be held up by others, not be hurried. More is believed in part.
    fn note(&mut self, took: Duration) {
        let is_less = self.measured == 0 || took < self.took;
        self.took = if is_less { took } else { (self.took * (WEIGHT - 1) + took) / WEIGHT };
        self.measured = self.measured.saturating_add(1);
    }
}

impl Class {
    /// The cheaper method, once both are known.
    fn cheaper(&self) -> Option<Method> {
        let is_known = self.each.measured >= TRIES && self.all.measured >= TRIES;
        is_known.then_some(if self.all.took < self.each.took { Method::All } else { Method::Each })
    }
}

impl Costs {
    /// How to sync so many files.
    pub(super) fn choose(&mut self, files: usize) -> Method {
        if files <= EACH_UPTO || self.no_all {
            return Method::Each;
        }
        if files >= ALL_FROM {
            return Method::All;
        }
        let class = self.class(files);
        let Some(cheaper) = class.cheaper() else {
            return if class.each.measured <= class.all.measured { Method::Each } else { Method::All };
        };
        class.rounds += 1;
        if class.rounds < class.probe_after.max(PROBE_AFTER_MIN) {
            return cheaper;
        }
        // Probes become rare where they do not pay: a file system that others write to makes them slow.
        class.rounds = 0;
        class.probe_after = (class.probe_after.max(PROBE_AFTER_MIN) * 2).min(PROBE_AFTER_MAX);
        if cheaper == Method::All { Method::Each } else { Method::All }
    }

    /// What a round has cost.
    pub(super) fn note(&mut self, files: usize, method: Method, took: Duration) {
        if files <= EACH_UPTO {
            return;
        }
        let class = self.class(files);
        let before = class.cheaper();
        let cost = if method == Method::All { &mut class.all } else { &mut class.each };
        cost.note(took);
        if before != class.cheaper() {
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

    /// What is chosen in so many rounds, of which each costs what its method does.
    fn rounds(costs: &mut Costs, files: usize, rounds: usize, each: Duration, all: Duration) -> Vec<Method> {
        let round = |_| {
            let method = costs.choose(files);
            costs.note(files, method, if method == Method::Each { each } else { all });
            method
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn few_files_are_synced_each_by_itself() {
        let mut costs = Costs::default();
        assert!((1..=4).all(|files| rounds(&mut costs, files, 1000, ms(5), ms(1)).iter().all(|m| *m == Method::Each)));
    }

    #[test]
    fn more_are_synced_by_what_was_cheaper_and_the_other_is_tried_now_and_then() {
        for files in [5, 16, 64] {
            let mut costs = Costs::default();
            let tried = rounds(&mut costs, files, 8, ms(5), ms(2));
            assert_eq!(tried.iter().filter(|method| **method == Method::Each).count(), 4, "both are measured first");
            let chosen = rounds(&mut costs, files, 2000, ms(5), ms(2));
            let probes: Vec<_> = (0..).zip(chosen).filter(|(_, method)| *method == Method::Each).map(|p| p.0).collect();
            assert_eq!(probes, [255, 255 + 512, 255 + 512 + 1024], "ever less often");
            // Another program begins to write a lot.
            costs.note(files, Method::All, ms(100));
            assert_eq!(costs.choose(files), Method::Each);
            assert_eq!(
                rounds(&mut costs, 500, 1, ms(5), ms(2)),
                [Method::Each],
                "other numbers of files know nothing of it"
            );
        }
    }

    #[test]
    fn one_slow_round_at_the_start_does_not_decide() {
        let mut costs = Costs::default();
        costs.note(16, Method::All, ms(50));
        costs.note(16, Method::Each, ms(3));
        let chosen = rounds(&mut costs, 16, 50, ms(3), ms(1));
        assert!(chosen[10..].iter().all(|method| *method == Method::All), "{chosen:?}");
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
