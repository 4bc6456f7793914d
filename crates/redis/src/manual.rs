//! The guide to clusters, as in the repository's `docs/manual/redis.md`; its examples are compiled.
//!
#![doc = include_str!("../../../docs/manual/redis.md")]
