//! Where a request has its token.

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;

/// The token of a request: a bearer's (RFC 6750 section 2.1), or else that of a cookie.
pub(crate) fn token<'a>(request: &'a Parts, cookie: Option<&str>) -> Option<&'a str> {
    if let Some(header) = request.headers.get(AUTHORIZATION) {
        let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim_start());
    }
    let name = cookie?;
    let headers = request.headers.get_all(COOKIE).into_iter();
    let pairs = headers.filter_map(|header| header.to_str().ok());
    let mut pairs = pairs.flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim())
    })
}
