//! What a method costs beside the closure that says the same.

use allocation_counter::measure;
use portcullis::gateway::{Data, Reply};
use portcullis::{Server, ServerBuilder, Socket, gateway};
use portcullis_testing::TestServer;
use tokio::runtime::Builder;

use crate::support::Wire as _;

struct Echo;

#[gateway(public)]
impl Echo {
    #[subscribe("echo")]
    async fn echo(&self, _socket: Socket, Data(number): Data<u64>) -> u64 {
        number
    }
}

const CALLS: u64 = 64;

/// How many allocations some calls of `echo` take, those of the client included.
fn allocations(builder: ServerBuilder) -> u64 {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (mut client, _server) = runtime.block_on(async {
        let server = TestServer::start(builder).await;
        let mut client = server.client_in_memory().await;
        // What is made once is made now.
        for _ in 0..CALLS {
            client.ask(r#"["echo",7]"#).await;
        }
        (client, server)
    });
    let measured = measure(|| {
        runtime.block_on(async {
            for _ in 0..CALLS {
                client.ask(r#"["echo",7]"#).await;
            }
        });
    });
    measured.count_total
}

#[test]
fn a_method_allocates_no_more_than_a_closure_does() {
    let method = allocations(Server::builder().gateway(Echo));
    let closure = allocations(Server::builder().namespace("/", |r| {
        let echo = async |_socket: Socket, Data(number): Data<u64>| Reply(number);
        r.public().on("echo", echo);
    }));
    // A call more or less of whatever else happens now and then.
    assert!(
        method < closure + CALLS / 2,
        "{CALLS} calls of a method: {method} allocations, of a closure: {closure}"
    );
    assert!(closure > 2 * CALLS, "something was counted: {closure}");
}
