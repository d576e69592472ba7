//! How a file looks: its header, its length, its line ends, its title.

use super::{Source, assert_none, tree};

/// Worth a look beyond this.
const LINES_LONG: usize = 600;
/// Split beyond this, or say why not in the header: a line `//! Long because …`.
const LINES_MAX: usize = 900;

#[test]
#[expect(clippy::print_stdout, reason = "the list is for whoever runs the test with --nocapture")]
fn the_tree_is_in_shape() {
    let tree = tree();
    for source in tree.iter().filter(|s| s.is_rust() && s.text.lines().count() > LINES_LONG) {
        println!("worth a look: {} has {} lines", source.path, source.text.lines().count());
    }
    let problems = tree.iter().flat_map(|s| [header(s), length(s), line_ends(s), titles(s)].concat()).collect();
    assert_none("every file in shape", problems);
}

fn header(source: &Source) -> Vec<String> {
    if !source.is_rust() || source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![format!("{}: does not open with `//!`: what it is, why, its invariants, what it leaves out", source.path)]
}

fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let excused = source.text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.starts_with("//! Long because "));
    if !source.is_rust() || lines <= LINES_MAX || excused {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines; split it, or say why not with `//! Long because …`", source.path)]
}

fn line_ends(source: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(source.text.split('\n')) {
        if line.contains('\t') {
            problems.push(format!("{}:{number}: a tab", source.path));
        }
        if line.ends_with([' ', '\t', '\r']) {
            problems.push(format!("{}:{number}: blanks at the end", source.path));
        }
    }
    if !source.text.is_empty() && (!source.text.ends_with('\n') || source.text.ends_with("\n\n")) {
        problems.push(format!("{}: does not end with exactly one line end", source.path));
    }
    problems
}

/// A page has one title, and it comes first.
fn titles(source: &Source) -> Vec<String> {
    if !source.is_markdown() {
        return Vec::new();
    }
    let count = unfenced(&source.text).filter(|l| l.starts_with("# ")).count();
    if count == 1 && source.text.starts_with("# ") {
        return Vec::new();
    }
    vec![format!("{}: {count} titles; a page opens with its only one", source.path)]
}

/// The lines of a Markdown text outside fenced blocks.
pub(super) fn unfenced(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_header_is_found() {
        assert_eq!(header(&Source::new("a.rs", "use x;\n")).len(), 1);
        assert_eq!(header(&Source::new("a.rs", "//! What it is.\n")), [""; 0]);
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        let body = "x\n".repeat(LINES_MAX);
        assert_eq!(length(&Source::new("a.rs", &format!("//! A.\n{body}"))).len(), 1);
        assert_eq!(length(&Source::new("a.rs", &format!("//! A.\n//! Long because it is a table.\n{body}"))), [""; 0]);
        assert_eq!(length(&Source::new("a.rs", &body)), [""; 0]);
    }

    #[test]
    fn blanks_and_tabs_are_found() {
        assert_eq!(line_ends(&Source::new("a.rs", "a \n\tb\nc\n")).len(), 2);
        assert_eq!(line_ends(&Source::new("a.rs", "a")).len(), 1);
        assert_eq!(line_ends(&Source::new("a.rs", "a\n\n")).len(), 1);
        assert_eq!(line_ends(&Source::new("a.rs", "a\n\nb\n")), [""; 0]);
    }

    #[test]
    fn a_page_has_one_title() {
        assert_eq!(titles(&Source::new("a.md", "# A\n\n# B\n")).len(), 1);
        assert_eq!(titles(&Source::new("a.md", "text\n# A\n")).len(), 1);
        assert_eq!(titles(&Source::new("a.md", "# A\n```\n# a comment\n```\n")), [""; 0]);
    }
}
