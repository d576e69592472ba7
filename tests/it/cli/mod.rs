//! The command line, by running the real binary as a user does.
//!
//! A test that needs a moment in the middle of a command waits for something the command prints; nothing here sleeps.

mod commands;
mod doctor;
mod explain;
mod interrupted;
mod load;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "server")]
mod start;
mod users;

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use tempfile::TempDir;

/// A data directory of a test's own, and the way to run `tw` on it.
struct Tw {
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ended {
    /// The standard output of a command that must have succeeded.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// The standard error of a command that must have failed with this error code.
    #[track_caller]
    fn error(self, code: &str) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.err.contains(&format!("error[{code}]: ")), "no {code} in {self:?}");
        assert!(self.err.contains(&format!("tw explain {code}")), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self.err
    }
}

impl Tw {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A path beside the data directory.
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).unwrap();
        name.to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tw"));
        command.args(args).current_dir(self.dir.path()).env("TW_DATA", self.path("data")).env("HOME", self.dir.path());
        command.env_remove("NO_COLOR").env_remove("TW_LOG").env_remove("XDG_STATE_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    fn run(&self, args: &[&str]) -> Ended {
        let output = self.command(args).output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs to the end with `input` on standard input.
    fn feed(&self, args: &[&str], input: &str) -> Ended {
        let file = self.write(".stdin", input);
        let stdin = std::fs::File::open(self.path(&file)).unwrap();
        let output = self.command(args).stdin(stdin).output().unwrap();
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command that goes on by itself.
    fn start(&self, args: &[&str]) -> Running {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(Box::new(child.stdout.take().unwrap()) as Box<dyn Read>);
        Running { stdin: child.stdin.take(), child, out }
    }

    /// The values of a topic in the order of one partition after the other.
    fn values(&self, topic: &str) -> Vec<String> {
        self.run(&["tail", topic, "--from", "earliest"]).ok().lines().map(str::to_owned).collect()
    }
}

/// A command that is running. Killed when it is dropped.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: BufReader<Box<dyn Read>>,
}

impl Running {
    /// Waits for the next line of its standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end: exit code (none after a signal) and standard error.
    fn wait(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), err)
    }

    /// The same while standard input stays open.
    fn wait_with_input_open(mut self) -> (Option<i32>, String) {
        let stdin = self.stdin.take();
        let ended = self.wait();
        drop(stdin);
        ended
    }

    /// Closes the reading end of its standard output, then waits for its end.
    fn stop_reading_and_wait(mut self) -> (Option<i32>, String) {
        let (reader, _) = std::io::pipe().unwrap();
        drop(std::mem::replace(&mut self.out, BufReader::new(Box::new(reader))));
        self.wait()
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exists(path: &Path) -> bool {
    path.exists()
}
