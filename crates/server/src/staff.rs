//! A second namespace, to show that one is guarded without a word about it.
//!
//! | the client emits | it is acked with |
//! |------------------|------------------|
//! | `whoami`         | its claims       |

use portcullis::gateway::{Registrar, Reply, User};

use crate::token::Claims;

/// Where it is.
pub(crate) const NAMESPACE: &str = "/staff";

/// Registers its handler.
pub(crate) fn register(registrar: &mut Registrar) {
    registrar.on("whoami", async |user: User<Claims>| {
        Reply(Claims::clone(&user))
    });
}
