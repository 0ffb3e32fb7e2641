//! Which transport a subscription gets.

use http::header::{ACCEPT, HeaderMap};
use http::{Method, Request, StatusCode};

use crate::problem::Problem;
use crate::query::{Format, Query};
use crate::registry::Transport;

/// The transport that a request asks for: by its handshake, by `transport` in its query, or by
/// what it accepts (RFC 9110, section 12.5.1).
pub(super) fn negotiate(request: &Request<()>, query: &Query) -> Result<Transport, Problem> {
    let is_handshake = request.method() == Method::CONNECT || eventcast_ws::is_upgrade(request);
    let chosen = match (is_handshake, query.transport) {
        (true, None | Some(Transport::WebSocket)) => Transport::WebSocket,
        (true, Some(_)) => {
            return Err(Problem::bad_request(
                "the request is a WebSocket's handshake, and `transport` says otherwise",
            ));
        }
        (false, Some(Transport::WebSocket)) => {
            return Err(Problem::upgrade_required());
        }
        (false, Some(transport)) => transport,
        (false, None) => accepted(request.headers()).ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_ACCEPTABLE,
                "this resource is text/event-stream, application/x-ndjson, application/json or, \
                 with an upgrade, a WebSocket",
            )
        })?,
    };
    check(chosen, query)?;
    Ok(chosen)
}

fn check(chosen: Transport, query: &Query) -> Result<(), Problem> {
    if query.wait.is_some() && chosen != Transport::Poll {
        return Err(Problem::bad_request(
            "`wait` is for polling: accept application/json, or add `transport=poll`",
        ));
    }
    let is_json_only = matches!(chosen, Transport::Poll | Transport::Stream);
    if is_json_only && query.format == Some(Format::Plain) {
        return Err(Problem::bad_request(
            "streams and polls are JSON: `format=plain` is for event streams and WebSockets",
        ));
    }
    Ok(())
}

/// The transport whose media type the client likes best; of several, the one it names most
/// exactly, and then the first of the list.
fn accepted(headers: &HeaderMap) -> Option<Transport> {
    let ranges: Vec<Range<'_>> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    if ranges.is_empty() {
        return Some(Transport::Sse);
    }
    let offers = [
        (Transport::Sse, "text/event-stream"),
        (Transport::Stream, "application/x-ndjson"),
        (Transport::Poll, "application/json"),
    ];
    let rated = offers.iter().rev().filter_map(|(transport, media_type)| {
        let fits = ranges.iter().filter_map(|range| range.fits(media_type));
        let (exactness, quality) = fits.max_by_key(|(exactness, _)| *exactness)?;
        (quality > 0).then_some(((quality, exactness), *transport))
    });
    // Of equals the last one counts, hence the order.
    rated.max_by_key(|(rate, _)| *rate).map(|(_, it)| it)
}

/// One media range of an `Accept` header.
struct Range<'a> {
    media_type: &'a str,
    /// In thousandths.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media_type = parts.next().filter(|media_type| !media_type.is_empty())?;
        let quality = parts.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        let quality = match quality {
            Some(value) => value.parse().unwrap_or(1.0_f32).clamp(0.0, 1.0),
            None => 1.0,
        };
        Some(Self {
            media_type,
            quality: (quality * 1_000.0) as u16,
        })
    }

    /// How exactly the range names the type, and how much it likes it.
    fn fits(&self, media_type: &str) -> Option<(u8, u16)> {
        let kind = media_type.split('/').next().unwrap_or_default();
        let exactness = match self.media_type {
            "*/*" => 0,
            range if range.eq_ignore_ascii_case(media_type) => 2,
            range => {
                let range_kind = range.strip_suffix("/*")?;
                range_kind.eq_ignore_ascii_case(kind).then_some(1)?
            }
        };
        Some((exactness, self.quality))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn accept() {
        let accepted = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(value));
            accepted(&headers)
        };
        assert_eq!(super::accepted(&HeaderMap::new()), Some(Transport::Sse));
        for (value, transport) in [
            ("", Transport::Sse),
            ("*/*", Transport::Sse),
            ("text/event-stream", Transport::Sse),
            ("Text/*;q=0.5", Transport::Sse),
            ("text/html,application/xml;q=0.9,*/*;q=0.8", Transport::Sse),
            ("application/x-ndjson", Transport::Stream),
            ("application/*", Transport::Stream),
            ("application/json", Transport::Poll),
            ("application/json, text/plain, */*", Transport::Poll),
            ("application/json;q=0.5, text/event-stream", Transport::Sse),
            ("text/event-stream;q=0, */*", Transport::Stream),
            (
                "text/event-stream; q=0.2, Application/JSON ; charset=utf-8; Q=0.3",
                Transport::Poll,
            ),
        ] {
            assert_eq!(accepted(value), Some(transport), "{value}");
        }
        assert_eq!(accepted("text/html"), None);
        assert_eq!(accepted("text/event-stream;q=0"), None);
    }
}
