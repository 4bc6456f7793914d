//! Arguments, tokens, secrets.

use std::time::SystemTime;

use portcullis::auth::jwt::Jwt;
use serde_json::Value;

use crate::program::{SECRET, program, refusal, run};

fn claims(token: &str) -> Value {
    let jwt = Jwt::<Value>::hs256(SECRET);
    jwt.verify(token, SystemTime::now())
        .expect("a good token")
        .claims
}

#[test]
fn a_token_is_all_that_is_printed_and_the_gate_accepts_it() {
    let output = run(&[
        "token",
        "--sub",
        "alice",
        "--secret",
        SECRET,
        "--claim",
        "name=Alice",
    ]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert_eq!(output.stderr, b"");
    let token = printed.strip_suffix('\n').unwrap();
    assert_eq!(claims(token)["sub"], "alice");
    assert_eq!(claims(token)["name"], "Alice");
}

#[test]
fn a_token_lives_as_long_as_it_was_asked_to() {
    let output = program(&["token", "--sub", "alice", "--ttl", "15m"])
        .env("PORTCULLIS_JWT_SECRET", SECRET)
        .output()
        .unwrap();
    let claims = claims(String::from_utf8(output.stdout).unwrap().trim_end());
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        900
    );
}

#[test]
fn a_token_without_a_secret_is_refused() {
    let said = refusal(&run(&["token", "--sub", "alice"]));
    assert!(
        said.contains("--secret") && said.contains("PORTCULLIS_JWT_SECRET"),
        "{said}"
    );
}

#[test]
fn a_short_secret_is_refused_by_both_commands_and_not_repeated() {
    let short = "thirty-one bytes, one too few..";
    let token = program(&["token", "--sub", "alice"])
        .env("PORTCULLIS_JWT_SECRET", short)
        .output()
        .unwrap();
    let dev = program(&["dev", "--port", "0"])
        .env("PORTCULLIS_JWT_SECRET", short)
        .output()
        .unwrap();
    for output in [&token, &dev] {
        let said = refusal(output);
        assert!(
            said.contains("31 bytes") && said.contains("at least 32"),
            "{said}"
        );
        assert!(!said.contains(short), "{said}");
    }
}

#[test]
fn a_claim_too_large_for_a_token_is_refused() {
    let claim = format!("note={}", "x".repeat(9_000));
    let args = [
        "token", "--sub", "alice", "--secret", SECRET, "--claim", &claim,
    ];
    assert!(refusal(&run(&args)).contains("exceeds the limit"));
}

#[test]
fn bad_flags_are_refused_in_one_line() {
    for args in [
        &["dev", "--port", "http"][..],
        &["dev", "--port", "70000"],
        &["dev", "--prot", "3000"],
        &["dev", "--host", "nowhere"],
        &["--prot", "3000"],
        &["serve"],
        &["token"],
        &["token", "--sub", ""],
        &["token", "--sub", "a", "--ttl", "soon"],
        &["token", "--sub", "a", "--claim", "b"],
    ] {
        refusal(&run(args));
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for args in [
        &["--help"][..],
        &["dev", "--help"],
        &["token", "--help"],
        &["--version"],
    ] {
        let output = run(args);
        assert!(output.status.success(), "{args:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{args:?}"
        );
    }
}
