//! Which web pages may talk to the service.

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::uri::Authority;

/// The origins, beside the service's own, whose pages may subscribe and publish.
///
/// A request without an `Origin` header comes from no web page and is not judged here. `*` allows
/// every origin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// Only the service's own origin.
    pub fn same_origin() -> Self {
        Self::default()
    }

    /// One more origin: scheme, host and, unless it is the scheme's own, port, as in
    /// `https://app.example.com`.
    pub fn and(mut self, origin: impl Into<String>) -> Self {
        self.0
            .push(origin.into().trim_end_matches('/').to_ascii_lowercase());
        self
    }

    /// How a request stands to them.
    pub(crate) fn judge(&self, request: &Parts) -> Verdict {
        let mut origins = request.headers.get_all(ORIGIN).into_iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return Verdict::Same,
            (Some(origin), None) => origin,
            (Some(_), Some(_)) => return Verdict::Foreign,
        };
        let Ok(origin) = origin.to_str() else {
            return Verdict::Foreign;
        };
        if is_own(origin, request) {
            return Verdict::Same;
        }
        let named = origin.to_ascii_lowercase();
        if self.0.contains(&named) {
            return Verdict::Allowed(origin.to_owned());
        }
        if self.0.iter().any(|allowed| allowed == "*") {
            return Verdict::Allowed("*".to_owned());
        }
        Verdict::Foreign
    }
}

/// How a request's origin stands to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Another origin that is on the list, whose pages have to be told so.
    Allowed(String),
    /// Another origin.
    Foreign,
    /// The service's own, or no web page at all.
    Same,
}

fn is_own(origin: &str, request: &Parts) -> bool {
    let Some((scheme, origin)) = origin.split_once("://") else {
        return false;
    };
    if origin.contains('@') {
        return false;
    }
    let host = match request.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => request
            .headers
            .get(HOST)
            .and_then(|host| Authority::try_from(host.as_bytes()).ok()),
    };
    match (Authority::try_from(origin).ok(), host) {
        (Some(origin), Some(host)) => {
            let default = if scheme == "https" { 443 } else { 80 };
            origin.host().eq_ignore_ascii_case(host.host())
                && origin.port_u16().unwrap_or(default) == host.port_u16().unwrap_or(default)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn judge(origins: &[&str], host: &str) -> Verdict {
        let mut request = Request::get("/events").header("host", host);
        for origin in origins {
            request = request.header("origin", *origin);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        AllowedOrigins::same_origin()
            .and("https://App.example/")
            .judge(&parts)
    }

    #[test]
    fn verdicts() {
        let allowed = Verdict::Allowed("https://app.example".to_owned());
        assert_eq!(judge(&[], "a.example"), Verdict::Same);
        assert_eq!(
            judge(&["http://a.example:8080"], "a.example:8080"),
            Verdict::Same
        );
        assert_eq!(judge(&["https://a.example"], "a.example"), Verdict::Same);
        assert_eq!(
            judge(&["https://A.example"], "a.example:443"),
            Verdict::Same
        );
        assert_eq!(judge(&["https://app.example"], "a.example"), allowed);
        assert_eq!(
            judge(&["http://app.example"], "a.example"),
            Verdict::Foreign
        );
        assert_eq!(
            judge(&["http://a.example:81"], "a.example"),
            Verdict::Foreign
        );
        assert_eq!(
            judge(&["http://a.example.evil"], "a.example"),
            Verdict::Foreign
        );
        assert_eq!(judge(&["null"], "a.example"), Verdict::Foreign);
        assert_eq!(
            judge(&["http://a.example", "http://evil"], "a.example"),
            Verdict::Foreign
        );
        assert_eq!(
            judge(&["http://u@a.example"], "a.example"),
            Verdict::Foreign
        );
    }
}
