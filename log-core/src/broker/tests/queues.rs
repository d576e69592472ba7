//! A topic as a queue through the client.

use super::*;
use crate::client::Queue;
use futures::FutureExt as _;

async fn next(queue: &mut Queue<String>) -> Option<crate::client::Job<String>> {
    queue.next_within(Duration::ZERO).await.unwrap()
}

#[tokio::test]
async fn two_workers_share_and_every_job_is_done_once() {
    for partitions in [1, 8] {
        let sim = Sim::new();
        let log = sim.open().await;
        create(&log, "jobs", partitions).await;
        fill(&log, "jobs", 100).await;
        let mut workers =
            [log.queue::<String>("jobs", "w").await.unwrap(), log.queue::<String>("jobs", "w").await.unwrap()];
        let mut done = [Vec::new(), Vec::new()];
        loop {
            let before = done.iter().map(Vec::len).sum::<usize>();
            for (worker, done) in workers.iter_mut().zip(&mut done) {
                if let Some(job) = next(worker).await {
                    assert_eq!(job.delivery(), 1);
                    done.push(job.parse::<usize>().unwrap());
                    job.ack().await.unwrap();
                }
            }
            if done.iter().map(Vec::len).sum::<usize>() == before {
                break;
            }
        }
        assert!(done.iter().all(|done| !done.is_empty()), "both worked");
        let mut all: Vec<_> = done.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        let group = log.admin().describe_group("w").await.unwrap();
        assert!(group.partitions.iter().all(|p| p.lag_records == 0 && p.leased == 0), "{group:?}");
    }
}

#[tokio::test]
async fn a_job_that_keeps_failing_is_a_dead_letter_in_the_end() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "jobs", 1).await;
    fill(&log, "jobs", 2).await;
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    for delivery in 1..=5 {
        let job = loop {
            let job = next(&mut worker).await.expect("a job");
            if *job == "0" {
                break job;
            }
            job.ack().await.unwrap();
        };
        assert_eq!(job.delivery(), delivery);
        job.retry().await.unwrap();
    }
    while let Some(job) = next(&mut worker).await {
        assert_eq!(*job, "1");
        job.ack().await.unwrap();
    }
    let dead = log.reader(partition("jobs.dead", 0), 0).next_batch(Duration::ZERO).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].key.as_deref(), Some(&b"k0"[..]));
    assert_eq!(dead[0].value.as_deref(), Some(&b"0"[..]));
    let headers: Vec<_> = dead[0]
        .headers
        .iter()
        .map(|h| format!("{}={}", h.key, String::from_utf8_lossy(h.value.as_deref().unwrap())))
        .collect();
    assert_eq!(
        headers,
        [
            "tw.dead.topic=jobs",
            "tw.dead.partition=0",
            "tw.dead.offset=0",
            "tw.dead.deliveries=5",
            "tw.dead.reason=released on its last delivery"
        ]
    );
}

#[tokio::test]
async fn a_lease_that_runs_out_gives_the_job_to_another_and_its_counts_survive_restarts() {
    let sim = Sim::new();
    let mut log = sim.open().await;
    create(&log, "jobs", 1).await;
    fill(&log, "jobs", 1).await;
    let mut first = log.queue::<String>("jobs", "w").await.unwrap();
    let mut second = log.queue::<String>("jobs", "w").await.unwrap();
    let job = next(&mut first).await.unwrap();
    assert!(next(&mut second).await.is_none());
    sim.clock.advance(Duration::from_secs(29));
    job.renew().await.unwrap();
    sim.clock.advance(Duration::from_secs(29));
    assert!(next(&mut second).await.is_none());
    sim.clock.advance(Duration::from_secs(2));
    let again = next(&mut second).await.unwrap();
    assert_eq!(again.delivery(), 2);
    assert_eq!(job.ack().await.unwrap_err().code(), "TW0112");

    // Each of these workers dies over it, and takes the process with it.
    for delivery in 3..=5 {
        log.close().await.unwrap();
        log = sim.open().await;
        let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
        assert_eq!(next(&mut worker).await.expect("a job").delivery(), delivery);
    }
    log.close().await.unwrap();
    log = sim.open().await;
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    assert!(next(&mut worker).await.is_none());
    assert_eq!(values(&log, "jobs.dead", 0).await, ["0"]);
    assert_eq!(log.admin().describe_group("w").await.unwrap().partitions[0].position, 1);
}

#[tokio::test]
async fn a_rejected_job_and_one_that_does_not_decode_are_dead_letters_at_once() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "jobs", 1).await;
    let producer = log.producer().build();
    for value in ["1", "what", "3"] {
        drop(producer.send(&topic("jobs"), record("", value)).await.unwrap());
    }
    producer.flush().await.unwrap();
    let mut worker = log.queue::<u64>("jobs", "w").await.unwrap();
    let job = worker.next_within(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(*job, 1);
    job.reject().await.unwrap();
    assert_eq!(*worker.next_within(Duration::ZERO).await.unwrap().unwrap(), 3);
    assert_eq!(values(&log, "jobs.dead", 0).await, ["1", "what"]);
}

#[tokio::test]
async fn a_queue_on_the_machines_clock_waits_for_jobs_and_for_leases() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    let mut spec = TopicSpec::new("jobs", 3).unwrap();
    spec.config.lease = Duration::from_millis(50);
    log.admin().create_topic(spec).await.unwrap();
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    let waits = tokio::spawn(async move { (worker.next().await.unwrap().unwrap().delivery(), worker) });
    tokio::task::yield_now().await;
    log.send("jobs", &"now".to_string()).await.unwrap();
    let (delivery, mut worker) = waits.await.unwrap();
    assert_eq!(delivery, 1);
    // Not acknowledged, so it comes again when the lease ends.
    let job = worker.next().await.unwrap().unwrap();
    assert_eq!((job.delivery(), job.as_str()), (2, "now"));
    log.close().await.unwrap();
    assert!(worker.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_job_that_no_worker_saw_was_not_delivered() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "jobs", 1).await;
    fill(&log, "jobs", 3).await;
    for expected in ["0", "1", "2"] {
        let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
        let job = next(&mut worker).await.unwrap();
        assert_eq!((job.as_str(), job.delivery()), (expected, 1));
        job.ack().await.unwrap();
        drop(worker);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_rest_of_a_dropped_worker_goes_to_another() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "jobs", 1).await;
    fill(&log, "jobs", 4).await;
    let mut first = log.queue::<String>("jobs", "w").await.unwrap().prefetch(4);
    next(&mut first).await.unwrap().ack().await.unwrap();
    drop(first);
    tokio::task::yield_now().await;
    let mut second = log.queue::<String>("jobs", "w").await.unwrap();
    let mut taken = Vec::new();
    while let Some(job) = next(&mut second).await {
        assert_eq!(job.delivery(), 2, "a prefetched job was delivered");
        taken.push(job.clone());
        job.ack().await.unwrap();
    }
    assert_eq!(taken, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_worker_that_waited_while_its_topic_was_deleted_does_not_haunt_the_next_of_that_name() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    create(&log, "jobs", 1).await;
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    let waits = tokio::spawn(async move { worker.next().await.unwrap_err() });
    tokio::task::yield_now().await;
    log.admin().delete_topic("jobs").await.unwrap();
    assert!(matches!(waits.await.unwrap(), Error::UnknownTopic { .. }));
    create(&log, "jobs", 1).await;
    log.send("jobs", &"new".to_string()).await.unwrap();
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    assert_eq!(next(&mut worker).await.as_deref().map(String::as_str), Some("new"));
}

#[tokio::test]
async fn a_dead_letter_that_could_not_be_written_is_tried_again_without_being_asked() {
    let sim = Sim::new();
    let (_, log) = sim.broker();
    let mut spec = TopicSpec::new("jobs", 1).unwrap();
    spec.config.deliveries_max = 1;
    log.admin().create_topic(spec).await.unwrap();
    fill(&log, "jobs", 1).await;
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    next(&mut worker).await.expect("a job");
    log.close().await.unwrap();

    let (broker, log) = sim.broker();
    let mut worker = log.queue::<String>("jobs", "w").await.unwrap();
    sim.disk.set_capacity(Some(0));
    assert!(next(&mut worker).await.is_none(), "it was delivered once");
    assert!(broker.timer.notified().now_or_never().is_some(), "the timer knows that there is something to do");
    sim.disk.set_capacity(None);
    sim.clock.advance(MINUTE);
    assert!(next(&mut worker).await.is_none());
    assert_eq!(values(&log, "jobs.dead", 0).await, ["0"]);
}

#[tokio::test]
async fn a_worker_that_stops_waiting_while_it_is_given_a_job_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    create(&log, "jobs", 1).await;
    log.send("jobs", &"now".to_string()).await.unwrap();
    let mut first = log.queue::<String>("jobs", "w").await.unwrap();
    let mut second = log.queue::<String>("jobs", "w").await.unwrap();
    // Dropped while the delivery count is on its way to the disk.
    let given = first.next_within(MINUTE).now_or_never();
    assert!(given.is_none(), "a sync takes longer than a poll");
    let job = next(&mut second).await.expect("the job is not leased to nobody");
    assert_eq!(job.delivery(), 2);
}
