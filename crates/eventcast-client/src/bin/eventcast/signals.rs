//! What ends the program from outside.

use std::future::pending;

use crate::exit::Exit;

/// SIGINT, SIGTERM, or a reader of the output that has gone away: for what only prints.
pub(crate) async fn stopped() -> Exit {
    tokio::select! {
        exit = signalled() => exit,
        () = reader_gone() => Exit::done(),
    }
}

/// SIGINT or SIGTERM.
#[cfg(unix)]
pub(crate) async fn signalled() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};

    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    match signals {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => Exit::signal(2),
            _ = terminate.recv() => Exit::signal(15),
        },
        // Then they end it as they end everything.
        _ => pending().await,
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn signalled() -> Exit {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Exit::signal(2),
        Err(_) => pending().await,
    }
}

/// So that `eventcast subscribe … | head -1` ends with `head`, and not with the next event.
#[cfg(unix)]
async fn reader_gone() {
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    // Of a file there is nothing to hear.
    #[allow(
        deprecated,
        reason = "what replaces it is `unsafe`; standard output is open for as long as the program"
    )]
    let Ok(output) = AsyncFd::with_interest(std::io::stdout(), Interest::ERROR) else {
        return pending().await;
    };
    if output.ready(Interest::ERROR).await.is_err() {
        pending().await
    }
}

#[cfg(not(unix))]
async fn reader_gone() {
    pending().await
}
