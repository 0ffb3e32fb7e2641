//! A hub to try: publish by POST, receive over Server-Sent Events and WebSocket, cut, and resume.
//!
//! Run with
//! ```text
//! cargo run --example hub
//! ```
//! and open the address it prints. `--help` lists its flags.

#[path = "hub/backplane.rs"]
mod backplane;
#[path = "hub/client.rs"]
mod client;
#[path = "hub/data.rs"]
mod data;
#[path = "hub/echo.rs"]
mod echo;
#[path = "hub/local.rs"]
mod local;
#[path = "hub/options.rs"]
mod options;
#[path = "hub/tls.rs"]
mod tls;

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eventcast::metrics::BUCKETS;
use eventcast::{EventService, HubConfig, Server, ServerConfig};
use futures_util::FutureExt;
use futures_util::future::{OptionFuture, join};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use metrics_exporter_prometheus::PrometheusBuilder;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::echo::Echo;
use crate::local::LocalPublish;
use crate::options::{HELP, Options};

const PAGE: &str = include_str!("hub.html");
/// How often the histograms' samples are counted, which are kept until then.
const UPKEEP: Duration = Duration::from_secs(5);

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
    // Not what the crates below log: of that nobody promises that it holds no secret.
    let own = Targets::new().with_target("eventcast", options.log);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(own).with(lines).init();
    // Before the service, which makes its handles with it.
    let metrics = PrometheusBuilder::new()
        .set_buckets(BUCKETS)?
        .install_recorder()?;
    let page_of_metrics = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            metrics.run_upkeep();
        }
    });
    let config = HubConfig::new()
        .with_retention(options.retention)
        .with_max_payload(options.max_message)
        .with_shards(std::thread::available_parallelism().map_or(1, usize::from));
    let hub = options.backplane.open(config, &options.retention).await?;
    let echo = options.echo.then(|| Arc::new(Echo::new(hub.clone())));
    let answering = echo.clone();
    let addresses = [Some(options.listen), options.tls_listen].into_iter();
    let config = options
        .service
        .with_authenticator(LocalPublish::new(addresses.flatten(), options.allow_hosts))
        .with_metrics_page(move || page_of_metrics.render())
        .with_fallback(move |request| match &answering {
            Some(echo) if request.uri.path() == "/echo" => Some(echo.answer(request)),
            _ => page(request),
        });
    let service = EventService::new(hub.clone(), config);
    let server = bind(options.listen, &service, options.server).await?;
    let encrypted = match options.tls_listen {
        Some(address) => {
            let files = options.certificate.as_deref().zip(options.key.as_deref());
            let tls = tls::config(files, address.ip())?;
            Some(bind(address, &service, options.server).await?.with_tls(tls))
        }
        None => None,
    };
    let shutdown = shutdown_signal()?.shared();

    let url = format!("http://{}", server.local_addr());
    writeln!(
        io::stdout(),
        "eventcast hub on {url}/\n\n\
         open     {url}/\n\
         watch    curl -N '{url}/events?channel=news'\n\
         publish  curl -d hello '{url}/channels/news'\n\
         resume   curl -N -H 'Last-Event-ID: ID' '{url}/events?channel=news'\n\n\
         log      {}\n",
        backplane::promise(hub.capabilities()),
    )?;
    if echo.is_some() {
        let address = server.local_addr();
        writeln!(io::stdout(), "echo     websocat ws://{address}/echo\n")?;
    }
    if let Some(encrypted) = &encrypted {
        let url = format!("https://{}", encrypted.local_addr());
        let insecure = if options.certificate.is_none() {
            "-k "
        } else {
            ""
        };
        writeln!(
            io::stdout(),
            "and, encrypted, on {url}/\n\n\
             watch    curl -N {insecure}--http2 '{url}/events?channel=news'\n"
        )?;
    }
    let plain = server.run(shutdown.clone());
    let encrypted = OptionFuture::from(encrypted.map(|server| server.run(shutdown)));
    join(plain, encrypted).await;
    if let Some(echo) = echo {
        echo.end().await;
    }
    hub.close().await?;
    Ok(())
}

async fn bind(
    address: SocketAddr,
    service: &EventService,
    config: ServerConfig,
) -> Result<Server, Box<dyn Error>> {
    let server = Server::bind(address, service.clone())
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    Ok(server.with_config(config))
}

fn page(request: &Parts) -> Option<Response<Bytes>> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return None;
    }
    if request.uri.path() != "/" {
        return client::module(request.uri.path());
    }
    let mut response = Response::new(Bytes::from_static(PAGE.as_bytes()));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, html);
    Some(response)
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
