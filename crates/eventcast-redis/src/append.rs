//! Appends: one script, tried again where that is safe, within a bound of time.

use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{Append, AppendError, BackplaneError, Body, OutcomeKnown, Position};
use redis::{RedisResult, ScriptInvocation};
use tokio::time::{Instant, sleep, timeout_at};

use crate::failure::{Failure, failure, unreachable};
use crate::link::Link;
use crate::shared::Shared;

/// The highest number that a script counts exactly with.
const MAX_EXACT: u64 = 1 << 53;
/// Between two tries on a server that is there but takes no writes.
const PAUSE: Duration = Duration::from_millis(20);

/// What the script answers.
enum Answer {
    Stored(Vec<u64>),
    Completed,
    Fenced,
}

pub(crate) async fn append(shared: &Shared, append: &Append) -> Result<Vec<Position>, AppendError> {
    let bodies: Vec<_> = append.bodies.iter().map(Body::encode).collect();
    let size: usize = bodies.iter().map(|body| body.len()).sum();
    if size > shared.config.max_append {
        return Err(AppendError::TooLarge {
            limit: shared.config.max_append,
        });
    }
    let end = append.bodies.iter().position(is_end);
    match end {
        // Nothing follows a channel's end.
        Some(end) if end + 1 < append.bodies.len() => return Err(AppendError::Completed),
        _ if append.bodies.is_empty() => return Ok(Vec::new()),
        _ => {}
    }
    let is_keyed = append.bodies.iter().all(|b| b.idempotency_key().is_some());
    let mut attempt = Attempt::new(shared);
    loop {
        let link = attempt.link().await?;
        let call = invocation(shared, &link, append, &bodies);
        let result = timeout_at(attempt.deadline, once(&link, &call)).await;
        let (next, error) = match result {
            Ok(Ok(Answer::Stored(sequences))) => {
                match replicated(shared, &link, attempt.deadline).await {
                    Ok(true) => {}
                    Ok(false) => {
                        attempt.outcome = OutcomeKnown::Unknown;
                        let few = BackplaneError::new("too few replicas have the records");
                        return Err(attempt.unavailable(few));
                    }
                    Err(error) => {
                        attempt.outcome = OutcomeKnown::Unknown;
                        link.fail();
                        if !is_keyed {
                            return Err(attempt.unavailable(unreachable(error)));
                        }
                        attempt.leave(&link, unreachable(error));
                        continue;
                    }
                }
                let highest = sequences.iter().copied().max().unwrap_or_default();
                shared.saw(highest, 0);
                given(shared, &link, highest, attempt.deadline).await;
                let known = shared.known();
                return Ok(sequences.iter().map(|s| known.position(*s)).collect());
            }
            Ok(Ok(Answer::Completed)) => return Err(AppendError::Completed),
            Ok(Ok(Answer::Fenced)) => (
                Failure::Away,
                BackplaneError::new("the log went on under another epoch"),
            ),
            Ok(Err(error)) => (failure(&error), unreachable(error)),
            Err(_) => (
                Failure::Lost,
                BackplaneError::new("the server did not answer in time"),
            ),
        };
        match next {
            Failure::Full if attempt.outcome == OutcomeKnown::NotStored => {
                return Err(AppendError::Full(error));
            }
            Failure::Away => {
                link.fail();
                attempt.leave(&link, error);
            }
            Failure::Busy => {
                attempt.cause = Some(error);
                let again = attempt.deadline.min(Instant::now() + PAUSE);
                sleep(again.saturating_duration_since(Instant::now())).await;
            }
            Failure::Lost if is_keyed => {
                attempt.outcome = OutcomeKnown::Unknown;
                link.fail();
                attempt.leave(&link, error);
            }
            Failure::Lost | Failure::Unclear => {
                attempt.outcome = OutcomeKnown::Unknown;
                if next == Failure::Lost {
                    link.fail();
                }
                return Err(attempt.unavailable(error));
            }
            Failure::Full | Failure::Refused => return Err(attempt.unavailable(error)),
        }
    }
}

/// The tries of one append.
struct Attempt<'a> {
    shared: &'a Shared,
    began: Instant,
    deadline: Instant,
    outcome: OutcomeKnown,
    /// The connections that failed.
    left: Option<Arc<Link>>,
    cause: Option<BackplaneError>,
}

impl<'a> Attempt<'a> {
    fn new(shared: &'a Shared) -> Self {
        let began = Instant::now();
        Self {
            shared,
            began,
            deadline: began + shared.config.publish_timeout,
            outcome: OutcomeKnown::NotStored,
            left: None,
            cause: None,
        }
    }

    fn leave(&mut self, link: &Arc<Link>, cause: BackplaneError) {
        self.left = Some(Arc::clone(link));
        self.cause = Some(cause);
    }

    /// What is left of the time.
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Connections that did not fail yet, once there are some.
    async fn link(&self) -> Result<Arc<Link>, AppendError> {
        let is_other = |link: &Option<Arc<Link>>| match (link, &self.left) {
            (Some(link), Some(left)) => !Arc::ptr_eq(link, left),
            (link, None) => link.is_some(),
            (None, _) => false,
        };
        let mut links = self.shared.link.subscribe();
        if self.left().is_zero() {
            return Err(self.unavailable(self.reason()));
        }
        let is_settled = |link: &Option<Arc<Link>>| self.shared.is_closed() || is_other(link);
        match timeout_at(self.deadline, links.wait_for(is_settled)).await {
            _ if self.shared.is_closed() => {
                Err(self.unavailable(BackplaneError::new("the log is closed")))
            }
            Ok(Ok(link)) => link.clone().ok_or_else(|| self.unavailable(self.reason())),
            _ => Err(self.unavailable(self.reason())),
        }
    }

    fn reason(&self) -> BackplaneError {
        let cause = self.cause.clone();
        cause.unwrap_or_else(|| BackplaneError::new("the server is not connected"))
    }

    fn unavailable(&self, source: BackplaneError) -> AppendError {
        AppendError::Unavailable {
            outcome: self.outcome,
            waited: self.began.elapsed(),
            source,
        }
    }
}

async fn once(link: &Link, call: &ScriptInvocation<'_>) -> RedisResult<Answer> {
    let answer: Vec<String> = call.invoke_async(&mut link.commands()).await?;
    match answer.split_first() {
        Some((kind, sequences)) if kind == "stored" => {
            let sequences: Result<Vec<u64>, _> = sequences.iter().map(|s| s.parse()).collect();
            Ok(Answer::Stored(sequences.map_err(|_| unexpected())?))
        }
        Some((kind, _)) if kind == "completed" => Ok(Answer::Completed),
        Some((kind, _)) if kind == "fenced" => Ok(Answer::Fenced),
        _ => Err(unexpected()),
    }
}

/// Whether enough replicas have what was appended, within the time. Waits in parts: the connection
/// does nothing else meanwhile, and is asked whether it is there.
async fn replicated(shared: &Shared, link: &Link, deadline: Instant) -> RedisResult<bool> {
    let replicas = shared.config.replicas;
    if replicas == 0 {
        return Ok(true);
    }
    let part = shared.config.silence / 4;
    while Instant::now() < deadline {
        match timeout_at(deadline, link.replicated(replicas, millis(part))).await {
            Ok(Ok(false)) => {}
            Ok(result) => return result,
            Err(_) => return Ok(false),
        }
    }
    Ok(false)
}

/// Waits until this node's sink has it, so that who published sees what he did; not for long, since
/// it is stored, and not over an outage.
async fn given(shared: &Shared, link: &Link, sequence: u64, deadline: Instant) {
    let mut given = shared.given.subscribe();
    if *given.borrow_and_update() >= sequence {
        return;
    }
    let mut links = shared.link.subscribe();
    let is_over =
        |now: &Option<Arc<Link>>| now.as_ref().is_none_or(|now| !std::ptr::eq(&**now, link));
    let until = deadline.min(Instant::now() + shared.config.silence);
    let _ = timeout_at(until, async {
        tokio::select! {
            _ = given.wait_for(|given| *given >= sequence) => {}
            _ = links.wait_for(is_over) => {}
        }
    })
    .await;
}

fn unexpected() -> redis::RedisError {
    let error = "the script answered something else";
    (redis::ErrorKind::UnexpectedReturnType, error).into()
}

fn invocation<'a>(
    shared: &'a Shared,
    link: &Link,
    append: &Append,
    bodies: &[bytes::Bytes],
) -> ScriptInvocation<'a> {
    let (keys, channel) = (&shared.keys, &append.channel);
    let own = keys.channel(channel);
    let mut call = shared.scripts.append.prepare_invoke();
    call.key(keys.log())
        .key(keys.stream(channel))
        .key(&own)
        .key(keys.index())
        .key(keys.names())
        .key(keys.expiry())
        .arg(link.epoch.bits())
        .arg(append.time.as_millis().min(MAX_EXACT))
        .arg(channel.as_str())
        .arg((append.retention.count() as u64).min(MAX_EXACT))
        .arg(append.retention.bytes().min(MAX_EXACT))
        .arg(millis(append.retention.age()))
        .arg(millis(shared.config.window))
        .arg(keys.records())
        .arg(u8::from(shared.config.replicas > 0));
    for (body, bytes) in append.bodies.iter().zip(bodies) {
        let kind = match (body, body.idempotency_key()) {
            (Body::Completion(_), _) => "end",
            (_, Some(_)) => "keyed",
            _ => "plain",
        };
        match body.idempotency_key() {
            Some(key) => call.key(keys.published(channel, key)),
            None => call.key(&own),
        };
        call.arg(kind)
            .arg(body.charge(&append.channel))
            .arg(&bytes[..]);
    }
    call
}

/// As the scripts count.
pub(crate) fn millis(duration: Duration) -> u64 {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    millis.min(MAX_EXACT)
}

fn is_end(body: &Body) -> bool {
    matches!(body, Body::Completion(_))
}
