//! What a power cut leaves: one drawn fate, or a bounded list of all the simple ones.
//!
//! With n changes pending there are 2^n subsets, and more when writes tear. Enumerating takes these instead, which are
//! the ones that storage engines were found to get wrong (Pillai et al., OSDI 2014; Mohan et al., OSDI 2018):
//!
//! ```text
//!   first     nothing, everything, every write without any name, every name without any write
//!   in turn   prefixes      what was done before the m-th change, for each m
//!             one missing   everything but one
//!             one alone     nothing but one, and the names that lead to it
//!             one torn      a write's first sector only, last sector only, or its length as zeros; with everything
//!                           else, and with only what was done before it
//!             two missing, two alone
//! ```
//!
//! each from the newest change to the oldest, without repetition, until the limit. Every subset that is not in the list
//! is left to [`SimDisk::crash`] and its seeds.

use super::SimDisk;
use super::content::{ByteOp, Keep};
use super::names::{Entry, NameOp, drop_unreachable};
use super::state::{Inode, State};
use crate::env::Rng;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// What becomes of each pending change, in the order of the changes.
type Plan = Vec<Keep>;

/// The pending changes of all files and names that anything can still reach, in the order in which they were made.
struct Changes<'a> {
    state: &'a State,
    list: Vec<(u64, Change<'a>)>,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Name(&'a NameOp),
    Bytes(usize, &'a ByteOp),
}

impl SimDisk {
    /// The disk as the next start of the machine finds it. The same seed and history give the same disk; seeds draw
    /// between losing all that was not synced, losing nothing of it (the process died, the machine did not), and
    /// subsets. `self` is left as it was, so one history can be crashed in many ways. Locks are released and
    /// injected faults and the capacity are gone.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut rng = Rng::seeded(seed);
        let fate = rng.below(4);
        let state = self.0.lock();
        let changes = Changes::of(&state);
        let plan = match fate {
            0 => changes.all(Keep::Lost),
            1 => changes.all(Keep::Whole),
            _ => changes.drawn(&mut rng),
        };
        changes.survivor(&plan, format!("crash({seed})"))
    }

    /// The disks that a power cut now can leave, at most `limit` of them: not every subset of what is pending but every
    /// simple one, as the module says. Always in the same order. [`SimDisk::fate`] says which one a disk is.
    #[must_use]
    pub fn survivors(&self, limit: usize) -> Vec<Self> {
        let state = self.0.lock();
        let changes = Changes::of(&state);
        let plans = changes.plans(limit);
        plans.iter().enumerate().map(|(n, plan)| changes.survivor(plan, format!("survivor {n}"))).collect()
    }
}

impl<'a> Changes<'a> {
    fn of(state: &'a State) -> Self {
        let pending_names = state.pending_names.iter().map(|pending| &pending.op);
        let named = state.durable_names.values().copied().chain(pending_names.filter_map(NameOp::entry));
        let reachable: BTreeSet<usize> =
            named.filter_map(|entry| if let Entry::File(inode) = entry { Some(inode) } else { None }).collect();
        let mut list: Vec<(u64, Change<'a>)> =
            state.pending_names.iter().map(|pending| (pending.place, Change::Name(&pending.op))).collect();
        for inode in reachable {
            let pending = state.inodes[inode].pending.iter();
            list.extend(pending.map(|pending| (pending.place, Change::Bytes(inode, &pending.op))));
        }
        list.sort_unstable_by_key(|(place, _)| *place);
        Self { state, list }
    }

    fn all(&self, keep: Keep) -> Plan {
        vec![keep; self.list.len()]
    }

    fn drawn(&self, rng: &mut Rng) -> Plan {
        let keeps = self.list.iter().map(|(_, change)| match (change, rng.below(4)) {
            (Change::Name(_), 0 | 1) | (Change::Bytes(..), 0) => Keep::Lost,
            (Change::Bytes(_, ByteOp::Write { .. }), 1) => Keep::Drawn(rng.next_u64()),
            (Change::Bytes(_, ByteOp::Write { .. }), 2) => Keep::Zeros,
            _ => Keep::Whole,
        });
        self.possible(keeps.collect())
    }

    fn plans(&self, limit: usize) -> Vec<Plan> {
        let n = self.list.len();
        let is_name = |at: usize| matches!(self.list[at].1, Change::Name(_));
        let only = |names: bool| (0..n).map(|at| if is_name(at) == names { Keep::Whole } else { Keep::Lost }).collect();
        let first = vec![self.all(Keep::Lost), self.all(Keep::Whole), self.possible(only(false)), only(true)];

        let newest = || (0..n).rev();
        let pairs = || (0..n).rev().flat_map(|later| (0..later).rev().map(move |earlier| [earlier, later]));
        let mut families: [Box<dyn Iterator<Item = Plan> + '_>; 6] = [
            Box::new(newest().map(|at| self.before(at))),
            Box::new(newest().map(|at| self.without(&[at]))),
            Box::new(newest().map(|at| self.alone(&[at]))),
            Box::new(newest().flat_map(|at| self.torn(at))),
            Box::new(pairs().map(|pair| self.without(&pair))),
            Box::new(pairs().map(|pair| self.alone(&pair))),
        ];
        let (mut plans, mut seen) = (Vec::new(), BTreeSet::new());
        let mut add = |plan: Plan| {
            if plans.len() < limit && seen.insert(plan.clone()) {
                plans.push(plan);
            }
            seen.len() < limit
        };
        first.into_iter().for_each(|plan| _ = add(plan));
        loop {
            let mut more = false;
            for family in &mut families {
                more |= family.next().is_some_and(&mut add);
            }
            if !more {
                return plans;
            }
        }
    }

    fn before(&self, at: usize) -> Plan {
        (0..self.list.len()).map(|n| if n < at { Keep::Whole } else { Keep::Lost }).collect()
    }

    fn without(&self, missing: &[usize]) -> Plan {
        let mut plan = self.all(Keep::Whole);
        missing.iter().for_each(|at| plan[*at] = Keep::Lost);
        self.possible(plan)
    }

    fn alone(&self, kept: &[usize]) -> Plan {
        let mut plan = self.all(Keep::Lost);
        for at in kept {
            plan[*at] = Keep::Whole;
            if let Change::Bytes(inode, _) = self.list[*at].1 {
                self.lead_to(inode, &mut plan);
            }
        }
        // What they cannot be without.
        for at in (0..plan.len()).rev() {
            let Change::Name(earlier) = self.list[at].1 else { continue };
            let needed = |(later, keep): (&(u64, Change<'_>), &Keep)| {
                *keep != Keep::Lost && matches!(later.1, Change::Name(later) if later.needs(earlier))
            };
            if self.list[at + 1..].iter().zip(&plan[at + 1..]).any(needed) {
                plan[at] = Keep::Whole;
            }
        }
        plan
    }

    /// Keeps the last change that gave a file its name, unless it has a durable one.
    fn lead_to(&self, inode: usize, plan: &mut Plan) {
        let entry = Entry::File(inode);
        if self.state.durable_names.values().any(|durable| *durable == entry) {
            return;
        }
        let names = |change: &(u64, Change<'_>)| matches!(change.1, Change::Name(op) if op.entry() == Some(entry));
        if let Some(at) = self.list.iter().rposition(names) {
            plan[at] = Keep::Whole;
        }
    }

    fn torn(&self, at: usize) -> Vec<Plan> {
        let Change::Bytes(inode, op @ ByteOp::Write { position, bytes }) = self.list[at].1 else { return Vec::new() };
        let mut ways = Vec::new();
        if op.sectors() > 1 {
            ways.extend([Keep::First, Keep::Last]);
        }
        if position + bytes.len() as u64 > self.state.inodes[inode].durable.len() {
            ways.push(Keep::Zeros);
        }
        let mut plans = Vec::new();
        for way in ways {
            for mut plan in [self.all(Keep::Whole), self.before(at)] {
                plan[at] = way;
                plans.push(plan);
            }
        }
        plans
    }

    /// The plan without the changes of names that need one that it loses.
    fn possible(&self, mut plan: Plan) -> Plan {
        for at in 0..plan.len() {
            let Change::Name(later) = self.list[at].1 else { continue };
            let lost = |(earlier, keep): (&(u64, Change<'_>), &Keep)| {
                *keep == Keep::Lost && matches!(earlier.1, Change::Name(earlier) if later.needs(earlier))
            };
            if plan[at] != Keep::Lost && self.list[..at].iter().zip(&plan[..at]).any(lost) {
                plan[at] = Keep::Lost;
            }
        }
        plan
    }

    fn survivor(&self, plan: &[Keep], fate: String) -> SimDisk {
        let mut names = self.state.durable_names.clone();
        let mut kept_of: BTreeMap<usize, Vec<(&ByteOp, Keep)>> = BTreeMap::new();
        for ((_, change), keep) in self.list.iter().zip(plan) {
            match change {
                Change::Name(op) if *keep != Keep::Lost => op.apply(&mut names),
                Change::Name(_) => {}
                Change::Bytes(inode, op) => kept_of.entry(*inode).or_default().push((op, *keep)),
            }
        }
        drop_unreachable(&mut names);
        let mut inodes = Vec::new();
        for (path, entry) in &mut names {
            if let Entry::File(inode) = entry {
                let before = &self.state.inodes[*inode];
                let mut bytes = before.durable.clone();
                for (op, keep) in kept_of.remove(inode).unwrap_or_default() {
                    bytes.apply(op, keep);
                }
                *inode = inodes.len();
                inodes.push(Inode {
                    live: bytes.clone(),
                    durable: bytes,
                    reserved: before.reserved,
                    unreadable: before.unreadable.clone(),
                    named: true,
                    name: Some(path.clone()),
                    ..Inode::default()
                });
            }
        }
        let fate = self.describe(plan, fate);
        let trace = self.state.trace.clone().map(|mut lines| {
            lines.push(format!("-- {fate}"));
            lines
        });
        let state = State { inodes, durable_names: names.clone(), names, fate, trace, ..State::default() };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    fn describe(&self, plan: &[Keep], mut text: String) -> String {
        let lost = plan.iter().filter(|keep| **keep == Keep::Lost).count();
        let whole = plan.iter().filter(|keep| **keep == Keep::Whole).count();
        let _ = write!(text, ": of {} changes {whole} kept, {lost} lost", plan.len());
        for (keep, (_, change)) in plan.iter().zip(&self.list) {
            // The shorter of the two lists, and all that is torn.
            let rare = if lost <= whole { Keep::Lost } else { Keep::Whole };
            if *keep == rare || !matches!(keep, Keep::Lost | Keep::Whole) {
                let _ = write!(text, "; {keep:?}: {}", self.name_of(change));
            }
        }
        text
    }

    fn name_of(&self, change: &Change<'_>) -> String {
        match change {
            Change::Name(op) => op.to_string(),
            Change::Bytes(inode, op) => {
                let file = self.state.inodes[*inode].name.as_deref().unwrap_or(Path::new("?")).display();
                match op {
                    ByteOp::Write { position, bytes } => format!("write {file} [{position}, +{})", bytes.len()),
                    ByteOp::SetLen(len) => format!("set length of {file} to {len}"),
                }
            }
        }
    }
}
