//! Tickets: what an `EventSource` or a browser's WebSocket, which send no token, bring in its
//! place.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Response;
use serde_json::json;
use tokio::time::Instant;

use crate::access::{Denied, Grant, Permissions, Revocation, Scope};
use crate::body::ResponseBody;
use crate::key::random_key;
use crate::limits::{Limit, Limited};
use crate::problem::Problem;
use crate::query::Query;
use crate::service::{Shared, json_response};

/// The tickets that are out.
///
/// They are found by a hash that is keyed at random, so the time that takes tells nothing about
/// them, and a guess has 128 bits to guess.
pub(crate) struct Tickets {
    out: Mutex<Out>,
    lifetime: Duration,
}

#[derive(Default)]
struct Out {
    by_key: HashMap<Arc<str>, Permissions>,
    /// The oldest first; those used are gone from the map.
    order: VecDeque<(Instant, Arc<str>)>,
}

impl Tickets {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self {
            out: Mutex::default(),
            lifetime,
        }
    }

    /// A new ticket for what its bearer may do.
    pub(crate) fn issue(&self, permissions: Permissions) -> Result<Arc<str>, Limited> {
        let mut out = self.out();
        out.forget_old(self.lifetime);
        let principal = permissions.principal();
        let same = |other: &&Permissions| other.principal() == principal;
        if out.by_key.values().filter(same).count() >= MAX_OF_ONE {
            return Err(Limited::of_principal(Limit::Tickets));
        }
        if out.order.len() >= MAX_OUT {
            return Err(Limited::of_all(Limit::Tickets));
        }
        let key = random_key();
        out.by_key.insert(Arc::clone(&key), permissions);
        out.order.push_back((Instant::now(), Arc::clone(&key)));
        Ok(key)
    }

    /// Takes a ticket, which is good once.
    pub(crate) fn redeem(&self, ticket: &str) -> Result<Permissions, Denied> {
        let mut out = self.out();
        out.forget_old(self.lifetime);
        let permissions = out.by_key.remove(ticket).ok_or(Denied::Unauthorized)?;
        match permissions.expires() {
            Some(expires) if expires <= Instant::now() => Err(Denied::Unauthorized),
            _ => Ok(permissions),
        }
    }

    /// Takes tickets back; where only a channel is, those that reach it go as a whole.
    pub(crate) fn revoke(&self, revocation: &Revocation) {
        let mut out = self.out();
        out.by_key
            .retain(|_, permissions| !revocation.is_of(permissions));
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    fn forget_old(&mut self, lifetime: Duration) {
        while let Some((issued, key)) = self.order.front() {
            let is_used = !self.by_key.contains_key(key);
            if !is_used && issued.elapsed() < lifetime {
                return;
            }
            self.by_key.remove(key);
            self.order.pop_front();
        }
    }
}

/// Answers with a ticket for what the request's sender may do, on the channels of the query if it
/// names some.
pub(crate) fn issue(
    shared: &Shared,
    grant: &Grant,
    query: &Query,
) -> Result<Response<ResponseBody>, Problem> {
    let permissions = &grant.permissions;
    // Nobody in particular needs none, and could use up the room for all.
    if permissions.principal().is_none()
        || !query.channels.iter().all(|c| permissions.may_select(c))
    {
        return Err(Denied::Forbidden.into());
    }
    let permissions = match query.channels.is_empty() {
        true => permissions.clone(),
        false => permissions.clone().only(&Scope::of(query.channels.clone())),
    };
    let tickets = &shared.tickets;
    let ticket = tickets.issue(permissions);
    let ticket = ticket.map_err(|limited| shared.gate.refuse(limited))?;
    if shared.registry.was_revoked(grant) {
        // Meanwhile, and maybe before the ticket was there to be taken back.
        let _ = tickets.redeem(&ticket);
        return Err(Denied::Unauthorized.into());
    }
    let expires = tickets.lifetime.as_millis() as u64;
    Ok(json_response(
        json!({ "ticket": &*ticket, "expires": expires }).to_string(),
    ))
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

const MAX_OUT: usize = 10_000;
const MAX_OF_ONE: usize = 20;
