//! What a WebSocket's client may ask for.

use std::sync::Arc;

use async_trait::async_trait;
use eventcast_core::{ChannelName, ChannelPattern, Event, Payload, Position};
use eventcast_ws::{ClientHandler, ErrorCode, Refusal};
use http::Request;
use http::request::Parts;

use crate::access::Permissions;
use crate::request::{ClientRequest, ask, no_handler};
use crate::service::Shared;

/// One client: the service, and what the connection's request was allowed.
pub(crate) struct Client {
    shared: Arc<Shared>,
    permissions: Permissions,
    /// The handshake; kept only where somebody may look at it.
    http: Option<Box<Parts>>,
}

impl Client {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        permissions: Permissions,
        handshake: Request<()>,
    ) -> Self {
        let answers = shared.config.request_handler.is_some();
        Self {
            shared: Arc::clone(shared),
            permissions,
            http: answers.then(|| Box::new(handshake.into_parts().0)),
        }
    }
}

#[async_trait]
impl ClientHandler for Client {
    async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal> {
        if self.permissions.may_subscribe(channel) {
            Ok(())
        } else {
            Err(Refusal::new(
                ErrorCode::Forbidden,
                "subscribing is not allowed",
            ))
        }
    }

    async fn authorize_pattern(&self, pattern: &ChannelPattern) -> Result<(), Refusal> {
        if self.permissions.may_subscribe_pattern(pattern) {
            Ok(())
        } else {
            Err(Refusal::new(
                ErrorCode::Forbidden,
                "subscribing to this pattern is not allowed",
            ))
        }
    }

    async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal> {
        if !self.permissions.may_publish(&channel) {
            return Err(Refusal::new(
                ErrorCode::Forbidden,
                "publishing is not allowed",
            ));
        }
        Ok(self.shared.hub.publish(channel, event).await?)
    }

    async fn request(&self, name: &str, payload: Payload) -> Result<Payload, Refusal> {
        let Some(http) = &self.http else {
            return Err(no_handler());
        };
        let request = ClientRequest {
            name,
            payload,
            permissions: &self.permissions,
            http,
        };
        ask(&self.shared.config, request).await
    }
}
