use portcullis::gateway::EventError;

#[derive(Debug, EventError)]
enum ChatError {
    #[event(message = "join the room first")]
    NotMember,
}

fn main() {}
