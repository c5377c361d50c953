//! The HTTP side: routes, limits, log and the server. The only place, with `web` and `demo`, that names axum.

mod capability;
mod cds_services;
mod extract;
mod fhir_rest;
mod health;
mod host;
mod language;
mod leftover;
pub mod log;
mod openapi;
mod pages;
mod reply;
mod router;
pub mod server;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Deserialize;

use crate::error::{Error, Result};

pub use extract::Arrival;
pub use host::local;
pub use pages::audited;
pub use router::{Site, router};

/// What one caller may take of the server.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Largest body of a request; prefetched Bundles are large.
    pub max_body_bytes: usize,
    /// Connections served at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Milliseconds for the head of a request, the first as well as the next on the same connection.
    pub header_timeout_ms: u64,
    /// Milliseconds for the whole body of a request.
    pub body_timeout_ms: u64,
    /// Milliseconds a client has to read what it was sent, from when the network takes no more of it.
    pub write_timeout_ms: u64,
    /// Milliseconds that requests in flight have to finish once the process is asked to stop.
    pub drain_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_body_bytes: 16 << 20,
            max_connections: 256,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            drain_ms: 25_000,
        }
    }
}

impl Config {
    /// Refuses values under which the server could not work or would have no limit.
    pub fn check(&self) -> Result<()> {
        let within = |holds: bool, member: &str, range: &str| {
            if holds {
                Ok(())
            } else {
                Err(Error::invalid(format!("http.{member} must be {range}")).at(format!("http.{member}")))
            }
        };
        within((1 << 10..=1 << 30).contains(&self.max_body_bytes), "max_body_bytes", "1024 to 1073741824")?;
        within((1..=65_536).contains(&self.max_connections), "max_connections", "1 to 65536")?;
        within((1..=600_000).contains(&self.header_timeout_ms), "header_timeout_ms", "1 to 600000")?;
        within((1..=600_000).contains(&self.body_timeout_ms), "body_timeout_ms", "1 to 600000")?;
        within((1..=600_000).contains(&self.write_timeout_ms), "write_timeout_ms", "1 to 600000")?;
        within(self.drain_ms <= 600_000, "drain_ms", "0 to 600000")
    }

    fn header_timeout(&self) -> Duration {
        Duration::from_millis(self.header_timeout_ms)
    }
    fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.body_timeout_ms)
    }
    fn write_timeout(&self) -> Duration {
        Duration::from_millis(self.write_timeout_ms)
    }
    fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
