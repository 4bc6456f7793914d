//! `portcullis dev`: its address, its page, its end.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::program::{Running, refusal, run};

/// One HTTP request on a connection of its own; the whole answer.
fn http(server: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(&server.address).expect("the server accepts");
    stream
        .write_all(request.as_bytes())
        .expect("the server reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the answer is text");
    answer
}

fn get(server: &Running, path: &str) -> String {
    http(
        server,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
    )
}

#[test]
fn the_page_and_the_gateway_are_at_the_address_that_the_first_line_says() {
    let server = Running::start();
    assert!(
        server.address.starts_with("127.0.0.1:"),
        "{}",
        server.address
    );

    let page = get(&server, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>Portcullis</title>"));
    assert!(
        page.to_ascii_lowercase()
            .contains("content-security-policy: default-src 'none'")
    );

    let handshake = get(&server, "/socket.io/?EIO=4&transport=polling");
    assert!(handshake.contains(r#"0{"sid":""#), "{handshake}");
    assert!(get(&server, "/elsewhere").starts_with("HTTP/1.1 404"));
}

#[test]
fn a_name_gets_a_token_over_http() {
    let server = Running::start();
    let body = r#"{"name":"alice"}"#;
    let answer = http(
        &server,
        &format!(
            "POST /dev/token HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len(),
        ),
    );
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#"{"token":"ey"#),
        "{answer}"
    );
}

#[test]
fn a_port_in_use_is_said_in_one_line_that_names_it() {
    let server = Running::start();
    let (_, port) = server.address.rsplit_once(':').unwrap();
    let said = refusal(&run(&["dev", "--port", port]));
    assert!(
        said.contains(&server.address) && said.contains("--port"),
        "{said}"
    );
}

#[test]
fn a_management_port_in_use_is_said_in_one_line_that_names_it() {
    let other = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = other.local_addr().expect("it has an address");
    let port = address.port().to_string();
    let said = refusal(&run(&["dev", "--port", "0", "--management-port", &port]));
    assert!(said.contains(&address.to_string()), "{said}");
}

#[test]
fn an_address_of_redis_that_is_none_is_said_in_one_line() {
    let said = refusal(&run(&["dev", "--port", "0", "--redis", "localhost:6379"]));
    assert!(said.contains("no scheme"), "{said}");
}

#[test]
fn a_signal_stops_it_and_that_is_no_failure() {
    for signal in ["TERM", "INT"] {
        let (code, _) = Running::start().stop(signal);
        assert_eq!(code, Some(0), "{signal}");
    }
}

#[test]
fn the_terminal_shows_the_address_a_token_and_three_lines_to_connect_with() {
    let server = Running::start();
    let port = server.address.rsplit_once(':').unwrap().1.to_owned();
    let (_, printed) = server.stop("TERM");
    assert!(
        printed.contains(&format!("http://localhost:{port}/")),
        "{printed}"
    );
    let code: Vec<&str> = printed
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(';'))
        .collect();
    let [import, connect, listen] = code[..] else {
        panic!("not three lines: {printed}")
    };
    assert!(import.contains(r#"from "socket.io-client""#), "{import}");
    assert!(connect.contains(&format!("http://localhost:{port}")) && connect.contains("token"));
    assert!(listen.starts_with("socket.on("), "{listen}");
    assert!(
        printed.lines().any(|line| line.contains("eyJ")),
        "{printed}"
    );
}
