//! Links of pages and doc comments that point into the repository.
//!
//! Links to items (`[Log::open]`) are rustdoc's to check, and links to other hosts are not followed.

use super::shape::unfenced;
use super::{Source, assert_none, root, tree};
use std::fs;

#[test]
fn the_tree_has_no_dead_links() {
    let read = |path: &str| fs::read_to_string(root().join(path)).ok();
    let problems = tree().iter().flat_map(|s| dead_links(s, &read, &exists)).collect();
    assert_none("what is linked exists", problems);
}

fn exists(path: &str) -> bool {
    root().join(path).exists()
}

fn dead_links(source: &Source, read: &dyn Fn(&str) -> Option<String>, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    for target in targets(source) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (file, anchor) = target.split_once('#').map_or((target.as_str(), None), |(f, a)| (f, Some(a)));
        let path = if file.is_empty() { source.path.clone() } else { resolve(&source.path, file) };
        if !exists(&path) {
            problems.push(format!("{}: `{target}` does not exist", source.path));
        } else if let Some(anchor) = anchor
            && path.ends_with(".md")
            && !read(&path).is_some_and(|text| unfenced(&text).any(|line| slug(line).as_deref() == Some(anchor)))
        {
            problems.push(format!("{}: `{target}`: no such heading", source.path));
        }
    }
    problems
}

/// What the file links to: on a page everything, in doc comments only what looks like a file.
fn targets(source: &Source) -> Vec<String> {
    if source.is_markdown() {
        return unfenced(&source.text).flat_map(link_targets).collect();
    }
    let docs = source.text.lines().map(str::trim_start).filter(|l| l.starts_with("//!") || l.starts_with("///"));
    let is_file = |target: &String| target.contains('/') || target.ends_with(".md") || target.ends_with(".rs");
    docs.filter(|_| source.is_rust()).flat_map(link_targets).filter(is_file).collect()
}

/// The targets of `[text](target)` in one line, without those in `code`.
fn link_targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// `link`, as written in the file `from`, relative to the root.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The anchor that a heading gets: lower case, blanks to hyphens, punctuation dropped.
fn slug(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?.trim();
    let kept = heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
    Some(kept.replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        let page = "# Page\n## Layers, and why\n";
        dead_links(&Source::new(path, text), &|_| Some(page.into()), &|path| ["docs/page.md", "docs"].contains(&path))
    }

    #[test]
    fn a_dead_link_is_found() {
        assert_eq!(check("docs/a.md", "see [this](pgae.md) and [that](../page.md)\n").len(), 2);
        assert_eq!(
            check("docs/a.md", "see [this](page.md), [it](../docs/page.md) and [x](https://docs.rs/x)\n"),
            [""; 0]
        );
        assert_eq!(check("src/a.rs", "/// See [this](../pgae.md) and [that](Log::open).\n").len(), 1);
        assert_eq!(check("a.md", "`[not](a-link.md)` and\n```\n[not](a-link.md)\n```\n"), [""; 0]);
    }

    #[test]
    fn a_dead_anchor_is_found() {
        assert_eq!(check("docs/a.md", "[x](page.md#layer)\n").len(), 1);
        assert_eq!(check("docs/a.md", "[x](page.md#layers-and-why)\n"), [""; 0]);
    }
}
