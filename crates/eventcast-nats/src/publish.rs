//! One message to the stream, and the server's answer.

use async_nats::client::RequestErrorKind;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::{Client, HeaderMap};
use bytes::Bytes;

/// Why a message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the channel is not where it was expected")]
    LastSequence,
    #[error("the server has no room: {0}")]
    Full(String),
    #[error("the message is larger than the server takes")]
    TooLarge,
    #[error("the server did not take the message: {0}")]
    Other(String),
    #[error("no stream takes the message")]
    NoStream,
    #[error("there was no answer: {0}")]
    Unknown(String),
}

/// Waits without a bound: the caller has one.
pub(crate) async fn publish(
    client: &Client,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<PublishAck, Refused> {
    let request = async_nats::Request::new()
        .headers(headers)
        .payload(payload)
        .timeout(None);
    let answer = client.send_request(subject, request).await;
    let answer = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => Refused::NoStream,
        RequestErrorKind::MaxPayloadExceeded => Refused::TooLarge,
        RequestErrorKind::InvalidSubject => Refused::Other(error.to_string()),
        _ => Refused::Unknown(error.to_string()),
    })?;
    match serde_json::from_slice(&answer.payload) {
        Ok(Response::Ok(ack)) => Ok(ack),
        Ok(Response::Err { error }) => Err(match error.error_code() {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Refused::LastSequence,
            ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::STREAM_STORE_FAILED => Refused::Full(error.to_string()),
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
            | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => Refused::TooLarge,
            _ => Refused::Other(error.to_string()),
        }),
        Err(error) => Err(Refused::Unknown(error.to_string())),
    }
}
