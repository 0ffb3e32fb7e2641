//! eventcast's own server, with the default settings where nothing else is asked for.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use eventcast::{Event, EventService, Hub, HubConfig, Limits, Retention, Server, ServiceConfig};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::publish;
use crate::fanout::payload::payload;
use crate::fanout::spec::{Kind, ServerSpec};

pub(super) async fn serve(spec: &ServerSpec) -> io::Result<()> {
    #[cfg(feature = "metrics")]
    if spec.prometheus {
        record().map_err(io::Error::other)?;
    }
    let mut config = HubConfig::new().with_max_channels(2_000_000);
    if let Some(count) = spec.retained {
        let retention = Retention::new().with_count(count).with_bytes(1 << 30);
        config = config.with_retention(retention).with_max_bytes(1 << 31);
    }
    let hub = Hub::with_config(config);
    let linger = Duration::from_millis(spec.linger_millis);
    // All clients have one address.
    let limits = Limits::new()
        .with_sessions_per_address(usize::MAX)
        .with_opened_per_second(u32::MAX)
        .with_messages_per_second(u32::MAX);
    let config = ServiceConfig::new().with_linger(linger).with_limits(limits);
    let service = EventService::new(hub.clone(), config);
    let address = if spec.kind == Kind::SseHyper {
        in_hyper(service).await?
    } else {
        let server = Server::bind("127.0.0.1:0", service).await?;
        let address = server.local_addr();
        tokio::spawn(server.run(pending()));
        address
    };
    let channels = spec.shape.all_channels();
    // A handle spares the look-up; nobody has them for very many channels.
    let handles: Vec<_> = (0..channels)
        .take_while(|_| channels <= MOST_HANDLES)
        .map(|channel| hub.channel(format!("c{channel}")))
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    publish(address, move |number, time| {
        let channel = number as usize % channels;
        let event = Event::text(payload(number, time));
        let published = match handles.get(channel) {
            Some(handle) => handle.try_publish(event),
            None => hub.try_publish(format!("c{channel}"), event),
        };
        published.expect("the event is small and the channel is open");
    })
    .await
}

/// As an application does that has a page for Prometheus.
#[cfg(feature = "metrics")]
fn record() -> Result<(), metrics_exporter_prometheus::BuildError> {
    let prometheus = metrics_exporter_prometheus::PrometheusBuilder::new()
        .set_buckets(eventcast::metrics::BUCKETS)?
        .install_recorder()?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            prometheus.run_upkeep();
        }
    });
    Ok(())
}

/// The service in somebody else's server.
async fn in_hyper(service: EventService) -> io::Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            // It is for speed only.
            let _ = stream.set_nodelay(true);
            let service = service.clone();
            let handler = service_fn(move |request| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.handle(request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), handler);
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

const MOST_HANDLES: usize = 10_000;
