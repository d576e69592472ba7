//! How to share work: a topic as a queue, with retries, and a dead-letter topic for what cannot be done.
//!
//! `cargo run --example queue_workers -- 8` runs it on 8 partitions; without a number on 4.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tailwater::log::{Record, Timestamp};
use tailwater::{Codec, Json, Log, TopicName, TopicSpec};

#[derive(Debug, Serialize, Deserialize)]
struct Resize {
    image: u32,
}

/// What the work does: image 13 needs a second attempt, image 42 is broken for good.
fn resize(image: u32, delivery: u16) -> Result<(), &'static str> {
    match (image, delivery) {
        (13, 1) => Err("the disk was busy"),
        (42, _) => Err("not an image"),
        _ => Ok(()),
    }
}

/// Takes jobs until none comes for a while; returns the images done, each with the delivery that succeeded.
async fn worker(log: Log) -> tailwater::Result<Vec<(u32, u16)>> {
    let mut done = Vec::new();
    let mut jobs = log.queue::<Json<Resize>>("resize", "workers").await?;
    while let Some(job) = jobs.next_within(Duration::from_secs(1)).await? {
        let (image, delivery) = (job.0.image, job.delivery());
        match resize(image, delivery) {
            Ok(()) => {
                job.ack().await?; // durable: nobody gets it again
                done.push((image, delivery));
            }
            Err(_) => job.retry().await?, // to anyone, with a higher delivery count
        }
    }
    Ok(done)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let partitions = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path()).await?;
    let topic = TopicName::new("resize")?;
    let mut spec = TopicSpec::new(&topic, partitions)?;
    spec.config.deliveries_max = 3;
    log.admin().create_topic(spec).await?;

    let producer = log.producer().build();
    for image in 0..60 {
        let value = Json(Resize { image }).to_bytes();
        let record = Record { value: Some(value.into()), timestamp: Timestamp(0), ..Record::default() };
        producer.send_to(&topic, image % partitions, record).await?;
    }
    producer.flush().await?;

    let workers: Vec<_> = (0..3).map(|_| tokio::spawn(worker(log.clone()))).collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await??);
    }
    done.sort_unstable();
    let images: Vec<u32> = done.iter().map(|(image, _)| *image).collect();
    assert_eq!(images, (0..60).filter(|image| *image != 42).collect::<Vec<_>>(), "each image once, without 42");
    println!("{} images were resized by 3 workers, each once", images.len());
    for (image, delivery) in done.iter().filter(|(_, delivery)| *delivery > 1) {
        println!("image {image} took {delivery} deliveries");
    }

    let mut dead = log.queue::<Json<Resize>>("resize.dead", "undertaker").await?;
    let job = dead.next().await?.ok_or("the log was closed")?;
    assert_eq!(job.0.image, 42);
    println!("image {} is in resize.dead after 3 deliveries", job.0.image);
    job.ack().await?;
    log.close().await?;
    Ok(())
}
