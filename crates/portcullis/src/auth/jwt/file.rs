//! A set of keys in a file, which is looked at again and again.

use std::path::PathBuf;

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

use super::cache::{FetchError, KeySource};
use super::jwk::Secrets;

/// The largest file that is read.
const MAX_BYTES: usize = 1024 * 1024;

/// A file with a set of keys.
pub(super) struct KeyFile {
    path: PathBuf,
    name: String,
}

impl KeyFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            name: path.display().to_string(),
            path,
        }
    }

    fn read(&self) -> Result<Vec<u8>, FetchError> {
        let metadata = std::fs::metadata(&self.path).map_err(FetchError::File)?;
        if metadata.len() > MAX_BYTES as u64 {
            let max_bytes = MAX_BYTES;
            return Err(FetchError::TooLarge { max_bytes });
        }
        std::fs::read(&self.path).map_err(FetchError::File)
    }
}

impl KeySource for KeyFile {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
        // Small and local: to hand it to another thread would cost more than to read it.
        std::future::ready(self.read()).boxed()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn secrets(&self) -> Secrets {
        Secrets::Allowed
    }
}
