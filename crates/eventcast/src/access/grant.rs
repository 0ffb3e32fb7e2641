//! What a request was granted.

use super::permissions::Permissions;
use crate::address::ClientAddress;

/// What the sender of a request may do, and where he is.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) permissions: Permissions,
    pub(crate) address: Option<ClientAddress>,
    /// How many revocations there were before.
    pub(crate) revocations: u64,
}
