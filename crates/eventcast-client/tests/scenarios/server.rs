//! A server that answers as a scenario says, in memory.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::table::{Answer, Change, Then, Times};
use crate::wire::{self, Asked};

#[derive(Clone)]
pub(crate) struct Server(Arc<Mutex<State>>);

pub(crate) struct State {
    answers: Vec<Answer>,
    /// How often each was given.
    given: Vec<u64>,
    pub(crate) requests: Vec<(Asked, Instant)>,
    pub(crate) posts: Vec<Asked>,
    /// Attempts, where nothing else is looked at.
    pub(crate) attempts: Vec<Instant>,
    /// What should not have come.
    pub(crate) wrong: Vec<String>,
    /// Bytes that were written.
    pub(crate) sent: usize,
    live: Option<Live>,
    polls: Polls,
    keeps_requests: bool,
}

/// The session that can be changed.
struct Live {
    key: Option<String>,
    changes: VecDeque<Change>,
    /// Tells the connection what to write, and whether it was the last change.
    changed: mpsc::UnboundedSender<(Vec<Value>, bool)>,
}

/// What becomes of the next poll.
enum Polls {
    Answered,
    Hang,
    Changed(mpsc::UnboundedReceiver<(Vec<Value>, bool)>, Then),
}

impl Server {
    pub(crate) fn new(answers: Vec<Answer>, keeps_requests: bool) -> Self {
        let given = vec![0; answers.len()];
        Self(Arc::new(Mutex::new(State {
            answers,
            given,
            requests: Vec::new(),
            posts: Vec::new(),
            attempts: Vec::new(),
            wrong: Vec::new(),
            sent: 0,
            live: None,
            polls: Polls::Answered,
            keeps_requests,
        })))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn dial(&self) -> std::future::Ready<io::Result<DuplexStream>> {
        let (client, server) = duplex(4096);
        tokio::spawn(self.clone().serve(server));
        std::future::ready(Ok(client))
    }

    async fn serve(self, mut stream: DuplexStream) {
        while let Some(asked) = Asked::read(&mut stream).await {
            let open = match asked.kind() {
                "change" => self.change(&asked, &mut stream).await,
                _ => self.answer(asked, &mut stream).await,
            };
            if open.is_none() {
                return;
            }
        }
    }

    /// Answers; `None` if the connection is to be closed, or was.
    async fn answer(&self, asked: Asked, stream: &mut DuplexStream) -> Option<()> {
        let is_post = matches!(asked.kind(), "publish" | "request");
        if asked.kind() == "poll" {
            let polls = std::mem::replace(&mut self.state().polls, Polls::Answered);
            match polls {
                Polls::Answered => {}
                Polls::Hang => {
                    self.state().polls = Polls::Hang;
                    return gone(stream).await;
                }
                Polls::Changed(mut changed, then) => {
                    let (messages, last) = changed.recv().await?;
                    self.state().polls = match (last, then) {
                        (false, then) => Polls::Changed(changed, then),
                        (true, Then::Cut) => Polls::Answered,
                        (true, _) => Polls::Hang,
                    };
                    let (head, body) = wire::answer(&asked, &messages);
                    return self.send(stream, &[head.as_bytes(), &body].concat()).await;
                }
            }
        }
        let answer = self.state().take(asked.kind());
        let answer = answer.or_else(|| {
            let (kind, id) = (asked.kind().to_owned(), asked.id().map(str::to_owned));
            let wrong = format!("a request too many: {kind}, id {id:?}");
            self.state().wrong.push(wrong);
            None
        })?;
        let bytes = self.bytes(&answer, &asked);
        let (kind, key) = (
            asked.kind().to_owned(),
            asked.all("session").first().map(|key| (*key).to_owned()),
        );
        {
            let mut state = self.state();
            match (is_post, state.keeps_requests) {
                (true, _) => state.posts.push(asked),
                (false, true) => state.requests.push((asked, Instant::now())),
                (false, false) => state.attempts.push(Instant::now()),
            }
        }
        if answer.cut {
            return None;
        }
        if answer.silent {
            return gone(stream).await;
        }
        let mut changed = self.expect_changes(&answer, key);
        let size = answer.pieces.unwrap_or(bytes.len()).max(1);
        for piece in bytes.chunks(size) {
            self.send(stream, piece).await?;
            tokio::task::yield_now().await;
        }
        if answer.status.is_some() {
            return Some(());
        }
        if kind == "poll" && answer.messages.is_some() && answer.short == 0 {
            let drains = |message: &Value| message["type"] == "draining";
            let drains = answer.messages.iter().flatten().any(drains);
            self.state().polls = match (changed.take(), answer.then) {
                (Some(changed), then) => Polls::Changed(changed, then),
                (None, Then::Cut) => Polls::Answered,
                (None, _) if drains => Polls::Answered,
                (None, _) => Polls::Hang,
            };
            return Some(());
        }
        if let Some(changed) = changed {
            self.changes(&kind, stream, changed).await?;
        }
        if let Some(code) = answer.close {
            self.send(stream, &wire::frame(0x8, &code.to_be_bytes()))
                .await?;
        }
        match answer.then {
            Then::Cut => None,
            Then::Hang => gone(stream).await,
            Then::Repeat => {
                let last = answer.raw.iter().flatten().last().expect("a piece");
                loop {
                    self.send(stream, last.as_bytes()).await?;
                    // Time stands while nothing waits for it.
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }
    }

    fn bytes(&self, answer: &Answer, asked: &Asked) -> Vec<u8> {
        if let Some(raw) = &answer.raw {
            return raw.concat().into_bytes();
        }
        if let Some(messages) = &answer.messages {
            let (head, mut body) = wire::answer(asked, messages);
            body.truncate(body.len() - answer.short);
            return [head.into_bytes(), body].concat();
        }
        let Some(status) = answer.status else {
            return Vec::new();
        };
        let problem = answer.problem.as_ref();
        let problem = problem.map(|detail| json!({"status": status, "detail": detail}).to_string());
        let mut head = format!("HTTP/1.1 {status} Said\r\n");
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if problem.is_some() {
            head += "content-type: application/problem+json\r\n";
        }
        let body = problem.or_else(|| answer.body.clone()).unwrap_or_default();
        // A 204 has neither a body nor a length.
        if status != 204 {
            head += &format!("content-length: {}\r\n", body.len());
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    /// The changes that are to come, if any are.
    fn expect_changes(
        &self,
        answer: &Answer,
        key: Option<String>,
    ) -> Option<mpsc::UnboundedReceiver<(Vec<Value>, bool)>> {
        if answer.changes.is_empty() {
            return None;
        }
        let (changed, receiver) = mpsc::unbounded_channel();
        self.state().live = Some(Live {
            key,
            changes: answer.changes.clone().into(),
            changed,
        });
        Some(receiver)
    }

    /// Changes over the connection itself, or beside it.
    async fn changes(
        &self,
        kind: &str,
        stream: &mut DuplexStream,
        mut changed: mpsc::UnboundedReceiver<(Vec<Value>, bool)>,
    ) -> Option<()> {
        loop {
            if kind == "websocket" {
                let text = wire::text(stream).await?;
                let answer = self.change_by_message(&text);
                let frame = wire::more(kind, &[answer]);
                self.send(stream, &frame).await?;
            }
            let (messages, last) = changed.recv().await?;
            let bytes = wire::more(kind, &messages);
            self.send(stream, &bytes).await?;
            if last {
                // What the client answers to it comes before a cut.
                sleep(Duration::from_millis(1)).await;
                return Some(());
            }
        }
    }

    fn change_by_message(&self, text: &str) -> Value {
        let asked: Value = serde_json::from_str(text).unwrap();
        let kind = asked["type"].as_str().unwrap();
        let channels = asked["channels"].as_array().into_iter().flatten();
        let token = asked.get("token");
        let named: Vec<_> = channels.chain(token).filter_map(Value::as_str).collect();
        let start = asked.get("start").and_then(Value::as_str);
        let change = self.next_change(kind, &named, start);
        let mut answer = match (&change.answer, &change.refuse) {
            (Some(answer), _) => {
                let mut answer = answer.clone();
                let done = format!("{}ed", kind.trim_end_matches('e'));
                answer.insert("type".to_owned(), json!(done));
                Value::from(answer)
            }
            (None, Some(refuse)) => {
                json!({"type": "error", "code": refuse.code, "message": refuse.detail})
            }
            (None, None) => panic!("a change without an answer"),
        };
        answer["ref"] = asked["ref"].clone();
        answer
    }

    /// Answers a request of its own, and lets the connection go on.
    async fn change(&self, asked: &Asked, stream: &mut DuplexStream) -> Option<()> {
        let path = asked.path.strip_prefix("/sessions/").unwrap();
        let (key, kind) = match (path.strip_suffix("/refresh"), asked.method.as_str()) {
            (Some(key), _) => (key, "refresh"),
            (None, "POST") => (path, "subscribe"),
            (None, _) => (path, "unsubscribe"),
        };
        let key = Some(key.to_owned());
        let known = self.state().live.as_ref().map(|live| live.key.clone());
        if known.as_ref() != Some(&key) {
            let wrong = format!("a change of {key:?}, not of {known:?}");
            self.state().wrong.push(wrong);
            return None;
        }
        let token = asked.header("authorization");
        let token = token.and_then(|header| header.strip_prefix("Bearer "));
        let named = match kind {
            "refresh" => token.into_iter().collect(),
            _ => asked.all("channel"),
        };
        let start = asked.all("start").first().copied();
        let change = self.next_change(kind, &named, start);
        let answer = Answer {
            status: Some(change.refuse.as_ref().map_or(200, |refuse| refuse.status)),
            problem: change.refuse.as_ref().map(|refuse| refuse.detail.clone()),
            body: change.answer.map(|answer| Value::from(answer).to_string()),
            ..empty()
        };
        let bytes = self.bytes(&answer, asked);
        self.send(stream, &bytes).await
    }

    /// `named` are channels, or a token.
    fn next_change(&self, kind: &str, named: &[&str], start: Option<&str>) -> Change {
        let mut state = self.state();
        let live = state.live.as_mut().expect("a session that is changed");
        let change = live.changes.pop_front().expect("a change too many");
        let (messages, last) = (change.messages.clone(), live.changes.is_empty());
        let changed = live.changed.clone();
        // The client sees the answer first.
        tokio::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            let _ = changed.send((messages, last));
        });
        let refresh = change.refresh.iter().cloned().collect();
        let expected = match kind {
            "subscribe" => change.subscribe.as_ref(),
            "unsubscribe" => change.unsubscribe.as_ref(),
            _ => Some(&refresh),
        };
        let as_expected = expected.is_some_and(|expected| *expected == named);
        if !as_expected || change.start.as_deref() != start {
            let wrong = format!("{kind} {named:?} from {start:?}");
            state.wrong.push(wrong);
        }
        change
    }

    async fn send(&self, stream: &mut DuplexStream, bytes: &[u8]) -> Option<()> {
        // In small parts, so that what was not taken is not counted.
        for part in bytes.chunks(4096) {
            stream.write_all(part).await.ok()?;
            self.state().sent += part.len();
        }
        Some(())
    }
}

impl State {
    fn take(&mut self, kind: &str) -> Option<Answer> {
        let is_post = matches!(kind, "publish" | "request");
        let fits = |answer: &Answer| match answer.to.as_deref() {
            Some(to) => to == kind,
            None => !is_post,
        };
        let left = |answer: &Answer, given: u64| match answer.times {
            Times::Count(times) => given < times,
            Times::Word(_) => true,
        };
        let mut all = self.answers.iter().zip(&mut self.given);
        let (answer, given) = all.find(|(answer, given)| fits(answer) && left(answer, **given))?;
        *given += 1;
        Some(answer.clone())
    }
}

/// Stays until the client goes.
async fn gone(stream: &mut DuplexStream) -> Option<()> {
    let mut bytes = [0; 1024];
    while let Ok(1..) = stream.read(&mut bytes).await {}
    None
}

fn empty() -> Answer {
    serde_json::from_value(json!({})).unwrap()
}
