//! What the user does meanwhile.

use eventcast_client::{Handle, RequestError, Subscribed};
use eventcast_core::{ChannelName, ChannelSelector, Event, EventName, Payload, Start};
use http::StatusCode;
use serde_json::{Value, json};

use crate::judge::{data, has};
use crate::table::Action;

/// Does it, and compares what comes of it.
pub(crate) async fn act(handle: Handle, action: Action) -> Result<(), String> {
    let came = asked(&handle, &action).await;
    match (came, &action.answer, &action.error) {
        (Ok(came), Some(expected), None) if has(&came, expected) => Ok(()),
        (Err(error), None, Some(expected)) if has(&failure(&error), expected) => Ok(()),
        (came, ..) => Err(format!("an action came to {came:?}")),
    }
}

async fn asked(handle: &Handle, action: &Action) -> Result<Value, RequestError> {
    let selectors = |names: &[String]| -> Vec<ChannelSelector> {
        let names = names.iter();
        names.map(|name| name.parse().unwrap()).collect()
    };
    if let Some(channels) = &action.subscribe {
        let start = action.start.as_deref();
        let start = start.map(|start| start.parse::<Start>().unwrap());
        let answer = handle.subscribe(selectors(channels), start).await?;
        return Ok(subscribed(&answer));
    }
    if let Some(channels) = &action.unsubscribe {
        let answer = handle.unsubscribe(selectors(channels)).await?;
        return Ok(subscribed(&answer));
    }
    if action.refresh {
        handle.refresh().await?;
        return Ok(json!({}));
    }
    let payload = match action.data.as_ref().expect("data") {
        Value::String(text) => Payload::text(text),
        data => Payload::json_text(data.to_string()).unwrap(),
    };
    if let Some(channel) = &action.publish {
        let mut event = Event::new(payload);
        if let Some(name) = &action.name {
            event = event.named(name.as_str()).unwrap();
        }
        if let Some(key) = &action.key {
            event = event.with_idempotency_key(key.as_str()).unwrap();
        }
        let channel = ChannelName::new(channel).unwrap();
        let id = handle.publish(&channel, &event).await?;
        return Ok(json!({"id": id.to_string()}));
    }
    let name = EventName::new(action.request.as_deref().expect("an action")).unwrap();
    let reply = handle.request(&name, &payload).await?;
    Ok(json!({"data": data(&reply)}))
}

fn subscribed(answer: &Subscribed) -> Value {
    let channels: Vec<_> = answer
        .channels
        .iter()
        .map(ChannelSelector::as_str)
        .collect();
    let events = answer.history.iter().flat_map(|page| &page.events);
    let history: Vec<_> = events.map(|event| data(&event.payload)).collect();
    json!({"channels": channels, "history": history})
}

fn failure(error: &RequestError) -> Value {
    let code = match error {
        RequestError::NoAnswer(_) => "no_answer",
        RequestError::Refused { status, .. } => match *status {
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::CONFLICT => "completed",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limited",
            StatusCode::INTERNAL_SERVER_ERROR => "internal",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::GATEWAY_TIMEOUT => "timeout",
            _ => "bad_request",
        },
        _ => "other",
    };
    json!({"code": code})
}
