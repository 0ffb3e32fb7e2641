//! A connection that speaks HTTP/1.1.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::future::FutureExt;

use super::config::MAX_HEAD;
use super::link::{Link, Peer};
use super::serve::Serving;
use super::takeover::EventStream;
use crate::body::ResponseBody;
use crate::limits::Limit;

/// Serves a connection to its end, or until it has become an event stream, which is then a task of
/// its own: this one has the size of hyper's connection.
pub(super) async fn serve<S>(io: S, serving: Serving, link: Option<Arc<Link>>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (tasks, cut) = (serving.tasks.clone(), serving.cut.clone());
    if let Some((io, response)) = answer(io, serving, link.clone()).await {
        let stream = EventStream::new(io, response, link);
        tasks.spawn(stream.with_cancellation_token_owned(cut));
    }
}

/// Answers requests until the connection ends, or until one is answered with an event stream: the
/// socket is handed back then, with that response.
async fn answer<S>(
    io: S,
    serving: Serving,
    link: Option<Arc<Link>>,
) -> Option<(S, Response<ResponseBody>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let Serving {
        service,
        config,
        closing,
        draining,
        address,
        ..
    } = serving;
    let counting = service.clone();
    let handed_over = HandedOver::default();
    let slot = handed_over.clone();
    let handler = service_fn(move |mut request: Request<Incoming>| {
        let (service, slot) = (service.clone(), slot.clone());
        let (draining, link) = (draining.clone(), link.clone());
        // Boxed: hyper keeps room for this future as long as the connection lives.
        Box::pin(async move {
            let takes_chunks = request.version() == Version::HTTP_11;
            if let Some(address) = address {
                request.extensions_mut().insert(address);
            }
            if let Some(link) = link {
                request.extensions_mut().insert(Peer::new(link, None));
            }
            let mut response = service.handle(request).await;
            if draining.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                // Who comes back comes over another connection, which may lead elsewhere.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            if takes_chunks && response.body().is_stream() {
                // hyper writes nothing after an error of its service, and gives the socket back.
                slot.put(response);
                return Err(NotByHyper);
            }
            Ok(response)
        })
    });
    let mut connection = Box::pin(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout())
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(io), handler)
            .with_upgrades(),
    );
    let result = tokio::select! {
        result = &mut connection => result,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            (&mut connection).await
        }
    };
    // How else a connection failed is of no use to anybody: its sessions end with it.
    let limit = match &result {
        Err(error) if error.is_timeout() => Some(Limit::HeadTimeouts),
        Err(error) if error.is_parse_too_large() => Some(Limit::Heads),
        _ => None,
    };
    if let Some(limit) = limit {
        counting.shared().gate.count(limit);
    }
    let response = handed_over.take()?;
    let parts = Pin::into_inner(connection).into_parts()?;
    Some((parts.io.into_inner(), response))
}

#[derive(Debug, thiserror::Error)]
#[error("the response is an event stream, which is written without hyper")]
struct NotByHyper;

/// Where a service leaves the response that is not for hyper.
#[derive(Clone, Default)]
struct HandedOver(Arc<Mutex<Option<Response<ResponseBody>>>>);

impl HandedOver {
    fn put(&self, response: Response<ResponseBody>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
    }

    fn take(&self) -> Option<Response<ResponseBody>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take()
    }
}
