//! What proves to the server who asks.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::error::{BoxError, BuildError};

/// Gives a token whenever it is asked.
pub(crate) type Refresh = dyn Fn() -> BoxFuture<'static, Result<String, BoxError>> + Send + Sync;

/// The headers of every request, and where a token comes from.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    pub(crate) headers: HeaderMap,
    pub(crate) refresh: Option<Arc<Refresh>>,
    /// The token of the last connection; requests beside it use it too.
    token: Arc<Mutex<Option<HeaderValue>>>,
}

impl Credentials {
    pub(crate) fn can_refresh(&self) -> bool {
        self.refresh.is_some()
    }

    /// The headers with a new token.
    pub(crate) async fn renewed(&self) -> Result<HeaderMap, BoxError> {
        self.renew().await?;
        Ok(self.known())
    }

    /// A new token, which everything uses from now on; none where there is no way to one.
    pub(crate) async fn renew(&self) -> Result<Option<String>, BoxError> {
        let Some(refresh) = &self.refresh else {
            return Ok(None);
        };
        let token = refresh().await?;
        let header = bearer(&token)?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(header);
        Ok(Some(token))
    }

    /// The headers with the token that there is, or a new one if there is none.
    pub(crate) async fn current(&self) -> Result<HeaderMap, BoxError> {
        let known = self.known();
        if self.can_refresh() && !known.contains_key(AUTHORIZATION) {
            return self.renewed().await;
        }
        Ok(known)
    }

    /// The headers with the token that there is.
    pub(crate) fn known(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        headers
    }
}

/// `Authorization: Bearer …`, kept out of logs.
pub(crate) fn bearer(token: impl Display) -> Result<HeaderValue, BuildError> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| BuildError::Header)?;
    value.set_sensitive(true);
    Ok(value)
}
