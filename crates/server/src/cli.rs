//! What a person types, and how it is told that something is wrong with it.
//!
//! ```text
//!  portcullis [dev] [--host 127.0.0.1] [--port 3000] [--redis URL] [--management-port 0]
//!  portcullis token --sub NAME [--secret S] [--ttl 1h] [--claim k=v]…
//!  portcullis revoke --redis URL (--jti ID | --sid ID | --sub NAME [--before TIME]) [--iss NAME]
//! ```
//!
//! # Invariants
//!
//! - Whatever is wrong with the arguments is said in one line.
//! - Neither the secret nor a password is in any `Debug` output, or in the help's "current value".
//!
//! # Not here
//!
//! What the commands do (`dev`, `token`, `revoke`), and the environment (`secret`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;

/// The program's arguments.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    about = "An authenticated Socket.IO gateway",
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where no command is given, the arguments are those of `dev`.
    #[command(flatten)]
    dev: DevArgs,
}

impl Cli {
    /// What to do.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or(Command::Dev(self.dev))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve an authenticated chat, with a page to try it. This is the default
    Dev(DevArgs),
    /// Print a token for the secret in `PORTCULLIS_JWT_SECRET` or `--secret`
    Token(TokenArgs),
    /// Take tokens back on every node of a cluster: their sockets end, and they admit nobody
    Revoke(RevokeArgs),
}

/// The arguments of `portcullis dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// The address to listen on. The page gives tokens to whoever asks: mind who can reach it
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 lets the system choose
    #[arg(long, default_value_t = 3000)]
    pub(crate) port: u16,
    /// The Redis of a cluster, such as <redis://localhost:6379>: every node with it is one of them
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<RedisUrl>,
    /// The port of 127.0.0.1 that answers probes; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) management_port: u16,
}

/// The arguments of `portcullis token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Whom the token is for: its `sub`
    #[arg(long, value_name = "NAME", value_parser = parse_subject)]
    pub(crate) sub: String,
    /// The secret to sign with, at least 32 bytes [default: `PORTCULLIS_JWT_SECRET`]
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret: Option<SecretArg>,
    /// How long the token is good for: 90s, 15m, 1h, 7d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_ttl)]
    pub(crate) ttl: Duration,
    /// A further claim; a value that is JSON is taken as JSON, anything else as text
    #[arg(long = "claim", value_name = "KEY=VALUE", value_parser = parse_claim)]
    pub(crate) claims: Vec<(String, Value)>,
}

/// The arguments of `portcullis revoke`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct RevokeArgs {
    /// The Redis of the cluster: `redis://`, `rediss://`, with `user:password@` if need be
    #[arg(long, value_name = "URL")]
    pub(crate) redis: RedisUrl,
    /// The token with this `jti`
    #[arg(long, value_name = "ID", group = "what")]
    pub(crate) jti: Option<String>,
    /// The tokens with this `sid`: one login
    #[arg(long, value_name = "ID", group = "what")]
    pub(crate) sid: Option<String>,
    /// The tokens with this `sub`: all of a user that were issued before now, or `--before`
    #[arg(long, value_name = "NAME", group = "what")]
    pub(crate) sub: Option<String>,
    /// Of a user's tokens only those issued before this, in seconds since 1970 (as `iat` is)
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["jti", "sid"])]
    pub(crate) before: Option<u64>,
    /// Only tokens of this issuer [default: of any]
    #[arg(long, value_name = "NAME")]
    pub(crate) iss: Option<String>,
    /// How long the longest token is good: for so long it is kept
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_ttl)]
    pub(crate) keep: Duration,
    /// What the names of channels and keys begin with
    #[arg(long, value_name = "TEXT", default_value = "socket.io")]
    pub(crate) prefix: String,
    /// The cluster uses sharded Pub/Sub
    #[arg(long)]
    pub(crate) sharded: bool,
}

/// The address of a Redis, which may hold a password.
#[derive(Clone)]
pub(crate) struct RedisUrl(String);

impl RedisUrl {
    /// The address. Whoever holds it can enter: do not log it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({} bytes, redacted)", self.0.len())
    }
}

/// A secret that was given as an argument.
#[derive(Clone)]
pub(crate) struct SecretArg(String);

impl SecretArg {
    /// The secret. Whoever holds it can make tokens: do not log it.
    pub(crate) fn expose(self) -> String {
        self.0
    }
}

impl FromStr for SecretArg {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for SecretArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretArg({} bytes, redacted)", self.0.len())
    }
}

/// The longest time that can be asked for, so that no sum with it overflows: some 270 years.
const MAX_TTL: Duration = Duration::from_secs(100_000 * 24 * 60 * 60);

/// A subject as the verifier accepts it.
fn parse_subject(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.len() > 255 {
        return Err("a subject has 1 to 255 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("a subject has no control characters");
    }
    Ok(text.to_owned())
}

/// A whole number and its unit, such as `90s`, `15m`, `1h` or `7d`.
fn parse_ttl(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "a time is a whole number with its unit, such as 90s, 15m, 1h or 7d";
    let unit = text.chars().next_back().ok_or(SHAPE)?;
    let seconds_per_unit: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(SHAPE),
    };
    let number = text.strip_suffix(unit).ok_or(SHAPE)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SHAPE);
    }
    let number: u64 = number.parse().map_err(|_| SHAPE)?;
    match number
        .checked_mul(seconds_per_unit)
        .map(Duration::from_secs)
    {
        Some(Duration::ZERO) => Err("a token that is never good is no use"),
        Some(ttl) if ttl <= MAX_TTL => Ok(ttl),
        Some(_) | None => Err("a token is good for at most 100000d"),
    }
}

/// A claim written as `key=value`.
fn parse_claim(text: &str) -> Result<(String, Value), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("a claim is written key=value".to_owned());
    };
    match key {
        "" => Err("a claim has a name, as in key=value".to_owned()),
        "sub" => Err("`sub` has an argument of its own, --sub".to_owned()),
        "iat" | "exp" => Err(format!("`{key}` follows from the clock and --ttl")),
        _ => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            Ok((key.to_owned(), value))
        }
    }
}

/// What clap has to say about the arguments, in one line.
///
/// Its own rendering has paragraphs: the first is what is wrong, one of the others may hold a tip.
pub(crate) fn in_one_line(error: &clap::Error) -> String {
    let rendered = error.to_string();
    let mut paragraphs = rendered
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let wrong = paragraphs.next().unwrap_or_default();
    let wrong = wrong.strip_prefix("error: ").unwrap_or(&wrong).to_owned();
    match paragraphs.find_map(|paragraph| paragraph.strip_prefix("tip: ").map(str::to_owned)) {
        Some(tip) => format!("{wrong}; {tip}"),
        None => wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    fn token_args(line: &str) -> TokenArgs {
        match parse(line).unwrap().into_command() {
            Command::Token(args) => args,
            other => panic!("not the token command: {other:?}"),
        }
    }

    #[test]
    fn the_definition_holds_together() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    fn dev_args(line: &str) -> DevArgs {
        match parse(line).unwrap().into_command() {
            Command::Dev(args) => args,
            other => panic!("not the dev command: {other:?}"),
        }
    }

    #[test]
    fn dev_listens_on_loopback_and_port_3000_unless_told_otherwise() {
        let args = dev_args("portcullis dev");
        assert!(args.host.is_loopback());
        assert_eq!(args.port, 3000);
    }

    #[test]
    fn dev_need_not_be_said() {
        assert_eq!(dev_args("portcullis").port, 3000);
        assert_eq!(dev_args("portcullis --port 3001").port, 3001);
        assert!(parse("portcullis --port 3001 token --sub a").is_err());
    }

    #[test]
    fn a_time_to_live_has_a_number_and_a_unit() {
        let seconds = |text| parse_ttl(text).map(|ttl| ttl.as_secs()).ok();
        assert_eq!(seconds("90s"), Some(90));
        assert_eq!(seconds("15m"), Some(900));
        assert_eq!(seconds("1h"), Some(3_600));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("100000d"), Some(MAX_TTL.as_secs()));
        for bad in [
            "",
            "s",
            "5",
            "0s",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "1w",
            "1H",
            "h1",
            "1é",
            "100001d",
            "18446744073709551615d",
            "99999999999999999999999s",
        ] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_claim_is_json_where_it_can_be_and_text_elsewhere() {
        let args = token_args(
            "portcullis token --sub a --claim name=Ann --claim level=3 \
             --claim roles=[\"x\"] --claim eq=a=b",
        );
        let expected = [
            ("name", Value::from("Ann")),
            ("level", Value::from(3)),
            ("roles", Value::from(vec!["x"])),
            ("eq", Value::from("a=b")),
        ];
        assert_eq!(
            args.claims,
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }

    #[test]
    fn a_claim_that_has_an_argument_of_its_own_is_refused() {
        for claim in ["sub=b", "exp=1", "iat=1", "=1", "novalue"] {
            assert!(
                parse(&format!("portcullis token --sub a --claim {claim}")).is_err(),
                "{claim}"
            );
        }
    }

    #[test]
    fn a_subject_that_the_verifier_would_refuse_is_refused_here() {
        assert!(parse_subject("").is_err());
        assert!(parse_subject(&"x".repeat(256)).is_err());
        assert!(parse_subject("a\nb").is_err());
        assert!(parse_subject(&"x".repeat(255)).is_ok());
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        let args = token_args("portcullis token --sub a --secret swordfish");
        assert!(!format!("{args:?}").contains("swordfish"));
    }

    #[test]
    fn exactly_one_thing_is_revoked_and_the_address_is_not_in_debug_output() {
        let line = "portcullis revoke --redis redis://:swordfish@localhost";
        for good in ["--jti a", "--sid a --iss b", "--sub a --before 7 --keep 1h"] {
            let parsed = parse(&format!("{line} {good}")).unwrap();
            assert!(!format!("{parsed:?}").contains("swordfish"));
        }
        for bad in [
            "",
            "--jti a --sub b",
            "--jti a --before 7",
            "--sub a --before x",
        ] {
            assert!(parse(&format!("{line} {bad}")).is_err(), "{bad}");
        }
        assert!(parse("portcullis revoke --jti a").is_err());
        let dev = dev_args("portcullis dev --redis redis://:swordfish@localhost");
        assert!(!format!("{dev:?}").contains("swordfish"));
    }

    #[test]
    fn every_mistake_is_said_in_one_line() {
        for (line, expected) in [
            (
                "portcullis dev --port abc",
                "invalid value 'abc' for '--port <PORT>'",
            ),
            (
                "portcullis dev --prot 1",
                "a similar argument exists: '--port'",
            ),
            ("portcullis token", "--sub <NAME>"),
            (
                "portcullis token --sub a --ttl 5",
                "such as 90s, 15m, 1h or 7d",
            ),
            ("portcullis serve", "unrecognized subcommand 'serve'"),
            ("portcullis dev --port 65536", "65536"),
        ] {
            let said = in_one_line(&parse(line).unwrap_err());
            assert!(said.contains(expected), "{line}: {said}");
            assert!(
                !said.contains('\n') && !said.starts_with("error"),
                "{line}: {said}"
            );
        }
    }
}
