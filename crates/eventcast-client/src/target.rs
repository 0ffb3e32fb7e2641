//! Where the service is, and its resources' addresses.

use form_urlencoded::Serializer;
use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::BuildError;

/// A service's address, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) secure: bool,
    pub(crate) authority: String,
    /// The path before `/events`.
    prefix: String,
    /// What the caller's query holds besides channels and the id.
    parameters: Vec<(String, String)>,
}

/// What a URL says besides where the service is.
#[derive(Debug, Default)]
pub(crate) struct Named {
    pub(crate) channels: Vec<String>,
    pub(crate) last_event_id: Option<String>,
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<(Self, Named), BuildError> {
        let refuse = |why: &str| BuildError::Url(why.to_owned());
        if !url.contains("://") {
            return Err(refuse("it does not begin with http:// or https://"));
        }
        let uri: Uri = url.parse().map_err(|_| refuse("it is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") if cfg!(feature = "tls") => true,
            Some("https" | "wss") => return Err(refuse("it needs the feature `tls`")),
            _ => return Err(refuse("its scheme is none of http, https, ws and wss")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("credentials belong into a header"));
        }
        let prefix = uri.path().strip_suffix("/events");
        let prefix = prefix.ok_or_else(|| refuse("its path does not end in `/events`"))?;
        let mut named = Named::default();
        let mut parameters = Vec::new();
        for (key, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*key {
                "channel" => named.channels.push(value.into_owned()),
                "last_event_id" => {
                    named.last_event_id = Some(value.into_owned()).filter(|id| !id.is_empty());
                }
                // The client's own.
                "format" | "session" | "transport" | "wait" => {}
                _ => parameters.push((key.into_owned(), value.into_owned())),
            }
        }
        let target = Self {
            secure,
            authority: authority.as_str().to_owned(),
            prefix: prefix.to_owned(),
            parameters,
        };
        Ok((target, named))
    }

    /// Sets a parameter of the subscription in place of what the URL has.
    pub(crate) fn set(&mut self, key: &str, value: String) {
        self.parameters.retain(|(known, _)| known != key);
        self.add(key, value);
    }

    /// One more parameter of the subscription.
    pub(crate) fn add(&mut self, key: &str, value: String) {
        self.parameters.push((key.to_owned(), value));
    }

    /// The subscription's address.
    pub(crate) fn events<'a>(
        &self,
        scheme: &str,
        own: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Uri, String> {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.parameters).extend_pairs(own);
        self.uri(scheme, &format!("events?{}", query.finish()))
    }

    /// The address of one of the service's other resources.
    pub(crate) fn resource<'a>(
        &self,
        kind: &str,
        name: &str,
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Uri, String> {
        let name = utf8_percent_encode(name, SEGMENT);
        let query = Serializer::new(String::new()).extend_pairs(query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        self.uri("http", &format!("{kind}/{name}{mark}{query}"))
    }

    /// The server without a path, as proxies are chosen by.
    pub(crate) fn origin(&self) -> Result<Uri, String> {
        self.uri("http", "")
    }

    fn uri(&self, scheme: &str, rest: &str) -> Result<Uri, String> {
        let secure = if self.secure { "s" } else { "" };
        let (authority, prefix) = (&self.authority, &self.prefix);
        let text = format!("{scheme}{secure}://{authority}{prefix}/{rest}");
        // Too long, for all else is encoded.
        text.parse().map_err(|error| format!("{error}"))
    }
}

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_put_together() {
        let url =
            "ws://host:8080/base/events?channel=a%2Fb&start=earliest&last_event_id=x&session=k";
        let (target, named) = Target::parse(url).unwrap();
        assert_eq!(named.channels, ["a/b"]);
        assert_eq!(named.last_event_id.as_deref(), Some("x"));
        let events = target.events("http", [("channel", "c d")]).unwrap();
        assert_eq!(
            events,
            "http://host:8080/base/events?start=earliest&channel=c+d"
        );
        let channel = target.resource("channels", "a/ü", []).unwrap();
        assert_eq!(channel, "http://host:8080/base/channels/a/%C3%BC");
        for bad in [
            "",
            "host/events",
            "ftp://host/events",
            "http://host/",
            "http://u:p@host/events",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
