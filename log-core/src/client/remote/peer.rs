//! One broker: the connections to it.
//!
//! A broker answers the requests of one connection one after the other, so one that waits holds up those behind it. What
//! goes together shares a connection, and what waits for something to happen has one to itself:
//!
//! ```text
//!   Control   one, shared     questions and changes that are answered at once
//!   Append    one, shared     batches: several requests in a pipeline
//!   Group     one, shared     heartbeats and commits, which nothing else may hold up
//!   Wait      a few, alone    fetches, and members that wait for their group
//! ```
//! A connection that has ended is opened again by whoever needs it next, after a pause that grows with every failure. Who
//! waits for the same connection meanwhile waits for that one attempt and shares its failure.

use super::address::Address;
use super::connection::{Connection, Lost};
use super::login::Login;
use super::network::Network;
use super::retry::Backoff;
use super::versions::Versions;
use crate::env::Rng;
use crate::types::{Error, Result};
use crate::wire::{Request, Response};
use parking_lot::Mutex;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Connections of one broker that wait at once; who comes later waits for one of them.
const WAITING_MAX: usize = 64;
/// How long a connection may take to open (Kafka's `socket.connection.setup.timeout.ms`).
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Which connection a request goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Control,
    Append,
    Group,
    Wait,
}

/// A request, the versions that it can be said in, and how it is sent.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) versions: RangeInclusive<i16>,
    pub(super) lane: Lane,
    /// How long its answer may take.
    pub(super) limit: Duration,
}

/// A broker at an address.
#[derive(Debug)]
pub(super) struct Peer {
    address: Address,
    network: Arc<dyn Network>,
    login: Option<Arc<Login>>,
    rng: Arc<Mutex<Rng>>,
    control: Slot,
    append: Slot,
    group: Slot,
    waiting: Mutex<Vec<Waiting>>,
    waiting_room: Arc<Semaphore>,
    attempts: Mutex<Attempts>,
}

type Slot = tokio::sync::Mutex<Option<Arc<Connection>>>;

/// A connection that one request at a time has.
#[derive(Debug)]
struct Waiting {
    connection: Arc<Connection>,
    is_leased: bool,
}

/// How connecting went lately.
#[derive(Debug, Default)]
struct Attempts {
    backoff: Backoff,
    /// When the next may be made, and the last failure with its moment.
    next: Option<Instant>,
    failed: Option<(Instant, Error)>,
}

impl Peer {
    pub(super) fn new(
        address: Address,
        network: Arc<dyn Network>,
        login: Option<Arc<Login>>,
        rng: Arc<Mutex<Rng>>,
    ) -> Self {
        Self {
            address,
            network,
            login,
            rng,
            control: Slot::default(),
            append: Slot::default(),
            group: Slot::default(),
            waiting: Mutex::default(),
            waiting_room: Arc::new(Semaphore::new(WAITING_MAX)),
            attempts: Mutex::default(),
        }
    }

    /// Asks, in the highest version that both speak.
    pub(super) async fn ask(&self, call: Call) -> Result<Response, Lost> {
        let unsent = |error| Lost { may_be_done: false, error };
        let lease = self.connection(call.lane).await.map_err(unsent)?;
        let connection = &lease.connection;
        let version = connection.versions().pick(call.request.key(), &call.versions).map_err(unsent)?;
        connection.ask(call.request, version, call.limit).await
    }

    /// What the broker speaks.
    pub(super) async fn versions(&self) -> Result<Versions> {
        Ok(self.connection(Lane::Control).await?.connection.versions().clone())
    }

    /// Whether it was spoken to and can be at once.
    pub(super) fn is_connected(&self) -> bool {
        let slot = self.control.try_lock();
        slot.is_ok_and(|slot| slot.as_ref().is_some_and(|connection| connection.is_open()))
    }

    /// Ends all connections.
    pub(super) fn close(&self) {
        self.waiting_room.close();
        for slot in [&self.control, &self.append, &self.group] {
            // Who has the lock is about to connect, and will see that it is over.
            if let Ok(mut slot) = slot.try_lock()
                && let Some(connection) = slot.take()
            {
                connection.close();
            }
        }
        self.waiting.lock().drain(..).for_each(|waiting| waiting.connection.close());
    }

    async fn connection(&self, lane: Lane) -> Result<Lease<'_>> {
        let slot = match lane {
            Lane::Control => &self.control,
            Lane::Append => &self.append,
            Lane::Group => &self.group,
            Lane::Wait => return self.alone().await,
        };
        let came = Instant::now();
        let mut slot = slot.lock().await;
        let connection = match slot.as_ref().filter(|connection| connection.is_open()) {
            Some(connection) => connection.clone(),
            None => slot.insert(Arc::new(self.connect(came).await?)).clone(),
        };
        Ok(Lease { connection, of: None })
    }

    /// A connection that nobody else uses until the lease ends.
    async fn alone(&self) -> Result<Lease<'_>> {
        let came = Instant::now();
        let room = self.waiting_room.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        let free = {
            let mut waiting = self.waiting.lock();
            waiting.retain(|one| one.connection.is_open());
            let free = waiting.iter_mut().find(|one| !one.is_leased && one.connection.is_idle());
            free.map(|one| {
                one.is_leased = true;
                one.connection.clone()
            })
        };
        let connection = match free {
            Some(connection) => connection,
            None => {
                let connection = Arc::new(self.connect(came).await?);
                let mut waiting = self.waiting.lock();
                // Those that are not leased and yet not idle wait for what nobody wants any more.
                if waiting.len() >= WAITING_MAX
                    && let Some(forgotten) = waiting.iter().position(|one| !one.is_leased)
                {
                    waiting.swap_remove(forgotten);
                }
                waiting.push(Waiting { connection: connection.clone(), is_leased: true });
                connection
            }
        };
        Ok(Lease { connection, of: Some((self, room)) })
    }

    /// Opens a connection for somebody who came at `came`.
    async fn connect(&self, came: Instant) -> Result<Connection> {
        let next = {
            let attempts = self.attempts.lock();
            if let Some((at, error)) = &attempts.failed
                && *at > came
            {
                return Err(error.clone());
            }
            attempts.next
        };
        if let Some(next) = next {
            sleep_until(next).await;
        }
        let opened = Connection::open(&*self.network, &self.address, self.login.as_deref(), CONNECT_LIMIT).await;
        if self.waiting_room.is_closed() {
            return Err(Error::Closed);
        }
        let mut attempts = self.attempts.lock();
        match &opened {
            Ok(_) => *attempts = Attempts::default(),
            Err(error) => {
                tracing::debug!(address = %self.address, %error, "no connection");
                let now = Instant::now();
                attempts.next = Some(now + attempts.backoff.next(&self.rng));
                attempts.failed = Some((now, error.clone()));
            }
        }
        opened
    }
}

/// A connection in use.
struct Lease<'a> {
    connection: Arc<Connection>,
    /// For one that is used alone: where it goes back to, and its place.
    of: Option<(&'a Peer, OwnedSemaphorePermit)>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some((peer, _room)) = &self.of {
            let mut waiting = peer.waiting.lock();
            if let Some(ours) = waiting.iter_mut().find(|one| Arc::ptr_eq(&one.connection, &self.connection)) {
                ours.is_leased = false;
            }
        }
    }
}
