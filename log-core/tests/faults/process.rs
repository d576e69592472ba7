//! The client: starts a writer, listens to it, kills it, and keeps what was acknowledged.

use crate::batches::{LANES, next_offset};
use crate::writer::Task;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A line of a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Opening,
    Acked { lane: usize, number: u64, offset: i64, is_duplicate: bool },
    Failed { lane: usize, number: u64, code: String },
    Late { lane: usize, number: u64 },
    Refused { what: String, code: String },
}

impl Said {
    /// `None` for what the test runner says.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        let lane = || number(1).map(|lane| lane as usize);
        Some(match *words.first()? {
            // The test runner begins the line.
            _ if line.ends_with("opening") => Self::Opening,
            "acked" => {
                let is_duplicate = *words.get(4)? == "duplicate";
                Self::Acked { lane: lane()?, number: number(2)?, offset: number(3)? as i64, is_duplicate }
            }
            "failed" => Self::Failed { lane: lane()?, number: number(2)?, code: (*words.get(3)?).to_owned() },
            "late" => Self::Late { lane: lane()?, number: number(2)? },
            "refused" => Self::Refused { what: (*words.get(1)?).to_owned(), code: (*words.get(2)?).to_owned() },
            _ => return None,
        })
    }
}

/// A client and what it knows.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) dir: PathBuf,
    /// Of each lane, how many batches were acknowledged.
    pub(crate) acked: [u64; LANES.len()],
    /// Of each lane, the offset behind the last of them.
    ends: [i64; LANES.len()],
    /// How many of all acknowledgements said that the batch was there already.
    pub(crate) duplicates: u64,
}

/// What one writer did.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) said: Vec<Said>,
    /// Whether it was still running when it was killed.
    pub(crate) was_killed: bool,
}

impl Life {
    pub(crate) fn acked(&self) -> u64 {
        self.said.iter().filter(|said| matches!(said, Said::Acked { .. })).count() as u64
    }

    /// The codes of all failures.
    pub(crate) fn codes(&self) -> Vec<&str> {
        (self.said.iter())
            .filter_map(|said| match said {
                Said::Failed { code, .. } | Said::Refused { code, .. } => Some(code.as_str()),
                _ => None,
            })
            .collect()
    }
}

impl Client {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), acked: [0; LANES.len()], ends: [0; LANES.len()], duplicates: 0 }
    }

    /// One writer, of at most `at_most` batches in each lane, as a child of `wrapper` if there is one. It is killed when
    /// `is_over` says so of a line.
    pub(crate) fn live(&mut self, at_most: u64, wrapper: &[&str], mut is_over: impl FnMut(&Said) -> bool) -> Life {
        let task = Task { dir: self.dir.clone(), from: self.acked, at_most };
        let itself = std::env::current_exe().expect("a program knows its path");
        let mut command = match wrapper {
            [] => Command::new(&itself),
            [program, args @ ..] => {
                let mut command = Command::new(program);
                command.args(args).arg(&itself);
                command
            }
        };
        command.args(["a_writer", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.envs(task.to_environment()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = Running(command.spawn().expect("the writer starts"));
        let mut lines = BufReader::new(child.0.stdout.take().expect("it is piped"));
        let (mut said, mut line, mut killed) = (Vec::new(), String::new(), false);
        while lines.read_line(&mut line).expect("the writer's lines are UTF-8") > 0 {
            // One that was cut off in the middle says nothing.
            if let Some(whole) = line.strip_suffix('\n').and_then(Said::parse) {
                self.hear(&whole);
                if !killed && is_over(&whole) {
                    child.0.kill().expect("it is our child");
                    killed = true;
                }
                said.push(whole);
            }
            line.clear();
        }
        let status = child.0.wait().expect("it is our child");
        // One that ended by itself has an exit code; one that was killed has none.
        let was_killed = status.code().is_none();
        assert!(was_killed || status.success(), "the writer failed: {status}, after {:?}", said.last());
        Life { said, was_killed }
    }

    fn hear(&mut self, said: &Said) {
        let Said::Acked { lane, number, offset, is_duplicate } = *said else { return };
        assert_eq!(number, self.acked[lane], "{:?} acknowledges in order", LANES[lane]);
        assert_eq!(offset, self.ends[lane], "batch {number} of {:?}", LANES[lane]);
        self.ends[lane] = next_offset(lane, number, offset);
        self.acked[lane] += 1;
        self.duplicates += u64::from(is_duplicate);
    }
}

/// A child that does not outlive a test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless the test is failing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
