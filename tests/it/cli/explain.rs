//! Every error code has a page, and every page a code.

use super::Tw;
use std::collections::BTreeSet;
use std::path::Path;

/// The codes that stand as string literals in the sources below `dir`.
fn codes_in(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_in(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("\"TW0") {
                let code = text.get(at + 1..at + 7).unwrap_or_default();
                if text.get(at + 7..at + 8) == Some("\"") && code[2..].bytes().all(|b| b.is_ascii_digit()) {
                    found.insert(code.to_owned());
                }
            }
        }
    }
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut codes = BTreeSet::new();
    for dir in ["log-core/src", "streams/src", "sql/src", "src"] {
        codes_in(&root.join(dir), &mut codes);
    }
    assert!(codes.len() > 40, "{codes:?}");
    let tw = Tw::new();
    let listed = tw.run(&["explain"]).ok();
    let pages: BTreeSet<String> = listed.lines().filter_map(|l| l.split_once(' ')).map(|(c, _)| c.to_owned()).collect();
    assert_eq!(pages, codes);
}

#[test]
fn a_page_is_found_by_its_number() {
    let tw = Tw::new();
    let page = tw.run(&["explain", "TW0102"]).ok();
    assert!(page.starts_with("TW0102: there is no such topic\n"), "{page}");
    assert_eq!(tw.run(&["explain", "102"]).ok(), page);
    assert_eq!(tw.run(&["explain", "tw0102"]).ok(), page);
}
