//! How a load generator has its server publish, and asks what that took.
//!
//! Over a connection of its own, eight bytes each: the number up to which events are to be
//! published, or [`REPORT`], which is answered by a [`Report`].

use std::io::{self, Read, Write};
use std::net::TcpStream;

use hdrhistogram::Histogram;

use super::system::{cpu_micros, now};

/// Asks for a report.
pub(crate) const REPORT: u64 = u64::MAX;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Report {
    pub(crate) user_micros: u64,
    pub(crate) system_micros: u64,
    /// Nanoseconds, since the last report.
    pub(crate) publish_p50: u64,
    pub(crate) publish_p99: u64,
}

impl Report {
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let fields = [
            self.user_micros,
            self.system_micros,
            self.publish_p50,
            self.publish_p99,
        ];
        let mut bytes = [0; 32];
        for (field, place) in fields.into_iter().zip(bytes.chunks_exact_mut(8)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }
}

/// A server's publisher: what it was told and how long it takes.
#[derive(Debug)]
pub(crate) struct Publisher {
    published: u64,
    took: Histogram<u64>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self {
            published: 0,
            took: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order"),
        }
    }

    /// Does as it is told; returns a report if that was asked for.
    pub(crate) fn obey(&mut self, order: u64, mut publish: impl FnMut(u64, u64)) -> Option<Report> {
        if order == REPORT {
            return Some(self.report());
        }
        while self.published < order {
            let start = now();
            publish(self.published, start);
            self.took.saturating_record(now() - start);
            self.published += 1;
        }
        None
    }

    pub(crate) fn report(&mut self) -> Report {
        let (user_micros, system_micros) = cpu_micros();
        let report = Report {
            user_micros,
            system_micros,
            publish_p50: self.took.value_at_quantile(0.5),
            publish_p99: self.took.value_at_quantile(0.99),
        };
        self.took.reset();
        report
    }
}

/// The load generator's end.
#[derive(Debug)]
pub(crate) struct Control(TcpStream);

impl Control {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    pub(crate) fn publish_up_to(&mut self, number: u64) -> io::Result<()> {
        self.0.write_all(&number.to_le_bytes())
    }

    pub(crate) fn report(&mut self) -> io::Result<Report> {
        self.0.write_all(&REPORT.to_le_bytes())?;
        let mut field = || {
            let mut bytes = [0; 8];
            self.0.read_exact(&mut bytes)?;
            io::Result::Ok(u64::from_le_bytes(bytes))
        };
        Ok(Report {
            user_micros: field()?,
            system_micros: field()?,
            publish_p50: field()?,
            publish_p99: field()?,
        })
    }
}

/// The longest time that a histogram tells apart, in nanoseconds: a minute.
pub(crate) const LONGEST: u64 = 60_000_000_000;
