//! Single system calls fail: strace answers them with an error instead of the kernel. Only one call fails, and the next
//! would succeed, so whoever tries a failed sync again acknowledges what is not there.

use crate::batches::LANES;
use crate::check::assert_intact;
use crate::process::{Client, Life, Said};
use crate::{setting, tell};
use std::process::{Command, Stdio};

const SYNCS: &str = "fsync,fdatasync,syncfs";
const WRITES: &str = "pwritev,pwritev2,pwrite64";
const FENCED: &str = "TW0206";
const BATCHES: u64 = 60;

/// Whether strace is there and may trace; says so if not.
fn may_trace() -> bool {
    let status = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let may = status.as_ref().is_ok_and(std::process::ExitStatus::success);
    if !may {
        tell(&format!("failed calls: skipped, strace is missing or may not trace ({status:?})"));
    }
    may
}

/// A writer of which each thread gets `error` for its `at`-th call of `calls`.
fn live(client: &mut Client, calls: &str, error: &str, at: u64) -> Life {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error={error}:when={at}"));
    let wrapper = ["strace", "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    client.live(BATCHES, &wrapper, |_| false)
}

#[test]
#[ignore = "needs strace; tests/faults/run looks for it"]
fn a_sync_that_failed_is_not_tried_again_and_nothing_is_acknowledged_after_it() {
    if !may_trace() {
        return;
    }
    let (cases, mut fenced, mut refused) = (setting("FAULTS_SYNCS", 4), 0, 0);
    for case in 0..cases {
        // The first ones are of opening; the others are spread over the writing.
        let at = if case < 12 { 1 + case * 12 / cases.min(12) } else { case };
        let dir = tempfile::tempdir().expect("a directory");
        let mut client = Client::new(&dir.path().join("data"));
        // Half of them in a log that is there already.
        if case % 2 == 1 {
            client.live(BATCHES, &[], |_| false);
        }
        let life = live(&mut client, SYNCS, "EIO", at);
        assert_fenced(&life, at);
        fenced += u64::from(life.codes().contains(&FENCED));
        refused += u64::from(life.said.iter().any(|said| matches!(said, Said::Refused { .. })));
        assert_intact(&client);
        let again = client.live(BATCHES, &[], |_| false);
        assert_eq!(again.codes(), [""; 0], "sync {at}: it works again once it is opened again");
        assert_intact(&client);
    }
    assert!(fenced > 0, "no sync failed while it wrote");
    tell(&format!(
        "failed syncs: {cases} writers, one sync in each thread failed with EIO; {fenced} were fenced while they wrote, \
         {refused} while they opened or closed; nothing was acknowledged after, everything acknowledged before was there"
    ));
}

/// Behind a fence nothing is acknowledged any more, in no lane.
fn assert_fenced(life: &Life, at: u64) {
    let mut is_fenced = [false; LANES.len()];
    for said in &life.said {
        match said {
            Said::Acked { lane, number, .. } => {
                assert!(!is_fenced[*lane], "sync {at}: batch {number} of {:?} was acknowledged after", LANES[*lane]);
            }
            Said::Failed { lane, code, .. } => is_fenced[*lane] |= code == FENCED,
            Said::Late { .. } => panic!("sync {at}: {said:?}: it was sent after the directory had been fenced"),
            Said::Opening | Said::Refused { .. } => {}
        }
    }
}

#[test]
#[ignore = "needs strace; tests/faults/run looks for it"]
fn a_write_that_failed_leaves_nothing_behind() {
    if !may_trace() {
        return;
    }
    let (cases, mut failed) = (setting("FAULTS_WRITES", 2), 0);
    for case in 0..cases {
        let at = 3 + case * 7;
        let error = ["EIO", "ENOSPC"][case as usize % 2];
        let dir = tempfile::tempdir().expect("a directory");
        let mut client = Client::new(&dir.path().join("data"));
        let life = live(&mut client, WRITES, error, at);
        failed += life.codes().len();
        assert!(!life.codes().contains(&FENCED), "write {at}: a write that failed is cut off, and no more than that");
        assert_intact(&client);
        let again = client.live(BATCHES, &[], |_| false);
        assert_eq!(again.codes(), [""; 0], "write {at}");
        assert_intact(&client);
    }
    assert!(failed > 0, "no write failed");
    tell(&format!(
        "failed writes: {cases} writers, one write in each thread failed with EIO or ENOSPC; {failed} answers were \
         errors; everything acknowledged was there, and nothing else"
    ));
}
