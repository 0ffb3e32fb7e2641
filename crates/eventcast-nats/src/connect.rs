//! One connection, used until it is lost and never again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectOptions};
use eventcast_core::BackplaneError;

use crate::config::{NatsAuth, NatsConfig};
use crate::failure::because;

/// Connects to the first server that answers.
///
/// The client must not reconnect by itself: it would send what is queued to a server that may have
/// lost something, before anybody looked. So it gets one attempt, and its second handshake is
/// refused by ourselves.
pub(crate) async fn connect(config: &NatsConfig, first: usize) -> Result<Client, BackplaneError> {
    let mut failure = BackplaneError::new("there are no servers to connect to");
    let count = config.servers.len();
    for server in config.servers.iter().cycle().skip(first).take(count) {
        match options(config).connect(server.as_str()).await {
            Ok(client) => return Ok(client),
            Err(error) => {
                failure = because("the server could not be reached", error);
            }
        }
    }
    Err(failure)
}

fn options(config: &NatsConfig) -> ConnectOptions {
    let used = Arc::new(AtomicBool::new(false));
    let auth = config.auth.clone();
    let mut options = ConnectOptions::with_auth_callback(move |nonce| {
        let again = used.swap(true, Ordering::Relaxed);
        let auth = auth.clone();
        async move {
            if again {
                return Err(AuthError::new("a connection is used once"));
            }
            answer(&auth, &nonce).map_err(AuthError::new)
        }
    })
    .max_reconnects(1)
    .reconnect_delay_callback(|_| Duration::ZERO)
    .ignore_discovered_servers()
    .name("eventcast")
    .ping_interval(Duration::from_secs(5))
    .connection_timeout(config.publish_timeout.min(Duration::from_secs(5)))
    .request_timeout(Some(config.publish_timeout));
    for root in &config.roots {
        options = options.add_root_certificates(root.clone());
    }
    if let Some((certificate, key)) = &config.identity {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    options
}

fn answer(auth: &NatsAuth, nonce: &[u8]) -> Result<Auth, String> {
    let mut answer = Auth::new();
    match auth {
        NatsAuth::None => {}
        NatsAuth::UserPassword(user, password) => {
            answer.username = Some(user.clone());
            answer.password = Some(password.clone());
        }
        NatsAuth::Token(token) => answer.token = Some(token.clone()),
        NatsAuth::NkeySeed(seed) => {
            let key = nkeys::KeyPair::from_seed(seed.trim()).map_err(|error| error.to_string())?;
            answer.nkey = Some(key.public_key());
            answer.signature = Some(key.sign(nonce).map_err(|error| error.to_string())?);
        }
        NatsAuth::CredentialsFile(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            let (jwt, seed) = credentials(&text).ok_or("the file holds no credentials")?;
            let key = nkeys::KeyPair::from_seed(seed).map_err(|error| error.to_string())?;
            answer.jwt = Some(jwt.to_owned());
            answer.signature = Some(key.sign(nonce).map_err(|error| error.to_string())?);
        }
    }
    Ok(answer)
}

/// What stands below the two `BEGIN` lines.
fn credentials(text: &str) -> Option<(&str, &str)> {
    let after = |mark: &str| {
        let mut lines = text.lines();
        lines.find(|line| line.starts_with("---") && line.contains(mark))?;
        lines.map(str::trim).find(|line| !line.is_empty())
    };
    Some((
        after("BEGIN NATS USER JWT")?,
        after("BEGIN USER NKEY SEED")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_below_their_marks() {
        let text = "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n\n\
            -----BEGIN USER NKEY SEED-----\nSUx\n------END USER NKEY SEED------\n";
        assert_eq!(credentials(text), Some(("abc", "SUx")));
        assert_eq!(credentials("abc"), None);
    }
}
