//! The entries of access control, kept so that those that cover a name are found without walking all of them.
//!
//! Literal patterns are looked up by name. Prefixes are in a sorted map: going down from the name, each step either
//! finds a prefix of it or jumps to what the name and the found pattern have in common, so that a lookup costs about as
//! many steps as there are prefixes of the name that could exist.

use crate::types::{AclBinding, AclFilter, PatternType, ResourceType, WILDCARD};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// A set of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acls {
    literal: BTreeMap<ResourceType, ByName>,
    prefixed: BTreeMap<ResourceType, ByName>,
    count: usize,
}

type ByName = BTreeMap<String, BTreeSet<AclBinding>>;

impl Acls {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an entry; whether it is new.
    pub(crate) fn insert(&mut self, entry: AclBinding) -> bool {
        let names = self.of(entry.pattern_type).entry(entry.resource_type).or_default();
        let is_new = names.entry(entry.resource_name.clone()).or_default().insert(entry);
        self.count += usize::from(is_new);
        is_new
    }

    /// Takes an entry out; whether it was there.
    pub(crate) fn remove(&mut self, entry: &AclBinding) -> bool {
        let kinds = self.of(entry.pattern_type);
        let Some(names) = kinds.get_mut(&entry.resource_type) else { return false };
        let Some(entries) = names.get_mut(&entry.resource_name) else { return false };
        let was_there = entries.remove(entry);
        // What is empty goes, so that sets with the same entries are equal.
        if entries.is_empty() {
            names.remove(&entry.resource_name);
        }
        if names.is_empty() {
            kinds.remove(&entry.resource_type);
        }
        self.count -= usize::from(was_there);
        was_there
    }

    /// Every entry.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &AclBinding> {
        let all = self.literal.values().chain(self.prefixed.values());
        all.flat_map(|names| names.values().flatten())
    }

    /// The entries that a filter chooses.
    pub(crate) fn matching(&self, filter: &AclFilter) -> Vec<AclBinding> {
        self.iter().filter(|entry| filter.matches(entry)).cloned().collect()
    }

    /// The entries of one kind of resource.
    pub(super) fn of_type(&self, kind: ResourceType) -> impl Iterator<Item = &AclBinding> {
        let both = [self.literal.get(&kind), self.prefixed.get(&kind)];
        both.into_iter().flatten().flat_map(|names| names.values().flatten())
    }

    /// The entries that cover a name: literal, `*`, prefixes.
    pub(super) fn covering<'a>(
        &'a self,
        kind: ResourceType,
        name: &'a str,
    ) -> impl Iterator<Item = &'a AclBinding> + 'a {
        let literal = self.literal.get(&kind);
        let wildcard = (name != WILDCARD).then_some(WILDCARD);
        let exact = [Some(name), wildcard].into_iter().flatten().filter_map(move |name| literal?.get(name));
        let prefixed = self.prefixed.get(&kind).into_iter().flat_map(move |names| prefixes(names, name));
        exact.chain(prefixed).flatten()
    }

    fn of(&mut self, pattern: PatternType) -> &mut BTreeMap<ResourceType, ByName> {
        match pattern {
            PatternType::Literal => &mut self.literal,
            PatternType::Prefixed => &mut self.prefixed,
        }
    }
}

/// The entries whose names are prefixes of `name`, the longest first.
fn prefixes<'a>(names: &'a ByName, name: &'a str) -> impl Iterator<Item = &'a BTreeSet<AclBinding>> + 'a {
    let mut upto = Bound::Included(name);
    std::iter::from_fn(move || {
        loop {
            let (found, entries) = names.range::<str, _>((Bound::Unbounded, upto)).next_back()?;
            if name.starts_with(found.as_str()) {
                upto = Bound::Excluded(found.as_str());
                return Some(entries);
            }
            // What lies between it and what both have in common is no prefix of the name.
            upto = Bound::Included(common(name, found));
        }
    })
}

/// What two texts begin with.
fn common<'a>(a: &'a str, b: &str) -> &'a str {
    let differ = a.char_indices().zip(b.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    &a[..differ.unwrap_or_else(|| a.len().min(b.len()))]
}
