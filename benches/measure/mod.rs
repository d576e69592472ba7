//! A stopwatch for benches: every case in turn, several rounds, medians and their ratio to the raw baseline.
//!
//! Machines differ and change from minute to minute, so a figure alone says little. Each bench therefore runs a raw
//! baseline in the same rounds (system calls, a plain loop) and prints what fraction of it remains.

#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![allow(dead_code, reason = "each bench compiles this module and uses its part of it")]

use std::path::Path;
use std::time::Duration;
use tailwater::log::env::Clock;

/// Rounds in which all cases take their turn; the median counts.
const ROUNDS: usize = 5;

/// One thing to measure.
pub(crate) struct Case<'a> {
    name: &'a str,
    /// Units of work in one run, for the rate.
    amount: f64,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Case<'a> {
    /// `run` does `amount` units of work and says how long they took; [`timed`] measures.
    pub(crate) fn new(name: &'a str, amount: f64, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name, amount, run: Box::new(run) }
    }
}

/// How long `work` takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let clock = Clock::real();
    let start = clock.instant();
    work();
    clock.instant().since(start)
}

/// Runs the cases in turns and prints a line for each; the first one is the baseline.
pub(crate) fn compare(question: &str, unit: &str, mut cases: Vec<Case<'_>>) {
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            times.push((case.run)());
        }
    }
    println!("\n{question}");
    println!("  {:<44} {:>14}  {:>10}  {:>8}", "", format!("{unit}/s"), "spread", "of raw");
    let mut baseline = None;
    for (case, times) in cases.iter().zip(&mut times) {
        times.sort_unstable();
        let rate = case.amount / times[ROUNDS / 2].as_secs_f64();
        let spread = times[ROUNDS - 1].as_secs_f64() / times[0].as_secs_f64();
        let share = rate / *baseline.get_or_insert(rate);
        println!(
            "  {:<44} {:>14}  {:>10}  {:>8}",
            case.name,
            grouped(rate),
            format!("{spread:.2}x"),
            format!("{share:.3}")
        );
    }
}

/// Says what the figures were measured on.
pub(crate) fn machine(dir: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |l| l.trim_start_matches([':', ' ', '\t']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mounts = read("/proc/self/mounts");
    let on = |line: &&str| line.split(' ').nth(1).is_some_and(|mount| dir.starts_with(mount));
    let mount = mounts.lines().filter(on).max_by_key(|l| l.split(' ').nth(1).map_or(0, str::len)).unwrap_or_default();
    let fields: Vec<&str> = mount.split(' ').collect();
    let (device, kind) = (fields.first().unwrap_or(&"?"), fields.get(2).unwrap_or(&"?"));
    println!(
        "{cores} cores, {model}, {}, {kind} on {device}; median of {ROUNDS} rounds",
        read("/proc/sys/kernel/osrelease").trim()
    );
}

/// `1234567.8` as `1,234,568`; small numbers with a decimal.
fn grouped(n: f64) -> String {
    if n < 100.0 {
        return format!("{n:.1}");
    }
    let digits = format!("{n:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
