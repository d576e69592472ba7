//! One connection to a broker: requests in a pipeline, answers in their order.
//!
//! ```text
//!   ask ──▶ queue ──▶ driver ──▶ socket          the driver is one task; it notes each request as expected, then
//!    ▲                  │                         writes it
//!    └── answer ◀── expected ◀── socket           the next answer is that of the oldest request, and says so
//! ```
//! Invariants:
//! - At most [`IN_FLIGHT_MAX`] requests wait for their answers; who asks beyond that waits for room.
//! - Whoever asks gets an answer or learns that the connection has ended, and whether the request may have been carried
//!   out. A request that is given up is answered into the void, and the answers behind it still go to their own.
//! - An answer that does not parse, has another id, is longer than [`RESPONSE_BYTES_MAX`] or was not asked for ends the
//!   connection, as does one that does not come in time: nothing that follows could be trusted.
//! - Memory for an answer is taken as its bytes come, not as its length announces them.

use super::address::Address;
use super::login::Login;
use super::network::{Network, Stream};
use super::versions::Versions;
use crate::types::{Error, Result, limits};
use crate::wire::{ApiKey, ApiVersionsRequest, ErrorCode, Request, Response, Version};
use bytes::{Buf as _, Bytes, BytesMut};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Requests on one connection that have no answer yet.
const IN_FLIGHT_MAX: usize = 64;
/// Bytes of one answer: a batch of the largest size, and what stands around it.
const RESPONSE_BYTES_MAX: usize = limits::BATCH_BYTES_HARD_MAX as usize + 32 * 1024 * 1024;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// Whom brokers see.
const CLIENT_ID: &str = "tailwater";
/// ApiVersions of a version that the broker does not speak is answered in version 0 with this (KIP-511).
const NOT_SPOKEN: [u8; 2] = ErrorCode::UnsupportedVersion.number().to_be_bytes();

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    /// Whether the request may have been carried out all the same.
    pub(super) may_be_done: bool,
    pub(super) error: Error,
}

/// A connection that is open, or was.
#[derive(Debug)]
pub(super) struct Connection {
    address: Address,
    versions: Versions,
    /// When it has to be replaced, because what was said of who we are does not hold any longer.
    until: Option<Instant>,
    queue: mpsc::Sender<Outgoing>,
    state: Arc<State>,
    driver: AbortHandle,
}

#[derive(Debug)]
struct State {
    room: Arc<Semaphore>,
    expected: Mutex<VecDeque<Expected>>,
    /// Something more is expected.
    changed: Notify,
    ended: Mutex<Option<Error>>,
}

/// A request on its way.
#[derive(Debug)]
struct Outgoing {
    request: Request,
    version: Version,
    deadline: Instant,
    answer: oneshot::Sender<Result<Response, Lost>>,
    room: OwnedSemaphorePermit,
}

/// A request that is answered next, or after those before it.
#[derive(Debug)]
struct Expected {
    id: i32,
    key: ApiKey,
    version: Version,
    deadline: Instant,
    answer: oneshot::Sender<Result<Response, Lost>>,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    /// Connects, finds out what the broker speaks, and says who we are.
    pub(super) async fn open(
        network: &dyn Network,
        address: &Address,
        login: Option<&Login>,
        limit: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + limit;
        let stream = match timeout_at(deadline, network.open(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable(address, error.to_string())),
            Err(_) => return Err(unreachable(address, "it does not take the connection".into())),
        };
        let (queue, requests) = mpsc::channel(IN_FLIGHT_MAX);
        let state = Arc::new(State {
            room: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            expected: Mutex::default(),
            changed: Notify::new(),
            ended: Mutex::default(),
        });
        let driver = tokio::spawn(drive(address.clone(), stream, requests, state.clone())).abort_handle();
        let mut connection =
            Self { address: address.clone(), versions: Versions::default(), until: None, queue, state, driver };
        connection.versions = connection.negotiate(deadline).await?;
        if let Some(login) = login {
            connection.until = login.log_in(&connection, deadline).await?;
        }
        Ok(connection)
    }

    /// Asks in our highest version, and in one that the broker names if it does not speak that.
    async fn negotiate(&self, deadline: Instant) -> Result<Versions> {
        let mut number = *ApiKey::ApiVersions.versions().end();
        loop {
            let request = ApiVersionsRequest {
                client_software_name: CLIENT_ID.into(),
                client_software_version: env!("CARGO_PKG_VERSION").into(),
            };
            let version = ApiKey::ApiVersions.version(number).ok_or(Error::Unsupported { what: "ApiVersions" })?;
            let limit = deadline.saturating_duration_since(Instant::now());
            let answered = self.ask(Request::ApiVersions(request), version, limit).await.map_err(|lost| lost.error)?;
            let Response::ApiVersions(response) = answered else { return Err(Error::Closed) };
            match ErrorCode::from_number(response.error_code) {
                ErrorCode::None => return Ok(Versions::told(&response)),
                ErrorCode::UnsupportedVersion if number > 0 => {
                    // A broker that tells nothing else speaks version 0.
                    let spoken = Versions::told(&response).pick(ApiKey::ApiVersions, &(0..=number - 1));
                    number = spoken.map_or(0, |version| version.number);
                }
                code => return Err(code.error(&self.address.to_string(), None).unwrap_or(Error::Closed)),
            }
        }
    }

    /// What the broker speaks.
    pub(super) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Whether it can still be asked.
    pub(super) fn is_open(&self) -> bool {
        let is_over = self.until.is_some_and(|until| until <= Instant::now());
        self.state.ended.lock().is_none() && !self.queue.is_closed() && !is_over
    }

    /// Whether nothing waits for an answer.
    pub(super) fn is_idle(&self) -> bool {
        self.state.room.available_permits() == IN_FLIGHT_MAX
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&self, request: Request, version: Version, limit: Duration) -> Result<Response, Lost> {
        let deadline = Instant::now() + limit;
        let unsent = |error| Lost { may_be_done: false, error };
        let room = match timeout_at(deadline, self.state.room.clone().acquire_owned()).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return Err(unsent(self.why())),
            Err(_) => return Err(unsent(unreachable(&self.address, "too much waits for its answers".into()))),
        };
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing { request, version, deadline, answer, room };
        // There is a place in the queue for whoever has room.
        if self.queue.try_send(outgoing).is_err() {
            return Err(unsent(self.why()));
        }
        answered.await.unwrap_or_else(|_| Err(Lost { may_be_done: true, error: self.why() }))
    }

    /// Ends it: who waits learns why.
    pub(super) fn close(&self) {
        self.state.end(Error::Closed);
        self.driver.abort();
    }

    fn why(&self) -> Error {
        let ended = self.state.ended.lock().clone();
        ended.unwrap_or_else(|| unreachable(&self.address, "the connection has ended".into()))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl State {
    /// The connection has ended: tells everyone who waits.
    fn end(&self, error: Error) {
        let why = self.ended.lock().get_or_insert(error).clone();
        self.room.close();
        for expected in std::mem::take(&mut *self.expected.lock()) {
            // Who asked may have gone.
            let _ = expected.answer.send(Err(Lost { may_be_done: true, error: why.clone() }));
        }
    }

    fn expect(&self, expected: Expected) {
        self.expected.lock().push_back(expected);
        self.changed.notify_one();
    }

    /// When the first of the answers that are missing is overdue.
    fn deadline(&self) -> Option<Instant> {
        self.expected.lock().iter().map(|expected| expected.deadline).min()
    }
}

/// Writes and reads until one of them, or the wait, comes to an end.
async fn drive(address: Address, stream: Box<dyn Stream>, mut requests: mpsc::Receiver<Outgoing>, state: Arc<State>) {
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = send_all(&address, writer, &mut requests, &state) => ended,
        ended = receive_all(&address, reader, &state) => ended,
        ended = overdue(&address, &state) => ended,
    };
    tracing::debug!(%address, error = %ended, "a connection has ended");
    state.end(ended.clone());
    requests.close();
    while let Ok(unsent) = requests.try_recv() {
        let _ = unsent.answer.send(Err(Lost { may_be_done: false, error: ended.clone() }));
    }
}

async fn send_all(
    address: &Address,
    mut writer: WriteHalf<Box<dyn Stream>>,
    requests: &mut mpsc::Receiver<Outgoing>,
    state: &State,
) -> Error {
    let mut next_id = 0_i32;
    while let Some(Outgoing { request, version, deadline, answer, room }) = requests.recv().await {
        let (id, key) = (next_id, request.key());
        next_id = next_id.wrapping_add(1) & i32::MAX;
        tracing::trace!(%address, id, version = version.number, %request, "asking");
        let frame = match request.to_frame(version, id, Some(CLIENT_ID)) {
            Ok(frame) => frame,
            Err(error) => {
                let _ = answer.send(Err(Lost { may_be_done: false, error }));
                continue;
            }
        };
        drop(request);
        state.expect(Expected { id, key, version, deadline, answer, _room: room });
        let mut bytes = Pieces(frame.into_pieces().into());
        while bytes.has_remaining() {
            if let Err(error) = writer.write_buf(&mut bytes).await {
                return unreachable(address, error.to_string());
            }
        }
        if let Err(error) = writer.flush().await {
            return unreachable(address, error.to_string());
        }
    }
    Error::Closed
}

async fn receive_all(address: &Address, mut reader: ReadHalf<Box<dyn Stream>>, state: &State) -> Error {
    loop {
        let content = match receive(&mut reader).await {
            Ok(content) => content,
            Err(why) => return unreachable(address, why),
        };
        let Some(expected) = state.expected.lock().pop_front() else {
            return unreachable(address, "it answers what was not asked".into());
        };
        let Expected { id, key, mut version, answer, .. } = expected;
        let code = content.get(size_of::<i32>()..size_of::<i32>() + NOT_SPOKEN.len());
        if key == ApiKey::ApiVersions && code == Some(&NOT_SPOKEN) {
            version = Version::new(0, i16::MAX);
        }
        let why = match Response::read(key, version, content) {
            Ok((of, response)) if of == id => {
                tracing::trace!(%address, id, %response, "answered");
                let _ = answer.send(Ok(response));
                continue;
            }
            Ok((of, _)) => format!("it answers request {of} where {id} is next"),
            Err(error) => format!("its answer to {key} makes no sense: {error}"),
        };
        let error = unreachable(address, why);
        let _ = answer.send(Err(Lost { may_be_done: true, error: error.clone() }));
        return error;
    }
}

/// The content of the next frame.
async fn receive(reader: &mut ReadHalf<Box<dyn Stream>>) -> Result<Bytes, String> {
    let length = reader.read_i32().await.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "it has closed the connection".to_owned(),
        _ => error.to_string(),
    })?;
    let length = usize::try_from(length).ok().filter(|length| (size_of::<i32>()..=RESPONSE_BYTES_MAX).contains(length));
    let length = length.ok_or("it announces an answer of a size that cannot be")?;
    let mut content = BytesMut::with_capacity(length.min(READ_BYTES));
    let mut rest = reader.take(length as u64);
    while content.len() < length {
        if content.len() == content.capacity() {
            content.reserve((length - content.len()).min(content.len().max(READ_BYTES)));
        }
        match rest.read_buf(&mut content).await {
            Ok(0) => return Err("it has closed the connection in the middle of an answer".into()),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(content.freeze())
}

/// Waits until an answer does not come in time.
async fn overdue(address: &Address, state: &State) -> Error {
    loop {
        let changed = state.changed.notified();
        let Some(deadline) = state.deadline() else {
            changed.await;
            continue;
        };
        tokio::select! {
            () = sleep_until(deadline) => {
                if state.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                    return unreachable(address, "it does not answer".into());
                }
            }
            () = changed => {}
        }
    }
}

/// A broker cannot be spoken to, for the time being.
pub(super) fn unreachable(address: &Address, why: String) -> Error {
    Error::Unreachable { address: address.to_string(), why }
}

/// The pieces of a frame, as one buffer for vectored writes.
struct Pieces(VecDeque<Bytes>);

impl bytes::Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| &piece[..])
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.0) {
            *slice = std::io::IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.0.front_mut() {
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.0.pop_front();
        }
    }
}
