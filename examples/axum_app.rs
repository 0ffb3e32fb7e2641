//! The hub in an axum application that has routes, a login and handlers of its own: axum's
//! middleware says who asks, the authenticator reads that, and handlers publish.
//!
//! Run with
//! ```text
//! cargo run --example axum_app
//! curl -c jar -d 'name=ann&password=apple' http://127.0.0.1:PORT/login
//! curl -N -b jar 'http://127.0.0.1:PORT/live/events?channel=orders/ann'
//! curl -b jar -d 'two apples' http://127.0.0.1:PORT/orders
//! ```
//! or open the address.
//!
//! What eventcast's own server does and axum's does not: cut a reader that takes nothing (a
//! WebSocket has that limit in the service), bound how long heads and idle connections take, and
//! keep no buffers of hyper's for an event stream. Its body copies each batch once, because axum's
//! bodies are of single pieces. axum's server does allow WebSockets over HTTP/2; another hyper server
//! has to be told: see `plain_hyper`.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use bytes::Buf;
use eventcast::{Denied, Event, EventService, Hub, Permissions, ServiceConfig};
use eventcast_examples::ctrl_c;
use http::request::Parts;
use http_body_util::BodyExt;

/// Who asks, as the middleware found out.
#[derive(Clone)]
struct User(&'static str);

/// A real application looks up a salted hash.
const USERS: &[(&str, &str)] = &[("ann", "apple"), ("bob", "banana")];

/// The newest logins, by the secret in the cookie: a database's table.
type Logins = Arc<Mutex<VecDeque<(String, User)>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new();
    let config = ServiceConfig::new().with_authenticator(authorize);
    let service = EventService::new(hub.clone(), config);
    let logins = Logins::default();

    let app = Router::new()
        .route("/orders", post(order))
        .with_state(hub)
        .nest("/live", live(service.clone()))
        .route("/", get(home))
        .layer(middleware::from_fn_with_state(logins.clone(), authenticate))
        // What comes after the layer is in front of it: no login is asked for here.
        .route("/login", post(login).with_state(logins));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            ctrl_c().await;
            // Streams do not end by themselves.
            service.drain(Duration::from_secs(5)).await;
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

/// Checks a password and gives a cookie, which `EventSource` and `WebSocket` send by themselves.
async fn login(State(logins): State<Logins>, form: String) -> Response {
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(form.as_bytes());
        fields.find(|(key, _)| key == name).map(|(_, value)| value)
    };
    let (name, password) = (field("name"), field("password"));
    let is_right = |user: &&(&str, &str)| {
        name.as_deref() == Some(user.0) && password.as_deref() == Some(user.1)
    };
    let Some((name, _)) = USERS.iter().find(is_right) else {
        return (StatusCode::UNAUTHORIZED, "wrong name or password\n").into_response();
    };
    let mut secret = [0; 16];
    if getrandom::fill(&mut secret).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let secret = format!("{:032x}", u128::from_be_bytes(secret));
    // Over https with `Secure` as well.
    let cookie = format!("login={secret}; HttpOnly; SameSite=Lax; Path=/");
    let mut logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
    logins.push_front((secret, User(name)));
    logins.truncate(1_000);
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Whose cookie it is. What needs nobody goes on without.
async fn authenticate(State(logins): State<Logins>, mut request: Request, next: Next) -> Response {
    let user = cookie(request.headers()).and_then(|secret| {
        let logins = logins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = logins.iter();
        known
            .find(|(login, _)| login == secret)
            .map(|(_, user)| user.clone())
    });
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    cookies
        .split("; ")
        .find_map(|one| one.strip_prefix("login="))
}

/// Everybody who is somebody reads the news and their own orders. Asked once for each connection.
fn authorize(request: &Parts) -> Result<Permissions, Denied> {
    let User(name) = request.extensions.get().ok_or(Denied::Unauthorized)?;
    let own = format!("orders/{name}");
    Ok(Permissions::subscribe()
        .only_channels(move |channel| channel.as_str() == "news" || channel.as_str() == own)
        .with_principal(*name))
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

/// The page knows who is in by the name that is filled in.
async fn home(user: Option<Extension<User>>) -> Html<String> {
    let name = user.map_or("", |Extension(User(name))| name);
    Html(include_str!("pages/axum_app.html").replace("{{name}}", name))
}
