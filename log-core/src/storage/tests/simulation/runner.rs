//! Random runs: each seed draws its partitions, its steps and its faults. A failing one is made as short as it will go.

use super::Checked;
use super::history::{Setup, Step, draw};
use super::world::{Counts, World};
use crate::env::Rng;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds in a plain `cargo test`.
const SEEDS: u64 = 400;
/// Seeds of which it is told how they fail.
const REPORTED: usize = 12;

/// Runs what a seed draws; the error says what did not hold.
#[allow(dead_code, reason = "for checks of this check")]
pub(in crate::storage) fn run_seed(seed: u64) -> Checked {
    let (setups, steps) = draw(seed);
    run(seed, &setups, &steps, false).map(drop)
}

/// Does the steps, then closes and opens; what happened on the disk, if it is asked for.
fn run(seed: u64, setups: &[Setup], steps: &[Step], traced: bool) -> Checked<(Counts, Vec<String>)> {
    let mut world = World::new(setups);
    if traced {
        world.disk.trace_calls();
    }
    world.up(false)?;
    let mut rng = Rng::seeded(seed ^ 0x5EED);
    // Where in the trace each step begins.
    let mut begins = Vec::new();
    let mut step = |world: &mut World, name: String, step: &Step, opens_twice: bool| {
        let opens = world.counts.opens;
        begins.push((world.disk.trace().len(), format!("{name}, {step:?}")));
        let stepped = world.step(step).and_then(|()| {
            // Opening it twice gives what opening it once gave.
            let twice = opens_twice && world.counts.opens > opens && rng.chance(1, 4);
            if twice { world.opens_again(rng.next_u64()) } else { Ok(()) }
        });
        stepped.map_err(|why| format!("{name}, {step:?}: {why}\n{}", tail(&world.disk.trace(), &begins).join("\n")))
    };
    for (n, drawn) in steps.iter().enumerate() {
        step(&mut world, format!("step {n}"), drawn, true)?;
    }
    let reads = (0..setups.len()).map(|slot| Step::Read { slot, max_bytes: 1 << 20, from_files: true });
    for last in [Step::Heal, Step::Close, Step::Kill, Step::Close].into_iter().chain(reads) {
        step(&mut world, "at the end".to_owned(), &last, false)?;
    }
    Ok((world.counts, world.disk.trace()))
}

/// The last calls, under the steps that made them.
fn tail(trace: &[String], begins: &[(usize, String)]) -> Vec<String> {
    let from = trace.len().saturating_sub(400);
    let calls = trace.iter().enumerate().skip(from).map(|(n, call)| (n, 1, format!("    {call}")));
    let steps = begins.iter().filter(|(at, _)| *at >= from && !trace.is_empty());
    let mut lines: Vec<_> = steps.map(|(at, step)| (*at, 0, step.clone())).chain(calls).collect();
    lines.sort_by_key(|(at, kind, _)| (*at, *kind));
    lines.into_iter().map(|(.., line)| line).collect()
}

/// A history that failed once; the error has what happened on the disk.
pub(super) fn replay(seed: u64, setups: &[Setup], steps: &[Step]) -> Checked {
    run(seed, setups, steps, true).map(drop)
}

/// As [`run`], a panic of the engine included.
fn attempt(seed: u64, setups: &[Setup], steps: &[Step]) -> Checked<Counts> {
    let ran = catch_unwind(AssertUnwindSafe(|| run(seed, setups, steps, false)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
    .map(|(counts, _)| counts)
}

/// Leaves out every step without which it still fails.
fn shorten(seed: u64, setups: &[Setup], mut steps: Vec<Step>) -> Vec<Step> {
    loop {
        let before = steps.len();
        for n in (0..steps.len()).rev() {
            let mut shorter = steps.clone();
            shorter.remove(n);
            if attempt(seed, setups, &shorter).is_err() {
                steps = shorter;
            }
        }
        if steps.len() == before {
            return steps;
        }
    }
}

/// What to tell of a seed that fails.
fn report(seed: u64, why: &str) -> String {
    let (setups, steps) = draw(seed);
    let steps = shorten(seed, &setups, steps);
    let shorter = attempt(seed, &setups, &steps).err().unwrap_or_default();
    let steps: String = steps.iter().map(|step| format!("    {step:?},\n")).collect();
    format!(
        "seed {seed}: {why}\nas short as it goes: {shorter}\n  {setups:?}\n{steps}replay it:\n  \
         TAILWATER_SEED={seed} cargo test -p tailwater-log --lib simulation::runner -- --nocapture"
    )
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
#[expect(clippy::print_stdout, reason = "for whoever asked for it")]
fn random_runs_keep_every_promise() {
    if let Some(seed) = variable("TAILWATER_SEED") {
        let (setups, steps) = draw(seed);
        println!("{setups:#?}");
        match run(seed, &setups, &steps, true) {
            Ok((counts, trace)) => println!("{}\n{counts:?}", trace.join("\n")),
            Err(why) => panic!("{why}\n{}", report(seed, "")),
        }
        return;
    }
    let seeds = variable("TAILWATER_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(0);
    let work = || {
        let (mut sum, mut failed) = (Counts::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (sum, failed);
            }
            let (setups, steps) = draw(seed);
            match attempt(seed, &setups, &steps) {
                Ok(counts) => sum.add(&counts),
                Err(why) => {
                    failed.push((seed, why));
                    if failed.len() >= 20 {
                        return (sum, failed);
                    }
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut sum, mut failed) = (Counts::default(), Vec::new());
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in running {
            let (counts, failures) = thread.join().expect("it catches what panics");
            sum.add(&counts);
            failed.extend(failures);
        }
    });
    println!("{seeds} seeds: {sum}");
    if !failed.is_empty() {
        let all: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
        // Those with few steps left first: the cause may be the same.
        let mut reports: Vec<String> = failed.iter().take(REPORTED).map(|(seed, why)| report(*seed, why)).collect();
        reports.sort_by_key(String::len);
        panic!("{} of {seeds} seeds fail: {all:?}\n\n{}", failed.len(), reports.join("\n\n"));
    }
    assert!(sum.covers_everything(), "{sum}");
}

#[test]
fn the_same_seed_makes_the_same_calls() {
    for seed in 0..20 {
        let (setups, steps) = draw(seed);
        let trace = || run(seed, &setups, &steps, true).map(|(_, trace)| trace);
        let (once, twice) = (trace(), trace());
        assert!(once.as_ref().is_ok_and(|once| once.len() > 100), "seed {seed}: {once:?}");
        assert_eq!(once, twice, "seed {seed}");
    }
}
