//! The client machine, as transcripts. One test for each row of its table.

use std::fmt::Write;
use std::time::{Duration, Instant};

use portcullis_socketio::client::{Client, ClientLimits, Output};
use portcullis_socketio::codec::{Codec, Decoder, Limits};
use portcullis_socketio::ids::NamespacePath;
use portcullis_socketio::value::Value;
use proptest::prelude::*;

#[expect(
    clippy::disallowed_methods,
    reason = "any point in time will do as the first"
)]
fn start() -> Instant {
    Instant::now()
}

struct Play {
    client: Client,
    limits: ClientLimits,
    now: Instant,
}

impl Play {
    fn new(limits: ClientLimits) -> Self {
        Self {
            client: Client::new(),
            limits,
            now: start(),
        }
    }

    /// Plays `client: <packet>`, `accept /x`, `refuse /x`, `left /x` or `wait <seconds>`, one a
    /// line, and returns what comes out.
    fn play(&mut self, script: &str) -> String {
        let mut transcript = String::new();
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            self.line(line);
            while let Some(output) = self.client.poll_output() {
                writeln!(transcript, "{}", describe(&output)).unwrap();
            }
        }
        transcript
    }

    fn line(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap();
        match verb {
            "client:" => {
                let packet = Decoder::new(Codec::Json).handle_text(rest, &Limits::new());
                self.client
                    .handle_packet(packet.unwrap().unwrap(), &self.limits, self.now);
            }
            "accept" => assert!(self.client.accept(&path(rest), self.now), "{rest}"),
            "refuse" => assert!(self.client.refuse(&path(rest)), "{rest}"),
            "left" => self.client.handle_left(&path(rest), self.now),
            "wait" => self.now += Duration::from_secs(rest.parse().unwrap()),
            _ => panic!("{line}"),
        }
    }
}

fn path(name: &str) -> NamespacePath {
    NamespacePath::parse(name).unwrap()
}

fn describe(output: &Output) -> String {
    match output {
        Output::Connect { namespace, auth } => {
            format!("connect {namespace} {}", auth.as_json().unwrap_or("-"))
        }
        Output::TooManyNamespaces { namespace } => format!("too many for {namespace}"),
        Output::InvalidNamespace { raw } => format!("invalid {raw}"),
        Output::Event {
            namespace,
            ack,
            event,
            args,
        } => {
            let ack = ack.map_or("-".to_owned(), |ack| ack.to_string());
            format!("event {namespace} {ack} {event} {}", args.len())
        }
        Output::Ack {
            namespace,
            id,
            args,
        } => format!("ack {namespace} {id} {}", args.len()),
        Output::Disconnect { namespace } => format!("disconnect {namespace}"),
        Output::Dropped(reason) => format!("dropped {}", reason.as_str()),
        Output::Violation(violation) => format!("violation {}", violation.as_str()),
    }
}

/// Checks the transcript of a script, for a client that nothing has happened to.
#[track_caller]
fn check(script: &str, expected: &str) {
    check_within(ClientLimits::new(), script, expected);
}

#[track_caller]
fn check_within(limits: ClientLimits, script: &str, expected: &str) {
    let expected: String = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(Play::new(limits).play(script), expected, "{script}");
}

#[test]
fn unknown_connect_asks_for_a_verdict() {
    check(
        r#"client: 0/chat,{"token":"x"}
           client: 0"#,
        r#"connect /chat {"token":"x"}
           connect / -"#,
    );
}

#[test]
fn unknown_connect_to_one_namespace_too_many_is_refused_and_excused() {
    check_within(
        ClientLimits::new().max_namespaces(2),
        "client: 0
         accept /
         client: 0/a
         client: 0/b
         client: 2/b,[\"x\"]
         client: 1/a
         client: 0/b",
        "connect / -
         connect /a -
         too many for /b
         dropped refused
         disconnect /a
         connect /b -",
    );
}

#[test]
fn unknown_anything_else_is_a_violation() {
    for packet in [r#"2["x"]"#, "31[]", "1", r#"2/chat,["x"]"#] {
        check(&format!("client: {packet}"), "violation not_connected");
    }
}

#[test]
fn connecting_connect_is_dropped() {
    check(
        "client: 0
         client: 0{}
         accept /",
        "connect / -
         dropped duplicate_connect",
    );
}

#[test]
fn connecting_event_is_held_until_the_client_is_accepted() {
    check(
        r#"client: 0
           client: 2["a"]
           client: 27["b",1]
           accept /
           client: 2["c"]"#,
        "connect / -
         event / - a 0
         event / 7 b 1
         event / - c 0",
    );
}

#[test]
fn connecting_event_without_room_is_a_flood() {
    let limits = ClientLimits::new().max_held_packets(2);
    check_within(
        limits,
        r#"client: 0/a
           client: 0/b
           client: 2/a,["x"]
           client: 2/b,["x"]
           client: 2/a,["x"]"#,
        "connect /a -
         connect /b -
         violation flood",
    );

    let limits = ClientLimits::new().max_held_bytes(20);
    check_within(
        limits,
        r#"client: 0
           client: 2["x","12345678"]
           client: 2["x","12345678"]"#,
        "connect / -
         violation flood",
    );
}

#[test]
fn connecting_holds_64_events_and_256_kib_by_default() {
    let many = "client: 2[\"x\"]\n".repeat(64);
    let flood = "connect / -\nviolation flood";
    check(&format!("client: 0\n{many}"), "connect / -");
    check(&format!("client: 0\n{many}client: 2[\"x\"]"), flood);

    let large = |len: usize| format!("client: 0\nclient: 2[\"x\",\"{}\"]", "x".repeat(len));
    check(&large(256 * 1024 - 20), "connect / -");
    check(&large(256 * 1024), flood);
}

#[test]
fn connecting_ack_is_dropped() {
    check(
        "client: 0
         client: 31[]",
        "connect / -
         dropped ack_while_connecting",
    );
}

#[test]
fn connecting_disconnect_cancels_and_forgets() {
    let mut play = Play::new(ClientLimits::new());
    let transcript = play.play(
        r#"client: 0
           client: 2["x"]
           client: 1"#,
    );
    assert_eq!(transcript, "connect / -\ndisconnect /\n");
    assert!(
        !play.client.accept(&path("/"), play.now),
        "nobody waits any more"
    );
    assert!(!play.client.refuse(&path("/")));
    assert_eq!(play.play("client: 0\naccept /"), "connect / -\n");
    assert_eq!(
        play.play("client: 1\nclient: 1"),
        "disconnect /\nviolation not_connected\n"
    );
}

#[test]
fn connecting_refuse_drops_what_was_held_and_excuses_what_follows() {
    check(
        r#"client: 0
           client: 2["before"]
           refuse /
           client: 2["after"]
           client: 31[]
           client: 1
           client: 0{}
           accept /"#,
        "connect / -
         dropped refused
         dropped refused
         dropped refused
         connect / {}",
    );
}

#[test]
fn connecting_left_drops_what_was_held() {
    check(
        r#"client: 0
           client: 2["before"]
           left /
           client: 2["after"]"#,
        "connect / -
         dropped left",
    );
}

#[test]
fn connected_connect_is_a_violation() {
    check(
        "client: 0
         accept /
         client: 0",
        "connect / -
         violation already_connected",
    );
}

#[test]
fn connected_event_and_ack_come_out() {
    check(
        r#"client: 0/chat
           accept /chat
           client: 2/chat,3["say","hi"]
           client: 3/chat,12[1,2]"#,
        "connect /chat -
         event /chat 3 say 1
         ack /chat 12 2",
    );
}

#[test]
fn connected_disconnect_forgets_and_allows_another_connect() {
    check(
        r#"client: 0
           accept /
           client: 1
           client: 0
           accept /
           client: 1
           client: 2["x"]"#,
        "connect / -
         disconnect /
         connect / -
         disconnect /
         violation not_connected",
    );
}

#[test]
fn connected_left_excuses_what_was_in_flight() {
    check(
        r#"client: 0
           accept /
           left /
           client: 2["x"]
           client: 31[]
           client: 1
           wait 44
           client: 2["x"]"#,
        "connect / -
         dropped left
         dropped left
         dropped left
         dropped left",
    );
}

#[test]
fn left_is_forgotten_after_45_seconds() {
    check(
        r#"client: 0
           accept /
           left /
           wait 45
           client: 2["x"]"#,
        "connect / -
         violation not_connected",
    );
}

#[test]
fn left_connect_asks_for_a_verdict_again() {
    check(
        r#"client: 0
           accept /
           left /
           client: 0
           client: 31[]
           accept /
           wait 50
           client: 2["x"]"#,
        "connect / -
         connect / -
         dropped ack_while_connecting
         event / - x 0",
    );
}

#[test]
fn any_connect_error_is_a_violation() {
    check("client: 4", "violation connect_error");
    check(
        "client: 0\naccept /\nclient: 4{}",
        "connect / -\nviolation connect_error",
    );
}

#[test]
fn any_connect_to_an_impossible_namespace_is_answered() {
    check("client: 0/?a=b,{}", "invalid /?a=b");
    check(
        "client: 0\naccept /\nclient: 0/a*",
        "connect / -\ninvalid /a*",
    );
}

#[test]
fn a_verdict_without_a_question_does_nothing() {
    let mut client = Client::new();
    assert!(!client.accept(&path("/"), start()));
    assert!(!client.refuse(&path("/")));
    client.handle_left(&path("/"), start());
    assert!(client.poll_output().is_none());
}

#[test]
fn namespaces_do_not_disturb_each_other() {
    check(
        r#"client: 0/slow
           client: 0/fast
           client: 2/slow,["held"]
           accept /fast
           client: 2/fast,["passes"]
           accept /slow"#,
        "connect /slow -
         connect /fast -
         event /fast - passes 0
         event /slow - held 0",
    );
}

#[test]
fn a_client_is_in_sixteen_namespaces_at_most_by_default() {
    let mut play = Play::new(ClientLimits::new());
    for number in 0..16 {
        play.play(&format!("client: 0/{number}\naccept /{number}"));
    }
    assert_eq!(play.play("client: 0/16"), "too many for /16\n");
    assert_eq!(play.client.connected().count(), 16);
    assert!(play.client.is_connected(&path("/0")) && !play.client.is_connected(&path("/16")));
}

#[test]
fn refusals_are_not_remembered_without_end() {
    let mut play = Play::new(ClientLimits::new());
    for number in 0..1000 {
        play.play(&format!("client: 0/{number}\nrefuse /{number}"));
    }
    assert_eq!(play.play("client: 2/999,[\"x\"]"), "dropped refused\n");
    assert_eq!(play.play("client: 2/984,[\"x\"]"), "dropped refused\n");
    assert_eq!(
        play.play("client: 2/983,[\"x\"]"),
        "violation not_connected\n"
    );
}

#[test]
fn a_client_in_one_namespace_is_small() {
    assert!(size_of::<Client>() <= 64, "{}", size_of::<Client>());
    assert!(size_of::<Output>() <= 64, "{}", size_of::<Output>());
}

/// What happens to a client, over three namespaces.
fn any_step() -> impl Strategy<Value = String> {
    (0..3_u8, 0..8_u8).prop_map(|(namespace, step)| match step {
        0 | 1 => format!("client: 0/{namespace}"),
        2 => format!("client: 2/{namespace},[\"x\"]"),
        3 => format!("client: 1/{namespace}"),
        4 => format!("accept /{namespace}"),
        5 => format!("refuse /{namespace}"),
        6 => format!("left /{namespace}"),
        _ => format!("wait {}", 10 * namespace),
    })
}

proptest! {
    #[test]
    fn no_event_comes_out_of_a_namespace_that_the_client_is_not_in(
        steps in proptest::collection::vec(any_step(), 0..60),
    ) {
        let mut play = Play::new(ClientLimits::new().max_namespaces(2));
        for step in steps {
            let (verb, namespace) = step.split_once(' ').unwrap();
            if matches!(verb, "accept" | "refuse") {
                let namespace = path(namespace);
                if !play.client.connecting().any(|waiting| *waiting == namespace) {
                    continue;
                }
            }
            play.line(&step);
            while let Some(output) = play.client.poll_output() {
                if let Output::Event { namespace, .. } = &output {
                    prop_assert!(play.client.is_connected(namespace));
                }
            }
            let active = play.client.connected().count() + play.client.connecting().count();
            prop_assert!(active <= 2);
        }
    }
}

#[test]
fn held_arguments_are_whole() {
    let mut play = Play::new(ClientLimits::new());
    play.line("client: 0");
    while play.client.poll_output().is_some() {}
    play.line(r#"client: 2["x",{"a":1}]"#);
    play.client.accept(&path("/"), play.now);
    let Some(Output::Event { args, .. }) = play.client.poll_output() else {
        panic!("nothing was held");
    };
    assert_eq!(
        args.get::<Value>(0).unwrap().get("a"),
        Some(&Value::from(1))
    );
}
