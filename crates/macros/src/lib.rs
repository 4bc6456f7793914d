//! The macros of Portcullis.
//!
//! They write calls that a person could write, and nothing else. Use them through the crate
//! `portcullis`, which has their names: `portcullis::gateway`, and the rest in the module of that
//! name.

mod event_error;
mod gateway;
mod problems;
mod root;
mod suggest;

use proc_macro::TokenStream;

use self::gateway::attribute::Kind;

/// Makes the methods of an impl block the handlers of a gateway.
///
/// ```
/// use portcullis::gateway::{Data, User};
/// use portcullis::{DisconnectReason, Socket, gateway};
///
/// # struct Claims { sub: String }
/// struct Chat;
///
/// #[gateway(namespace = "/chat")]
/// impl Chat {
///     #[on_connect]
///     async fn join(&self, socket: Socket) {
///         socket.join("lobby");
///     }
///
///     #[subscribe("say")]
///     async fn say(&self, socket: Socket, user: User<Claims>, Data(text): Data<String>) -> bool {
///         socket.to("lobby").emit("said", &(&user.sub, text)).is_ok()
///     }
///
///     #[on_disconnect]
///     async fn left(&self, user: User<Claims>, reason: DisconnectReason) {
///         println!("{} left: {reason}", user.sub);
///     }
/// }
/// ```
///
/// | argument | meaning |
/// |---|---|
/// | `namespace = "/chat"` | a name, or a pattern such as `"/tenant-{id}"`. Default: `/` |
/// | `public` | sockets connect without an identity |
/// | `name = "Chat"` | what it is called at start and in problems. Default: its type |
/// | `crate = "gate"` | the path of the crate `portcullis`. Default: `::portcullis` |
///
/// The crate has another path where it is renamed in `Cargo.toml`, or exported again by a crate of
/// your own.
///
/// The block stays as it is, without these attributes; its methods can be called as any others,
/// which is how they are tested. Methods without one of them are left alone.
///
/// | attribute | on | what |
/// |---|---|---|
/// | [`#[subscribe("say")]`](macro@subscribe) | a method | handles an event |
/// | [`#[on_init]`](macro@on_init) | a method | runs before the first client connects |
/// | [`#[on_connect]`](macro@on_connect) | a method | runs before a client is connected |
/// | [`#[on_disconnect]`](macro@on_disconnect) | a method | runs after a client has left |
/// | [`#[guard(…)]`](macro@guard) | a method, the block | may an event go on? |
/// | [`#[intercept(…)]`](macro@intercept) | a method, the block | code around a handler |
/// | [`#[layer(…)]`](macro@layer) | the block | a tower layer around all handlers |
/// | [`#[connect_guard(…)]`](macro@connect_guard) | the block | may a socket connect? |
///
/// None of them is imported. Those for the block stand below `#[gateway]`. Several may stand in one
/// place, and keep their order. Their expressions are evaluated once, when the gateway registers
/// its handlers; they do not see `self`.
///
/// # Methods
///
/// A handler takes `&self`, which is the gateway, shared by all its sockets, and up to eight
/// parameters, each of which says by its type what it needs. It is an `async fn`, a `fn` that
/// returns a future, or a `fn` that returns at once. What it may return depends on its attribute.
///
/// A condition (`#[cfg(…)]`) on a method holds for its registration too.
///
/// # What is written
///
/// An implementation of `Gateway`, whose `register` calls the registrar as a person could. This is
/// `say` of the example above:
///
/// ```
/// # use std::borrow::Cow;
/// # use std::sync::Arc;
/// # use portcullis::Socket;
/// # use portcullis::gateway::*;
/// # struct Claims { sub: String }
/// # struct Chat;
/// # impl Chat {
/// #     async fn say(&self, _: Socket, _: User<Claims>, Data(_): Data<String>) -> bool { true }
/// # }
/// impl Gateway for Chat {
///     fn namespace(&self) -> Cow<'static, str> {
///         Cow::Borrowed("/chat")
///     }
///
///     fn register(self: Arc<Self>, registrar: &mut Registrar) {
///         registrar.on("say", EventHandler::named(
///             Method::event(
///                 |parameters| {
///                     <Socket as FromEvent>::describe(parameters);
///                     <User<Claims> as FromEvent>::describe(parameters);
///                     <Data<String> as FromEvent>::describe(parameters);
///                 },
///                 {
///                     let gateway = Arc::clone(&self);
///                     move |context| {
///                         let socket = <Socket as FromEvent>::from_event(context)?;
///                         let user = <User<Claims> as FromEvent>::from_event(context)?;
///                         let data = <Data<String> as FromEvent>::from_event(context)?;
///                         let gateway = Arc::clone(&gateway);
///                         Ok(async move {
///                             // What that does is chosen by the type that the method returns.
///                             Reply(Self::say(&gateway, socket, user, data).await).into_reply()
///                         })
///                     }
///                 },
///             ),
///             "say",
///         ));
///     }
/// }
/// ```
#[proc_macro_attribute]
pub fn gateway(arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::expand(arguments.into(), &item.into()).into()
}

/// Makes a method of a [`#[gateway]`](macro@gateway) the handler of an event.
///
/// ```
/// # use portcullis::gateway;
/// # struct Clock;
/// #[gateway]
/// impl Clock {
///     #[subscribe("now")]
///     #[subscribe("time", concurrency = 4)]
///     fn now(&self) -> u64 {
///         0
///     }
/// }
/// ```
///
/// Its parameters implement `FromEvent`. With `concurrency = n` up to `n` such events of one socket
/// are in flight at once; else they are handled in order, one at a time. Several of these on one
/// method make it the handler of several events; guards and interceptors of the method are then
/// made for each.
///
/// | it returns | the client is answered |
/// |---|---|
/// | `()` | with an empty ack |
/// | a value that implements `Serialize` | with the value, in its ack |
/// | `Emit(event, data)` | with an event |
/// | `impl Stream<Item = …>`, `BoxStream<'_, …>` | with each item, as this table says |
/// | `Result<…, E>`, `E: Into<EventError>` | as above, or with the error |
/// | `Result<…, E>`, `E` any other error, or a text | as above, or with an internal error |
///
/// A stream may borrow from the gateway if it is returned as such; within a `Result` it owns what
/// it needs.
#[proc_macro_attribute]
pub fn subscribe(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::Subscribe, &item.into()).into()
}

/// Runs a method of a [`#[gateway]`](macro@gateway) once, when the server is built, before the
/// first client connects.
///
/// Its parameters implement `FromInit`: the `Emitter` of the namespace, and `State<…>`. It returns
/// `()` or a `Result<(), E>`, whose error keeps the server from being built.
#[proc_macro_attribute]
pub fn on_init(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::OnInit, &item.into()).into()
}

/// Runs a method of a [`#[gateway]`](macro@gateway) before a client hears that it is connected.
///
/// Its parameters implement `FromSocket`. It returns `()` or a `Result<(), E>`, whose error refuses
/// the client: `E` is `Into<Refusal>` or `Into<EventError>`; any other error, or a text, goes to
/// the log, and the client hears of an internal error.
#[proc_macro_attribute]
pub fn on_connect(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::OnConnect, &item.into()).into()
}

/// Runs a method of a [`#[gateway]`](macro@gateway) once for each socket that was accepted and has
/// left, after its handlers in flight.
///
/// Its parameters implement `FromDisconnect`: what is taken from a socket, and the
/// `DisconnectReason`. It returns `()` or a `Result<(), E>`, whose error goes to the log.
#[proc_macro_attribute]
pub fn on_disconnect(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::OnDisconnect, &item.into()).into()
}

/// Lets an event of a [`#[gateway]`](macro@gateway), or of one of its methods, go on only if a
/// guard says so: `#[guard(expression)]`, where the expression implements `Guard`.
///
/// The guards of the server are asked first, then those of the gateway, then those of the method.
/// They do not guard connecting.
#[proc_macro_attribute]
pub fn guard(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::Guard, &item.into()).into()
}

/// Puts an interceptor around the handlers of a [`#[gateway]`](macro@gateway), or around one of its
/// methods: `#[intercept(expression)]`, where the expression implements `Interceptor`. The first
/// one is the outermost.
#[proc_macro_attribute]
pub fn intercept(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::Intercept, &item.into()).into()
}

/// Puts a tower layer around the handlers of a [`#[gateway]`](macro@gateway):
/// `#[layer(expression)]`.
#[proc_macro_attribute]
pub fn layer(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::Layer, &item.into()).into()
}

/// Lets a socket connect to a [`#[gateway]`](macro@gateway) only if a connect guard says so:
/// `#[connect_guard(expression)]`, where the expression is a function whose parameters implement
/// `FromSocket`, and which returns `()` or a `Result` whose error is `Into<Refusal>`.
///
/// It runs behind the authenticator and before `#[on_connect]`.
#[proc_macro_attribute]
pub fn connect_guard(_arguments: TokenStream, item: TokenStream) -> TokenStream {
    gateway::out_of_place(Kind::ConnectGuard, &item.into()).into()
}

/// Says what a client is told of an application's error.
///
/// It implements `From<…> for EventError` for an enum or a struct that implements
/// `std::error::Error`.
///
/// ```
/// use portcullis::gateway::EventError;
///
/// #[derive(Debug, thiserror::Error, EventError)]
/// enum ChatError {
///     /// `{code: "NOT_MEMBER", message: "join the room first"}`
///     #[error("join the room first")]
///     NotMember,
///     /// `{code: "ROOM_FULL", message: "this room is full", details: {limit: 10}}`
///     #[error("{limit} sockets are in the room already")]
///     #[event(code = "ROOM_FULL", message = "this room is full")]
///     Full {
///         #[event(details)]
///         limit: usize,
///     },
///     /// `{code: "INTERNAL", message: "Internal server error", correlationId: …}`
///     #[error("the store failed")]
///     #[event(internal)]
///     Store(#[from] std::io::Error),
/// }
///
/// let error = EventError::from(ChatError::NotMember);
/// assert_eq!((error.code(), error.message()), ("NOT_MEMBER", "join the room first"));
/// assert!(EventError::from(ChatError::Store(std::io::ErrorKind::Other.into())).is_internal());
/// ```
///
/// | on a variant, or on a struct | meaning |
/// |---|---|
/// | `#[event(code = "…")]` | the stable code. Default: its name in capitals, `NOT_MEMBER` |
/// | `#[event(message = "…")]` | the text for people. Default: what `Display` writes |
/// | `#[event(internal)]` | it is for the log; the client hears of an internal error, with an id |
/// | `#[event(transparent)]` | its only field, which is `Into<EventError>`, says what is told |
/// | on a field: `#[event(details)]` | the field, serialised, stands in the details by its name |
///
/// The error itself is kept as the cause, for `map_error`. Where the crate `portcullis` has another
/// name, `#[event(crate = "gate")]` above the enum or struct says which, as it does for
/// [`#[gateway]`](macro@gateway).
#[proc_macro_derive(EventError, attributes(event))]
pub fn event_error(input: TokenStream) -> TokenStream {
    event_error::expand(input.into()).into()
}
