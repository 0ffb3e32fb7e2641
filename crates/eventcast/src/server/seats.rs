//! How many connections there are, and from where.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::ClientAddress;

/// The connections of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    count: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    /// Where addresses count.
    network: Option<IpAddr>,
}

impl Seats {
    /// A place, if there is one: of `limit`, and of `limit_of_one` for an address that counts.
    pub(super) fn take(
        &self,
        counted: Option<ClientAddress>,
        limit: usize,
        limit_of_one: usize,
    ) -> Option<Seat> {
        let network = counted.map(ClientAddress::network);
        let mut taken = self.taken();
        if taken.count >= limit {
            return None;
        }
        if let Some(network) = network {
            let of_one = taken.by_network.entry(network).or_default();
            if *of_one >= limit_of_one {
                return None;
            }
            *of_one += 1;
        }
        taken.count += 1;
        Some(Seat {
            seats: self.clone(),
            network,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.count -= 1;
        if let Some(network) = self.network
            && let Some(of_one) = taken.by_network.get_mut(&network)
        {
            *of_one -= 1;
            if *of_one == 0 {
                taken.by_network.remove(&network);
            }
        }
    }
}
