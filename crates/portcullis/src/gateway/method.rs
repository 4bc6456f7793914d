//! What methods of a `#[gateway]` may return, told apart by their types.
//!
//! A closure says with `Reply(…)` that a value is an answer, because to Rust a `Result`, `()` and
//! an `Option` can be serialised like anything else, and one blanket implementation for all that
//! can be would leave no room for them. In a method's wrapper all types are known, and the choice
//! is made by autoref: of several implementations that fit, method lookup takes the one for the
//! most references.
//!
//! | tier | the method returns                                 | what it means              |
//! |------|----------------------------------------------------|----------------------------|
//! | 8    | `Result<impl IntoReply, E>`, `E: Into<EventError>` | a reply, or that error     |
//! | 7    | `Result<impl Stream, E>`, the same                 | a stream, or that error    |
//! | 6    | `Result<impl Serialize, E>`, the same              | an answer, or that error   |
//! | 5    | `Result<impl IntoReply, E>`, any other error       | a reply, or the log's      |
//! | 4    | `Result<impl Serialize, E>`, the same              | an answer, or the log's    |
//! | 3    | `impl IntoReply`: `()`, `Emit`, …                  | a reply                    |
//! | 2    | `impl Stream` of replies                           | a stream                   |
//! | 1    | `impl Serialize`                                   | an answer                  |
//! | 0    | anything else                                      | an error of the compiler   |

use std::error::Error;

use futures_core::Stream;
use serde::Serialize;

use super::error::EventError;
use super::reply::{IntoReply, Outcome, Replies, Reply};
use crate::auth::Refusal;

type BoxError = Box<dyn Error + Send + Sync>;

/// Stands for a value whose type decides.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by what the macros write")]
pub struct Probe<'a, T>(pub &'a T);

/// The outcome of a value that a method returned.
#[doc(hidden)]
#[macro_export]
macro_rules! __reply {
    ($value:expr) => {{
        #[allow(
            unused_imports,
            reason = "one of them is used, and which depends on the type"
        )]
        use $crate::gateway::method::tiers::*;
        match $value {
            value => (&&&&&&&&&$crate::gateway::method::Probe(&value))
                .choose()
                .outcome(value),
        }
    }};
}

/// The verdict of what `on_connect` returned.
#[doc(hidden)]
#[macro_export]
macro_rules! __verdict {
    ($value:expr) => {{
        #[allow(
            unused_imports,
            reason = "one of them is used, and which depends on the type"
        )]
        use $crate::gateway::method::verdicts::*;
        match $value {
            value => (&&&&$crate::gateway::method::Probe(&value))
                .choose()
                .verdict(value),
        }
    }};
}

/// What is done with what `on_disconnect` returned.
#[doc(hidden)]
#[macro_export]
macro_rules! __ended {
    ($value:expr) => {{
        #[allow(
            unused_imports,
            reason = "one of them is used, and which depends on the type"
        )]
        use $crate::gateway::method::endings::*;
        match $value {
            value => (&&&$crate::gateway::method::Probe(&value))
                .choose()
                .ended(value),
        }
    }};
}

/// A choice: the marker that one tier of types leads to, and what is done with a value then.
macro_rules! tier {
    (
        $(#[$meta:meta])*
        $Tier:ident for $Receiver:ty, $Marker:ident;
        [$($generics:tt)*] $Value:ty $(where [$($bounds:tt)*])?;
        $method:ident($value:ident) -> $Output:ty $body:block
    ) => {
        $(#[$meta])*
        pub trait $Tier {
            /// Chooses what is done with such a value.
            fn choose(&self) -> $Marker {
                $Marker
            }
        }

        impl<$($generics)*> $Tier for $Receiver $(where $($bounds)*)? {}

        #[doc(hidden)]
        #[derive(Debug, Clone, Copy)]
        #[non_exhaustive]
        pub struct $Marker;

        impl $Marker {
            /// Does it.
            pub fn $method<$($generics)*>(self, $value: $Value) -> $Output
            $(where $($bounds)*)?
            $body
        }
    };
}

/// The tiers of replies.
pub mod tiers {
    use super::{
        BoxError, EventError, IntoReply, MethodReply, Outcome, Probe, Replies, Reply, Serialize,
        Stream,
    };

    tier! {
        /// Tier 8.
        Tier8 for &&&&&&&&Probe<'_, Result<T, E>>, ReplyOrError;
        [T, E] Result<T, E> where [T: IntoReply, E: Into<EventError>];
        outcome(value) -> Outcome { value.into_reply() }
    }

    tier! {
        /// Tier 7.
        Tier7 for &&&&&&&Probe<'_, Result<S, E>>, StreamOrError;
        [S, E] Result<S, E>
        where [S: Stream + Send + 'static, S::Item: IntoReply, E: Into<EventError>];
        outcome(value) -> Outcome { value.map(Replies).into_reply() }
    }

    tier! {
        /// Tier 6.
        Tier6 for &&&&&&Probe<'_, Result<T, E>>, AnswerOrError;
        [T, E] Result<T, E> where [T: Serialize, E: Into<EventError>];
        outcome(value) -> Outcome { value.map(Reply).into_reply() }
    }

    tier! {
        /// Tier 5.
        Tier5 for &&&&&Probe<'_, Result<T, E>>, ReplyOrLog;
        [T, E] Result<T, E> where [T: IntoReply, E: Into<BoxError>];
        outcome(value) -> Outcome { value.map_err(EventError::unexpected).into_reply() }
    }

    tier! {
        /// Tier 4.
        Tier4 for &&&&Probe<'_, Result<T, E>>, AnswerOrLog;
        [T, E] Result<T, E> where [T: Serialize, E: Into<BoxError>];
        outcome(value) -> Outcome {
            value.map(Reply).map_err(EventError::unexpected).into_reply()
        }
    }

    tier! {
        /// Tier 3.
        Tier3 for &&&Probe<'_, T>, AReply;
        [T] T where [T: IntoReply];
        outcome(value) -> Outcome { value.into_reply() }
    }

    tier! {
        /// Tier 2.
        Tier2 for &&Probe<'_, S>, AStream;
        [S] S where [S: Stream + Send + 'static, S::Item: IntoReply];
        outcome(value) -> Outcome { Replies(value).into_reply() }
    }

    tier! {
        /// Tier 1.
        Tier1 for &Probe<'_, T>, AnAnswer;
        [T] T where [T: Serialize];
        outcome(value) -> Outcome { Reply(value).into_reply() }
    }

    /// Tier 0: the bound that is not met says what could be done about it.
    pub trait Tier0 {
        /// Chooses what is done with such a value.
        fn choose(&self) -> NoReply {
            NoReply
        }
    }

    impl<T> Tier0 for Probe<'_, T> {}

    #[doc(hidden)]
    #[derive(Debug, Clone, Copy)]
    #[non_exhaustive]
    pub struct NoReply;

    impl NoReply {
        /// Never compiles.
        pub fn outcome<T: MethodReply>(self, value: T) -> Outcome {
            value.into_outcome()
        }
    }
}

/// What a method of a gateway may return. Implemented for nothing: it explains.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from a gateway's method",
    label = "not a reply",
    note = "a method returns `()`, something that implements `Serialize`, `Emit(event, data)`, a \
            stream of those, or a `Result` of one of them; an error is `Into<EventError>`, which \
            `#[derive(EventError)]` implements, or `std::error::Error`, which goes to the log"
)]
pub trait MethodReply {
    /// What becomes of it.
    fn into_outcome(self) -> Outcome;
}

/// The tiers of what `on_connect` returns.
pub mod verdicts {
    use super::{BoxError, EventError, MethodVerdict, Probe, Refusal};

    tier! {
        /// Tier 3.
        Verdict3 for &&&Probe<'_, Result<(), E>>, Refuses;
        [E] Result<(), E> where [E: Into<Refusal>];
        verdict(value) -> Result<(), Refusal> { value.map_err(Into::into) }
    }

    tier! {
        /// Tier 2.
        Verdict2 for &&Probe<'_, Result<(), E>>, Fails;
        [E] Result<(), E> where [E: Into<EventError>];
        verdict(value) -> Result<(), Refusal> {
            value.map_err(|error| {
                let error: EventError = error.into();
                error.into()
            })
        }
    }

    tier! {
        /// Tier 1.
        Verdict1 for &Probe<'_, Result<(), E>>, FailsForTheLog;
        [E] Result<(), E> where [E: Into<BoxError>];
        verdict(value) -> Result<(), Refusal> {
            value.map_err(|error| EventError::unexpected(error).into())
        }
    }

    /// Tier 0: nothing, or an error of the compiler that says what could be done about it.
    pub trait Verdict0 {
        /// Chooses what is done with such a value.
        fn choose(&self) -> Admits {
            Admits
        }
    }

    impl<T> Verdict0 for Probe<'_, T> {}

    #[doc(hidden)]
    #[derive(Debug, Clone, Copy)]
    #[non_exhaustive]
    pub struct Admits;

    impl Admits {
        /// Lets the socket in.
        pub fn verdict<T: MethodVerdict>(self, value: T) -> Result<(), Refusal> {
            let () = value.into_unit();
            Ok(())
        }
    }
}

/// What `on_connect` may return besides a `Result`: nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from `on_connect`",
    label = "neither `()` nor a `Result<(), …>`",
    note = "`on_connect` returns `()`, or a `Result<(), E>` whose error is `Into<Refusal>`, \
            `Into<EventError>`, or `std::error::Error`, which goes to the log"
)]
pub trait MethodVerdict {
    /// Is nothing.
    fn into_unit(self);
}

impl MethodVerdict for () {
    fn into_unit(self) {}
}

/// The tiers of what `on_disconnect` returns.
pub mod endings {
    use super::{BoxError, EventError, MethodEnding, Probe};

    tier! {
        /// Tier 2.
        Ending2 for &&Probe<'_, Result<(), E>>, Told;
        [E] Result<(), E> where [E: Into<BoxError>];
        ended(value) -> () {
            if let Err(error) = value {
                EventError::unexpected(error).log("disconnect");
            }
        }
    }

    tier! {
        /// Tier 1.
        Ending1 for &Probe<'_, Result<(), E>>, ToldAsEvents;
        [E] Result<(), E> where [E: Into<EventError>];
        ended(value) -> () {
            if let Err(error) = value {
                let error: EventError = error.into();
                EventError::unexpected(error).log("disconnect");
            }
        }
    }

    /// Tier 0: nothing, or an error of the compiler that says what could be done about it.
    pub trait Ending0 {
        /// Chooses what is done with such a value.
        fn choose(&self) -> Ends {
            Ends
        }
    }

    impl<T> Ending0 for Probe<'_, T> {}

    #[doc(hidden)]
    #[derive(Debug, Clone, Copy)]
    #[non_exhaustive]
    pub struct Ends;

    impl Ends {
        /// There is nothing to do.
        pub fn ended<T: MethodEnding>(self, value: T) {
            value.into_unit();
        }
    }
}

/// What `on_disconnect` may return besides a `Result`: nothing.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from `on_disconnect`",
    label = "neither `()` nor a `Result<(), …>`",
    note = "`on_disconnect` returns `()`, or a `Result<(), E>` whose error goes to the log"
)]
pub trait MethodEnding {
    /// Is nothing.
    fn into_unit(self);
}

impl MethodEnding for () {
    fn into_unit(self) {}
}
