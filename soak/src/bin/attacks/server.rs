//! What is attacked: the library's own server with its own limits, as a process of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use eventcast::{
    Denied, EventService, Hub, HubConfig, Permissions, Retention, Server, ServerConfig,
    ServiceConfig, TrustedProxies,
};
use http::Response;
use http::request::Parts;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::NEWS;

/// How long a server waits for what does not come.
pub(crate) fn patience(quick: bool) -> (Duration, Duration) {
    match quick {
        // An attack on what waits takes as long as this.
        true => (Duration::from_secs(3), Duration::from_secs(3)),
        false => (Duration::from_secs(10), Duration::from_secs(30)),
    }
}

/// Serves until its input ends. The limits are the defaults; what is forgotten by age is forgotten
/// soon, so that memory can be compared without waiting for minutes.
pub(crate) async fn serve(quick: bool) -> Result<(), String> {
    let (head, stalled) = patience(quick);
    let soon = Duration::from_secs(1);
    let brief = Retention::new().with_count(200).with_age(soon);
    let hub = Hub::with_config(
        HubConfig::new()
            .with_retention(brief)
            .with_retention_for(NEWS, Retention::new().with_count(1_000))
            .with_collect_after(soon)
            .with_idempotency_window(1_000, soon),
    );
    let itself: Arc<OnceLock<EventService>> = Arc::default();
    let counted = Arc::clone(&itself);
    let proxies = TrustedProxies::none()
        .and("127.0.0.1")
        .map_err(|error| error.to_string())?;
    let config = ServiceConfig::new()
        .with_authenticator(bearer)
        .with_trusted_proxies(proxies)
        .with_session_keep(soon)
        .with_body_timeout(stalled)
        .with_write_timeout(stalled)
        .with_fallback(move |request| counters(counted.get()?, request));
    let service = EventService::new(hub, config);
    let _ = itself.set(service.clone());
    let server = Server::bind("127.0.0.1:0", service).await;
    let server = server.map_err(|error| error.to_string())?.with_config(
        ServerConfig::new()
            .with_header_timeout(head)
            .with_write_timeout(stalled)
            .with_drain_window(Duration::ZERO),
    );
    println!("{}", server.local_addr());
    server
        .run(async {
            let mut input = tokio::io::stdin();
            while let Ok(1..) = input.read(&mut [0; 64]).await {}
        })
        .await;
    Ok(())
}

/// A name as a bearer token is somebody who may do everything; without one, a visitor.
fn bearer(request: &Parts) -> Result<Permissions, Denied> {
    let Some(header) = request.headers.get("authorization") else {
        return Ok(Permissions::subscribe());
    };
    let name = header
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix("Bearer "));
    let name = name.ok_or(Denied::Unauthorized)?;
    Ok(Permissions::all().with_principal(name))
}

fn counters(service: &EventService, request: &Parts) -> Option<Response<Bytes>> {
    if request.uri.path() != "/counters" {
        return None;
    }
    let (hub, subscribers, refusals) = (
        service.hub().stats(),
        service.subscribers(),
        service.refusals(),
    );
    let document = json!({
        "channels": hub.channels,
        "poll": subscribers.poll,
        "sse": subscribers.sse,
        "stream": subscribers.stream,
        "websocket": subscribers.websocket,
        "refusals": refusals.iter().collect::<BTreeMap<_, _>>(),
    });
    Some(Response::new(document.to_string().into()))
}
