//! One connection: requests are read ahead, carried out in order, and answered in order.
//!
//! ```text
//!   receive ──[READ_AHEAD]──▶ work ──[READ_AHEAD]──▶ send
//!   frames, within limits     one request at a time,   all that is ready with one system call
//!                             but appends together
//! ```
//! The three are one task. As with Kafka a request begins when the one before it has been answered, so what it sees is
//! what the requests before it did. Appends are the exception: their places in the logs are decided when they are
//! submitted, which is in order, and then they wait together for one sync. An append inside a transaction may have to
//! wait before it is submitted, so it goes alone.
//!
//! Who has used more than its quota is answered, and then not heard for a while.
//! A peer that does not take its responses is not worked for: the next request waits until most of them are gone.
//!
//! When the peer is gone, what it had sent is carried out, but nothing waits for others on its behalf any more. When the
//! server shuts down, no more is read, and what was read is answered.

use super::budget::{Budget, Share};
use super::context::Context;
use super::dispatch::{self, Answered, Call};
use super::ended::Ended;
use super::frame::{self, Outbox, Received};
use super::memory::Room;
use crate::wire::Frame;
use futures::future::{BoxFuture, FutureExt as _, ready};
use futures::stream::{FuturesOrdered, StreamExt as _};
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// Requests of a connection that are read and not answered.
const READ_AHEAD: usize = 32;

/// Bytes of responses that a connection may leave unsent when its next request begins.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;

/// What a request came to, and the room that it takes until its response is sent.
type Answer = (Result<Answered, Ended>, Room);

/// Where answers go to be sent, with the memory that they take until then.
struct Answers<'a> {
    sender: mpsc::Sender<(Answer, Share)>,
    responses: &'a Arc<Budget>,
    /// Bytes of responses that are not sent.
    unsent: &'a watch::Sender<usize>,
}

impl Answers<'_> {
    /// Waits until the peer has taken most of what it was sent.
    async fn wait_for_room(&self) {
        // The sender outlives this.
        let _ = self.unsent.subscribe().wait_for(|bytes| *bytes < UNSENT_BYTES_MAX).await;
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    context: &Context,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) -> Ended {
    let (received, to_do) = mpsc::channel(READ_AHEAD);
    let (sender, to_send) = mpsc::channel(READ_AHEAD);
    let unsent = watch::Sender::new(0);
    let answered = Answers { sender, responses: &context.shared.responses, unsent: &unsent };
    let gone = watch::Sender::new(false);
    let unanswered = AtomicUsize::new(0);
    let receiving = async {
        let ended = tokio::select! {
            ended = receive_all(context, &mut reader, &received, &unanswered) => ended,
            () = context.stopping() => Ended::Stopped,
        };
        if !matches!(ended, Ended::Stopped) {
            gone.send_replace(true);
        }
        // With this the others come to an end too.
        drop(received);
        ended
    };
    let serving = async {
        tokio::try_join!(
            work_all(context, to_do, answered, gone.subscribe()),
            send_all(context, to_send, &mut writer, (&unanswered, &unsent))
        )
    };
    let mut serving = pin!(serving);
    tokio::select! {
        biased;
        ended = receiving => match serving.await {
            Err(worse) if ended.is_usual() => worse,
            _ => ended,
        },
        served = &mut serving => served.err().unwrap_or(Ended::ByPeer),
    }
}

/// Receives requests until there are no more.
async fn receive_all(
    context: &Context,
    reader: &mut (impl AsyncRead + Unpin),
    received: &mpsc::Sender<Received>,
    unanswered: &AtomicUsize,
) -> Ended {
    let limits = &context.shared.config.limits;
    let mut silence = limits.handshake;
    let mut is_new = true;
    loop {
        let length = match frame::receive_length(reader, limits, limits.frame_bytes_max, silence).await {
            Ok(length) => length,
            // It waits for us.
            Err(Ended::Silent) if unanswered.load(Ordering::Relaxed) > 0 => continue,
            Err(ended) => return ended,
        };
        silence = limits.idle;
        match frame::receive(reader, limits, &context.shared.memory, length).await {
            Ok(request) => {
                if std::mem::take(&mut is_new) {
                    context.place.keep();
                }
                unanswered.fetch_add(1, Ordering::Relaxed);
                if received.send(request).await.is_err() {
                    // Whoever does not take them any more says why.
                    return pending().await;
                }
            }
            Err(ended) => return ended,
        }
    }
}

/// Carries requests out until there are no more.
async fn work_all(
    context: &Context,
    mut to_do: mpsc::Receiver<Received>,
    answered: Answers<'_>,
    gone: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let mut appends: FuturesOrdered<BoxFuture<'_, Answer>> = FuturesOrdered::new();
    // Until when the peer is not heard.
    let mut muted: Option<Instant> = None;
    loop {
        let received = tokio::select! {
            biased;
            Some(answer) = appends.next() => {
                muted = muted.max(deliver(&answered, answer).await?);
                continue;
            }
            () = quiet(context, muted, gone.clone()), if muted.is_some() => {
                muted = None;
                continue;
            }
            received = to_do.recv(), if muted.is_none() => received,
        };
        let Some(Received { content, room }) = received else { break };
        let call = dispatch::read(content)?;
        let is_before_authentication = call.is_before_authentication();
        if !is_before_authentication && context.is_session_over().await {
            return Err(Ended::AskedTooSoon(call.key()));
        }
        if call.is_append() {
            let mut append = async move { (dispatch::answer(context, call).await, room) }.boxed();
            // It is submitted now, before any that follows.
            match futures::poll!(&mut append) {
                Poll::Ready(answer) => appends.push_back(ready(answer).boxed()),
                Poll::Pending => appends.push_back(append),
            }
            continue;
        }
        while let Some(answer) = appends.next().await {
            muted = muted.max(deliver(&answered, answer).await?);
        }
        answered.wait_for_room().await;
        let answer = alone(context, call, gone.clone()).await;
        let refused = if is_before_authentication { context.refused().await } else { None };
        muted = muted.max(deliver(&answered, (answer, room)).await?);
        if let Some(ended) = refused {
            deliver(&answered, (Err(ended), Room::NONE)).await?;
        }
        if !to_do.is_empty() {
            // Who asks for much at once does not keep others waiting for more than one answer.
            yield_now().await;
        }
    }
    while let Some(answer) = appends.next().await {
        deliver(&answered, answer).await?;
    }
    Ok(())
}

/// Carries out one request, unless it waits for others and nobody waits for it.
async fn alone(context: &Context, call: Call, mut gone: watch::Receiver<bool>) -> Result<Answered, Ended> {
    if !call.waits_for_others() {
        return dispatch::answer(context, call).await;
    }
    tokio::select! {
        answer = dispatch::answer(context, call) => answer,
        _ = gone.wait_for(|gone| *gone) => Ok(Answered::default()),
    }
}

/// Hands an answer over to be sent; until when the peer is not heard after it.
async fn deliver(answered: &Answers<'_>, answer: Answer) -> Result<Option<Instant>, Ended> {
    let (bytes, mute) = match &answer.0 {
        Ok(Answered { frame, mute }) => (frame.as_ref().map_or(0, Frame::len), Some(*mute)),
        Err(_) => (0, None),
    };
    answered.unsent.send_modify(|unsent| *unsent += bytes);
    let answer = (answer, answered.responses.take(bytes));
    // Whoever does not take it any more says why.
    match (answered.sender.send(answer).await, mute) {
        (Ok(()), Some(mute)) => Ok((!mute.is_zero()).then(|| Instant::now() + mute)),
        _ => pending().await,
    }
}

/// Waits until the peer is heard again, or there is nobody to be heard.
async fn quiet(context: &Context, until: Option<Instant>, mut gone: watch::Receiver<bool>) {
    tokio::select! {
        () = sleep_until(until.unwrap_or_else(Instant::now)) => {}
        _ = gone.wait_for(|gone| *gone) => {}
        () = context.stopping() => {}
    }
}

/// Sends responses until there are no more, or one says that the connection ends.
async fn send_all(
    context: &Context,
    mut to_send: mpsc::Receiver<(Answer, Share)>,
    writer: &mut (impl AsyncWrite + Unpin),
    (unanswered, unsent): (&AtomicUsize, &watch::Sender<usize>),
) -> Result<(), Ended> {
    let limits = &context.shared.config.limits;
    let mut outbox = Outbox::default();
    while let Some(mut answer) = to_send.recv().await {
        let mut ended = None;
        let (mut count, mut bytes) = (0, 0);
        loop {
            count += 1;
            match answer {
                ((Ok(Answered { frame: Some(frame), .. }), room), share) => {
                    bytes += frame.len();
                    outbox.push(frame, (room, share));
                }
                ((Ok(_), _), _) => {}
                ((Err(why), _), _) => {
                    ended = Some(why);
                    break;
                }
            }
            if outbox.is_full() {
                break;
            }
            match to_send.try_recv() {
                Ok(next) => answer = next,
                Err(_) => break,
            }
        }
        outbox.send(writer, limits).await?;
        unanswered.fetch_sub(count, Ordering::Relaxed);
        unsent.send_modify(|unsent| *unsent -= bytes);
        if let Some(why) = ended {
            return Err(why);
        }
    }
    Ok(())
}
