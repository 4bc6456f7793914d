//! The guide to clusters, as in the repository's `docs/cluster.md`; its examples are compiled.
//!
#![doc = include_str!("../../../docs/cluster.md")]
