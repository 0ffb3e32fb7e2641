//! What a case works with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use eventcast_core::{Backplane, Clock, SystemClock, Timestamp};

use super::harness::{Harness, Log, Need, Restart, ruled_out};
use super::node::Node;
use crate::verdict::ensure;

/// What a case works with: a new log.
pub struct Stage {
    pub(super) harness: Arc<dyn Harness>,
    log: Box<dyn Log>,
}

impl Stage {
    pub(super) async fn open(harness: Arc<dyn Harness>) -> Result<Self, String> {
        let log = harness.log().await;
        let log = log.map_err(|error| format!("no log: {error}"))?;
        Ok(Self { harness, log })
    }

    pub(super) fn has(&self, need: Need) -> bool {
        ruled_out(&*self.harness, &[need]).is_none()
    }

    /// A node with nobody attached.
    pub(super) async fn unattached(&self) -> Result<Arc<dyn Backplane>, String> {
        let node = self.log.node().await;
        let node = node.map_err(|error| format!("no node: {error}"))?;
        let (said, is) = (self.harness.capabilities(), node.capabilities());
        ensure!(
            said == is,
            "a node says {is:?} of itself, the harness {said:?}"
        );
        Ok(node)
    }

    /// A node with a sink that writes down what it is given.
    pub(super) async fn node(&self) -> Result<Node, String> {
        Node::attach(self.unattached().await?, self.harness.patience()).await
    }

    /// Two nodes; the same one twice when the log is of one.
    pub(super) async fn two_nodes(&self) -> Result<(Arc<Node>, Arc<Node>), String> {
        let one = Arc::new(self.node().await?);
        let other = if self.has(Need::Shared) {
            Arc::new(self.node().await?)
        } else {
            Arc::clone(&one)
        };
        Ok((one, other))
    }

    /// Restarts the log and gives a node of it.
    pub(super) async fn restart(&self, nodes: Vec<Node>, how: Restart) -> Result<Node, String> {
        if how == Restart::Clean {
            for node in &nodes {
                let closed = node.plane.close().await;
                closed.map_err(|error| format!("a node cannot be closed: {error:?}"))?;
            }
        }
        let mut nodes = Some(nodes);
        if how == Restart::Clean {
            nodes = None;
        }
        let restarted = self.log.restart(how).await;
        restarted.map_err(|error| format!("no restart: {error}"))?;
        drop(nodes);
        self.node().await
    }

    /// Waits for something that is expected at once.
    pub(super) async fn soon<T>(
        &self,
        what: &str,
        future: impl Future<Output = T> + Send,
    ) -> Result<T, String> {
        soon(self.harness.patience(), what, future).await
    }
}

pub(super) async fn soon<T>(
    patience: Duration,
    what: &str,
    future: impl Future<Output = T> + Send,
) -> Result<T, String> {
    let outcome = tokio::time::timeout(patience, future).await;
    outcome.map_err(|_| format!("{what}: not within {patience:?}"))
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}
