//! A gateway, and its tests: what they say is what its clients will see.
//!
//! ```text
//! cargo run --package examples --example testing
//! cargo test --package examples testing
//! ```

use std::error::Error;
use std::time::Duration;

use portcullis::gateway::{Args, Data, EventError, Registrar, Reply};
use portcullis::{Server, ServerBuilder, Socket, shutdown_signal};

fn quiz(r: &mut Registrar) {
    r.public()
        .on("join", async |socket: Socket, Data(team): Data<String>| {
            socket.join(team);
        });
    r.on("ask", ask);
}

/// Asks a team, and answers with the first answer of it that comes within ten seconds.
async fn ask(
    socket: Socket,
    Args((team, question)): Args<(String, String)>,
) -> Result<Reply<String>, EventError> {
    let members = socket.to(team).timeout(Duration::from_secs(10));
    let answers = members.emit_with_ack("question", &question).await;
    let answers = answers.map_err(|_| EventError::new("TOO_LATE", "Somebody did not answer"))?;
    let first = answers.first().and_then(|args| args.get(0).ok());
    let nobody = || EventError::new("NOBODY", "There is nobody in this team");
    first.map(Reply).ok_or_else(nobody)
}

pub(crate) fn server() -> ServerBuilder {
    Server::builder().namespace("/quiz", quiz)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = server().build().await?;
    server.serve("127.0.0.1:3000", shutdown_signal()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use portcullis_testing::{TestClient, TestServer};

    use super::*;

    /// A host, and a member of the red team.
    async fn game() -> (TestServer, TestClient, TestClient) {
        let server = TestServer::start(server())
            .await
            .patience(Duration::from_secs(30));
        let host = server.connect("/quiz").await;
        let member = server.connect("/quiz").await;
        member.emit("join", &"red").await;
        server.room("/quiz", "red").expect_members(&[&member]).await;
        (server, host, member)
    }

    #[tokio::test]
    async fn a_member_of_the_team_is_asked_and_its_answer_comes_back() {
        let (_server, host, member) = game().await;
        let question = ("red", "Which tea?");
        let (answer, ()) = tokio::join!(host.emit_with_ack("ask", &question), async {
            let asked = member.expect("question").await;
            assert_eq!(asked, "Which tea?");
            asked.ack(&"oolong").await;
        });
        assert_eq!(answer, "oolong");
    }

    // The clock stands still while somebody works, and jumps when all wait: ten seconds are none.
    #[tokio::test(start_paused = true)]
    async fn a_team_that_does_not_answer_is_too_late_after_ten_seconds() {
        let (_server, host, member) = game().await;
        let start = tokio::time::Instant::now();
        let answer = host.emit_with_ack("ask", &("red", "Which tea?")).await;
        assert_eq!(
            answer.get::<serde_json::Value>(0).unwrap()["code"],
            "TOO_LATE"
        );
        assert_eq!(start.elapsed().as_secs(), 10);
        member.expect("question").await;
    }
}
