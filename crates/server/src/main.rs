//! The Portcullis server: a Socket.IO gateway that runs by itself.
//!
//! ```text
//!  arguments ─▶ cli ─┬─▶ dev ───┬─▶ chat, staff   the gateways
//!                    │          └─▶ page          the page, and tokens for it
//!                    ├─▶ token ──── secret
//!                    └─▶ revoke                   over the Redis of a cluster
//! ```
//!
//! # Invariants
//!
//! - What cannot be done is said in one line on stderr: exit code 2 where somebody has to change
//!   what they asked for, 1 where the machine failed.
//! - Stdout carries what was asked for and nothing else; logs go to stderr.
//!
//! # Not here
//!
//! Anything that another server would need too: that is the framework, the crate `portcullis`.

mod chat;
mod cli;
mod dev;
mod page;
mod revoke;
mod secret;
mod staff;
mod token;

use std::error::Error as _;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser as _;
use clap::error::ErrorKind;
use portcullis::auth::jwt::MintError;

use crate::cli::{Cli, Command, TokenArgs};
use crate::dev::DevError;
use crate::revoke::RevokeFailure;
use crate::secret::{SecretError, VARIABLE};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why the program ends without having done what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Arguments(String),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Dev(#[from] DevError),
    #[error(transparent)]
    Revoke(#[from] RevokeFailure),
    #[error("cannot write to stdout")]
    Output(#[from] io::Error),
}

impl Failure {
    /// 2 asks for other arguments, 1 does not.
    fn exit_code(&self) -> u8 {
        let is_about_arguments = match self {
            Self::Arguments(_) | Self::Mint(_) => true,
            Self::Secret(error) => error.is_about_arguments(),
            Self::Dev(error) => error.is_about_arguments(),
            Self::Revoke(error) => error.is_about_arguments(),
            Self::Output(_) => false,
        };
        if is_about_arguments { 2 } else { 1 }
    }

    /// This failure and its causes, in one line.
    fn in_one_line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone, the exit code still says it.
            drop(writeln!(
                io::stderr().lock(),
                "error: {}",
                failure.in_one_line()
            ));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run() -> Result<(), Failure> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked)
            if matches!(
                asked.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            return Ok(asked.print()?);
        }
        Err(error) => return Err(Failure::Arguments(cli::in_one_line(&error))),
    };
    match cli.into_command() {
        Command::Token(args) => print_token(args),
        Command::Dev(args) => Ok(dev::run(&args)?),
        Command::Revoke(args) => Ok(revoke::run(&args)?),
    }
}

fn print_token(args: TokenArgs) -> Result<(), Failure> {
    let argument = args.secret.map(cli::SecretArg::expose);
    let secret = secret::given(argument, std::env::var_os(VARIABLE))?;
    let token = token::mint(&secret, &args.sub, args.ttl, args.claims, SystemTime::now())?;
    Ok(writeln!(io::stdout().lock(), "{}", token.expose())?)
}
