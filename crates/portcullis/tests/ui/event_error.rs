use portcullis::gateway::EventError;

#[derive(Debug, thiserror::Error, EventError)]
#[error("no")]
enum Keys {
    #[event(cod = "A")]
    Misspelled,
    #[event(code = "")]
    Empty,
    #[event(code = "A", code = "B")]
    Twice,
    #[event(code = "A")]
    #[event(message = "a")]
    Apart,
    #[event(details)]
    Details,
    #[event(internal, message = "nobody reads this")]
    Internal,
    #[event(transparent)]
    Transparent(u8, u8),
    Tuple(#[event(details)] u8),
    #[event(internal)]
    Unheard {
        #[event(details)]
        limit: u8,
    },
}

#[derive(EventError)]
#[event(internal)]
enum Never {}

#[derive(EventError)]
union Both {
    one: u8,
}

fn main() {}
