use super::*;

fn encode(upgrades: &[TransportName]) -> String {
    Open {
        sid: &SessionId::parse("KufXbHtN1lflCFkOAAAA").unwrap(),
        upgrades,
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(20),
        max_payload: 1_000_000,
    }
    .encode()
}

#[test]
fn the_open_packet_is_the_reference_servers_byte_for_byte() {
    assert_eq!(
        encode(&[TransportName::WebSocket]),
        concat!(
            r#"0{"sid":"KufXbHtN1lflCFkOAAAA","upgrades":["websocket"],"#,
            r#""pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#,
        ),
    );
}

#[test]
fn without_upgrades_the_list_is_empty_and_still_there() {
    assert!(encode(&[]).contains(r#""upgrades":[],"#));
}

#[test]
fn several_upgrades_are_separated_by_commas() {
    let packet = encode(&[TransportName::Polling, TransportName::WebSocket]);
    assert!(
        packet.contains(r#""upgrades":["polling","websocket"],"#),
        "{packet}"
    );
}
