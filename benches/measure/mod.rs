//! A stopwatch for benches: every case in turn, several rounds, medians and their ratio to the raw baseline.
//!
//! Machines differ and change from minute to minute, so a figure alone says little. Each bench therefore runs a raw
//! baseline in the same rounds (system calls, a plain loop) and prints what fraction of it remains: the median of the
//! ratios of each round, so that what slows a whole round down counts for nothing. Of several baselines the fastest
//! counts. A case may have a target, of which is said whether it is met.
//!
//! Beside it stands the ratio of processor time, of all threads and rounds. Where it is far better than the other one,
//! the case has waited: for the disk, or for a core, because other programs had them.

#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![allow(dead_code, reason = "each bench compiles this module and uses its part of it")]

use std::path::Path;
use std::time::Duration;
use tailwater::log::env::Clock;

/// Rounds in which all cases take their turn; the median counts.
const ROUNDS: usize = 9;

/// One thing to measure.
pub(crate) struct Case<'a> {
    name: &'a str,
    /// Units of work in one run, for the rate.
    amount: f64,
    is_raw: bool,
    target: Option<Target>,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

/// What a case is to reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// So much of the best baseline's rate.
    AtLeast(f64),
    /// So many times the time of the best baseline.
    AtMostTimes(f64),
}

impl<'a> Case<'a> {
    /// `run` does `amount` units of work and says how long they took; [`timed`] measures.
    pub(crate) fn new(name: &'a str, amount: f64, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name, amount, is_raw: false, target: None, run: Box::new(run) }
    }

    /// The same for a baseline.
    pub(crate) fn raw(name: &'a str, amount: f64, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { is_raw: true, ..Self::new(name, amount, run) }
    }

    pub(crate) fn target(self, target: Target) -> Self {
        Self { target: Some(target), ..self }
    }
}

/// How long `work` takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let clock = Clock::real();
    let start = clock.instant();
    work();
    clock.instant().since(start)
}

/// Runs the cases in turns and prints a line for each.
pub(crate) fn compare(question: &str, unit: &str, mut cases: Vec<Case<'_>>) {
    let mut times = vec![Vec::new(); cases.len()];
    let mut ticks = vec![0; cases.len()];
    for _ in 0..ROUNDS {
        for ((case, times), ticks) in cases.iter_mut().zip(&mut times).zip(&mut ticks) {
            let before = processor_ticks();
            times.push((case.run)().as_secs_f64() / case.amount);
            *ticks += processor_ticks() - before;
        }
    }
    let raw = (0..cases.len()).filter(|at| cases[*at].is_raw);
    let best = raw.min_by(|a, b| median(&times[*a]).total_cmp(&median(&times[*b]))).expect("a baseline");
    println!("\n{question}");
    println!("  {:<46} {:>12}  {:>8}  {:>8}  {:>6}", "", format!("{unit}/s"), "spread", "of raw", "cpu");
    for (at, case) in cases.iter().enumerate() {
        let shares: Vec<f64> = times[at].iter().zip(&times[best]).map(|(time, raw)| raw / time).collect();
        let (share, rate) = (median(&shares), 1.0 / median(&times[at]));
        let (least, most) =
            times[at].iter().fold((f64::MAX, 0.0_f64), |(least, most), t| (least.min(*t), most.max(*t)));
        let spread = format!("{:.2}x", most / least);
        let verdict = case.target.map_or(String::new(), |target| target.verdict(share));
        let per_unit = |at: usize| ticks[at] as f64 / cases[at].amount;
        let cpu = if ticks[at] == 0 { "-".into() } else { format!("{:.2}", per_unit(best) / per_unit(at)) };
        println!("  {:<46} {:>12}  {spread:>8}  {share:>8.3}  {cpu:>6}{verdict}", case.name, grouped(rate));
    }
}

/// Prints a line.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Says whether a figure that has no baseline is what it should be.
pub(crate) fn figure(name: &str, is: f64, unit: &str, at_most: f64) {
    let verdict = if is <= at_most { "met" } else { "missed" };
    println!("  {name:<46} {:>12}  at most {at_most} {unit}: {verdict}", format!("{is:.2} {unit}"));
}

impl Target {
    fn verdict(self, share: f64) -> String {
        let said = |is_met, text| format!("  {text}: {}", if is_met { "met" } else { "missed" });
        match self {
            Self::AtLeast(least) => said(share >= least, format!("at least {least:.2}")),
            Self::AtMostTimes(most) => {
                said(share * most >= 1.0, format!("{:.2} times the time of raw, at most {most:.2}", 1.0 / share))
            }
        }
    }
}

/// Processor time that this process has used, in the kernel's ticks of 10 ms; 0 where there is no such file.
pub(crate) fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(") ").next().unwrap_or_default();
    behind_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
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
