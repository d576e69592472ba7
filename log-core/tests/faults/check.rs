//! What a log holds after a fault: of every lane the first batches, once, in order, byte for byte; at least those that
//! were acknowledged.

use crate::batches::{LANES, batches};
use crate::process::Client;
use std::time::Duration;
use tailwater_log::record;
use tailwater_log::service::{Fetch, FetchPartition};
use tailwater_log::{Error, Log};

/// A batch is as it was sent from here on; before it are the fields that the log stamps, and the checksum.
const STAMPED_BYTES: usize = 21;

/// Opens the log, which recovers it, compares all of it, and closes it. Of each lane, how many batches it holds.
pub(crate) fn assert_intact(client: &Client) -> [u64; LANES.len()] {
    on_log(client, async |log| {
        let mut held = [0; LANES.len()];
        for (lane, held) in held.iter_mut().enumerate() {
            *held = assert_lane(log, lane).await;
            let acked = client.acked[lane];
            assert!(*held >= acked, "{acked} batches of {:?} were acknowledged and {held} are there", LANES[lane]);
        }
        held
    })
}

/// Opens the log for `work` and closes it.
pub(crate) fn on_log<T>(client: &Client, work: impl AsyncFnOnce(&Log) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let log = Log::open(&client.dir).await.expect("the log opens");
        let done = work(&log).await;
        log.close().await.expect("the log closes");
        done
    })
}

async fn assert_lane(log: &Log, lane: usize) -> u64 {
    let partition = LANES[lane].name();
    let described = match log.admin().describe_topic(&partition.topic).await {
        Ok(topic) => topic.partitions[partition.partition as usize].clone(),
        // It died before the topic was made.
        Err(Error::UnknownTopic { .. }) => return 0,
        Err(error) => panic!("{partition}: {error}"),
    };
    assert!(described.damage.is_none(), "{partition}: {:?}", described.damage);
    let mut expected = batches(lane, 0);
    let (mut offset, mut held) = (0, 0);
    while offset < described.offsets.high_watermark {
        let wanted = FetchPartition { partition: partition.clone(), offset, max_bytes: 1 << 20 };
        let request = Fetch {
            partitions: vec![wanted],
            max_wait: Duration::ZERO,
            min_bytes: 1,
            isolation: tailwater_log::types::Isolation::ReadUncommitted,
        };
        let fetched = log.service().fetch(request).await.expect("what is there can be read");
        let before = offset;
        for batch in record::batches(fetched[0].batches.clone()) {
            let (batch, sent) = (batch.expect("a whole batch"), expected.next().expect("there is no end of them"));
            assert_eq!(batch.header.base_offset, sent.base_offset, "batch {} of {partition}", sent.number);
            assert_eq!(
                batch.bytes[STAMPED_BYTES..],
                sent.bytes[STAMPED_BYTES..],
                "batch {} of {partition}",
                sent.number
            );
            record::verify_crc(&batch.bytes).expect("its checksum is right");
            (offset, held) = (batch.header.next_offset(), held + 1);
        }
        assert!(offset > before, "{partition} gives nothing at {offset}");
    }
    assert_eq!(offset, described.offsets.log_end_offset, "all that is there can be read once it is opened");
    held
}
