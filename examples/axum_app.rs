//! The hub in an axum application that has routes, a login and handlers of its own: axum's
//! middleware says who asks, the authenticator reads that, and handlers publish.
//!
//! Run with
//! ```text
//! cargo run --example axum_app
//! curl -N --cookie user=ann 'http://127.0.0.1:PORT/live/events?channel=orders/ann'
//! curl --cookie user=ann -d 'two apples' http://127.0.0.1:PORT/orders
//! ```
//!
//! What eventcast's own server does and axum's does not: cut a reader that takes nothing (a
//! WebSocket has that limit in the service), bound how long heads and idle connections take, and
//! keep no buffers of hyper's for an event stream. Its body copies each batch once, because axum's
//! bodies are of single pieces. axum's server does allow WebSockets over HTTP/2; another hyper server
//! has to be told (`enable_connect_protocol`), and to serve its connections `with_upgrades`.

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Buf;
use eventcast::{Denied, End, Event, EventService, Hub, Permissions, ServiceConfig};
use http::request::Parts;
use http_body_util::BodyExt;

/// Who asks, as the middleware found out.
#[derive(Clone)]
struct User(String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let config = ServiceConfig::new().with_authenticator(authorize);
    let service = EventService::new(hub.clone(), config);

    let app = Router::new()
        .route("/orders", post(order))
        .with_state(hub)
        .nest("/live", live(service.clone()))
        .layer(middleware::from_fn(authenticate))
        // What comes after the layer is in front of it: no login here.
        .route("/", get(async || "POST /orders, GET /live/events\n"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            // Without an answer there is no signal to wait for.
            let _ = tokio::signal::ctrl_c().await;
            // Streams do not end by themselves.
            service.end_sessions(End::Draining { retry: None });
        })
        .await?;
    Ok(())
}

/// The service as a router: below a prefix, or merged into another.
fn live(service: EventService) -> Router {
    Router::new().fallback(async move |request: Request| {
        let response = service.handle(request).await;
        response.map(|body| {
            Body::new(body.map_frame(|frame| {
                frame.map_data(|mut batch| batch.copy_to_bytes(batch.remaining()))
            }))
        })
    })
}

/// A cookie for browsers, whose `EventSource` and `WebSocket` send no other header, or a token. A
/// real one is not the user's name, and is looked up.
async fn authenticate(mut request: Request, next: Next) -> Response {
    if let Some(user) = user(request.headers()) {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

fn user(headers: &HeaderMap) -> Option<User> {
    let text = |name| headers.get(name)?.to_str().ok();
    let cookie = text(header::COOKIE)
        .and_then(|all| all.split("; ").find_map(|one| one.strip_prefix("user=")));
    let token = || text(header::AUTHORIZATION)?.strip_prefix("Bearer ");
    cookie.or_else(token).map(|name| User(name.to_owned()))
}

/// Everybody who is somebody reads the news and their own orders.
fn authorize(request: &Parts) -> Result<Permissions, Denied> {
    let User(name) = request.extensions.get().ok_or(Denied::Unauthorized)?;
    let own = format!("orders/{name}");
    Ok(Permissions::subscribe()
        .only_channels(move |channel| channel.as_str() == "news" || channel.as_str() == own))
}

/// A plain handler of the application: it publishes through the hub.
async fn order(
    State(hub): State<Hub>,
    user: Option<Extension<User>>,
    order: String,
) -> Result<String, StatusCode> {
    let Extension(User(name)) = user.ok_or(StatusCode::UNAUTHORIZED)?;
    let published = hub.publish(format!("orders/{name}"), Event::text(order));
    let id = published.await.map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(format!("{id}\n"))
}
