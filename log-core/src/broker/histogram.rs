//! How long something takes, as Prometheus counts it: so many took no longer than each of some bounds.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds, and how Prometheus writes them in seconds.
const BOUNDS: [(u64, &str); 15] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (30_000_000, "30"),
];

/// Counts durations. Whoever reads it while others count may see one that is not in all of its parts yet.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// By the first bound that is not exceeded; the last has none.
    counts: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|(bound, _)| *bound < micros);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Writes it as `name`; `labels` is empty, or as in `api="Fetch",`.
    pub(super) fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        let bounds = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (count, bound) in self.counts.iter().zip(bounds) {
            below += count.load(Ordering::Relaxed);
            writeln!(out, "{name}_bucket{{{labels}le=\"{bound}\"}} {below}").expect("a String takes it");
        }
        let seconds = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        let labels = match labels.trim_end_matches(',') {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        writeln!(out, "{name}_sum{labels} {seconds}\n{name}_count{labels} {below}").expect("a String takes it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_counts_what_took_no_longer() {
        let histogram = Histogram::default();
        for micros in [1, 100, 101, 30_000_000, 30_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let mut out = String::new();
        histogram.write(&mut out, "took", "api=\"Fetch\",");
        assert_eq!(out.lines().count(), BOUNDS.len() + 3);
        assert!(out.starts_with("took_bucket{api=\"Fetch\",le=\"0.0001\"} 2\n"), "{out}");
        assert!(out.contains("le=\"0.00025\"} 3\n") && out.contains("le=\"30\"} 4\n"), "{out}");
        assert!(out.contains("le=\"+Inf\"} 5\n") && out.ends_with("took_count{api=\"Fetch\"} 5\n"), "{out}");
        histogram.write(&mut out, "took", "");
        assert!(out.ends_with("took_sum 60.000203\ntook_count 5\n"), "{out}");
        assert_eq!(histogram.count(), 5);
    }
}
