//! Where a client is.

use std::net::IpAddr;

use http::HeaderMap;
use http::request::Parts;
use ipnet::IpNet;

/// The address of the client that sent a request. [`Server`](crate::Server) puts the connection's
/// into the request's extensions; in another server do so yourself, or addresses have no limits.
///
/// ```
/// use eventcast::ClientAddress;
///
/// let mut request = http::Request::get("/events?channel=news").body(()).unwrap();
/// request.extensions_mut().insert(ClientAddress::new([192, 0, 2, 7].into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// A client at this address.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    /// The address.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.0
    }

    /// This machine, which no limit is for: whoever is here has other ways.
    pub(crate) fn is_own(self) -> bool {
        self.0.is_loopback()
    }

    /// What limits go by: of an IPv6 address the network of 64 bits, for that much everybody has to
    /// himself.
    pub(crate) fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
            }
            address => address,
        }
    }
}

/// Proxies whose word is taken for where a request came from: the last hop in `Forwarded`, or else
/// in `X-Forwarded-For`, that is not one of them.
///
/// ```
/// use eventcast::{ServiceConfig, TrustedProxies};
///
/// let proxies = TrustedProxies::none().and("10.0.0.0/8")?.and("::1")?;
/// let config = ServiceConfig::new().with_trusted_proxies(proxies);
/// # Ok::<_, eventcast::NetworkError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TrustedProxies(Vec<IpNet>);

/// What was given is neither an address nor a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or an address and the length of its prefix, as in 10.0.0.0/8")]
pub struct NetworkError;

impl TrustedProxies {
    /// None: every client is where its connection comes from.
    pub fn none() -> Self {
        Self::default()
    }

    /// One more, or a network of them.
    ///
    /// # Errors
    /// [`NetworkError`] if it is neither.
    pub fn and(mut self, network: &str) -> Result<Self, NetworkError> {
        let address = || {
            network
                .parse::<IpAddr>()
                .map(|one| one.to_canonical().into())
        };
        let network = network.parse().or_else(|_| address());
        self.0.push(network.map_err(|_| NetworkError)?);
        Ok(self)
    }

    pub(crate) fn includes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Where the client of a request is. What the headers say counts only from a trusted proxy, and
    /// only up to the last hop that is not one: before that, anybody may have written it.
    pub(crate) fn client_of(&self, request: &Parts) -> Option<ClientAddress> {
        let peer = *request.extensions.get::<ClientAddress>()?;
        if !self.includes(peer.0) {
            return Some(peer);
        }
        let hops = match forwarded(&request.headers) {
            Some(hops) => hops,
            None => x_forwarded_for(&request.headers),
        };
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            let Some(hop) = hop else {
                break;
            };
            client = ClientAddress::new(hop);
            if !self.includes(hop) {
                break;
            }
        }
        Some(client)
    }
}

/// The `for` of each element, RFC 7239 section 4; `None` for one that is no address.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Option<IpAddr>>> {
    let mut hops = Vec::new();
    for value in headers.get_all("forwarded") {
        for element in value.to_str().ok()?.split(',') {
            let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
            let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
            let node = named.next().map(|(_, node)| node.trim().trim_matches('"'));
            hops.push(node.and_then(address));
        }
    }
    (!hops.is_empty()).then_some(hops)
}

fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = headers.get_all("x-forwarded-for").into_iter();
    let values = values.map(|value| value.to_str().unwrap_or_default());
    let hops = values.flat_map(|value| value.split(','));
    hops.map(|hop| address(hop.trim())).collect()
}

/// An address, maybe with a port, maybe in brackets.
fn address(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    if let Some(rest) = node.strip_prefix('[') {
        return rest.split(']').next()?.parse().ok();
    }
    node.rsplit_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let mut request = http::Request::get("/events");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let peer = ClientAddress::new(peer.parse().unwrap());
        parts.extensions.insert(peer);
        let proxies = TrustedProxies::none().and("10.0.0.0/8").unwrap();
        let client = proxies.and("::1").unwrap().client_of(&parts).unwrap();
        client.network().to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_client_is() {
        let says = [("x-forwarded-for", "203.0.113.9")];
        assert_eq!(client("192.0.2.1", &says), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &says), "203.0.113.9");
        assert_eq!(client("::1", &says), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        let says = [("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.2")];
        assert_eq!(client("10.0.0.1", &says), "203.0.113.9");
        let says = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "203.0.113.9:4711"),
        ];
        assert_eq!(client("10.0.0.1", &says), "203.0.113.9");
        let says = [("x-forwarded-for", "1.1.1.1, nonsense")];
        assert_eq!(client("10.0.0.1", &says), "10.0.0.1");
    }

    #[test]
    fn the_standard_header_wins() {
        let says = [
            (
                "forwarded",
                "for=1.1.1.1;proto=http, For=\"[2001:db8:1:2::7]:80\"",
            ),
            ("x-forwarded-for", "203.0.113.9"),
        ];
        assert_eq!(client("10.0.0.1", &says), "2001:db8:1:2::");
        let says = [("forwarded", "for=unknown")];
        assert_eq!(client("10.0.0.1", &says), "10.0.0.1");
    }
}
