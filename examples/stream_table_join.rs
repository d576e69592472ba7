//! How to look things up: a stream of orders joined with a table of customers, which changes while orders come in.
//!
//! `cargo run --example stream_table_join -- 8` runs it on 8 partitions; without a number on 4.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use serde::{Deserialize, Serialize};
use tailwater::log::Record as RawRecord;
use tailwater::streams::{App, Record, Topic, Topology};
use tailwater::{Codec, Log, Timestamp, TopicName, TopicSpec};

#[derive(Clone, Debug, Record, Serialize, Deserialize)]
struct Customer {
    name: String,
}

#[derive(Clone, Debug, Record, Serialize, Deserialize)]
struct Order {
    customer: u64,
    cents: u64,
}

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
struct Bill {
    name: String,
    cents: u64,
}

const CUSTOMERS: Topic<u64, Customer> = Topic::new("customers");
const ORDERS: Topic<u64, Order> = Topic::new("orders");
const BILLS: Topic<u64, Bill> = Topic::new("bills");

fn bills(t: &Topology) {
    let customers = t.table(CUSTOMERS, "customers"); // the last value of each key; no value removes it
    t.stream(ORDERS)
        .key_by("by-customer", |_, order| order.customer) // to the partition where the customer's row is
        .left_join(&customers, |order, customer| Bill {
            name: customer.map_or("unknown".into(), |c| c.name.clone()),
            cents: order.cents,
        })
        .to(BILLS);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let partitions = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path()).await?;
    for topic in [CUSTOMERS.name(), ORDERS.name()] {
        log.admin().create_topic(TopicSpec::new(topic, partitions)?).await?;
    }
    for (id, name) in [(1, "Ada"), (2, "Grace"), (3, "Edsger")] {
        send(&log, CUSTOMERS, id, Some(Customer { name: name.into() })).await?;
    }
    for (order, customer, cents) in [(100, 1, 250), (101, 2, 1_999), (102, 9, 50)] {
        send(&log, ORDERS, order, Some(Order { customer, cents })).await?;
    }
    App::new("bills", bills).run_to_end(log.clone()).await?;

    // Customer 2 changes her name and customer 3 leaves: later orders see it, earlier bills stay as they are.
    send(&log, CUSTOMERS, 2, Some(Customer { name: "Grace Hopper".into() })).await?;
    send(&log, CUSTOMERS, 3, None).await?;
    for (order, customer, cents) in [(103, 2, 700), (104, 3, 10)] {
        send(&log, ORDERS, order, Some(Order { customer, cents })).await?;
    }
    App::new("bills", bills).run_to_end(log.clone()).await?;

    let mut found = shared::records(&log, BILLS).await?;
    found.sort_by_key(|(customer, bill)| (*customer, bill.cents));
    for (customer, bill) in &found {
        println!("customer {customer}, {}: {}.{:02}", bill.name, bill.cents / 100, bill.cents % 100);
    }
    assert_eq!(found.len(), 5, "every order has its bill");
    log.close().await?;
    Ok(())
}

/// Sends one record and waits until it is durable; no value removes the key from a table.
async fn send<K: Codec, V: Codec>(log: &Log, topic: Topic<K, V>, key: K, value: Option<V>) -> tailwater::Result<()> {
    let (key, value) = (Some(key.to_bytes().into()), value.map(|v| v.to_bytes().into()));
    let record = RawRecord { key, value, timestamp: Timestamp(0), headers: Vec::new() };
    log.producer().build().send(&TopicName::new(topic.name())?, record).await?.await?;
    Ok(())
}
