//! The HTTP or SOCKS proxy that leads to the server, if one is asked for.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Uri};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tower_service::Service;

use crate::dial::{Connector, Wire, port_of};
use crate::error::BuildError;

/// Which proxy the user wants.
#[derive(Clone, Debug, Default)]
pub(crate) enum Wanted {
    /// What the environment says.
    #[default]
    Environment,
    /// This one, whatever the environment says.
    This(String),
    Nobody,
}

/// A proxy that leads to one server.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    way: Intercept,
    /// Requests are made whole to the proxy; else it only passes bytes on.
    forwards: bool,
}

impl Proxy {
    /// The proxy between here and a server.
    pub(crate) fn find(wanted: &Wanted, target: &Uri) -> Result<Option<Self>, BuildError> {
        let way = match wanted {
            Wanted::Nobody => None,
            // As in Go: what is on this machine is reached without a proxy.
            Wanted::Environment if is_here(target) => None,
            Wanted::Environment => Matcher::from_env().intercept(target),
            Wanted::This(url) => {
                let way = Matcher::builder().all(url.as_str()).build();
                let way = way.intercept(target);
                Some(way.ok_or_else(|| BuildError::Proxy(Self::hide_password(url)))?)
            }
        };
        let Some(way) = way else { return Ok(None) };
        let secure = target.scheme_str() == Some("https");
        match way.uri().scheme_str() {
            Some("http") => {}
            Some("https") if cfg!(feature = "tls") => {}
            Some("socks5" | "socks5h") => {}
            _ => return Err(BuildError::Proxy(way.uri().to_string())),
        }
        let forwards = !secure && matches!(way.uri().scheme_str(), Some("http" | "https"));
        Ok(Some(Self { way, forwards }))
    }

    fn hide_password(url: &str) -> String {
        match url.rsplit_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => url.to_owned(),
        }
    }

    /// What proves to the proxy who asks, for requests that are made to it.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        self.way.basic_auth().filter(|_| self.forwards).cloned()
    }

    /// A connection to the server, or to the proxy if it forwards requests.
    pub(crate) async fn connect(
        &self,
        connector: Connector,
        target: &Uri,
        websocket: bool,
    ) -> io::Result<Wire> {
        let proxy = self.way.uri().clone();
        let mut direct = Direct(connector);
        if self.forwards && !websocket {
            let mut wire = direct.call(proxy).await?.into_inner();
            wire.forwards = true;
            return Ok(wire);
        }
        // Both take 443 for a port that is not there.
        let host = target.host().unwrap_or_default();
        let server = format!("{host}:{}", port_of(target));
        let server: Uri = server.parse().map_err(io::Error::other)?;
        let wire = match proxy.scheme_str() {
            Some(scheme @ ("socks5" | "socks5h")) => {
                let mut socks = SocksV5::new(proxy.clone(), direct).local_dns(scheme == "socks5");
                if let Some((user, password)) = self.way.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                socks.call(server).await.map_err(io::Error::other)?
            }
            _ => {
                let mut tunnel = Tunnel::new(proxy.clone(), direct);
                if let Some(authorization) = self.way.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                tunnel.call(server).await.map_err(io::Error::other)?
            }
        };
        Ok(wire.into_inner())
    }
}

/// Connects to the proxy itself.
#[derive(Clone)]
struct Direct(Connector);

impl Service<Uri> for Direct {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Wire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move { connector.direct(&uri, false).await.map(TokioIo::new) })
    }
}

fn is_here(target: &Uri) -> bool {
    let host = target.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(url: &str, target: &'static str) -> Result<Option<Proxy>, BuildError> {
        Proxy::find(&Wanted::This(url.to_owned()), &Uri::from_static(target))
    }

    #[test]
    fn plain_requests_are_forwarded_and_all_else_is_tunnelled() {
        let proxy = find("http://me:secret@proxy:3128", "http://hub")
            .unwrap()
            .unwrap();
        assert!(proxy.forwards);
        assert_eq!(proxy.authorization().unwrap(), "Basic bWU6c2VjcmV0");
        assert!(!format!("{proxy:?}").contains("secret"));
        let proxy = find("http://me:secret@proxy:3128", "https://hub")
            .unwrap()
            .unwrap();
        assert!(!proxy.forwards && proxy.authorization().is_none());
        let proxy = find("socks5h://proxy", "http://hub").unwrap().unwrap();
        assert!(!proxy.forwards);
    }

    #[test]
    fn what_cannot_be_used_is_said_without_its_password() {
        for bad in ["ftp://me:secret@proxy", "socks4://me:secret@proxy", ""] {
            let error = find(bad, "http://hub").unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn this_machine_is_here() {
        for here in [
            "http://localhost:8080",
            "http://127.0.0.2",
            "http://[::1]:80",
        ] {
            assert!(is_here(&Uri::from_static(here)), "{here}");
        }
        assert!(!is_here(&Uri::from_static("http://localhost.example")));
    }
}
