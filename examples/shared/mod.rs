//! What the examples of stream jobs share: reading a topic back.

use std::time::Duration;
use tailwater::streams::Topic;
use tailwater::{Codec, Log, TopicPartition};

/// Every record of a topic, decoded, partition by partition. Collected into a map it is the last value of each key.
pub(crate) async fn records<K: Codec, V: Codec>(
    log: &Log,
    topic: Topic<K, V>,
) -> Result<Vec<(K, V)>, Box<dyn std::error::Error>> {
    let mut found = Vec::new();
    let description = log.admin().describe_topic(topic.name()).await?;
    for partition in description.partitions {
        let mut reader = log.reader(TopicPartition::new(description.name.clone(), partition.partition), 0);
        loop {
            let records = reader.next_batch(Duration::ZERO).await?;
            if records.is_empty() {
                break;
            }
            for record in records {
                let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
                found.push((K::decode(&key)?, V::decode(&value)?));
            }
        }
    }
    Ok(found)
}
