//! What must not be in the sources: unfinished code, printing past the one writer, traces of one machine.

use super::{Source, assert_none, root, tree};
use std::fs;
use syn::visit::{self, Visit};

/// Hosts that a page or a comment may point to. A link elsewhere is a decision: add the host here.
const HOSTS: &[&str] = &[
    "0.0.0.0",
    "127.0.0.1",
    "apache.org",
    "arxiv.org",
    "cwiki.apache.org",
    "docs.rs",
    "doc.rust-lang.org",
    "github.com",
    "kafka.apache.org",
    "keepachangelog.com",
    "localhost",
    "rustup.rs",
    "www.apache.org",
    "www.rfc-editor.org",
];

/// The start of an absolute path of somebody's machine, split so that this file does not hold it.
const MACHINE_PATHS: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];

const MARK: &str = concat!("FIX", "ME");

#[test]
fn the_tree_has_no_leftovers() {
    let problems = tree().iter().flat_map(|s| words(s).into_iter().chain(macros(s))).collect();
    assert_none("nothing unfinished, nothing of one machine", problems);
}

#[test]
fn the_tree_builds_from_the_public_registry_only() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is checked in");
    assert_none("Cargo.lock", foreign_sources(&lock));
}

fn words(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(source.text.lines()) {
        let mut found = |what: &str| problems.push(format!("{}:{number}: {what}", source.path));
        if line.contains(MARK) {
            found(MARK);
        }
        for path in MACHINE_PATHS.iter().filter(|p| line.contains(**p)) {
            found(&format!("`{path}` is a path of one machine"));
        }
        for url in line.split("://").skip(1) {
            let host =
                url.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-')).next().unwrap_or_default();
            if host.contains('.') && !host.ends_with(".invalid") && !HOSTS.contains(&host) {
                found(&format!("the host `{host}` is not in the list"));
            }
        }
    }
    problems
}

/// Macro calls that are not allowed where they stand.
fn macros(source: &Source) -> Vec<String> {
    if !source.is_rust() {
        return Vec::new();
    }
    let file = syn::parse_file(&source.text).unwrap_or_else(|e| panic!("{}: {e}", source.path));
    let mut calls = Calls { may_print: may_print(&source.path), found: Vec::new() };
    calls.visit_file(&file);
    calls.found.into_iter().map(|name| format!("{}: `{name}!`", source.path)).collect()
}

fn may_print(path: &str) -> bool {
    let in_tests = path.starts_with("tests/") || path.contains("/tests/");
    in_tests || path == "src/output.rs" || ["examples/", "benches/"].iter().any(|folder| path.starts_with(folder))
}

struct Calls {
    may_print: bool,
    found: Vec<String>,
}

impl<'a> Visit<'a> for Calls {
    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let name = call.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let prints = ["print", "println", "eprint", "eprintln"].contains(&name.as_str());
        if ["todo", "unimplemented", "dbg"].contains(&name.as_str()) || prints && !self.may_print {
            self.found.push(name);
        }
        visit::visit_macro(self, call);
    }
}

fn foreign_sources(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|l| l.strip_prefix("source = "));
    sources.filter(|s| !s.starts_with("\"registry+https://github.com/rust-lang/")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_code_is_found() {
        let bad = Source::new("sql/src/a.rs", "fn f() { todo!() } fn g() { x(dbg!(1)); std::unimplemented!() }");
        assert_eq!(macros(&bad), ["sql/src/a.rs: `todo!`", "sql/src/a.rs: `dbg!`", "sql/src/a.rs: `unimplemented!`"]);
        assert_eq!(words(&Source::new("a.rs", &format!("// {MARK} later"))), [format!("a.rs:1: {MARK}")]);
    }

    #[test]
    fn only_the_writer_prints() {
        let text = "fn f() { println!(); eprintln!() }";
        assert_eq!(macros(&Source::new("src/cli/tail.rs", text)).len(), 2);
        assert_eq!(macros(&Source::new("src/output.rs", text)), [""; 0]);
        assert_eq!(macros(&Source::new("examples/a.rs", text)), [""; 0]);
    }

    #[test]
    fn traces_of_a_machine_are_found() {
        let bad = format!("see {}me/notes or https:{}", MACHINE_PATHS[0], "//mirror.example.net/x");
        assert_eq!(words(&Source::new("a.md", &bad)).len(), 2);
        assert_eq!(words(&Source::new("a.md", "https://docs.rs/tokio http://localhost:9092 kafka://x")), [""; 0]);
        assert_eq!(foreign_sources("source = \"registry+https://mirror.invalid/index\"\n").len(), 1);
    }
}
