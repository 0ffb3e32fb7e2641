//! What a WebSocket's client may ask for.

use async_trait::async_trait;
use eventcast_core::{ChannelName, ChannelPattern, Event, Hub, Position};
use eventcast_ws::{ClientHandler, ErrorCode, Refusal};

use crate::access::Permissions;

/// One client: the hub, and what the connection's request was allowed.
pub(crate) struct Client {
    hub: Hub,
    permissions: Permissions,
}

impl Client {
    pub(crate) fn new(hub: Hub, permissions: Permissions) -> Self {
        Self { hub, permissions }
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
        Ok(self.hub.publish(channel, event).await?)
    }
}
