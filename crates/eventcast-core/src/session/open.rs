//! Opening a session of a hub whose log has to be asked.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use super::builder::{Beginning, SessionBuilder};
use super::cursor::Origin;
use super::join::Attach;
use super::options::{Start, SubscriptionOptions};
use super::reader::Session;
use crate::backplane::BackplaneError;
use crate::delivery::GapReason;
use crate::error::SubscribeError;
use crate::hub::Hub;
use crate::log::Log;
use crate::selector::ChannelSelector;

/// Where a channel begins, and why that is not where it should.
type Begin = (Origin, Option<GapReason>);

impl SessionBuilder {
    /// Opens the session: [`open`](Self::open) for hubs whose log is outside this process, and for
    /// others. It asks the log where the channels start and whether they are completed. A session
    /// that resumes needs no answer for that, and opens while the log is away.
    ///
    /// # Errors
    /// [`SubscribeError`] when a channel's name is not valid, a limit is met, or the log cannot be
    /// reached.
    ///
    /// # Cancel safety
    /// A dropped future opens nothing.
    pub async fn open_async(mut self) -> Result<Session, SubscribeError> {
        let log = Arc::clone(&self.hub.log);
        if log.remote.is_none() {
            return self.open();
        }
        if let Some(error) = self.error {
            return Err(error.into());
        }
        self.channels
            .sort_by_key(|(selector, _)| matches!(selector, ChannelSelector::Pattern(_)));
        let committed = log.committed();
        let beginning = self.beginning(&log, committed);
        let mut session = Session::new(&self.hub, committed, beginning);
        let begins = self.find_begins(&log, beginning, committed).await?;
        let channels = self.channels.iter().zip(begins);
        session.attach(
            channels.map(|((selector, options), (origin, broken))| Attach {
                selector,
                options,
                origin,
                broken,
            }),
        )?;
        session.settle_start();
        session.position_last_opening_gap();
        if let Beginning::Resumed(sequence) = beginning {
            session.note_ahead(sequence);
        }
        Ok(session)
    }

    async fn find_begins(
        &self,
        log: &Arc<Log>,
        beginning: Beginning,
        committed: u64,
    ) -> Result<Vec<Begin>, SubscribeError> {
        let is_resumed = matches!(beginning, Beginning::Resumed(_) | Beginning::Forked(_));
        let begin = |selector: ChannelSelector, options: SubscriptionOptions| {
            let log = Arc::clone(log);
            let (origin, broken) = origin(&log, beginning, options.start, committed);
            async move {
                let ChannelSelector::Channel(name) = selector else {
                    return Ok((pattern_origin(origin), broken));
                };
                let Ok(ring) = log.find_or_create(&name) else {
                    // The same is found when it is attached.
                    return Ok((origin, broken));
                };
                log.activate(&ring).await?;
                let sequence = log.find_start(&ring, origin).await?;
                Ok((Origin::Sequence(sequence), broken))
            }
        };
        let reads = self.channels.iter();
        let reads = reads.map(|(selector, options)| begin(selector.clone(), options.clone()));
        let found = match is_resumed && log.remote.as_ref().is_some_and(|r| r.is_stalled()) {
            // The session finds out once the log is back.
            true => Err(BackplaneError::new("the log is stalled")),
            false => all(reads.collect()).await,
        };
        match found {
            Ok(begins) => Ok(begins),
            Err(_) if is_resumed => {
                let starts = self.channels.iter().map(|(_, options)| options.start);
                let begins = starts.map(|start| origin(log, beginning, start, committed));
                Ok(begins.collect())
            }
            Err(_) => Err(SubscribeError::Unavailable),
        }
    }
}

impl Hub {
    /// [`subscribe`](Self::subscribe) for hubs whose log is outside this process, and for others.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub async fn subscribe_async(
        &self,
        channel: impl TryInto<ChannelSelector, Error: Into<crate::NameError>>,
    ) -> Result<Session, SubscribeError> {
        self.session().channel(channel).open_async().await
    }
}

fn origin(log: &Log, beginning: Beginning, start: Start, committed: u64) -> Begin {
    match beginning {
        Beginning::Resumed(sequence) => (Origin::Sequence(sequence), None),
        Beginning::Forked(sequence) => (Origin::Sequence(sequence), None),
        Beginning::Broken(GapReason::Epoch) => (Origin::TrimMark, None),
        _ => log.origin(start, committed),
    }
}

/// Which channels fit, and what they have, is found as the session is read.
fn pattern_origin(origin: Origin) -> Origin {
    match origin {
        Origin::Live(sequence) => Origin::Sequence(sequence),
        other => other,
    }
}

type Read<T> = Pin<Box<dyn Future<Output = Result<T, BackplaneError>> + Send>>;

/// The outcomes of all, in their order, a few at a time.
pub(super) async fn all<T, F>(reads: Vec<F>) -> Result<Vec<T>, BackplaneError>
where
    F: Future<Output = Result<T, BackplaneError>> + Send + 'static,
{
    let mut outcomes: Vec<Option<T>> = reads.iter().map(|_| None).collect();
    let mut left: VecDeque<(usize, F)> = reads.into_iter().enumerate().collect();
    let mut running: Vec<(usize, Read<T>)> = Vec::new();
    poll_fn(|cx| {
        loop {
            while running.len() < AT_ONCE
                && let Some((index, read)) = left.pop_front()
            {
                running.push((index, Box::pin(read)));
            }
            let before = running.len();
            let mut failed = None;
            running.retain_mut(|(index, read)| match read.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(outcome)) => {
                    outcomes[*index] = Some(outcome);
                    false
                }
                Poll::Ready(Err(error)) => {
                    failed = Some(error);
                    false
                }
            });
            if let Some(error) = failed {
                return Poll::Ready(Err(error));
            }
            if running.is_empty() && left.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if running.len() == before || left.is_empty() {
                return Poll::Pending;
            }
        }
    })
    .await?;
    Ok(outcomes.into_iter().flatten().collect())
}

/// So many channels are asked about at once.
const AT_ONCE: usize = 16;
