//! Golden scripts: a file of commands, each followed by what it printed.
//!
//! ```text
//! # a comment
//! > command arguments
//! what it printed
//! ```
//! `UPDATE_GOLDENFILES=1 cargo test` writes the files anew; review the difference as prose.

use std::path::Path;

/// Runs every command of the script `file` (a path below `src/`) and compares what it prints with what is there.
pub(crate) fn check(file: &str, mut run: impl FnMut(&[&str]) -> Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file);
    let script = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut found = String::new();
    let mut commands = 0;
    for line in script.lines() {
        match line.strip_prefix("> ") {
            Some(command) => {
                commands += 1;
                found += &format!("{line}\n");
                run(&command.split_whitespace().collect::<Vec<_>>())
                    .iter()
                    .for_each(|out| found += &format!("{out}\n"));
            }
            None if line.is_empty() || line.starts_with('#') => found += &format!("{line}\n"),
            None => {}
        }
    }
    assert!(commands > 0, "{} has no commands", path.display());
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &found).unwrap();
    } else {
        assert_eq!(script, found, "{} is not what happens; see src/golden.rs", path.display());
    }
}
