//! Brokers that stop and start again under load: nothing that was acknowledged is lost, doubled or out of order.

use super::shared::{create, partition, record, topic, values};
use super::{Place, serve_at};
use crate::broker::Broker;
use crate::client::Log;
use crate::env::{Clock, SimDisk};
use crate::types::OffsetSpec;
use std::path::Path;
use std::sync::Arc;

const ROUNDS: usize = 4;
const RECORDS: usize = 400;

/// The broker of a disk, opened anew.
fn open(disk: &SimDisk) -> Arc<Broker> {
    Broker::open(Arc::new(disk.clone()), Clock::real(), Path::new("/data")).unwrap()
}

#[tokio::test]
async fn a_broker_that_starts_again_has_everything_once() {
    let disk = SimDisk::default();
    let mut server = serve_at(open(&disk), "127.0.0.1:0").await;
    let address = server.addresses()[0].to_string();
    let place = Place::new("over TCP", Log::connect(&address).await.unwrap(), None);
    let name = create(&place, "load", 1).await;
    let plain = place.log.producer().batch_bytes(300).build();
    let mut transactional = place.log.producer().transactional_id(place.name("etl")).start().await.unwrap();
    let ledger = create(&place, "ledger", 1).await;
    for round in 0..ROUNDS {
        let sending = async {
            let mut deliveries = Vec::new();
            for i in 0..RECORDS {
                let value = (round * RECORDS + i).to_string();
                deliveries.push(plain.send_to(&topic(&name), 0, record("", value, 0)).await.unwrap());
                if i % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            for delivery in deliveries {
                delivery.await.unwrap();
            }
            let transaction = transactional.begin().await.unwrap();
            transaction.send(&topic(&ledger), record("", round.to_string(), 0)).await.unwrap();
            transaction.commit().await.unwrap();
        };
        let restarting = async {
            // In the middle of it.
            while place.log.admin().offset(partition(&name, 0), OffsetSpec::Latest).await.unwrap()
                < (round * RECORDS + RECORDS / 10) as i64
            {}
            server.shut_down().await.unwrap();
            serve_at(open(&disk), &address).await
        };
        let ((), again) = tokio::join!(sending, restarting);
        server = again;
    }
    let wanted: Vec<_> = (0..ROUNDS * RECORDS).map(|i| i.to_string()).collect();
    assert_eq!(values(&place.log, &name, 0, 0, wanted.len()).await, wanted);
    assert_eq!(values(&place.log, &ledger, 0, 0, ROUNDS).await, ["0", "1", "2", "3"]);
    drop(server);
}
