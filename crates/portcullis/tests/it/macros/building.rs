//! What `build()` knows of gateways, and what it refuses.

use portcullis::auth::Identity;
use portcullis::gateway::{Data, EventContext, EventError, Params, State, User, guard};
use portcullis::{BuildError, Server, ServerBuilder, Socket, gateway};

struct Claims {
    name: String,
}

#[derive(serde::Deserialize)]
struct Say;

struct Chat;

fn members(_: &EventContext<'_>) -> Result<(), EventError> {
    Ok(())
}

#[gateway(namespace = "/chat")]
#[guard(members)]
impl Chat {
    #[subscribe("say", concurrency = 4)]
    #[guard(guard::claims(|claims: &Claims| !claims.name.is_empty()))]
    async fn say(&self, _socket: Socket, _user: User<Claims>, Data(_): Data<Say>) {}

    #[subscribe("leave")]
    #[subscribe("part")]
    fn leave(&self) {}
}

struct Rival;

#[gateway(namespace = "/chat", name = "the rival")]
impl Rival {
    #[subscribe("say")]
    async fn shout(&self) {}
}

struct Open;

#[gateway(namespace = "/open", public)]
impl Open {
    #[subscribe("who")]
    async fn who(&self, user: Option<User<Claims>>) -> Option<String> {
        Some(user?.name.clone())
    }
}

struct Confused;

#[gateway(public)]
impl Confused {
    #[on_connect]
    fn join(&self, _user: User<Claims>) {}

    #[subscribe("say")]
    fn say(&self, _user: User<Claims>, _state: State<Claims>, _params: Params<Say>) {}
}

fn authenticated() -> ServerBuilder {
    Server::builder().authenticate_with(async |_| {
        let name = "alice".to_owned();
        Ok(Identity::new(Claims { name }))
    })
}

async fn problems(builder: ServerBuilder) -> Vec<String> {
    match builder.build().await {
        Err(BuildError::Invalid { problems }) => problems,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_can_be_asked_what_its_gateways_are_made_of() {
    let builder = authenticated().gateway(Chat).gateway(Open);
    let server = builder.build().await.unwrap();
    let [chat, open] = server.gateways() else {
        panic!("two gateways");
    };
    assert_eq!(
        (&*chat.name, chat.namespace.as_deref()),
        ("Chat", Some("/chat"))
    );
    assert!(!chat.is_public && open.is_public);
    assert_eq!(chat.guards, ["members"]);
    let [say, leave, part] = &chat.events[..] else {
        panic!("three events");
    };
    assert_eq!(
        (&*say.event, say.method.as_deref(), say.concurrency),
        ("say", Some("say"), 4)
    );
    assert!(
        say.payload
            .is_some_and(|payload| payload.ends_with("::Say"))
    );
    assert_eq!(say.guards, ["claims of Claims"]);
    assert_eq!(
        (&*leave.event, leave.method.as_deref(), leave.concurrency),
        ("leave", Some("leave"), 1)
    );
    assert_eq!(
        (&*part.event, part.method.as_deref(), part.payload),
        ("part", Some("leave"), None)
    );
}

#[tokio::test]
async fn an_event_of_two_gateways_is_refused_with_the_names_of_both_methods() {
    let problems = problems(authenticated().gateway(Chat).gateway(Rival)).await;
    assert_eq!(
        problems,
        [r#"/chat: two handlers for the event "say": Chat::say and the rival::shout"#]
    );
}

#[tokio::test]
async fn what_a_public_gateway_cannot_have_is_refused_with_the_name_of_the_method() {
    let problems = problems(Server::builder().gateway(Confused)).await;
    let told = problems.join("\n");
    assert_eq!(problems.len(), 4, "{told}");
    for start in [
        "/: Confused::say asks for `User<Claims>`, and the gateway is public",
        "/: Confused::say asks for `State<Claims>`",
        "/: Confused::say asks for `Params<",
        "/: Confused::on_connect asks for `User<Claims>`, and the gateway is public",
    ] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(start)),
            "{start}\n{told}"
        );
    }
}

#[tokio::test]
async fn a_guarded_gateway_needs_an_authenticator() {
    let problems = problems(Server::builder().gateway(Chat)).await;
    assert!(problems[0].starts_with("/chat is guarded"), "{problems:?}");
}

#[tokio::test]
async fn a_gateway_can_be_put_somewhere_else() {
    let server = Server::builder()
        .gateway_at("/elsewhere-{id}", Open)
        .build();
    let server = server.await.unwrap();
    assert_eq!(
        server.gateways()[0].namespace.as_deref(),
        Some("/elsewhere-{id}")
    );
}
