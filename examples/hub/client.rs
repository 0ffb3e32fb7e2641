//! The client for JavaScript, as the page imports it.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};

/// Its module at `/client/…`, if there is one.
pub(crate) fn module(path: &str) -> Option<Response<Bytes>> {
    let wanted = path.strip_prefix("/client/")?;
    let (_, source) = MODULES.iter().find(|(name, _)| *name == wanted)?;
    let mut response = Response::new(Bytes::from_static(source.as_bytes()));
    let script = HeaderValue::from_static("text/javascript; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, script);
    Some(response)
}

macro_rules! modules {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../clients/js/src/", $name)))),*]
    };
}

const MODULES: &[(&str, &str)] = modules! {
    "bell.js"
    "body.js"
    "calls.js"
    "client.js"
    "core.js"
    "driver.js"
    "errors.js"
    "feed.js"
    "index.js"
    "link.js"
    "options.js"
    "pace.js"
    "page.js"
    "parse.js"
    "payloads.js"
    "queue.js"
    "refusal.js"
    "requests.js"
    "tabs.js"
    "transports.js"
    "wire.js"
};
