//! That the tests notice: each [`Mutant`] is chosen, and one check after the other runs until one fails.
//!
//! The checks are tests of the modules beside this one. Without a mutant all of them pass, which is tried first.

use super::{basics, faults, model, rot, simulation, transactions, truncation, upkeep};
use crate::mutants::{Mutant, with};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A test, and what to call it.
pub(super) type Check = (&'static str, fn());

/// Those that are quick and catch much come first.
const CHECKS: &[&[Check]] = &[
    basics::CHECKS,
    truncation::CHECKS,
    transactions::CHECKS,
    faults::CHECKS,
    upkeep::CHECKS,
    model::CHECKS,
    rot::CHECKS,
];

/// Seeds of the simulation that each mutant gets, besides.
const SEEDS: u64 = if cfg!(debug_assertions) { 20 } else { 500 };

/// Whether `check` passes with a mutant, or with none.
fn passes(mutant: Option<Mutant>, check: impl FnOnce()) -> bool {
    with(mutant, || catch_unwind(AssertUnwindSafe(check)).is_ok())
}

/// How many seeds of the simulation it takes to notice.
fn seeds(mutant: Option<Mutant>) -> Option<u64> {
    (0..SEEDS).find(|seed| !passes(mutant, || simulation::run_seed(*seed).unwrap())).map(|seed| seed + 1)
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for whoever asked for it")]
fn every_mutant_is_caught_and_nothing_else() {
    let checks: Vec<Check> = CHECKS.concat();
    for (name, check) in &checks {
        assert!(passes(None, check), "{name} fails without a mutant");
    }
    assert_eq!(seeds(None), None, "a seed of the simulation fails without a mutant");
    println!("without a mutant {} checks pass, and {SEEDS} seeds of the simulation", checks.len());
    // What a caught mutant has to say is of no interest.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut survivors = Vec::new();
    println!("{:<25}{:<40}{:>8}{:>20}", "mutant", "caught by", "checks", "simulation, seeds");
    for mutant in Mutant::ALL {
        let caught = checks.iter().position(|(_, check)| !passes(Some(mutant), check));
        let seeds = seeds(Some(mutant));
        let (name, after) = caught.map_or(("", 0), |at| (checks[at].0, at + 1));
        let by_seeds = seeds.map_or("-".to_owned(), |seeds| seeds.to_string());
        println!("{:<25}{name:<40}{after:>8}{by_seeds:>20}", format!("{mutant:?}"));
        if caught.is_none() && seeds.is_none() {
            survivors.push(mutant);
        }
    }
    std::panic::set_hook(hook);
    assert!(survivors.is_empty(), "no check notices {survivors:?}");
}
