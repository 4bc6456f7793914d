//! Gateways: what is around their handlers, what is taken from an event, what comes of it.

mod around;
mod composition;
mod extractors;
mod nest;
mod passing_on;
mod replies;
