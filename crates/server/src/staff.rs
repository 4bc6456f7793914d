//! A second namespace, to show that one is guarded without a word about it.
//!
//! | the client emits | it is acked with |
//! |------------------|------------------|
//! | `whoami`         | its claims       |

use portcullis::gateway;
use portcullis::gateway::User;

use crate::token::Claims;

/// The gateway on `/staff`.
#[derive(Debug)]
pub(crate) struct Staff;

#[gateway(namespace = "/staff")]
impl Staff {
    #[subscribe("whoami")]
    fn who_am_i(&self, user: User<Claims>) -> Claims {
        Claims::clone(&user)
    }
}
