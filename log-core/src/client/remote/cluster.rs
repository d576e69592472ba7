//! The cluster as this client sees it: which broker to ask, and asking it.
//!
//! ```text
//!   Any          a broker that is connected, else any that can be reached, at last those that the user named
//!   Controller   the broker that metadata names for changes
//!   Node         a leader or a coordinator
//! ```
//! Metadata is asked for topic by topic, when it is needed and not known, out of date or found wrong, by one task at a
//! time. An answer that shows it wrong (another leader, an unknown id) marks it and the request is tried again, so that
//! whoever calls sees neither elections nor brokers that come and go, only that it takes longer.

use super::address::Address;
use super::connection::{Lost, unreachable};
use super::login::Login;
use super::metadata::{Image, Topic};
use super::network::Network;
use super::peer::{Call, Lane, Peer};
use super::retry::{ANSWER_LIMIT, Patience, REQUEST_LIMIT, Trouble};
use super::versions::Versions;
use crate::env::{Rng, secret};
use crate::types::{Error, Result, TopicName, TopicPartition};
use crate::wire::metadata::MetadataRequestTopic;
use crate::wire::{ErrorCode, MetadataRequest, MetadataResponse, Request, Response};
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Which broker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    Controller,
    Node(i32),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cluster {
    network: Arc<dyn Network>,
    login: Option<Arc<Login>>,
    /// What the user named.
    bootstrap: Vec<Address>,
    peers: Mutex<HashMap<Address, Arc<Peer>>>,
    pub(super) image: Mutex<Image>,
    /// Held while topics are asked for.
    refreshing: tokio::sync::Mutex<()>,
    rng: Arc<Mutex<Rng>>,
    is_closed: AtomicBool,
}

/// A request in any version, on the shared connection.
pub(super) fn call(request: Request) -> Call {
    Call { request, versions: 0..=i16::MAX, lane: Lane::Control, limit: ANSWER_LIMIT }
}

/// An answer of the API that was asked; the reader of answers sees to that.
macro_rules! answer {
    ($asked:expr, $api:ident) => {
        match $asked {
            Ok(crate::wire::Response::$api(response)) => Ok(response),
            Ok(other) => unreachable!("{} is read as the answer to {}", other.key(), stringify!($api)),
            Err(lost) => Err(lost),
        }
    };
}
pub(super) use answer;

impl Cluster {
    pub(super) fn new(network: Arc<dyn Network>, login: Option<Login>, bootstrap: Vec<Address>) -> Self {
        let seed = u64::from_le_bytes(secret::<8>());
        Self {
            network,
            login: login.map(Arc::new),
            bootstrap,
            peers: Mutex::default(),
            image: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
            rng: Arc::new(Mutex::new(Rng::seeded(seed))),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(super) fn patience(&self, limit: Duration) -> Patience<'_> {
        Patience::new(&self.rng, limit)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Ends all connections; whoever waits is told [`Error::Closed`].
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.peers.lock().values().for_each(|peer| peer.close());
    }

    fn peer(&self, address: &Address) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        let new = || {
            let (network, login) = (self.network.clone(), self.login.clone());
            Arc::new(Peer::new(address.clone(), network, login, self.rng.clone()))
        };
        let peer = peers.entry(address.clone()).or_insert_with(new).clone();
        if self.is_closed() {
            peer.close();
        }
        peer
    }

    /// The broker of an id, if metadata knows it.
    fn node(&self, id: i32) -> Option<Arc<Peer>> {
        let address = self.image.lock().brokers.get(&id).cloned();
        address.map(|address| self.peer(&address))
    }

    /// Brokers that anything can be asked, in the order in which they are tried.
    fn anyone(&self) -> Vec<Arc<Peer>> {
        let known: Vec<_> = self.image.lock().brokers.values().cloned().collect();
        let mut peers: Vec<_> = known.iter().map(|address| self.peer(address)).collect();
        let turn = usize::try_from(self.rng.lock().below(peers.len() as u64)).unwrap_or(0);
        peers.rotate_left(turn);
        peers.sort_by_key(|peer| !peer.is_connected());
        peers.extend(self.bootstrap.iter().filter(|named| !known.contains(named)).map(|named| self.peer(named)));
        peers
    }

    /// Asks once.
    pub(super) async fn ask(&self, target: Target, call: Call) -> Result<Response, Lost> {
        if self.is_closed() {
            return Err(Lost { may_be_done: false, error: Error::Closed });
        }
        let node = match target {
            Target::Any => None,
            Target::Controller => self.image.lock().controller,
            Target::Node(id) => Some(id),
        };
        if let Some(id) = node {
            let Some(peer) = self.node(id) else {
                let error = unreachable(&self.bootstrap[0], format!("the cluster does not tell where broker {id} is"));
                return Err(Lost { may_be_done: false, error });
            };
            return peer.ask(call).await;
        }
        let mut lost = Lost { may_be_done: false, error: Error::Closed };
        for peer in self.anyone() {
            match peer.ask(call.clone()).await {
                // Nothing of it was sent: another broker may be reached.
                Err(failed) if !failed.may_be_done && failed.error.is_retriable() => lost = failed,
                other => return other,
            }
        }
        Err(lost)
    }

    /// Asks for changes: the controller, which is looked up again if it has moved.
    pub(super) async fn ask_controller(&self, call: Call) -> Result<Response, Lost> {
        let is_known = self.image.lock().controller.is_some();
        if !is_known {
            self.metadata(Some(&[])).await?;
        }
        let asked = self.ask(Target::Controller, call).await;
        if asked.is_err() {
            self.image.lock().forget_controller();
        }
        asked
    }

    /// A coordinator's address is told with its id.
    pub(super) fn learn(&self, node: i32, host: &str, port: i32) {
        if let Some(address) = Address::told(host, port) {
            self.image.lock().brokers.insert(node, address);
        }
    }

    /// What a broker speaks: the one that would be asked.
    pub(super) async fn versions(&self, target: Target) -> Result<Versions, Trouble> {
        let peers = match target {
            Target::Node(id) => self.node(id).into_iter().collect(),
            _ => self.anyone(),
        };
        let mut error = unreachable(&self.bootstrap[0], "the cluster does not tell where the broker is".into());
        for peer in peers {
            match peer.versions().await {
                Ok(versions) => return Ok(versions),
                Err(failed) => error = failed,
            }
        }
        Err(error.into())
    }

    /// Asks for metadata and takes it up: of these topics, or of all.
    pub(super) async fn metadata(&self, topics: Option<&[TopicName]>) -> Result<MetadataResponse, Lost> {
        let named = |name: &TopicName| MetadataRequestTopic { name: Some(name.as_str().into()), ..Default::default() };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        // Version 0 has no controller, and means all topics by none.
        let call = Call { versions: 1..=i16::MAX, ..call(Request::Metadata(request)) };
        let response = answer!(self.ask(Target::Any, call).await, Metadata)?;
        if let Some(error) = ErrorCode::from_number(response.error_code).error("metadata", None) {
            // The brokers that are known are of no more use (KIP-1102).
            self.image.lock().brokers.clear();
            return Err(Lost { may_be_done: false, error });
        }
        self.image.lock().apply(&response, Instant::now());
        Ok(response)
    }

    /// Topics by name: as they are known, or as they are.
    pub(super) async fn topics(&self, names: &[TopicName]) -> Result<HashMap<TopicName, Arc<Topic>>, Trouble> {
        let came = Instant::now();
        let mut missing = self.missing(names);
        if !missing.is_empty() {
            let _turn = self.refreshing.lock().await;
            // Whoever had the lock before may have asked for the same.
            missing.retain(|name| !self.image.lock().is_newer(name, came));
            if !missing.is_empty() {
                let told = self.metadata(Some(&missing)).await?;
                for topic in &told.topics {
                    let name = topic.name.as_deref().unwrap_or_default();
                    match ErrorCode::from_number(topic.error_code) {
                        // It is not there: nobody has to wait for it.
                        ErrorCode::UnknownTopicOrPartition => {
                            let name = name.to_owned();
                            return Err(Trouble::Final(Error::UnknownTopic { name, did_you_mean: None }));
                        }
                        _ => Trouble::check(topic.error_code, name, None)?,
                    }
                }
            }
        }
        let image = self.image.lock();
        let now = Instant::now();
        let found = names.iter().map(|name| match image.topic(name, now) {
            Some(topic) => Ok((name.clone(), topic)),
            None => Err(Trouble::Again(leaderless(name))),
        });
        found.collect()
    }

    pub(super) async fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, Trouble> {
        let mut found = self.topics(std::slice::from_ref(name)).await?;
        found.remove(name).ok_or_else(|| Trouble::Again(leaderless(name)))
    }

    fn missing(&self, names: &[TopicName]) -> Vec<TopicName> {
        let image = self.image.lock();
        let now = Instant::now();
        let mut missing: Vec<_> = names.iter().filter(|name| image.topic(name, now).is_none()).cloned().collect();
        missing.sort();
        missing.dedup();
        missing
    }

    /// The topic of a partition and the broker that leads it. A partition that is not known may have been added.
    pub(super) async fn leader(&self, partition: &TopicPartition) -> Result<(Arc<Topic>, i32), Trouble> {
        let mut topic = self.topic(&partition.topic).await?;
        if topic.leader(partition.partition).is_none() {
            self.image.lock().mark_stale(&partition.topic);
            topic = self.topic(&partition.topic).await?;
        }
        match topic.leader(partition.partition) {
            None => Err(Trouble::Final(Error::UnknownPartition {
                topic: partition.topic.clone(),
                partition: partition.partition,
                partitions: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX),
            })),
            Some(leader) => match leader.node {
                Some(node) => Ok((topic, node)),
                None => {
                    self.image.lock().mark_stale(&partition.topic);
                    Err(Trouble::Again(leaderless(&partition.topic)))
                }
            },
        }
    }

    /// An answer has shown that a topic is not as it is known.
    pub(super) fn mark_stale(&self, topic: &TopicName) {
        self.image.lock().mark_stale(topic);
    }

    /// Asks the leaders of partitions, all at once, each for its own. `ask` gets a broker and the places of its partitions in
    /// the list, and answers for each of them. One attempt; partitions that ask for another have their metadata marked.
    pub(super) async fn at_leaders<'a, T>(
        &'a self,
        partitions: &[TopicPartition],
        ask: impl Fn(i32, Vec<(usize, Arc<Topic>)>) -> BoxFuture<'a, Vec<(usize, Result<T, Trouble>)>>,
    ) -> Vec<Result<T, Trouble>> {
        let mut answers: Vec<_> = partitions.iter().map(|_| None).collect();
        // All topics that are missing are asked for together.
        let mut names: Vec<_> = partitions.iter().map(|partition| partition.topic.clone()).collect();
        names.sort();
        names.dedup();
        if let Err(Trouble::Again(error)) = self.topics(&names).await {
            return partitions.iter().map(|_| Err(Trouble::Again(error.clone()))).collect();
        }
        let mut by_node = BTreeMap::<i32, Vec<(usize, Arc<Topic>)>>::new();
        for (place, partition) in partitions.iter().enumerate() {
            match self.leader(partition).await {
                Ok((topic, node)) => by_node.entry(node).or_default().push((place, topic)),
                Err(trouble) => answers[place] = Some(Err(trouble)),
            }
        }
        let asked = join_all(by_node.into_iter().map(|(node, places)| ask(node, places))).await;
        for (place, answer) in asked.into_iter().flatten() {
            if let Err(Trouble::Again(_)) = &answer {
                self.mark_stale(&partitions[place].topic);
            }
            answers[place] = Some(answer);
        }
        let silent = || Err(Trouble::Again(unreachable(&self.bootstrap[0], "a broker left out a partition".into())));
        answers.into_iter().map(|answer| answer.unwrap_or_else(silent)).collect()
    }

    /// The same until every partition has its answer, or the time is over.
    pub(super) async fn until_answered<'a, T>(
        &'a self,
        partitions: &[TopicPartition],
        ask: impl Fn(i32, Vec<(usize, Arc<Topic>)>, &[TopicPartition]) -> BoxFuture<'a, Vec<(usize, Result<T, Trouble>)>>,
    ) -> Vec<Result<T>> {
        let mut patience = self.patience(REQUEST_LIMIT);
        let mut answers: Vec<_> = partitions.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..partitions.len()).collect();
        while !open.is_empty() {
            let wanted: Vec<_> = open.iter().map(|place| partitions[*place].clone()).collect();
            let answered = self.at_leaders(&wanted, |node, places| ask(node, places, &wanted)).await;
            let (mut left, mut trouble) = (Vec::new(), None);
            for (place, answer) in open.into_iter().zip(answered) {
                match answer {
                    Err(Trouble::Again(error)) => {
                        left.push(place);
                        trouble = Some(Trouble::Again(error.clone()));
                        answers[place] = Some(Err(error));
                    }
                    answer => answers[place] = Some(answer.map_err(Trouble::error)),
                }
            }
            open = left;
            if let Some(trouble) = trouble
                && patience.after(trouble).await.is_err()
            {
                break;
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Error::Closed))).collect()
    }
}

fn leaderless(topic: &TopicName) -> Error {
    let code = ErrorCode::LeaderNotAvailable;
    code.error(topic.as_str(), None).unwrap_or(Error::Closed)
}
