//! The messages of the sharded adapter.
