use portcullis::gateway;

struct Chat;

#[gateway(namespce = "/chat")]
impl Chat {}

struct Other;

#[gateway("/chat")]
impl Other {}

struct Open;

#[gateway(namespace = "/open", public = true)]
impl Open {}

struct Engine;

#[gateway(ping_interval = 25)]
impl Engine {}

struct Twice;

#[gateway(public, namespace = "/a", namespace = "/b")]
impl Twice {}

fn main() {}
