//! Compares what was seen with what is expected.

use std::time::Duration;

use eventcast_client::{ClientError, Delivery, Loss};
use eventcast_core::{EventName, Payload, PayloadKind};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Seen;
use crate::server::State;
use crate::table::{Expected, Post, Request, Scenario};
use crate::wire::Asked;

/// A delivery as the table writes it.
pub(crate) fn told(delivery: &Delivery) -> Value {
    match delivery {
        Delivery::Event(event) => json!({
            "event": data(&event.payload),
            "id": event.id.to_string(),
            "channel": event.channel.as_str(),
            "name": event.name.as_ref().map(EventName::as_str),
            "encoding": match event.payload.kind() {
                PayloadKind::Text => "text",
                PayloadKind::Json => "json",
                PayloadKind::Binary => "binary",
            },
        }),
        Delivery::Ephemeral(event) => json!({
            "ephemeral": data(&event.payload),
            "channel": event.channel.as_str(),
            "name": event.name.as_ref().map(EventName::as_str),
        }),
        Delivery::Gap(gap) => json!({
            "gap": match gap.reason {
                Loss::Trimmed => "trimmed",
                Loss::Slow => "slow",
                Loss::Epoch => "epoch",
                Loss::Unknown => "unknown",
                // One that this version does not know; the table calls it so.
                _ => "moon",
            },
            "channel": gap.channel.as_str(),
            "missed": gap.missed,
        }),
        Delivery::Completed(end) => json!({
            "completed": if end.failure.is_some() { "failed" } else { "complete" },
            "channel": end.channel.as_str(),
            "reason": end.failure,
        }),
        Delivery::Conflated { channel, count } => {
            json!({"conflated": count, "channel": channel.as_str()})
        }
        Delivery::Stalled => json!("stalled"),
        Delivery::Recovered => json!("recovered"),
        Delivery::Connected { transport, .. } => json!({"open": transport.as_str()}),
        Delivery::Reconnecting { .. } => json!("waiting"),
        other => json!(format!("{other:?}")),
    }
}

pub(crate) fn data(payload: &Payload) -> Value {
    match payload.kind() {
        PayloadKind::Text => json!(payload.as_str()),
        PayloadKind::Json => serde_json::from_slice(payload.as_bytes()).unwrap(),
        PayloadKind::Binary => json!(payload.as_bytes().to_vec()),
    }
}

pub(crate) fn outcome(error: &ClientError) -> Value {
    match error {
        ClientError::Closed => json!("closed"),
        ClientError::Unauthorized { detail } => json!({"error": {"status": 401, "detail": detail}}),
        ClientError::Refused { status, detail } => {
            json!({"error": {"status": status.as_u16(), "detail": detail}})
        }
        ClientError::TooLarge { .. } => json!({"error": {"code": "too_large"}}),
        other => json!({"error": {"code": other.to_string()}}),
    }
}

/// Whether a value is what is expected, with more members or without.
pub(crate) fn has(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(value), Value::Object(expected)) => expected
            .iter()
            .all(|(name, expected)| value.get(name).is_some_and(|value| has(value, expected))),
        // Any transport will do.
        (Value::Object(value), Value::String(word)) => word == "open" && value.contains_key("open"),
        _ => value == expected,
    }
}

pub(crate) fn was_told(seen: &Seen, expected: &Value) -> bool {
    seen.told.iter().any(|told| has(told, expected))
}

/// What is looked at: over a poll alone, connections are the client's own business.
fn looked_at<'a>(seen: &Seen, told: &'a [Value]) -> Vec<&'a Value> {
    let polls = seen.transports == ["poll"];
    let is_state =
        |value: &Value| value == "open" || value == "waiting" || value.get("open").is_some();
    let told = told.iter();
    told.filter(|value| !polls || !is_state(value)).collect()
}

/// Whether everything expected was seen.
pub(crate) fn is_over(scenario: &Scenario, seen: &Seen, server: &State) -> bool {
    let expect = &scenario.expect;
    let told = expect.told.as_deref().unwrap_or_default();
    looked_at(seen, &seen.told).len() >= looked_at(seen, told).len()
        && server.requests.len() >= expect.requests.as_ref().map_or(0, Vec::len)
        && server.posts.len() >= expect.posts.as_ref().map_or(0, Vec::len)
        && seen.acted.len() >= scenario.actions.len()
        && (expect.outcome.is_none() || seen.outcome.is_some())
}

pub(crate) fn judge(scenario: &Scenario, seen: &Seen, server: &State) -> Result<(), String> {
    let expect = &scenario.expect;
    let mut wrong = server.wrong.clone();
    wrong.extend(seen.acted.iter().filter_map(|acted| acted.clone().err()));
    if seen.acted.len() < scenario.actions.len() {
        wrong.push(format!("{} actions were done", seen.acted.len()));
    }
    if let Some(expected) = &expect.told {
        let (told, expected) = (looked_at(seen, &seen.told), looked_at(seen, expected));
        let same = told.len() == expected.len();
        let mut pairs = told.iter().zip(&expected);
        if !same || !pairs.all(|(told, expected)| has(told, expected)) {
            wrong.push(format!("told     {told:?}\nexpected {expected:?}"));
        }
    }
    let as_expected = match (&seen.outcome, &expect.outcome) {
        (Some(outcome), Some(expected)) => has(outcome, expected),
        (outcome, expected) => outcome.is_none() && expected.is_none(),
    };
    if !as_expected {
        wrong.push(format!(
            "outcome {:?}, expected {:?}",
            seen.outcome, expect.outcome
        ));
    }
    if let Some(expected) = &expect.requests {
        requests(expected, &server.requests, &mut wrong);
    }
    if let Some(expected) = &expect.posts {
        posts(expected, &server.posts, &mut wrong);
    }
    if let Some(expected) = expect
        .pauses
        .as_ref()
        .filter(|_| seen.transports != ["poll"])
    {
        pauses(expected, &server.requests, &mut wrong);
    }
    if expect.last_id.is_some() && expect.last_id != seen.last_id {
        wrong.push(format!(
            "last id {:?}, expected {:?}",
            seen.last_id, expect.last_id
        ));
    }
    if expect.sent_at_most.is_some_and(|most| server.sent > most) {
        wrong.push(format!("{} bytes were taken", server.sent));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

fn requests(expected: &[Request], came: &[(Asked, Instant)], wrong: &mut Vec<String>) {
    if came.len() != expected.len() {
        wrong.push(format!(
            "{} requests, expected {}",
            came.len(),
            expected.len()
        ));
    }
    for ((asked, _), expected) in came.iter().zip(expected) {
        let transport = expected.transport.as_deref();
        let id = expected.id.as_ref().map(Option::as_deref);
        let channels = expected.channels.as_ref();
        let query = expected
            .query
            .iter()
            .all(|(name, values)| asked.all(name) == *values);
        let headers = expected.headers.iter();
        let headers = headers.filter(|(name, value)| asked.header(name) != Some(value));
        if transport.is_some_and(|transport| transport != asked.kind())
            || id.is_some_and(|id| id != asked.id())
            || channels.is_some_and(|channels| *channels != asked.all("channel"))
            || !query
            || headers.count() > 0
        {
            let (kind, id, query) = (asked.kind(), asked.id(), &asked.query);
            wrong.push(format!("a request over {kind} with id {id:?}: {query:?}"));
        }
    }
}

fn posts(expected: &[Post], came: &[Asked], wrong: &mut Vec<String>) {
    if came.len() != expected.len() {
        wrong.push(format!("{} posts, expected {}", came.len(), expected.len()));
    }
    for (asked, expected) in came.iter().zip(expected) {
        let mut headers = expected.headers.iter();
        let path = expected.path.as_ref();
        let body = expected.body.as_ref();
        if path.is_some_and(|path| *path != asked.path)
            || body.is_some_and(|body| *body != asked.body)
            || headers.any(|(name, value)| asked.header(name) != Some(value))
        {
            wrong.push(format!("a post to {}: {}", asked.path, asked.body));
        }
    }
}

/// Time is simulated, so that no machine is too slow; timers are as coarse as a millisecond.
fn pauses(expected: &[(u64, u64)], came: &[(Asked, Instant)], wrong: &mut Vec<String>) {
    for (pair, (least, most)) in came.windows(2).zip(expected) {
        let pause = pair[1].1 - pair[0].1;
        let range = Duration::from_millis(*least)..=Duration::from_millis(most + 3);
        if !range.contains(&pause) {
            wrong.push(format!(
                "a pause of {pause:?}, expected {least} to {most} ms"
            ));
        }
    }
}

/// How often it tried.
pub(crate) fn pace(expect: &Expected, server: &State) -> Result<(), String> {
    let attempts = &server.attempts;
    let minute = Duration::from_secs(60);
    let in_a_minute = |first: &Instant| {
        let later = attempts
            .iter()
            .filter(|time| (*first..*first + minute).contains(time));
        later.count()
    };
    let busiest = attempts.iter().map(in_a_minute).max().unwrap_or_default();
    let (least, most) = expect.attempts.unwrap_or((0, usize::MAX));
    let as_expected = expect.per_minute.is_none_or(|most| busiest <= most)
        && (least..=most).contains(&attempts.len());
    match as_expected {
        true => Ok(()),
        false => Err(format!(
            "{} attempts, {busiest} in the busiest minute",
            attempts.len()
        )),
    }
}
