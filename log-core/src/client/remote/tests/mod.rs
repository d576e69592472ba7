//! The remote client: over TCP against our own server, next to a log in this process, by the same tests; and against a
//! scripted broker that does what a broker should not.
//!
//! With `TAILWATER_TEST_KAFKA=host:9092` the same tests run against that cluster too.

mod administration;
mod groups;
mod restarts;
mod scripted;
mod secured;
mod shared;
mod transactions;

use crate::broker::{Broker, ListenerConfig, Server, ServerConfig};
use crate::client::Log;
use crate::env::{Clock, Rng, SimDisk, secret};
use std::path::Path;
use std::sync::Arc;

/// The variable with the address of a cluster.
const KAFKA: &str = "TAILWATER_TEST_KAFKA";

/// A log to test, and what it is called in a failure.
struct Place {
    name: &'static str,
    log: Log,
    /// Of names that nobody else has used there.
    run: u64,
    _server: Option<Server>,
}

impl Place {
    fn new(name: &'static str, log: Log, server: Option<Server>) -> Self {
        let run = Rng::seeded(u64::from_le_bytes(secret::<8>())).next_u64();
        Self { name, log, run, _server: server }
    }

    /// A name that is new there.
    fn name(&self, name: &str) -> String {
        format!("{name}-{:x}", self.run)
    }
}

fn broker() -> Arc<Broker> {
    Broker::open(Arc::new(SimDisk::default()), Clock::real(), Path::new("/data")).unwrap()
}

async fn serve(broker: Arc<Broker>) -> Server {
    serve_at(broker, "127.0.0.1:0").await
}

async fn serve_at(broker: Arc<Broker>, address: &str) -> Server {
    let listener = ListenerConfig::plaintext(address.parse().unwrap());
    Server::start(broker, ServerConfig { listeners: vec![listener], ..ServerConfig::default() }).await.unwrap()
}

/// A server, and a log connected to it.
async fn served() -> Place {
    let server = serve(broker()).await;
    let log = Log::connect(server.addresses()[0].to_string()).await.unwrap();
    Place::new("over TCP", log, Some(server))
}

/// Everywhere that the same tests have to pass.
async fn places() -> Vec<Place> {
    let mut places = vec![Place::new("in process", Log::over(broker()), None), served().await];
    if let Ok(address) = std::env::var(KAFKA) {
        places.push(Place::new("at a cluster", Log::connect(&address).await.unwrap(), None));
    }
    places
}
