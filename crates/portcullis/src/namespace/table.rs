//! All namespaces of a server: those that were declared, and those that patterns made.
//!
//! # Invariants
//!
//! - Two clients that ask for a new namespace at the same time get the same one.
//! - Nobody makes a namespace who has not been authenticated for it, and nobody who was judged by
//!   one declaration gets what another one made, unless both ask the same of a client.
//! - A child without users is taken away again, unless the server was told to keep it; a declared
//!   namespace never is.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use hashbrown::HashMap;
use parking_lot::RwLock;
use portcullis_socketio::codec::Codec;
use portcullis_socketio::ids::NamespacePath;

use super::pattern::{Params, Pattern};
use super::{ClusterSlot, Dispatch, Namespace, NamespaceLimits, Watcher};
use crate::handshake::Handshake;

/// Decides whether a namespace may come into being.
pub(crate) type Predicate =
    Arc<dyn Fn(NamespacePath, Handshake) -> BoxFuture<'static, bool> + Send + Sync>;

/// How a namespace was declared.
#[derive(Clone)]
pub(crate) enum Kind {
    Static(NamespacePath),
    Pattern(Pattern),
    Predicate(Predicate),
}

/// The namespaces of one server.
pub(crate) struct Namespaces {
    codec: Codec,
    limits: NamespaceLimits,
    watcher: Arc<dyn Watcher>,
    cluster: ClusterSlot,
    cleanup: bool,
    parents: Vec<(Kind, Arc<dyn Dispatch>)>,
    open: RwLock<HashMap<NamespacePath, Entry, RandomState>>,
}

struct Entry {
    namespace: Arc<Namespace>,
    is_child: bool,
}

/// A namespace in use; a child lives while somebody holds one of these.
pub(crate) struct Opened {
    namespaces: Arc<Namespaces>,
    namespace: Arc<Namespace>,
    is_child: bool,
}

/// What a client asks for: a namespace that exists, or one that could.
pub(crate) enum Found {
    Open(Opened),
    Possible {
        namespaces: Arc<Namespaces>,
        path: NamespacePath,
        dispatch: Arc<dyn Dispatch>,
        params: Params,
    },
}

impl Found {
    pub(crate) fn dispatch(&self) -> &dyn Dispatch {
        match self {
            Self::Open(opened) => opened.namespace.dispatch(),
            Self::Possible { dispatch, .. } => &**dispatch,
        }
    }

    /// Makes the namespace if it does not exist: the client may try to enter it.
    ///
    /// # Errors
    ///
    /// What exists by now, if another declaration made it meanwhile and that one is public where
    /// this one is guarded, or the other way round: the client was judged for something else.
    pub(crate) fn open(self) -> Result<Opened, Self> {
        match self {
            Self::Open(opened) => Ok(opened),
            Self::Possible {
                namespaces,
                path,
                dispatch,
                params,
            } => {
                let opened = namespaces.open_child(&path, &dispatch, params);
                if opened.namespace.dispatch().is_public() == dispatch.is_public() {
                    Ok(opened)
                } else {
                    Err(Self::Open(opened))
                }
            }
        }
    }
}

impl Namespaces {
    pub(crate) fn new(
        codec: Codec,
        limits: NamespaceLimits,
        cleanup: bool,
        watcher: Arc<dyn Watcher>,
        cluster: &ClusterSlot,
        declared: Vec<(Kind, Arc<dyn Dispatch>)>,
    ) -> Self {
        let mut namespaces = Self {
            codec,
            limits,
            watcher,
            cluster: Arc::clone(cluster),
            cleanup,
            parents: Vec::new(),
            open: RwLock::default(),
        };
        for (kind, dispatch) in declared {
            if let Kind::Static(path) = kind {
                let namespace = namespaces.make(path.clone(), dispatch, Params::default());
                let entry = Entry {
                    namespace,
                    is_child: false,
                };
                namespaces.open.get_mut().insert(path, entry);
            } else {
                namespaces.parents.push((kind, dispatch));
            }
        }
        namespaces
    }

    /// The namespace, if it exists on this node now.
    pub(crate) fn get(&self, path: &NamespacePath) -> Option<Arc<Namespace>> {
        self.open
            .read()
            .get(path)
            .map(|entry| Arc::clone(&entry.namespace))
    }

    /// The namespaces that exist on this node now.
    pub(crate) fn all(&self) -> Vec<Arc<Namespace>> {
        self.open
            .read()
            .values()
            .map(|entry| Arc::clone(&entry.namespace))
            .collect()
    }

    /// How many there are now.
    pub(crate) fn len(&self) -> usize {
        self.open.read().len()
    }

    /// Finds the namespace that a client asks for. One that a pattern or a predicate stands for is
    /// not made yet: who asks is not known at this point.
    pub(crate) async fn find(
        self: &Arc<Self>,
        path: &NamespacePath,
        handshake: &Handshake,
    ) -> Option<Found> {
        if let Some(entry) = self.open.read().get(path) {
            return Some(Found::Open(self.opened(entry)));
        }
        for (kind, dispatch) in &self.parents {
            let params = match kind {
                Kind::Static(_) => None,
                Kind::Pattern(pattern) => pattern.matches(path),
                Kind::Predicate(allows) => ask(allows, path, handshake).await.then(Params::default),
            };
            if let Some(params) = params {
                return Some(Found::Possible {
                    namespaces: Arc::clone(self),
                    path: path.clone(),
                    dispatch: Arc::clone(dispatch),
                    params,
                });
            }
        }
        None
    }

    fn open_child(
        self: &Arc<Self>,
        path: &NamespacePath,
        dispatch: &Arc<dyn Dispatch>,
        params: Params,
    ) -> Opened {
        let (opened, is_new) = {
            let mut open = self.open.write();
            // Another client may have been faster.
            let is_new = !open.contains_key(path);
            let entry = open.entry(path.clone()).or_insert_with(|| Entry {
                namespace: self.make(path.clone(), Arc::clone(dispatch), params),
                is_child: true,
            });
            (self.opened(entry), is_new)
        };
        if is_new {
            self.watcher.namespace_opened(path);
        }
        opened
    }

    fn opened(self: &Arc<Self>, entry: &Entry) -> Opened {
        if entry.is_child {
            entry.namespace.users().fetch_add(1, Ordering::Relaxed);
        }
        Opened {
            namespaces: Arc::clone(self),
            namespace: Arc::clone(&entry.namespace),
            is_child: entry.is_child,
        }
    }

    fn make(
        &self,
        path: NamespacePath,
        dispatch: Arc<dyn Dispatch>,
        params: Params,
    ) -> Arc<Namespace> {
        let (watcher, cluster) = (Arc::clone(&self.watcher), Arc::clone(&self.cluster));
        let (codec, limits) = (self.codec, self.limits);
        Arc::new(Namespace::new(
            path, codec, dispatch, params, limits, watcher, cluster,
        ))
    }

    /// One user fewer; takes the child away if that was the last.
    fn release(&self, namespace: &Arc<Namespace>) {
        let is_gone = {
            let mut open = self.open.write();
            let was_last = namespace.users().fetch_sub(1, Ordering::Relaxed) == 1;
            was_last && self.cleanup && open.remove(namespace.path()).is_some()
        };
        if is_gone {
            self.watcher.namespace_closed(namespace.path());
        }
    }
}

/// Asks a predicate; a panic in it is a no.
async fn ask(allows: &Predicate, path: &NamespacePath, handshake: &Handshake) -> bool {
    // The call itself may panic as well as the future that it returns.
    let answer = AssertUnwindSafe(async { allows(path.clone(), handshake.clone()).await });
    answer.catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a namespace's predicate panicked");
        metrics::counter!("portcullis_panics_total", "place" => "predicate").increment(1);
        false
    })
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespaces")
            .field("open", &self.open.read().len())
            .finish_non_exhaustive()
    }
}

impl Opened {
    pub(crate) const fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.is_child {
            self.namespaces.release(&self.namespace);
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({})", self.namespace.path())
    }
}
