//! Caches in a real Redis.

mod cache;
mod check;
mod deliveries;
mod fence;
mod outages;
mod tls;
