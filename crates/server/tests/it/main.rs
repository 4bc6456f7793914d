//! The binary as a person meets it: what it prints, where, and with which exit code.

mod arguments;
mod dev;
mod pressure;
mod program;
