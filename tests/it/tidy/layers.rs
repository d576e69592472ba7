//! Which layer may name which: read from every path in the sources, not only from `use` lines.
//!
//! Tests are free to reach anywhere; modules under `#[cfg(test)]` are not looked at. A path through a re-export at the
//! root of `tailwater_log` counts as the layer that the name comes from.

use super::{Source, assert_none, tree};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// What each layer of log-core may name. A layer that is missing here is a mistake: decide and add it.
const LAYERS: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("codec", &["types"]),
    ("record", &["types"]),
    ("wire", &["types"]),
    ("env", &["types"]),
    // Asked where a rule may be broken on purpose.
    ("mutants", &[]),
    ("storage", &["types", "record", "env", "mutants"]),
    // The leader of a partition.
    ("replica", &["types"]),
    ("shard", &["types", "record", "env", "storage", "replica"]),
    ("group", &["types", "record", "codec"]),
    ("share", &["types", "record", "codec"]),
    ("txn", &["types", "record", "codec"]),
    // Who may do what: credentials, entries, quotas.
    ("access", &["types"]),
    // The table of settings.
    ("config", &["types"]),
    ("service", &["types", "record", "env", "config"]),
    // What members of a group say to each other are messages of the wire; `remote` speaks all of it, and reads settings as
    // brokers tell them.
    ("client", &["types", "record", "codec", "env", "service", "access", "wire", "config"]),
    (
        "broker",
        &[
            "types", "record", "codec", "env", "service", "storage", "shard", "group", "share", "txn", "access",
            "config", "wire",
        ],
    ),
    // Every decoder as a function, for tests.
    ("fuzzing", &["types", "record", "wire", "access", "storage"]),
    // The one place that puts a broker behind the client's handle.
    ("open", &["types", "env", "service", "client", "broker"]),
    // Looks at and repairs what no broker has open.
    ("doctor", &["types", "env", "storage", "broker"]),
];

/// What only some folders may name, and the folders (or files) that may.
const SHELLS: &[(&str, &[&str])] = &[
    (
        "tokio",
        &[
            "log-core/src/client/",
            "log-core/src/broker/",
            "log-core/src/open.rs",
            "streams/src/runtime/",
            "sql/src/",
            "src/",
        ],
    ),
    ("std::fs", &["log-core/src/env/real_disk.rs", "src/"]),
    // An address is a value like others; a socket is not.
    ("std::net::IpAddr", &["log-core/src/types/", "log-core/src/broker/server/"]),
    ("std::net", &["log-core/src/broker/server/", "src/"]),
    ("std::thread", &["log-core/src/shard/driver.rs", "log-core/src/broker/", "streams/src/runtime/", "src/"]),
    // Its id, so that two runs do not take each other's names.
    ("std::process", &["log-core/src/env/", "log-core/src/broker/", "log-core/src/client/", "src/"]),
    ("std::time::SystemTime", &["log-core/src/env/clock.rs"]),
    ("std::time::Instant", &["log-core/src/env/clock.rs"]),
    ("datafusion", &["sql/src/"]),
    // In sql it is a module that reads the format.
    ("bincode", &["log-core/src/codec/bincode_format.rs", "sql/src/decode/"]),
    ("tailwater_log::storage", &[]),
    ("tailwater_log::broker", &[]),
    ("tailwater_log::group", &[]),
    ("tailwater_log::share", &[]),
    ("tailwater_log::env", &["streams/src/runtime/", "src/"]),
];

#[test]
fn the_tree_keeps_its_layers() {
    let tree = tree();
    let problems = check(&tree);
    assert_none("a layer names only what is below it (the tables are in tests/it/tidy/layers.rs)", problems);
}

fn check(tree: &[Source]) -> Vec<String> {
    let files: Vec<(&Source, syn::File)> = tree
        .iter()
        .filter(|s| s.is_rust() && package(&s.path).is_some())
        .map(|s| (s, syn::parse_file(&s.text).unwrap_or_else(|e| panic!("{}: {e}", s.path))))
        .collect();
    let tests = test_files(&files);
    let exports =
        files.iter().find(|(s, _)| s.path == "log-core/src/lib.rs").map(|(_, f)| exports(f)).unwrap_or_default();
    let mut problems = BTreeSet::new();
    for (source, file) in &files {
        if tests.contains(&source.path) {
            continue;
        }
        let (package, src) = package(&source.path).expect("filtered above");
        let mut paths = Paths { module: module_of(&source.path, src), found: BTreeSet::new() };
        paths.visit_file(file);
        for path in paths.found {
            let path = match path.strip_prefix("crate") {
                Some(rest) => format!("{package}{rest}"),
                None => path,
            };
            if let Some(why) = forbidden(&source.path, package, &path, &exports) {
                problems.insert(format!("{}: `{path}`: {why}", source.path));
            }
        }
    }
    problems.into_iter().collect()
}

/// The package that a file belongs to and its source folder; `None` for tests, examples and benches.
fn package(path: &str) -> Option<(&'static str, &'static str)> {
    [
        ("tailwater_log", "log-core/src/"),
        ("tailwater_streams", "streams/src/"),
        ("tailwater_streams_derive", "streams/derive/src/"),
        ("tailwater_sql", "sql/src/"),
        ("tailwater", "src/"),
    ]
    .into_iter()
    .find(|(_, src)| path.starts_with(src))
}

fn forbidden(file: &str, package: &str, path: &str, exports: &BTreeMap<String, String>) -> Option<String> {
    if package == "tailwater_log" {
        if let Some(problem) = upward(file, path, exports) {
            return Some(problem);
        }
        if path.starts_with("tailwater_log::") {
            return None;
        }
    }
    let within = |prefix: &str| path == prefix || path.starts_with(&format!("{prefix}::"));
    let (_, folders) = SHELLS.iter().find(|(name, _)| within(name))?;
    if folders.iter().any(|folder| file.starts_with(folder)) {
        return None;
    }
    Some(match folders.len() {
        0 => "nothing outside it may name it".into(),
        _ => format!("only {} may", folders.join(" and ")),
    })
}

/// Why `path`, inside log-core, is not below the layer of `file`.
fn upward(file: &str, path: &str, exports: &BTreeMap<String, String>) -> Option<String> {
    let layer = file.strip_prefix("log-core/src/")?.split(['/', '.']).next()?;
    if layer == "lib" {
        return None;
    }
    let name = path.strip_prefix("tailwater_log::")?.split("::").next()?;
    let Some((_, below)) = LAYERS.iter().find(|(l, _)| *l == layer) else {
        return Some(format!("the layer `{layer}` has no place yet in the table"));
    };
    let target = if LAYERS.iter().any(|(l, _)| *l == name) { name } else { exports.get(name)? };
    (target != layer && !below.contains(&target)).then(|| format!("`{layer}` may not name `{target}`"))
}

/// The names that log-core's root re-exports, with the layer each comes from.
fn exports(lib: &syn::File) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for item in &lib.items {
        if let syn::Item::Use(item) = item {
            let mut paths = Vec::new();
            flatten(&item.tree, "", &mut paths);
            for path in paths {
                let mut parts = path.trim_start_matches("crate::").split("::");
                if let (Some(layer), Some(name)) = (parts.next(), parts.last()) {
                    found.insert(name.to_owned(), layer.to_owned());
                }
            }
        }
    }
    found
}

/// Files that are declared as `#[cfg(test)] mod name;`, and what lies below them.
fn test_files(files: &[(&Source, syn::File)]) -> BTreeSet<String> {
    let mut folders = Vec::new();
    for (source, file) in files {
        let dir = source.path.rsplit_once('/').map_or("", |(dir, _)| dir);
        let stem = source.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        let dir = if ["mod", "lib", "main"].contains(&stem) { dir.to_owned() } else { format!("{dir}/{stem}") };
        for item in &file.items {
            if let syn::Item::Mod(item) = item
                && item.content.is_none()
                && is_test(&item.attrs)
            {
                folders.push(format!("{dir}/{}", item.ident));
            }
        }
    }
    let below = |path: &str| {
        folders.iter().any(|f| path.strip_prefix(f.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')))
    };
    files.iter().map(|(s, _)| s.path.clone()).filter(|path| below(path)).collect()
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|a| {
        a.path().is_ident("test")
            || a.path().is_ident("cfg")
                && a.meta
                    .require_list()
                    .is_ok_and(|l| l.tokens.to_string().split([' ', ',', '(', ')']).any(|w| w == "test"))
    })
}

/// The module of a file, as `crate::a::b`.
fn module_of(path: &str, src: &str) -> Vec<String> {
    let inner = path.trim_start_matches(src).trim_end_matches(".rs");
    let parts = inner.split('/').filter(|p| !["mod", "lib", "main"].contains(p));
    std::iter::once("crate").chain(parts).map(str::to_owned).collect()
}

/// Collects every path that a file names, absolute: `super` and `self` resolved, `use` trees flattened.
struct Paths {
    module: Vec<String>,
    found: BTreeSet<String>,
}

impl Paths {
    fn add(&mut self, path: &str) {
        let mut parts: Vec<&str> = path.split("::").collect();
        let mut base = self.module.clone();
        match parts[0] {
            "self" => {
                parts.remove(0);
            }
            "super" => {
                while parts.first() == Some(&"super") {
                    parts.remove(0);
                    base.pop();
                }
            }
            _ => base.clear(),
        }
        let parts = base.into_iter().chain(parts.into_iter().map(str::to_owned));
        self.found.insert(parts.collect::<Vec<_>>().join("::"));
    }
}

impl<'a> Visit<'a> for Paths {
    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let mut paths = Vec::new();
        flatten(&item.tree, "", &mut paths);
        paths.iter().for_each(|path| self.add(path));
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if path.segments.len() > 1 {
            let parts: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
            self.add(&parts.join("::"));
        }
        visit::visit_path(self, path);
    }

    /// The insides of a macro call are tokens, not syntax: paths are picked out of their text.
    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let tokens = call.tokens.to_string().replace(" :: ", "::");
        let words = tokens.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        for word in words.map(|w| w.trim_matches(':')).filter(|w| w.contains("::")) {
            self.add(word);
        }
        visit::visit_macro(self, call);
    }
}

fn flatten(tree: &syn::UseTree, prefix: &str, out: &mut Vec<String>) {
    let join = |name: String| if prefix.is_empty() { name } else { format!("{prefix}::{name}") };
    match tree {
        syn::UseTree::Path(path) => flatten(&path.tree, &join(path.ident.to_string()), out),
        syn::UseTree::Name(name) if name.ident == "self" => out.push(prefix.to_owned()),
        syn::UseTree::Name(name) => out.push(join(name.ident.to_string())),
        syn::UseTree::Rename(name) => out.push(join(name.ident.to_string())),
        syn::UseTree::Glob(_) => out.push(join("*".into())),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| flatten(item, prefix, out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let lib = Source::new("log-core/src/lib.rs", "pub use client::{Log, Admin}; pub use types::Error;");
        check(&[lib, Source::new(path, text)])
    }

    #[test]
    fn a_use_that_points_up_is_found_in_every_form() {
        for text in [
            "use crate::storage::PartitionLog;",
            "use crate::{types::Offset, storage::{self, PartitionLog}};",
            "use super::super::storage::PartitionLog;",
            "fn f() -> crate::storage::PartitionLog { loop {} }",
            "fn f() { assert!(crate::storage::is_open()); }",
            "mod inner { use super::super::super::storage::PartitionLog; }",
        ] {
            assert!(!problems("log-core/src/client/admin.rs", text).is_empty(), "{text}");
        }
        assert_eq!(problems("log-core/src/client/admin.rs", "use crate::types::Offset; use super::Log;"), [""; 0]);
        assert_eq!(problems("log-core/src/group/mod.rs", "use crate::Log;").len(), 1, "through the root's re-export");
        assert_eq!(problems("log-core/src/group/mod.rs", "use crate::Error;"), [""; 0]);
        assert_eq!(problems("log-core/src/attic/mod.rs", "use crate::types::Offset;").len(), 1, "an unknown layer");
    }

    #[test]
    fn shells_keep_their_tools() {
        for (path, text) in [
            ("log-core/src/storage/log.rs", "use tokio::sync::Mutex;"),
            ("log-core/src/share/mod.rs", "fn f() { std::thread::yield_now() }"),
            ("log-core/src/types/offset.rs", "fn f() { std::fs::read(\"x\").ok(); }"),
            ("streams/src/task.rs", "use tailwater_log::env::SimDisk;"),
            ("sql/src/catalog.rs", "use tailwater_log::broker::Broker;"),
            ("streams/src/task.rs", "fn f() { tokio::select! {} }"),
        ] {
            assert_eq!(problems(path, text).len(), 1, "{path}: {text}");
        }
        assert_eq!(problems("log-core/src/broker/flush.rs", "use tokio::sync::watch;"), [""; 0]);
    }

    #[test]
    fn tests_may_reach_anywhere() {
        let inline = "#[cfg(test)] mod tests { use crate::broker::Broker; }";
        assert_eq!(problems("log-core/src/types/offset.rs", inline), [""; 0]);
        let parent = Source::new("log-core/src/types/mod.rs", "#[cfg(test)] mod tests;");
        let child = Source::new("log-core/src/types/tests.rs", "use crate::broker::Broker;");
        assert_eq!(check(&[parent, child]), [""; 0]);
    }
}
