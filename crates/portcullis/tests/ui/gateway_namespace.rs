use portcullis::gateway;

struct Missing;

#[gateway(namespace = "/tenant-{id")]
impl Missing {}

struct Adjacent;

#[gateway(namespace = "/{tenant}{room}")]
impl Adjacent {}

struct Same;

#[gateway(namespace = "/{id}/{id}")]
impl Same {}

struct Glob;

#[gateway(namespace = "/tenant-*")]
impl Glob {}

fn main() {}
