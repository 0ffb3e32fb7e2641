//! What a token says.

use std::time::Duration;

use eventcast::{Action, ChannelSelector, Permissions, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The claims of a token whose signature and times are good (RFC 7519 section 4).
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Claims {
    /// Whose it is: the principal.
    pub sub: Option<String>,
    /// When it expires, in seconds since 1970.
    pub exp: u64,
    /// When it begins to be good, in seconds since 1970.
    pub nbf: Option<u64>,
    /// Its id, by which it can be revoked.
    pub jti: Option<String>,
    /// What its bearer may do, if it says so in the usual way.
    pub(crate) eventcast: Option<Grants>,
    /// All others.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// Names and patterns of channels, by action.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grants {
    subscribe: Option<Vec<String>>,
    /// As `subscribe`, if it is not there.
    history: Option<Vec<String>>,
    publish: Option<Vec<String>>,
    presence: Option<Vec<String>>,
    administer: Option<bool>,
}

impl Claims {
    /// What the claim `eventcast` grants, such as
    /// `{"subscribe": ["news", "orders/ann/*"], "publish": ["chat"]}`; nothing without it. A name
    /// that is not valid makes the whole claim grant nothing.
    pub fn granted(&self) -> Permissions {
        let granted = self.eventcast.as_ref().and_then(Grants::permissions);
        granted.unwrap_or_else(Permissions::none)
    }

    pub(crate) fn not_before(&self) -> Duration {
        Duration::from_secs(self.nbf.unwrap_or(0))
    }

    pub(crate) fn lifetime(&self, now: Duration, leeway: Duration) -> Duration {
        Duration::from_secs(self.exp)
            .saturating_add(leeway)
            .saturating_sub(now)
    }
}

impl Grants {
    fn permissions(&self) -> Option<Permissions> {
        let history = self.history.as_ref().or(self.subscribe.as_ref());
        let actions = [
            (Action::Subscribe, self.subscribe.as_ref()),
            (Action::History, history),
            (Action::Publish, self.publish.as_ref()),
            (Action::Presence, self.presence.as_ref()),
        ];
        let mut permissions = Permissions::none();
        for (action, names) in actions {
            if let Some(names) = names {
                let selectors: Result<Vec<ChannelSelector>, _> =
                    names.iter().map(|name| name.parse()).collect();
                permissions = permissions.allow(action, Scope::of(selectors.ok()?));
            }
        }
        if self.administer == Some(true) {
            permissions = permissions.allow(Action::Administer, Scope::everything());
        }
        Some(permissions)
    }
}
