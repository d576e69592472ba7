//! Transactions that are the same wherever the log is.

use super::places;
use super::shared::{create, partition, record, topic, values};
use crate::types::{Error, Isolation, TransactionState, TransactionalId};
use std::time::Duration;

#[tokio::test]
async fn what_is_committed_is_read_and_what_is_aborted_is_not() {
    for place in places().await {
        let name = create(&place, "ledger", 2).await;
        let id = place.name("writer");
        let mut producer = place.log.producer().transactional_id(&id).start().await.unwrap();
        for round in 0..6 {
            let transaction = producer.begin().await.unwrap();
            for index in 0..2 {
                let value = format!("{round}");
                transaction.send_to(&topic(&name), index, record("k", value, 0)).await.unwrap();
            }
            match round % 2 {
                0 => transaction.commit().await.unwrap(),
                _ => transaction.abort().await.unwrap(),
            }
        }
        for index in 0..2 {
            assert_eq!(values(&place.log, &name, index, 0, 3).await, ["0", "2", "4"], "{}", place.name);
            let mut all = place.log.reader(partition(&name, index), 0).isolation(Isolation::ReadUncommitted);
            let mut read = 0;
            while read < 6 {
                let more = all.next_batch(Duration::from_secs(10)).await.unwrap();
                assert!(!more.is_empty(), "{}", place.name);
                read += more.len();
            }
        }
        let id = TransactionalId::new(&id).unwrap();
        let request = crate::service::DescribeTransactions { transactional_ids: vec![id.clone()] };
        let mut told = place.log.service().describe_transactions(request).await;
        let told = told.pop().unwrap().unwrap();
        assert_eq!((told.transactional_id, told.started), (id, None), "{}", place.name);
        assert!(
            matches!(told.state, TransactionState::CompleteAbort | TransactionState::PrepareAbort),
            "{}",
            told.state
        );
    }
}

#[tokio::test]
async fn a_second_producer_fences_the_first() {
    for place in places().await {
        let name = create(&place, "fenced", 1).await;
        let id = place.name("one");
        let start = || place.log.producer().transactional_id(&id).start();
        let mut first = start().await.unwrap();
        let open = first.begin().await.unwrap();
        open.send(&topic(&name), record("", "lost", 0)).await.unwrap();
        open.producer_flushed().await;
        let mut second = start().await.unwrap();
        let fenced = open.commit().await.unwrap_err();
        assert!(matches!(fenced, Error::ProducerFenced { .. }), "{}: {fenced}", place.name);
        assert!(matches!(first.begin().await, Err(Error::ProducerFenced { .. })), "{}", place.name);
        let transaction = second.begin().await.unwrap();
        transaction.send(&topic(&name), record("", "kept", 0)).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(values(&place.log, &name, 0, 0, 1).await, ["kept"], "{}", place.name);
    }
}

#[tokio::test]
async fn an_empty_transaction_ends() {
    for place in places().await {
        let mut producer = place.log.producer().transactional_id(place.name("idle")).start().await.unwrap();
        producer.begin().await.unwrap().commit().await.unwrap();
        producer.begin().await.unwrap().abort().await.unwrap();
        let late = place.log.producer().transactional_id(place.name("late")).timeout(Duration::from_hours(48));
        let refused = late.start().await.unwrap_err();
        assert!(refused.to_string().contains("timeout") || refused.to_string().contains("ms"), "{refused}");
    }
}
