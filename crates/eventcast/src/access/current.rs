//! What a session may do now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::permissions::Permissions;
use super::revocation::Revocation;

/// The permissions of an open session: a refresh replaces them, a revocation makes them less. Clones
/// share them, so that what a connection asks of them is what they are by now.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<Mutex<Permissions>>);

impl Current {
    pub(crate) fn new(permissions: Permissions) -> Self {
        Self(Arc::new(Mutex::new(permissions)))
    }

    pub(crate) fn get(&self) -> Permissions {
        self.lock().clone()
    }

    pub(crate) fn set(&self, permissions: Permissions) {
        *self.lock() = permissions;
    }

    /// Takes from them what a revocation of channels takes; `false` when they have lost more than
    /// is remembered, and nothing is to be left.
    pub(crate) fn take(&self, revocation: &Revocation) -> bool {
        self.lock().take(revocation)
    }

    fn lock(&self) -> MutexGuard<'_, Permissions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
