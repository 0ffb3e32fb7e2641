//! What a WebSocket's client may ask for.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use eventcast_core::{
    ChannelName, ChannelPattern, ChannelSelector, Event, Payload, Position, Session, SessionHandle,
};
use eventcast_ws::{ClientHandler, ErrorCode, Refusal};
use http::Request;
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;

use crate::access::{Action, Current, Permissions};
use crate::address::ClientAddress;
use crate::attendance::{Attendance, may_watch, member_of};
use crate::disconnect::TransportKind;
use crate::limits::{Limit, Rate};
use crate::query::{PresenceMode, Query};
use crate::refresh::narrow;
use crate::registry::{Registered, Slot};
use crate::request::{ClientRequest, ask, no_handler};
use crate::service::Shared;

/// One client: the service, and what the connection's request was granted.
pub(crate) struct Client {
    shared: Arc<Shared>,
    permissions: Current,
    address: Option<ClientAddress>,
    session: SessionHandle,
    slot: Slot,
    /// The handshake; kept only where somebody may look at it.
    http: Option<Box<Parts>>,
    /// Made with its first message: most never send one.
    rate: OnceLock<Box<Rate>>,
    /// What it has entered.
    attendance: OnceLock<Arc<Attendance>>,
    /// What it calls itself.
    member: Option<Box<str>>,
    /// What its URL asks for.
    presence: Option<PresenceMode>,
}

impl Client {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        address: Option<ClientAddress>,
        session: &Session,
        registered: &Registered,
        attendance: Option<Arc<Attendance>>,
        query: &Query,
        handshake: Request<()>,
    ) -> Self {
        let answers = shared.config.request_handler.is_some();
        let permissions = registered.permissions.clone();
        let expires = permissions.get().expires().is_some();
        Self {
            shared: Arc::clone(shared),
            permissions,
            address,
            session: session.handle(),
            slot: registered.slot(),
            http: (answers || expires).then(|| Box::new(handshake.into_parts().0)),
            rate: OnceLock::new(),
            attendance: attendance.map(OnceLock::from).unwrap_or_default(),
            member: query.member.as_deref().map(Into::into),
            presence: query.presence,
        }
    }

    /// Its session carries these channels now.
    pub(crate) fn follow(&self, channels: &[ChannelSelector]) {
        if let Some(attendance) = self.attendance.get() {
            attendance.follow(channels);
        }
    }

    /// What it may do, unless it, or its principal, has done too much.
    fn write(&self) -> Result<Permissions, Refusal> {
        let permissions = self.permissions.get();
        let allowed = self.shared.gate.write(&permissions, self.address);
        allowed.map_err(|_| rate_limited())?;
        Ok(permissions)
    }
}

#[async_trait]
impl ClientHandler for Client {
    fn admit(&self) -> Result<(), Refusal> {
        let limits = &self.shared.config.limits;
        let rate = self.rate.get_or_init(|| Box::new(limits.of_messages()));
        rate.check().map_err(|_| {
            self.shared.gate.count(Limit::Messages);
            rate_limited()
        })
    }

    fn refused(&self, code: ErrorCode) {
        match code {
            ErrorCode::TooLarge => self.shared.gate.count(Limit::Bodies),
            ErrorCode::TooManyChannels => self.shared.gate.count(Limit::Channels),
            _ => {}
        }
    }

    fn queued(&self, bytes: usize) {
        self.shared.figures.sent(TransportKind::WebSocket, bytes);
    }

    async fn authorize_subscribe(&self, channel: &ChannelName) -> Result<(), Refusal> {
        if self.permissions.get().may_subscribe(channel) {
            Ok(())
        } else {
            Err(forbidden("subscribing is not allowed"))
        }
    }

    async fn authorize_pattern(&self, pattern: &ChannelPattern) -> Result<(), Refusal> {
        if self.permissions.get().may_subscribe_pattern(pattern) {
            Ok(())
        } else {
            Err(forbidden("subscribing to this pattern is not allowed"))
        }
    }

    fn enter(&self, channels: &[ChannelSelector], state: Option<Payload>) -> Result<(), Refusal> {
        let permissions = self.write()?;
        if !may_watch(&permissions, channels) {
            return Err(forbidden("presence is not allowed"));
        }
        if self.attendance.get().is_none() {
            let member = member_of(&self.shared.config, &permissions, self.member.as_deref())
                .map_err(|_| {
                    forbidden("presence is of those whose credentials say who they are")
                })?;
            let presence = self.shared.hub.presence();
            let own = Attendance::new(presence, member, self.permissions.clone(), false);
            let _ = self.attendance.set(own);
        }
        match self.attendance.get() {
            Some(attendance) => Ok(attendance.enter(channels, state.as_ref())?),
            None => Ok(()),
        }
    }

    fn may_enter(&self, channels: &[ChannelSelector]) -> Result<bool, Refusal> {
        let Some(mode) = self.presence else {
            return Ok(false);
        };
        if !may_watch(&self.permissions.get(), channels) {
            return Ok(false);
        }
        if mode == PresenceMode::Enter
            && let Some(attendance) = self.attendance.get()
        {
            attendance.enter(channels, None)?;
        }
        Ok(true)
    }

    fn leave(&self, channels: &[ChannelSelector]) {
        if let Some(attendance) = self.attendance.get() {
            attendance.leave(channels);
        }
    }

    fn update(&self, channel: &ChannelName, state: Option<Payload>) -> Result<(), Refusal> {
        if !self.write()?.may(Action::Presence, channel) {
            return Err(forbidden("presence is not allowed"));
        }
        let attendance = self.attendance.get();
        let updated = attendance.and_then(|own| own.update(channel, state));
        let not_entered = || Refusal::new(ErrorCode::NotFound, "this channel has not been entered");
        Ok(updated.ok_or_else(not_entered)??)
    }

    async fn publish(&self, channel: ChannelName, event: Event) -> Result<Position, Refusal> {
        if !self.write()?.may_publish(&channel) {
            return Err(forbidden("publishing is not allowed"));
        }
        Ok(self.shared.hub.publish(channel, event).await?)
    }

    async fn request(&self, name: &str, payload: Payload) -> Result<Payload, Refusal> {
        let permissions = self.write()?;
        let Some(http) = &self.http else {
            return Err(no_handler());
        };
        let request = ClientRequest {
            name,
            payload,
            permissions: &permissions,
            http,
        };
        ask(&self.shared.config, request).await
    }

    async fn refresh(&self, token: &str) -> Result<(), Refusal> {
        let before = self.write()?;
        let refused = || forbidden("these credentials are not valid here");
        let Some(http) = &self.http else {
            return Err(forbidden("this connection has no credentials that expire"));
        };
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| refused())?;
        bearer.set_sensitive(true);
        let mut http = http.clone();
        http.headers.insert(AUTHORIZATION, bearer);
        let grant = self
            .shared
            .authenticate(&http)
            .await
            .map_err(|_| refused())?;
        if grant.permissions.principal() != before.principal() {
            return Err(refused());
        }
        let refreshed = self.shared.registry.refresh(self.slot, &grant);
        refreshed.map_err(|_| refused())?;
        let permissions = grant.permissions;
        narrow(self.session.clone(), move |channel| {
            permissions.may_select(channel)
        })
        .await;
        Ok(())
    }
}

fn forbidden(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::Forbidden, message)
}

fn rate_limited() -> Refusal {
    Refusal::new(ErrorCode::RateLimited, "too much at once: wait a moment")
}
