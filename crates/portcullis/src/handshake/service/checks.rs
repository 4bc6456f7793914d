//! What a request is asked before anything is done for it, in the order in which it is asked.
//!
//! | question                              | of whom                          | if not          |
//! |---------------------------------------|----------------------------------|-----------------|
//! | may the page that asks connect?       | every request                    | 403             |
//! | is it of whom the session belongs to? | those for a session that is open | 403             |
//! | does the server stay?                 | handshakes and upgrades          | 503             |
//! | is there room for one more?           | handshakes                       | 503             |
//! | does `allow_request` let it in?       | handshakes and upgrades          | what it chooses |
//!
//! # Not here
//!
//! What Engine.IO asks (`portcullis_engineio::Request`), which comes behind the first question.

use std::sync::{Arc, Once};

use http::StatusCode;
use http::request::Parts;
use portcullis_engineio::Rejection;

use super::{Door, Exchange, Failure};
use crate::handshake::LaterRequest;
use crate::handshake::admission::Full;
use crate::session::{Connection, Places, SessionHandle};

/// What a server says that is about to go: another one takes newcomers at once.
const LEAVING: Full = Full {
    limit: "draining",
    message: "Server is shutting down",
    retry_after: 1,
};

impl Door {
    /// Whether the page that asks, if it is one, may connect.
    pub(super) fn allows_page(&self, parts: &Parts) -> bool {
        static TOLD: Once = Once::new();
        let (origins, cors) = (&self.options.origins, self.options.cors.as_ref());
        let allows = origins.allow(&parts.headers, &parts.uri, cors);
        if !allows {
            metrics::counter!("portcullis_origins_refused_total").increment(1);
            if origins.is_own() {
                TOLD.call_once(|| {
                    tracing::warn!(
                        "a page of another origin was refused: `origins` says which may connect, \
                         and a proxy must pass `Host` on"
                    );
                });
            }
        }
        allows
    }

    /// Whether a request for an open session comes from whom the session belongs to.
    pub(super) async fn check_later(
        &self,
        connection: &Arc<Connection>,
        exchange: &Exchange,
        parts: &Parts,
    ) -> Result<(), Failure> {
        let judging = {
            let request = LaterRequest {
                headers: &parts.headers,
                query: parts.uri.query().unwrap_or(""),
                facts: &|| self.facts(exchange, parts),
            };
            let session = SessionHandle::new(Arc::clone(connection));
            self.accept.check_later(&session, &request)
        };
        let Some(judging) = judging else {
            return Ok(());
        };
        if judging.await {
            return Ok(());
        }
        let status = StatusCode::FORBIDDEN.as_u16();
        Err(Failure::Rejected(Rejection::forbidden(status, None)))
    }

    /// A server that is about to go sends newcomers elsewhere.
    pub(super) fn pass_end(&self) -> Result<(), Failure> {
        if self.core.is_stopping() {
            return Err(Failure::Full(LEAVING));
        }
        Ok(())
    }

    /// Takes the place of one more session; an upgrade needs none.
    pub(super) fn take_places(&self, exchange: &Exchange) -> Result<Places, Failure> {
        let address = exchange.address.map(|address| address.ip());
        let places = self.admission.admit(address);
        places.map_err(|full| {
            metrics::counter!("portcullis_limited_total", "limit" => full.limit).increment(1);
            Failure::Full(full)
        })
    }

    pub(super) async fn pass_gate(&self, exchange: &Exchange) -> Result<(), Failure> {
        if let (Some(gate), Some(head)) = (&self.options.allow_request, &exchange.head) {
            gate(Arc::clone(head)).await.map_err(|refusal| {
                let status = refusal.status.as_u16();
                Failure::Rejected(Rejection::forbidden(status, refusal.message.as_deref()))
            })?;
        }
        Ok(())
    }
}
