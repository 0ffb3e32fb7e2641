//! From the command line to a client.

use std::path::Path;

use eventcast_client::{BoxError, Client, ClientBuilder};

use crate::args::Server;
use crate::exit::{Exit, Result};
use crate::tls;

/// A client of this server, in the making.
pub(crate) fn builder(server: &Server) -> Result<ClientBuilder> {
    let mut builder =
        Client::builder(&service(&server.url))?.with_connect_timeout(server.connect_timeout);
    for header in &server.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| Exit::misused("--header: expected `Name: value`"))?;
        builder = builder.with_header(name.trim(), value.trim())?;
    }
    if let Some(token) = &server.token {
        builder = builder.with_bearer(token.trim())?;
    }
    if let Some(path) = &server.token_file {
        // Once at the beginning, so that a wrong name is no reason to try again.
        read_token(path).map_err(|error| Exit::failed(error.to_string()))?;
        let path = path.clone();
        builder = builder.with_token(move || std::future::ready(read_token(&path)));
    }
    if server.ca.is_some() || server.insecure {
        builder = builder.with_tls(tls::config(server.ca.as_deref(), server.insecure)?);
    }
    if let Some(proxy) = &server.proxy {
        builder = builder.with_proxy(proxy);
    }
    if server.no_proxy {
        builder = builder.without_proxy();
    }
    Ok(builder)
}

/// The URL with the path that a client wants.
fn service(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (path, query) = url.split_at(end);
    let path = path.trim_end_matches('/');
    let query = query.split('#').next().unwrap_or_default();
    match path.ends_with("/events") {
        true => format!("{path}{query}"),
        false => format!("{path}/events{query}"),
    }
}

fn read_token(path: &Path) -> std::result::Result<String, BoxError> {
    match std::fs::read_to_string(path) {
        Ok(token) => Ok(token.trim().to_owned()),
        Err(error) => Err(format!("--token-file {}: {error}", path.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::service;

    #[test]
    fn the_path_may_be_left_out() {
        for (url, expected) in [
            ("http://host", "http://host/events"),
            ("http://host/", "http://host/events"),
            ("http://host/base/events", "http://host/base/events"),
            (
                "http://host/base?slow=gap",
                "http://host/base/events?slow=gap",
            ),
        ] {
            assert_eq!(service(url), expected);
        }
    }
}
