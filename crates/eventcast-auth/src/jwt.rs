//! JSON Web Tokens.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use eventcast::{Authenticator, Clock, Denied, Permissions, SystemClock};
use http::request::Parts;
use jsonwebtoken::{Validation, decode, decode_header};

use crate::bearer::token;
use crate::claims::Claims;
use crate::denylist::Denylist;
use crate::keys::JwtKeys;

/// Takes JSON Web Tokens (RFC 7519), from `Authorization: Bearer` or a cookie.
///
/// A token has to be signed by one of the keys, with the algorithm that the key is for; `none` is
/// never one. It has to have `exp`, and what the settings below ask for. The session that it opens
/// ends when it expires, unless its client brings another one before. `sub` is the principal, `jti`
/// what it can be revoked by.
///
/// Clones share their keys and their list of denied tokens.
///
/// ```
/// use eventcast::{EventService, Hub, ServiceConfig};
/// use eventcast_auth::{JwtAuthenticator, JwtKeys};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let tokens = JwtAuthenticator::new(JwtKeys::hs256(b"32 bytes from a random generator"))
///     .with_audience("https://events.example.com")
///     .with_issuer("https://login.example.com");
/// let service = EventService::new(Hub::new(), ServiceConfig::new().with_authenticator(tokens));
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwtAuthenticator {
    shared: Arc<Shared>,
    audience: Option<String>,
    issuer: Option<String>,
    leeway: Duration,
    cookie: Option<String>,
    anonymous: Option<Permissions>,
    grant: Arc<Grant>,
    clock: Arc<dyn Clock>,
}

struct Shared {
    keys: RwLock<JwtKeys>,
    denied: Denylist,
}

type Grant = dyn Fn(&Claims) -> Result<Permissions, Denied> + Send + Sync;

impl JwtAuthenticator {
    /// Takes tokens that are signed by one of these keys. What their bearers may do is in the claim
    /// `eventcast`; see [`Claims::granted`].
    pub fn new(keys: JwtKeys) -> Self {
        Self {
            shared: Arc::new(Shared {
                keys: RwLock::new(keys),
                denied: Denylist::default(),
            }),
            audience: None,
            issuer: None,
            leeway: Duration::from_secs(30),
            cookie: None,
            anonymous: None,
            grant: Arc::new(|claims| Ok(claims.granted())),
            clock: Arc::new(SystemClock),
        }
    }

    /// Who tokens have to be for (`aud`). Without this, tokens that name an audience are refused: they
    /// are for somebody else.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Who has to have made tokens (`iss`); by default anybody with a key.
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// How far clocks may differ, 30 seconds by default: so much longer a token is good, and so much
    /// earlier.
    pub fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// A cookie that has the token where there is no `Authorization`. Pages of other origins are
    /// refused by the service unless they are allowed, so a cookie is safe with it.
    pub fn with_cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// What requests without a token may do; by default they are refused.
    pub fn with_anonymous(mut self, permissions: Permissions) -> Self {
        self.anonymous = Some(permissions);
        self
    }

    /// What bearers may do, from all claims; principal, id and expiry are added.
    pub fn with_grant(
        mut self,
        grant: impl Fn(&Claims) -> Result<Permissions, Denied> + Send + Sync + 'static,
    ) -> Self {
        self.grant = Arc::new(grant);
        self
    }

    /// Where the time comes from by which tokens expire, instead of the machine's wall clock.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Takes other keys from now on: after the JWKS document was fetched again. Sessions that are
    /// open stay so until their tokens expire.
    pub fn set_keys(&self, keys: JwtKeys) {
        let own = self.shared.keys.write();
        *own.unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// Refuses the token of this id for so long, which should be as long as it may still be good. Do
    /// this before [`EventService::revoke`](eventcast::EventService::revoke). At most 100,000 are
    /// remembered, those longest that are refused longest.
    pub fn deny(&self, token_id: impl Into<String>, time: Duration) {
        self.shared.denied.add(token_id.into(), time);
    }

    fn claims(&self, token: &str) -> Option<Claims> {
        let header = decode_header(token).ok()?;
        let keys = self.shared.keys.read();
        let keys = keys.unwrap_or_else(PoisonError::into_inner);
        keys.candidates(&header).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            // By our own clock, below.
            validation.validate_exp = false;
            validation.required_spec_claims.clear();
            let mut required = vec!["exp"];
            if let Some(audience) = &self.audience {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            if let Some(issuer) = &self.issuer {
                validation.set_issuer(&[issuer]);
                required.push("iss");
            }
            validation.set_required_spec_claims(&required);
            decode::<Claims>(token, &key.decoding, &validation)
                .ok()
                .map(|data| data.claims)
        })
    }

    fn permissions(&self, token: &str) -> Result<Permissions, Denied> {
        let claims = self.claims(token).ok_or(Denied::Unauthorized)?;
        let now = Duration::from_millis(self.clock.now().as_millis());
        let lifetime = claims.lifetime(now, self.leeway);
        let is_early = claims.not_before() > now + self.leeway;
        let is_denied = claims
            .jti
            .as_ref()
            .is_some_and(|id| self.shared.denied.has(id));
        if lifetime.is_zero() || is_early || is_denied {
            return Err(Denied::Unauthorized);
        }
        let mut permissions = (self.grant)(&claims)?.with_lifetime(lifetime);
        if let Some(principal) = claims.sub {
            permissions = permissions.with_principal(principal);
        }
        if let Some(id) = claims.jti {
            permissions = permissions.with_token_id(id);
        }
        Ok(permissions)
    }
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, request: &Parts) -> Result<Permissions, Denied> {
        match token(request, self.cookie.as_deref()) {
            Some(token) => self.permissions(token),
            None => self.anonymous.clone().ok_or(Denied::Unauthorized),
        }
    }
}

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuthenticator")
            .field("audience", &self.audience)
            .field("issuer", &self.issuer)
            .field("leeway", &self.leeway)
            .finish_non_exhaustive()
    }
}
