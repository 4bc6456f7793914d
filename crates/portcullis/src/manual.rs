//! The manual and the README, so that their examples are compiled. There is no code in here.

#![doc = include_str!("../../../docs/manual/README.md")]

/// The builder, limits, mounting, logs and metrics.
#[doc = include_str!("../../../docs/manual/server.md")]
pub mod server {}

/// Who may connect.
#[doc = include_str!("../../../docs/manual/authentication.md")]
pub mod authentication {}

/// What strangers can take, and what to set.
#[doc = include_str!("../../../docs/manual/limits.md")]
pub mod limits {}

/// How a node leaves.
#[doc = include_str!("../../../docs/manual/draining.md")]
pub mod draining {}

/// Structs whose methods handle events.
#[doc = include_str!("../../../docs/manual/gateways.md")]
pub mod gateways {}

/// What a handler returns, and what its client is told.
#[doc = include_str!("../../../docs/manual/errors-and-acks.md")]
pub mod errors_and_acks {}

/// What a server sends.
#[doc = include_str!("../../../docs/manual/broadcasts.md")]
pub mod broadcasts {}

/// Nodes behind one Redis.
#[doc = include_str!("../../../docs/manual/cluster.md")]
pub mod cluster {}

/// Probes, proxies, replacing nodes.
#[doc = include_str!("../../../docs/manual/deploying.md")]
pub mod deploying {
    /// nginx, WebSocket alone.
    ///
    /// ```nginx
    #[doc = include_str!("../../../docs/deploy/nginx-websocket.conf")]
    /// ```
    pub mod nginx_websocket {}

    /// nginx, sticky by address.
    ///
    /// ```nginx
    #[doc = include_str!("../../../docs/deploy/nginx-sticky-address.conf")]
    /// ```
    pub mod nginx_sticky_address {}

    /// nginx, sticky by cookie.
    ///
    /// ```nginx
    #[doc = include_str!("../../../docs/deploy/nginx-sticky-cookie.conf")]
    /// ```
    pub mod nginx_sticky_cookie {}

    /// HAProxy, WebSocket alone.
    ///
    /// ```haproxy
    #[doc = include_str!("../../../docs/deploy/haproxy-websocket.cfg")]
    /// ```
    pub mod haproxy_websocket {}

    /// HAProxy, sticky by cookie.
    ///
    /// ```haproxy
    #[doc = include_str!("../../../docs/deploy/haproxy-sticky-cookie.cfg")]
    /// ```
    pub mod haproxy_sticky_cookie {}
}

/// Stock clients, and what differs from Node.
#[doc = include_str!("../../../docs/manual/clients.md")]
pub mod clients {}

/// Servers, clients, tokens, clocks and clusters within a test.
#[doc = include_str!("../../../docs/manual/testing.md")]
pub mod testing {}

/// What NestJS's decorators and adapters are here.
#[doc = include_str!("../../../docs/manual/from-nestjs.md")]
pub mod from_nestjs {}

/// The README of the project.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
