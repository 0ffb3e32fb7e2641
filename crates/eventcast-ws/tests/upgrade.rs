//! The opening handshake (RFC 6455 §4.2).

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use eventcast_ws::{Mode, UpgradeError, is_upgrade, upgrade};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::ext::Protocol;

/// The request of RFC 6455 §1.3.
fn request() -> http::request::Builder {
    Request::get("/events")
        .header("host", "server.example.com")
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
}

fn answer(builder: http::request::Builder) -> Result<(Response<()>, Mode), UpgradeError> {
    let mut request = builder.body(()).unwrap();
    upgrade(&mut request).map(|(response, upgrade)| (response, upgrade.mode()))
}

#[test]
fn the_example_of_the_rfc() {
    let (response, mode) = answer(request()).unwrap();
    assert_eq!(mode, Mode::Json);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers: Vec<_> = response
        .headers()
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_bytes()))
        .collect();
    assert_eq!(
        headers,
        [
            ("connection", &b"upgrade"[..]),
            ("upgrade", b"websocket"),
            ("sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
    );
}

#[test]
fn header_lists_are_read_as_lists() {
    let builder = Request::get("/")
        .header("upgrade", "h2c, WebSocket")
        .header("connection", "keep-alive")
        .header("connection", "x, upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13");
    assert!(is_upgrade(&builder.body(()).unwrap()));
}

#[test]
fn the_first_known_subprotocol_is_taken() {
    for (offers, name, mode) in [
        (
            &["eventcast.v1+plain"][..],
            Some("eventcast.v1+plain"),
            Mode::Plain,
        ),
        (
            &["eventcast.v1+json, eventcast.v1+plain"],
            Some("eventcast.v1+json"),
            Mode::Json,
        ),
        (
            &["x", "y,eventcast.v1+plain , eventcast.v1+json"],
            Some("eventcast.v1+plain"),
            Mode::Plain,
        ),
        (&["x"], None, Mode::Json),
        (&[], None, Mode::Json),
    ] {
        let builder = offers.iter().fold(request(), |builder, offer| {
            builder.header("sec-websocket-protocol", *offer)
        });
        let (response, chosen) = answer(builder).unwrap();
        let named = response.headers().get("sec-websocket-protocol");
        assert_eq!(
            (named.map(|name| name.to_str().unwrap()), chosen),
            (name, mode)
        );
    }
}

#[test]
fn what_is_no_handshake() {
    fn with(change: impl FnOnce(&mut Request<()>)) -> UpgradeError {
        let mut request = request().body(()).unwrap();
        change(&mut request);
        upgrade(&mut request).unwrap_err()
    }
    fn set(name: &'static str, value: Option<&'static str>) -> UpgradeError {
        with(|request| {
            request.headers_mut().remove(name);
            if let Some(value) = value {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        })
    }
    assert_eq!(
        with(|r| *r.method_mut() = Method::POST),
        UpgradeError::Method
    );
    assert_eq!(
        with(|r| *r.version_mut() = Version::HTTP_10),
        UpgradeError::HttpVersion
    );
    assert_eq!(
        with(|r| *r.version_mut() = Version::HTTP_2),
        UpgradeError::HttpVersion
    );
    for (name, value) in [
        ("upgrade", None),
        ("upgrade", Some("h2c")),
        ("connection", None),
        ("connection", Some("close")),
    ] {
        assert_eq!(set(name, value), UpgradeError::NotUpgrade);
    }
    for version in [None, Some("8"), Some("13, 8")] {
        assert_eq!(set("sec-websocket-version", version), UpgradeError::Version);
    }
    for key in [
        None,
        Some(""),
        Some("dGhlIHNhbXBsZQ=="),
        Some("not base64 at all !!!!!!"),
    ] {
        assert_eq!(set("sec-websocket-key", key), UpgradeError::Key);
    }
    let twice = with(|request| {
        let key = request.headers()["sec-websocket-key"].clone();
        request.headers_mut().append("sec-websocket-key", key);
    });
    assert_eq!(twice, UpgradeError::Key);
}

#[test]
fn errors_know_their_response() {
    let version = UpgradeError::Version.response();
    assert_eq!(version.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(version.headers()["sec-websocket-version"], "13");
    assert_eq!(UpgradeError::Method.response().headers()["allow"], "GET");
    assert_eq!(UpgradeError::Key.status(), StatusCode::BAD_REQUEST);
}

/// RFC 8441 §5.
fn connect() -> http::request::Builder {
    Request::connect("https://server.example.com/events")
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
}

#[test]
fn over_http2() {
    assert!(is_upgrade(&connect().body(()).unwrap()));
    let (response, mode) = answer(connect()).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().is_empty(), "{response:?}");
    assert_eq!(mode, Mode::Json);

    let offer = connect().header("sec-websocket-protocol", "other, eventcast.v1+plain");
    let (response, mode) = answer(offer).unwrap();
    let name = &response.headers()["sec-websocket-protocol"];
    assert_eq!(
        (name.as_bytes(), mode),
        (&b"eventcast.v1+plain"[..], Mode::Plain)
    );
}

#[test]
fn over_http2_but_not_properly() {
    let request = || Request::connect("https://a.test/events").version(Version::HTTP_2);
    let other = Protocol::from_static("connect-udp");
    for (builder, error, status) in [
        (request(), UpgradeError::Protocol, 501),
        (request().extension(other), UpgradeError::Protocol, 501),
        (
            connect().version(Version::HTTP_11),
            UpgradeError::HttpVersion,
            400,
        ),
        (
            connect().header("sec-websocket-version", "8"),
            UpgradeError::Version,
            426,
        ),
    ] {
        let given = answer(builder).unwrap_err();
        assert_eq!((given, given.status().as_u16()), (error, status));
    }
    assert!(!is_upgrade(&request().body(()).unwrap()));
}
