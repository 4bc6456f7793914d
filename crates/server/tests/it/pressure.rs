//! A process that runs out of descriptors, and one that is asked to stop twice, and one that
//! cannot say anything.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::Running;

const HANDSHAKE: &[u8] = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\
    Host: localhost\r\nConnection: close\r\n\r\n";

/// Asks for a session; the first line of the answer, or nothing within the time.
fn handshake(address: &str, patience: Duration) -> String {
    let mut stream = TcpStream::connect(address).expect("the port is open");
    stream
        .set_read_timeout(Some(patience))
        .expect("a timeout can be set");
    stream.write_all(HANDSHAKE).expect("a request can be sent");
    let mut answer = [0; 256];
    let count = stream.read(&mut answer).unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Processor time that the process has used, in hundredths of a second.
fn used(id: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).expect("it is our child");
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields[index].parse::<u64>().expect("ticks are a number");
    ticks(11) + ticks(12)
}

fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd"))
        .expect("it is our child")
        .count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_process_without_descriptors_pauses_and_goes_on_when_there_are_some() {
    let server = Running::start();
    let before = descriptors(server.id());
    // Fewer than the limits of the server were made of.
    let limit = before + 8;
    let limited = Command::new("prlimit")
        .args([
            &format!("--pid={}", server.id()),
            &format!("--nofile={limit}:{limit}"),
        ])
        .status()
        .expect("there is a prlimit command");
    assert!(limited.success());
    let mut silent: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(&server.address).expect("the backlog takes it"))
        .collect();
    let start = used(server.id());
    let unanswered = handshake(&server.address, Duration::from_secs(2));
    assert_eq!(unanswered, "", "there is no descriptor for it");
    let spent = used(server.id()) - start;
    assert!(
        spent < 50,
        "accepting does not spin: {spent} hundredths in two seconds"
    );

    silent.clear();
    let end = Instant::now() + Duration::from_secs(10);
    while handshake(&server.address, Duration::from_secs(2)) != "HTTP/1.1 200 OK" {
        assert!(Instant::now() < end, "it goes on");
    }
    while descriptors(server.id()) > before {
        assert!(
            Instant::now() < end,
            "{} of {before}",
            descriptors(server.id())
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(server.stop("TERM").0, Some(0));
}

/// Whoever reads a server's log may go; what it would say is lost then, and nothing else.
#[test]
fn a_process_whose_output_nobody_reads_goes_on_and_stops_with_code_0() {
    let mut server = Running::start_logging_to(Stdio::piped());
    server.turn_away();
    for _ in 0..20 {
        let answer = handshake(&server.address, Duration::from_secs(5));
        assert_eq!(answer, "HTTP/1.1 200 OK");
    }
    assert_eq!(server.stop("TERM").0, Some(0));
}

/// A disk that is full takes nothing: `/dev/full` is one.
#[test]
#[cfg(target_os = "linux")]
fn a_process_whose_log_is_full_goes_on_and_stops_with_code_0() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("there is a device that is full");
    let server = Running::start_logging_to(full.into());
    for _ in 0..20 {
        let answer = handshake(&server.address, Duration::from_secs(5));
        assert_eq!(answer, "HTTP/1.1 200 OK");
    }
    assert_eq!(server.stop("TERM").0, Some(0));
}

#[test]
fn a_server_that_is_asked_to_stop_twice_stops_with_code_0() {
    for (first, second) in [("TERM", "TERM"), ("TERM", "INT"), ("INT", "TERM")] {
        let server = Running::start();
        assert_eq!(
            handshake(&server.address, Duration::from_secs(5)),
            "HTTP/1.1 200 OK"
        );
        server.signal(first);
        let (code, _) = server.stop(second);
        assert_eq!(code, Some(0), "{first}, {second}");
    }
}
