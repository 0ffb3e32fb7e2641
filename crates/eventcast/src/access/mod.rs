//! Who may do what, and for how long.

mod current;
mod grant;
mod permissions;
mod revocation;
mod scope;

use async_trait::async_trait;
use http::request::Parts;

pub(crate) use current::Current;
pub(crate) use grant::Grant;
pub use permissions::{Action, Permissions};
pub use revocation::Revocation;
pub use scope::Scope;

/// Finds out who sent a request and what he may do, once for each connection, from the request's
/// parts: headers, cookies, query, and whatever the server has put into its extensions.
///
/// It is asked again when a client comes back, for each change of a live session, and when
/// credentials are refreshed. A WebSocket's `refresh` asks it with the handshake's parts, in which
/// `Authorization` is the new token as a bearer.
///
/// A function from the request's parts to a result is an authenticator too. The crate
/// `eventcast-auth` has JSON Web Tokens and fixed tokens.
/// ```
/// use eventcast::{Denied, EventService, Hub, Permissions, ServiceConfig};
/// use http::request::Parts;
///
/// fn authenticate(request: &Parts) -> Result<Permissions, Denied> {
///     match request.headers.get("authorization") {
///         Some(token) if token == "Bearer secret" => Ok(Permissions::all().with_principal("ann")),
///         Some(_) => Err(Denied::Unauthorized),
///         None => Ok(Permissions::subscribe().only_channels(|name| name.as_str().starts_with("public/"))),
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = EventService::new(Hub::new(), ServiceConfig::new().with_authenticator(authenticate));
/// # }
/// ```
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// What the sender of this request may do.
    ///
    /// # Errors
    /// [`Denied`]; the client is told no more than that.
    ///
    /// # Cancel safety
    /// Dropped when the client goes away first.
    async fn authenticate(&self, request: &Parts) -> Result<Permissions, Denied>;
}

#[async_trait]
impl<F> Authenticator for F
where
    F: Fn(&Parts) -> Result<Permissions, Denied> + Send + Sync + 'static,
{
    async fn authenticate(&self, request: &Parts) -> Result<Permissions, Denied> {
        self(request)
    }
}

/// Everybody may subscribe to every channel, and nobody may publish over the network: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubscribeOnly;

#[async_trait]
impl Authenticator for SubscribeOnly {
    async fn authenticate(&self, _request: &Parts) -> Result<Permissions, Denied> {
        Ok(Permissions::subscribe())
    }
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// Known, and not allowed: 403.
    #[error("not allowed")]
    Forbidden,
    /// Not known: 401. Coming back with other credentials may help.
    #[error("credentials are missing or not valid")]
    Unauthorized,
}
