//! What the test suite of socket.io-client expects of its server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use portcullis::auth::Refusal;
use portcullis::gateway::{Ack, EventHandler as _, Registrar};
use portcullis::handshake::{Handshake, HeaderPolicy};
use portcullis::socketio::args::Args;
use portcullis::socketio::value::Value;
use portcullis::{Drain, Server, Socket, shutdown_signal};

use crate::Failure;
use crate::serve::Port;

const ASDF: Bytes = Bytes::from_static(b"asdfasdf");

pub(crate) async fn run(port: Port) -> Result<(), Failure> {
    let server = Server::builder()
        .drain(Drain::at_once())
        .ping_interval(Duration::from_secs(2))
        .keep_headers(HeaderPolicy::All)
        .allow_request(async |_| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(())
        })
        .namespace("/", |r| {
            r.public().connect_guard(async |handshake: Handshake| {
                match handshake.query("fail").as_deref() {
                    None | Some("" | "0" | "false") => Ok(()),
                    Some(_) => Err(Refusal::new("Auth failed (main namespace)")),
                }
            });
            texts(r);
            binaries(r);
            answers(r);
        })
        .namespace("/foo", |r| {
            r.public();
            ids(r);
        })
        .namespace("/abc", |r| {
            r.public()
                .on_connect(async |socket: Socket, handshake: Handshake| {
                    let _ = socket.emit("handshake", &describe(&handshake));
                });
        })
        .namespace("/no", |r| {
            r.public().connect_guard(async || {
                Err::<(), _>(Refusal::new("Auth failed (custom namespace)"))
            });
        })
        .namespace("/timeout_socket", |r| {
            r.public();
        })
        .namespace("/valid", |r| {
            r.public();
        })
        .namespace("/asd", |r| {
            r.public();
        })
        .build()
        .await?;
    let listener = port.listen().await?;
    server.serve_on(listener, shutdown_signal()).await;
    Ok(())
}

fn texts(r: &mut Registrar) {
    r.on("hi", async |socket: Socket| emit(&socket, "hi", &()));
    r.on("false", async |socket: Socket| {
        emit(&socket, "false", &false);
    });
    r.on("getDate", async |socket: Socket| {
        emit(&socket, "takeDate", &iso_date());
    });
    r.on("getDateObj", async |socket: Socket| {
        let date = Value::Map(vec![("date".to_owned(), Value::from(iso_date().as_str()))]);
        emit(&socket, "takeDateObj", &date);
    });
    r.on("getUtf8", async |socket: Socket| {
        for text in [
            "てすと",
            "Я Б Г Д Ж Й",
            "Ä ä Ü ü ß",
            "utf8 — string",
            "utf8 — string",
        ] {
            emit(&socket, "takeUtf8", text);
        }
    });
}

fn binaries(r: &mut Registrar) {
    r.on("doge", async |socket: Socket| emit(&socket, "doge", &ASDF));
    r.on("getbin", async |socket: Socket| {
        emit(&socket, "takebin", &ASDF);
    });
    r.on("blob", async |socket: Socket| emit(&socket, "back", &ASDF));
    r.on("buffa", async |socket: Socket, args: Args| {
        if args.get::<Bytes>(0).is_ok() {
            emit(&socket, "buffack", &());
        }
    });
    r.on("jsonbuff", async |socket: Socket, args: Args| {
        if has_binary_message(&args) {
            emit(&socket, "jsonbuff-ack", &());
        }
    });
    r.on("jsonblob", async |socket: Socket, args: Args| {
        if has_binary_message(&args) {
            emit(&socket, "jsonblob-ack", &());
        }
    });
    sequence(r, ["abuff1", "abuff2"], "abuff2-ack");
    sequence(r, ["blob1", "blob2", "blob3"], "blob3-ack");
}

/// Events whose order matters: the last one is answered only if the others came before it.
fn sequence<const N: usize>(r: &mut Registrar, events: [&'static str; N], ack: &'static str) {
    for (place, event) in events.into_iter().enumerate() {
        r.on(event, move |socket: Socket| {
            let progress = socket.get::<Progress>().map_or(0, |progress| progress.0);
            socket.insert(Progress(if progress == place { place + 1 } else { 0 }));
            if progress == place && place + 1 == N {
                emit(&socket, ack, &());
            }
            std::future::ready(())
        });
    }
}

struct Progress(usize);

fn answers(r: &mut Registrar) {
    ids(r);
    r.on("echo", async |args: Args, ack: Ack| {
        let _ = ack.send(&args);
    });
    // The client may leave any of them without an answer, which must not hold up the next.
    r.on("ack", ask.concurrency(64));
    r.on("getAckDate", async |ack: Ack| {
        let _ = ack.send(&iso_date());
    });
    r.on("getHandshake", async |handshake: Handshake, ack: Ack| {
        let _ = ack.send(&describe(&handshake));
    });
}

async fn ask(socket: Socket) {
    let Ok(args) = socket.emit_with_ack("ack", &()).await else {
        return;
    };
    let Ok((number, object)) = args.parse::<(i64, Value)>() else {
        return;
    };
    if number == 5 && object.get("test") == Some(&Value::Bool(true)) {
        emit(&socket, "got it", &());
    }
}

fn ids(r: &mut Registrar) {
    r.on("getId", async |socket: Socket, ack: Ack| {
        let _ = ack.send(&socket.id());
    });
}

fn emit<T: serde::Serialize + ?Sized>(socket: &Socket, event: &str, args: &T) {
    // A client that has left in the meantime is not waiting for anything.
    let _ = socket.emit(event, args);
}

fn has_binary_message(args: &Args) -> bool {
    let object: Value = args.get(0).unwrap_or_default();
    let text = |key| object.get(key).and_then(Value::as_str);
    let is_binary = object.get("message").and_then(Value::as_bytes).is_some();
    text("hello") == Some("lol") && is_binary && text("goodbye") == Some("gotcha")
}

/// The handshake as Node shows it.
pub(crate) fn describe(handshake: &Handshake) -> Value {
    let request = handshake.request();
    let issued = request
        .issued_at()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let headers = request.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let query = handshake
        .query_pairs()
        .map(|(name, value)| (name, Value::from(value)))
        .collect();
    let address = handshake.address().map(|address| address.ip().to_string());
    let fields = [
        ("headers", Value::Map(headers)),
        ("time", Value::from(date(request.issued_at()))),
        ("address", Value::from(address.unwrap_or_default())),
        ("xdomain", Value::Bool(handshake.is_cross_domain())),
        ("secure", Value::Bool(request.is_secure())),
        (
            "issued",
            Value::from(i64::try_from(issued.as_millis()).unwrap_or(i64::MAX)),
        ),
        ("url", Value::from(request.url())),
        ("query", Value::Map(query)),
        ("auth", handshake.auth_value()),
    ];
    Value::Map(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn iso_date() -> String {
    date(SystemTime::now())
}

/// A date as JavaScript's `toISOString` writes it.
fn date(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(0));
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis(),
    )
}

/// The date of a day since 1970 in the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from March 1st of year 0, so that leap days come last in their year.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
