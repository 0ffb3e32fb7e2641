//! Tokens that do not change: for services among themselves.

use std::fmt;

use async_trait::async_trait;
use eventcast::{Authenticator, Denied, Permissions};
use http::request::Parts;
use subtle::ConstantTimeEq;

use crate::bearer::token;

/// Knows tokens, each with what its bearer may do: `Authorization: Bearer TOKEN`.
///
/// A token is as good as it is long: 128 bits of chance, as `openssl rand -hex 16` gives them. All
/// known tokens are compared, and each in the same time whatever is wrong.
///
/// ```
/// use eventcast::{Hub, EventService, Permissions, ServiceConfig};
/// use eventcast_auth::StaticTokens;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let tokens = StaticTokens::new()
///     .with("5f4dcc3b5aa765d61d8327deb882cf99", Permissions::publish().with_principal("feed"))
///     .with_anonymous(Permissions::subscribe());
/// let service = EventService::new(Hub::new(), ServiceConfig::new().with_authenticator(tokens));
/// # }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct StaticTokens {
    known: Vec<(String, Permissions)>,
    anonymous: Option<Permissions>,
}

impl StaticTokens {
    /// None, and nobody is let in.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more token.
    pub fn with(mut self, token: impl Into<String>, permissions: Permissions) -> Self {
        self.known.push((token.into(), permissions));
        self
    }

    /// What requests without a token may do; by default they are refused.
    pub fn with_anonymous(mut self, permissions: Permissions) -> Self {
        self.anonymous = Some(permissions);
        self
    }
}

#[async_trait]
impl Authenticator for StaticTokens {
    async fn authenticate(&self, request: &Parts) -> Result<Permissions, Denied> {
        let Some(token) = token(request, None) else {
            return self.anonymous.clone().ok_or(Denied::Unauthorized);
        };
        let mut found = None;
        for (known, permissions) in &self.known {
            if bool::from(known.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(permissions);
            }
        }
        found.cloned().ok_or(Denied::Unauthorized)
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticTokens")
            .field("known", &self.known.len())
            .finish_non_exhaustive()
    }
}
