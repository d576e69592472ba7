//! The house rules, read from the sources: lints that clippy does not have.
//!
//! - [`layers`]: no `use` (or path) points up or sideways, and tokio, files, threads and clocks stay in the shells.
//! - [`leftovers`]: no `todo!` and its like, no printing but through the one writer, no words that must not be there.
//! - [`shape`]: a header on every module, files of a readable length, one title on every page, clean line ends.
//! - [`links`]: what a page or a doc comment links to exists.
//!
//! Each rule is a function from a file's text to its problems, with a test that feeds it a bad sample; the tests named
//! `the_tree_…` apply the rules to this repository.

mod layers;
mod leftovers;
mod links;
mod shape;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
struct Source {
    /// Relative to the root, with `/` between the parts.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file that is written by hand: Rust, Markdown, TOML, scripts.
fn tree() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(root(), &mut paths);
    paths.sort();
    let sources: Vec<Source> = paths.into_iter().map(|path| read(&path)).collect();
    assert!(sources.iter().any(|s| s.path == "log-core/src/lib.rs"), "the walk lost its way in {}", root().display());
    sources
}

fn read(path: &Path) -> Source {
    let relative = path.strip_prefix(root()).expect("the walk starts at the root");
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Source { path: relative.to_str().expect("names in the repository are UTF-8").replace('\\', "/"), text }
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.expect("a directory entry can be read").path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let built_or_run = ["target", "tw-demo", "tw-data"].contains(&name);
        if path.is_dir() {
            if !built_or_run && (!name.starts_with('.') || name == ".ci") {
                collect(&path, out);
            }
        } else if [".rs", ".md", ".toml", ".py"].iter().any(|end| name.ends_with(end)) || path.ends_with(".ci/run") {
            out.push(path);
        }
    }
}

/// Fails with every problem at once, one a line.
fn assert_none(rule: &str, problems: Vec<String>) {
    assert!(problems.is_empty(), "{rule}:\n  {}\n", problems.join("\n  "));
}
