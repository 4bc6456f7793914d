//! What a gateway does once, before the first client connects.

use std::any::{Any, TypeId};
use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

use super::describe::Parameters;
use super::extract::{State, States};
use crate::broadcast::Emitter;

/// Why a gateway could not start.
pub type InitError = Box<dyn Error + Send + Sync>;

/// What there is before the first client connects.
#[derive(Debug)]
pub struct InitContext<'a> {
    pub(crate) emitter: Option<Emitter>,
    pub(crate) states: &'a States,
}

impl InitContext<'_> {
    fn state(&self, key: TypeId) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.states.get(key)
    }
}

/// Runs once, before the first client connects; an error keeps the server from being built.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an init handler",
    label = "not an init handler",
    note = "an init handler is an async function of up to two parameters, `Emitter` and \
            `State<…>`, which returns `()` or a `Result`"
)]
pub trait InitHandler<M>: Send + Sync + 'static {
    /// Takes what it needs and starts.
    fn call(&self, context: &InitContext<'_>) -> BoxFuture<'static, Result<(), InitError>>;

    /// Says what its parameters need.
    fn describe(&self, parameters: &mut Parameters);
}

/// Something that `on_init` can ask for.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something that `on_init` can ask for",
    label = "not known before the first client connects",
    note = "there is the `Emitter` of the namespace, and `State<…>`"
)]
pub trait FromInit: Sized {
    /// Takes it.
    ///
    /// # Errors
    ///
    /// If it is not there, which keeps the server from being built.
    fn from_init(context: &InitContext<'_>) -> Result<Self, InitError>;

    /// Says what it needs. Default: nothing.
    fn describe(parameters: &mut Parameters) {
        let _ = parameters;
    }
}

impl FromInit for Emitter {
    fn from_init(context: &InitContext<'_>) -> Result<Self, InitError> {
        let emitter = context.emitter.clone();
        emitter
            .ok_or_else(|| "a pattern of namespaces has no emitter: take one per namespace".into())
    }
}

impl<T: Send + Sync + 'static> FromInit for State<T> {
    fn from_init(context: &InitContext<'_>) -> Result<Self, InitError> {
        let state = context.state(TypeId::of::<T>()).and_then(Self::from_any);
        state.ok_or_else(|| "the state is missing".into())
    }

    fn describe(parameters: &mut Parameters) {
        parameters.needs_state::<T>();
    }
}

/// What an init handler may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned from `on_init`",
    label = "neither `()` nor a `Result<(), …>`",
    note = "`on_init` returns `()`, or a `Result<(), E>` whose error is a `std::error::Error` or a \
            text"
)]
pub trait IntoInit {
    /// Whether the gateway is ready.
    ///
    /// # Errors
    ///
    /// If it is not.
    fn into_init(self) -> Result<(), InitError>;
}

impl IntoInit for () {
    fn into_init(self) -> Result<(), InitError> {
        Ok(())
    }
}

impl<E: Into<InitError>> IntoInit for Result<(), E> {
    fn into_init(self) -> Result<(), InitError> {
        self.map_err(Into::into)
    }
}

macro_rules! impl_init {
    ($($T:ident)*) => {
        #[allow(
            non_snake_case,
            unused_variables,
            reason = "parameters are named as their types; one expansion has none"
        )]
        impl<F, Fut, R, $($T,)*> InitHandler<($($T,)*)> for F
        where
            F: Fn($($T),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoInit,
            $($T: FromInit,)*
        {
            fn call(&self, context: &InitContext<'_>) -> BoxFuture<'static, Result<(), InitError>> {
                $(let $T = match $T::from_init(context) {
                    Ok(value) => value,
                    Err(error) => return std::future::ready(Err(error)).boxed(),
                };)*
                let running = self($($T),*);
                async move { running.await.into_init() }.boxed()
            }

            fn describe(&self, parameters: &mut Parameters) {
                $($T::describe(parameters);)*
            }
        }
    };
}

impl_init!();
impl_init!(T1);
impl_init!(T1 T2);

/// An init handler whose parameters are forgotten.
pub(crate) type ErasedInit =
    Arc<dyn Fn(&InitContext<'_>) -> BoxFuture<'static, Result<(), InitError>> + Send + Sync>;

pub(super) fn erase_init<M>(handler: impl InitHandler<M>) -> ErasedInit {
    Arc::new(move |context| handler.call(context))
}
