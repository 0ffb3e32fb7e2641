//! Just enough HTTP and WebSocket to ask an example something, written here so
//! that the library is not judged by its own code.

mod connection;
mod cutter;
mod http;
mod websocket;

pub(crate) use self::cutter::Cutter;
pub(crate) use self::http::{Response, get, post};
pub(crate) use self::websocket::{Message, WebSocket};

/// An address that an example printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// `host:port`
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
    /// What requests send as `Cookie`.
    cookie: Option<String>,
}

impl Url {
    /// The first address in a line of text that starts with one of `schemes`.
    pub(crate) fn find(line: &str, schemes: &[&str]) -> Option<Self> {
        let rest = schemes.iter().find_map(|scheme| {
            let (_, rest) = line.split_once(&format!("{scheme}://"))?;
            Some(rest)
        })?;
        let end = rest
            .find(|c: char| c.is_whitespace() || "\"'`<>)".contains(c))
            .unwrap_or(rest.len());
        let rest = rest[..end].trim_end_matches(['.', ',', ';']);
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        authority.contains(':').then(|| Self {
            authority: authority.to_owned(),
            target: format!("/{path}"),
            cookie: None,
        })
    }

    /// The same server, another target.
    pub(crate) fn with_target(&self, target: &str) -> Self {
        Self {
            authority: self.authority.clone(),
            target: target.to_owned(),
            cookie: self.cookie.clone(),
        }
    }

    /// The same with a cookie.
    pub(crate) fn with_cookie(&self, cookie: &str) -> Self {
        Self {
            cookie: Some(cookie.to_owned()),
            ..self.clone()
        }
    }

    fn cookie_header(&self) -> String {
        let cookie = self.cookie.as_deref();
        cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::Url;

    #[test]
    fn finds_an_address_in_a_sentence() {
        let found = Url::find("open http://127.0.0.1:80/events?channel=a.", &["http"]);
        let url = found.expect("the line has an address");
        assert_eq!(url.authority, "127.0.0.1:80");
        assert_eq!(url.target, "/events?channel=a");
    }

    #[test]
    fn needs_a_port() {
        assert_eq!(
            Url::find("see https://example.com/x", &["http", "https"]),
            None
        );
    }

    #[test]
    fn a_bare_authority_has_the_root_as_target() {
        let found = Url::find("listening on ws://[::1]:9000", &["http", "ws"]);
        assert_eq!(found.map(|url| url.target).as_deref(), Some("/"));
    }
}
