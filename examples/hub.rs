//! A hub to try: publish by POST, receive over Server-Sent Events and WebSocket, cut, and resume.
//!
//! Run with
//! ```text
//! cargo run --release --example hub
//! ```
//! and open the address it prints. `--help` lists its flags.

#[path = "hub/echo.rs"]
mod echo;
#[path = "hub/local.rs"]
mod local;
#[path = "hub/options.rs"]
mod options;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use eventcast::{EventService, Hub, HubConfig, Server};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};

use crate::echo::Echo;
use crate::local::LocalPublish;
use crate::options::{HELP, Options};

const PAGE: &str = include_str!("hub.html");

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Options::parse(std::env::args_os()) {
        Ok(Some(options)) => run(options).await,
        Ok(None) => writeln!(io::stdout(), "{HELP}").map_err(Into::into),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hub: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let hub = Hub::with_config(
        HubConfig::new()
            .with_retention(options.retention)
            .with_max_payload(options.max_message)
            .with_shards(std::thread::available_parallelism().map_or(1, usize::from)),
    );
    let echo = options.echo.then(|| Arc::new(Echo::new(hub.clone())));
    let answering = echo.clone();
    let config = options
        .service
        .with_authorizer(LocalPublish::new(options.listen, options.allow_hosts))
        .with_fallback(move |request| match &answering {
            Some(echo) if request.uri.path() == "/echo" => Some(echo.answer(request)),
            _ => page(request),
        });
    let server = Server::bind(options.listen, EventService::new(hub, config))
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?
        .with_config(options.server);
    let shutdown = shutdown_signal()?;

    let address = server.local_addr();
    let url = format!("http://{address}");
    writeln!(
        io::stdout(),
        "eventcast hub on {url}/\n\n\
         open     {url}/\n\
         watch    curl -N '{url}/events?channel=news'\n\
         publish  curl -d hello '{url}/channels/news'\n\
         resume   curl -N -H 'Last-Event-ID: ID' '{url}/events?channel=news'\n"
    )?;
    if echo.is_some() {
        writeln!(io::stdout(), "echo     websocat ws://{address}/echo\n")?;
    }
    server.run(shutdown).await;
    if let Some(echo) = echo {
        echo.end().await;
    }
    Ok(())
}

fn page(request: &Parts) -> Option<Response<Bytes>> {
    let wanted = request.uri.path() == "/" && matches!(request.method, Method::GET | Method::HEAD);
    wanted.then(|| {
        let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, html);
        response
    })
}

/// Done at Ctrl-C or SIGTERM. The handlers are in place once this returns.
#[cfg(unix)]
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn shutdown_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async { tokio::signal::ctrl_c().await.unwrap_or(()) })
}
