use super::*;
use crate::clock;

use CloseReason::{
    ForcedClose, ParseError, PingTimeout, ServerShuttingDown, TransportClose, TransportError,
};
use Output::{
    AbortPost, AnswerPoll, AnswerProbe, CloseProbe, Closed, RejectPoll, RejectPost, Upgraded,
};
use PollAnswer::{Close, Noop, NoopThenClose};

const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// A session with its clock.
struct Play {
    session: Session,
    start: Instant,
}

impl Play {
    fn polling() -> Self {
        Self {
            session: Session::polling(UPGRADE_TIMEOUT),
            start: clock::start(),
        }
    }

    fn websocket() -> Self {
        Self {
            session: Session::websocket(),
            ..Self::polling()
        }
    }

    /// A polling session whose poll waits.
    fn waiting() -> Self {
        let mut play = Self::polling();
        assert_eq!(play.poll(), []);
        play
    }

    /// A polling session to which a WebSocket came.
    fn opened() -> Self {
        let mut play = Self::polling();
        assert!(play.session.handle_probe_opened(play.at(0)));
        assert_eq!(play.outputs(), []);
        play
    }

    /// A polling session whose WebSocket has probed.
    fn probed() -> Self {
        let mut play = Self::opened();
        assert_eq!(play.probe("2probe"), [AnswerProbe]);
        play
    }

    /// A polling session that waits for the poll that would tell its client of the end.
    fn closing() -> Self {
        let mut play = Self::polling();
        assert_eq!(play.close(0), []);
        play
    }

    fn closed() -> Self {
        let mut play = Self::polling();
        play.session.handle_discard(ForcedClose);
        assert_eq!(play.outputs(), [Closed(ForcedClose)]);
        play
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    fn after(&mut self, input: impl FnOnce(&mut Session)) -> Vec<Output> {
        input(&mut self.session);
        self.outputs()
    }

    /// A poll while nothing is queued.
    fn poll(&mut self) -> Vec<Output> {
        self.after(|session| session.handle_poll(true))
    }

    /// A poll while something is queued.
    fn poll_queued(&mut self) -> Vec<Output> {
        self.after(|session| session.handle_poll(false))
    }

    fn packet<'a>(&mut self, text: &'a str) -> (Received<'a>, Vec<Output>) {
        let received = self.session.handle_packet(Packet::decode(text).unwrap());
        (received, self.outputs())
    }

    fn probe(&mut self, text: &str) -> Vec<Output> {
        let (packet, now) = (Packet::decode(text).ok(), self.at(0));
        self.after(|session| session.handle_probe_packet(packet.as_ref(), now))
    }

    fn close(&mut self, seconds: u64) -> Vec<Output> {
        let now = self.at(seconds);
        self.after(|session| session.handle_close(ForcedClose, true, now))
    }

    fn close_queued(&mut self, seconds: u64) -> Vec<Output> {
        let now = self.at(seconds);
        self.after(|session| session.handle_close(ForcedClose, false, now))
    }

    fn timeout(&mut self, seconds: u64) -> Vec<Output> {
        let now = self.at(seconds);
        self.after(|session| session.handle_timeout(now))
    }

    fn transport(&self) -> Option<TransportName> {
        self.session.transport()
    }
}

fn fault(fault: TransportFault) -> Output {
    Closed(TransportError(fault))
}

const POLLING: Option<TransportName> = Some(TransportName::Polling);
const WEBSOCKET: Option<TransportName> = Some(TransportName::WebSocket);

// Polling: one test per row of the table.

#[test]
fn polling_and_a_poll_while_none_waits_makes_it_wait() {
    let mut play = Play::polling();
    assert_eq!(play.poll(), []);
    assert!(play.session.has_waiting_poll());

    play.session.handle_poll_answered();
    assert!(!play.session.has_waiting_poll());
    assert_eq!(play.poll(), []);
    assert!(play.session.has_waiting_poll());
}

#[test]
fn polling_and_a_poll_while_one_waits_ends_the_session() {
    let mut play = Play::waiting();
    let overlap = fault(TransportFault::PollOverlap);
    assert_eq!(play.poll(), [AnswerPoll(Close), RejectPoll, overlap]);
    assert_eq!(play.transport(), None);
}

#[test]
fn polling_and_a_poll_given_up_ends_the_session() {
    let mut play = Play::waiting();
    let outputs = play.after(Session::handle_poll_aborted);
    assert_eq!(outputs, [fault(TransportFault::PollAborted)]);
}

#[test]
fn polling_and_a_post_while_one_is_received_ends_the_session() {
    let mut play = Play::waiting();
    assert_eq!(play.after(Session::handle_post), []);
    assert_eq!(
        play.after(Session::handle_post),
        [
            RejectPost,
            AbortPost,
            AnswerPoll(Close),
            fault(TransportFault::PostOverlap)
        ],
    );
}

#[test]
fn polling_and_a_post_given_up_ends_the_session() {
    let mut play = Play::waiting();
    assert_eq!(play.after(Session::handle_post), []);
    assert_eq!(
        play.after(Session::handle_post_aborted),
        [AnswerPoll(Close), fault(TransportFault::PostAborted)],
    );
}

#[test]
fn polling_and_an_octet_stream_ends_the_session() {
    let mut play = Play::waiting();
    assert_eq!(
        play.after(Session::handle_invalid_content),
        [AnswerPoll(Close), fault(TransportFault::InvalidContent)],
    );
}

#[test]
fn polling_and_a_ping_from_the_client_ends_the_session() {
    let invalid = fault(TransportFault::InvalidHeartbeat);
    for ping in ["2", "2probe"] {
        let outputs = vec![AnswerPoll(Close), invalid];
        assert_eq!(Play::waiting().packet(ping), (Received::Nothing, outputs));
        assert_eq!(
            Play::polling().packet(ping),
            (Received::Nothing, vec![invalid])
        );
    }
}

#[test]
fn polling_and_what_is_not_a_packet_ends_the_session() {
    let mut play = Play::waiting();
    assert_eq!(
        play.after(Session::handle_invalid_packet),
        [AnswerPoll(Close), Closed(ParseError)],
    );
}

#[test]
fn polling_and_a_close_from_the_client_releases_the_poll_and_ends_the_session() {
    let outputs = vec![AnswerPoll(Noop), Closed(TransportClose)];
    assert_eq!(Play::waiting().packet("1"), (Received::Nothing, outputs));
    let outputs = vec![Closed(TransportClose)];
    assert_eq!(Play::polling().packet("1"), (Received::Nothing, outputs));
}

#[test]
fn polling_and_close_with_a_poll_waiting_tells_it_and_ends_the_session() {
    let mut play = Play::waiting();
    assert_eq!(play.close(1), [AnswerPoll(Close), Closed(ForcedClose)]);
}

#[test]
fn polling_and_close_with_something_queued_tells_of_the_end_with_the_next_poll() {
    let mut play = Play::waiting();
    assert_eq!(play.close_queued(1), []);
    assert!(play.session.has_waiting_poll());
    play.session.handle_poll_answered();
    assert_eq!(
        play.poll(),
        [AnswerPoll(NoopThenClose), Closed(ForcedClose)]
    );
}

#[test]
fn polling_and_close_without_a_poll_waits_for_one() {
    let mut play = Play::polling();
    assert_eq!(play.close(1), []);
    assert_eq!(play.transport(), POLLING);
    assert_eq!(play.session.deadline(), Some(play.at(31)));
}

#[test]
fn closing_and_a_poll_with_something_queued_gets_that_first() {
    let mut play = Play::closing();
    assert_eq!(play.poll_queued(), []);
    assert!(play.session.has_waiting_poll());
    play.session.handle_poll_answered();
    assert_eq!(
        play.poll(),
        [AnswerPoll(NoopThenClose), Closed(ForcedClose)]
    );
}

#[test]
fn closing_and_a_poll_with_nothing_queued_is_told_and_ends_the_session() {
    let mut play = Play::closing();
    assert_eq!(
        play.poll(),
        [AnswerPoll(NoopThenClose), Closed(ForcedClose)]
    );
    assert_eq!(play.session.deadline(), None);
}

#[test]
fn closing_and_a_close_from_the_client_ends_the_session_for_the_first_reason() {
    let mut play = Play::closing();
    assert_eq!(
        play.packet("1"),
        (Received::Nothing, vec![Closed(ForcedClose)])
    );
}

#[test]
fn closing_and_any_other_packet_is_ignored() {
    let mut play = Play::closing();
    for packet in ["0", "2", "3", "4late", "5", "6", "bAAAA"] {
        assert_eq!(play.packet(packet), (Received::Nothing, vec![]), "{packet}");
    }
    assert_eq!(play.after(Session::handle_invalid_packet), []);
    assert_eq!(play.transport(), POLLING);
}

#[test]
fn closing_and_30_seconds_end_the_session() {
    let mut play = Play::closing();
    assert_eq!(play.timeout(29), []);
    assert_eq!(play.timeout(30), [Closed(ForcedClose)]);
    assert_eq!(play.timeout(60), []);
}

#[test]
fn any_state_and_discard_ends_the_session_at_once() {
    let over = Closed(ServerShuttingDown);
    let cases = [
        (Play::polling(), vec![over]),
        (Play::waiting(), vec![AnswerPoll(Close), over]),
        (Play::opened(), vec![CloseProbe, over]),
        (Play::probed(), vec![CloseProbe, over]),
        (Play::closing(), vec![Closed(ForcedClose)]),
        (Play::websocket(), vec![over]),
        (Play::closed(), vec![]),
    ];
    for (mut play, expected) in cases {
        let outputs = play.after(|session| session.handle_discard(ServerShuttingDown));
        assert_eq!(outputs, expected);
        assert_eq!(play.transport(), None);
    }
}

// Upgrade: one test per row of the table.

#[test]
fn polling_and_a_probe_opened_starts_its_time() {
    let mut play = Play::polling();
    assert!(play.session.handle_probe_opened(play.at(5)));
    assert!(play.session.is_probing());
    assert_eq!(play.session.deadline(), Some(play.at(15)));
    assert_eq!(play.transport(), POLLING);
}

#[test]
fn any_other_state_and_a_probe_opened_is_refused_without_a_trace() {
    let states = [
        Play::opened(),
        Play::probed(),
        Play::closing(),
        Play::websocket(),
        Play::closed(),
    ];
    for mut play in states {
        let before = (
            play.transport(),
            play.session.is_probing(),
            play.session.deadline(),
        );
        assert!(!play.session.handle_probe_opened(play.at(5)));
        assert_eq!(play.outputs(), []);
        let after = (
            play.transport(),
            play.session.is_probing(),
            play.session.deadline(),
        );
        assert_eq!(after, before);
    }
}

#[test]
fn opened_and_2probe_is_answered() {
    let mut play = Play::opened();
    assert_eq!(play.poll(), []);
    assert_eq!(play.probe("2probe"), [AnswerProbe]);
    assert!(play.session.is_probing());
    assert!(play.session.has_waiting_poll());
}

#[test]
fn probed_and_100_ms_releases_the_waiting_poll() {
    let ms = Duration::from_millis;
    let mut play = Play::probed();
    let start = play.start;
    assert_eq!(play.poll(), []);
    assert_eq!(play.session.deadline(), Some(start + ms(100)));
    let timeout = |play: &mut Play, at| play.after(|session| session.handle_timeout(at));
    assert_eq!(timeout(&mut play, start + ms(99)), []);
    assert_eq!(timeout(&mut play, start + ms(100)), [AnswerPoll(Noop)]);

    // Without a poll there is nothing to release; the next one waits for the next time.
    assert_eq!(timeout(&mut play, start + ms(200)), []);
    assert_eq!(play.poll(), []);
    assert_eq!(timeout(&mut play, start + ms(300)), [AnswerPoll(Noop)]);
    // None of this prolongs the time that the upgrade has.
    assert_eq!(timeout(&mut play, start + ms(10_000)), [CloseProbe]);
}

#[test]
fn opened_or_probed_and_5_upgrades() {
    for mut play in [Play::opened(), Play::probed()] {
        assert_eq!(play.probe("5"), [Upgraded]);
        assert_eq!(play.transport(), WEBSOCKET);
        assert!(!play.session.is_probing());
        assert_eq!(play.session.deadline(), None);
    }
    for mut play in [Play::opened(), Play::probed()] {
        assert_eq!(play.poll_queued(), []);
        assert_eq!(play.probe("5"), [AnswerPoll(Noop), Upgraded]);
    }
}

#[test]
fn opened_or_probed_and_any_other_packet_closes_the_probe_alone() {
    for packet in [
        "0", "1", "2", "2x", "3", "3probe", "4early", "6", "bAAAA", "", "garbage",
    ] {
        for mut play in [Play::opened(), Play::probed()] {
            assert_eq!(play.probe(packet), [CloseProbe], "{packet}");
            assert_eq!(play.transport(), POLLING);
            assert_eq!(play.session.deadline(), None);
            assert_eq!(play.poll(), []);
            // It may try again.
            assert!(play.session.handle_probe_opened(play.at(2)));
        }
    }
    assert_eq!(Play::probed().probe("2probe"), [CloseProbe]);
}

#[test]
fn opened_or_probed_and_the_deadline_closes_the_probe_alone() {
    for mut play in [Play::opened(), Play::probed()] {
        assert_eq!(play.timeout(9), []);
        assert_eq!(play.timeout(10), [CloseProbe]);
        assert_eq!(play.transport(), POLLING);
        assert_eq!(play.session.deadline(), None);
        assert_eq!(play.probe("5"), []);
        assert!(play.session.handle_probe_opened(play.at(11)));
    }
}

#[test]
fn opened_or_probed_and_the_probe_lost_goes_on_polling() {
    for mut play in [Play::opened(), Play::probed()] {
        assert_eq!(play.after(Session::handle_probe_lost), []);
        assert_eq!(play.transport(), POLLING);
        assert_eq!(play.session.deadline(), None);
        assert_eq!(play.poll(), []);
        assert!(play.session.has_waiting_poll());
        assert!(play.session.handle_probe_opened(play.at(2)));
    }
}

#[test]
fn opened_and_close_gives_the_probe_up() {
    let mut play = Play::opened();
    assert_eq!(play.close(1), [CloseProbe]);
    assert_eq!(play.session.deadline(), Some(play.at(31)));
    assert_eq!(
        play.poll(),
        [AnswerPoll(NoopThenClose), Closed(ForcedClose)]
    );
}

#[test]
fn probed_and_close_lets_the_upgrade_finish() {
    let mut play = Play::probed();
    assert_eq!(play.close(1), []);
    assert!(play.session.is_probing());
    // It does not finish: the client may still poll, until the grace is over.
    assert_eq!(play.timeout(10), [CloseProbe]);
    assert_eq!(play.session.deadline(), Some(play.at(31)));
    assert_eq!(play.timeout(31), [Closed(ForcedClose)]);
}

#[test]
fn closing_and_probed_and_5_upgrades_and_ends_the_session() {
    let mut play = Play::probed();
    assert_eq!(play.close(1), []);
    assert_eq!(play.probe("5"), [Upgraded, Closed(ForcedClose)]);
    assert_eq!(play.transport(), None);
}

// What the rows do not say.

#[test]
fn messages_reach_the_layer_above_on_both_transports() {
    for mut play in [
        Play::polling(),
        Play::waiting(),
        Play::probed(),
        Play::websocket(),
    ] {
        let text = Received::Message(Message::Text("hello"));
        assert_eq!(play.packet("4hello"), (text, vec![]));
        let binary = Received::Message(Message::Binary(Bytes::from_static(&[1, 2, 3, 4])));
        assert_eq!(play.packet("bAQIDBA=="), (binary, vec![]));
        assert_eq!(play.packet("3"), (Received::Pong, vec![]));
        assert_eq!(play.packet("3probe"), (Received::Pong, vec![]));
    }
}

#[test]
fn packets_that_mean_nothing_on_the_transport_itself_are_ignored() {
    for mut play in [
        Play::polling(),
        Play::opened(),
        Play::probed(),
        Play::websocket(),
    ] {
        let before = play.transport();
        for packet in ["0", "5", "6"] {
            assert_eq!(play.packet(packet), (Received::Nothing, vec![]), "{packet}");
        }
        assert_eq!(play.transport(), before);
    }
}

#[test]
fn a_websocket_session_ends_as_its_packets_and_its_connection_say() {
    let invalid = fault(TransportFault::InvalidHeartbeat);
    assert_eq!(
        Play::websocket().packet("2"),
        (Received::Nothing, vec![invalid])
    );
    let close = vec![Closed(TransportClose)];
    assert_eq!(Play::websocket().packet("1"), (Received::Nothing, close));
    assert_eq!(
        Play::websocket().after(Session::handle_invalid_packet),
        [Closed(ParseError)]
    );
    assert_eq!(Play::websocket().close(0), [Closed(ForcedClose)]);

    let mut play = Play::websocket();
    let outputs = play.after(|session| session.handle_transport_closed(None));
    assert_eq!(outputs, [Closed(TransportClose)]);
    let mut play = Play::websocket();
    let too_big = Some(TransportFault::TooBig);
    let outputs = play.after(|session| session.handle_transport_closed(too_big));
    assert_eq!(outputs, [fault(TransportFault::TooBig)]);
}

#[test]
fn posts_one_after_another_are_fine_even_too_large_ones() {
    let mut play = Play::waiting();
    for _ in 0..3 {
        assert_eq!(play.after(Session::handle_post), []);
        assert_eq!(play.after(Session::handle_post_end), []);
    }
    assert_eq!(play.transport(), POLLING);
}

#[test]
fn a_poll_answered_just_before_it_was_given_up_costs_nothing() {
    let mut play = Play::waiting();
    play.session.handle_poll_answered();
    assert_eq!(play.after(Session::handle_poll_aborted), []);
    assert_eq!(play.transport(), POLLING);
}

#[test]
fn a_post_that_was_not_being_received_cannot_be_given_up() {
    let mut play = Play::waiting();
    assert_eq!(play.after(Session::handle_post_aborted), []);
    assert_eq!(play.transport(), POLLING);
}

#[test]
fn requests_that_end_after_the_upgrade_do_not_touch_the_session() {
    let mut play = Play::opened();
    assert_eq!(play.after(Session::handle_post), []);
    assert_eq!(play.poll(), []);
    assert_eq!(play.probe("5"), [AnswerPoll(Noop), Upgraded]);

    assert_eq!(play.after(Session::handle_poll_aborted), []);
    assert_eq!(play.after(Session::handle_post_aborted), []);
    assert_eq!(play.after(Session::handle_invalid_content), []);
    assert_eq!(play.after(Session::handle_post_end), []);
    assert_eq!(play.after(Session::handle_probe_lost), []);
    assert_eq!(play.poll(), [RejectPoll]);
    assert_eq!(play.after(Session::handle_post), [RejectPost]);
    assert_eq!(play.transport(), WEBSOCKET);
}

#[test]
fn a_pipelined_upgrade_delivers_what_follows_it() {
    let mut play = Play::opened();
    assert_eq!(play.poll(), []);
    assert_eq!(play.probe("2probe"), [AnswerProbe]);
    assert_eq!(play.probe("5"), [AnswerPoll(Noop), Upgraded]);
    let message = Received::Message(Message::Text("first"));
    assert_eq!(play.packet("4first"), (message, vec![]));
}

#[test]
fn the_end_of_a_session_closes_its_probe_before() {
    let mut play = Play::opened();
    assert_eq!(play.poll(), []);
    let outputs = vec![AnswerPoll(Noop), CloseProbe, Closed(TransportClose)];
    assert_eq!(play.packet("1"), (Received::Nothing, outputs));

    let mut play = Play::probed();
    assert_eq!(play.poll_queued(), []);
    let outputs = [AnswerPoll(Close), CloseProbe, Closed(ForcedClose)];
    assert_eq!(play.close(1), outputs);
}

#[test]
fn the_first_reason_to_close_is_the_one_that_counts() {
    let mut play = Play::closing();
    let later = play.at(1);
    assert_eq!(
        play.after(|session| session.handle_close(ServerShuttingDown, true, later)),
        []
    );
    assert_eq!(play.session.deadline(), Some(play.at(30)));
    let outputs = play.after(|session| session.handle_discard(PingTimeout));
    assert_eq!(outputs, [Closed(ForcedClose)]);
}

#[test]
fn closing_again_does_not_take_a_poll_that_is_about_to_be_filled() {
    let mut play = Play::closing();
    assert_eq!(play.poll_queued(), []);
    assert_eq!(play.close(1), []);
    assert!(play.session.has_waiting_poll());
    // If nobody fills it, it is answered with the end.
    assert_eq!(
        play.timeout(30),
        [AnswerPoll(NoopThenClose), Closed(ForcedClose)]
    );
}

#[test]
fn a_closed_session_only_refuses() {
    let mut play = Play::closed();
    assert_eq!(play.poll(), [RejectPoll]);
    assert_eq!(play.after(Session::handle_post), [RejectPost]);
    assert_eq!(play.packet("4late"), (Received::Nothing, vec![]));
    assert_eq!(play.packet("1"), (Received::Nothing, vec![]));
    assert_eq!(play.after(Session::handle_invalid_packet), []);
    assert_eq!(play.after(Session::handle_poll_aborted), []);
    assert_eq!(play.after(Session::handle_post_aborted), []);
    assert_eq!(play.after(Session::handle_invalid_content), []);
    assert_eq!(play.probe("5"), []);
    assert_eq!(play.close(1), []);
    assert_eq!(play.timeout(100), []);
    assert_eq!(play.session.deadline(), None);
}

#[test]
fn a_drained_session_keeps_no_room_for_outputs() {
    let mut play = Play::waiting();
    assert_eq!(play.packet("1").1.len(), 2);
    assert_eq!(play.session.outputs.capacity(), 0);
}

#[test]
fn a_session_takes_at_most_64_bytes() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
}

// Whatever comes, in whatever order.

mod any_order {
    use proptest::prelude::*;

    use super::*;

    /// What a driver knows of the requests that it has open.
    #[derive(Default)]
    struct Driver {
        poll_waits: bool,
        has_probe: bool,
        endings: usize,
    }

    impl Driver {
        /// Obeys, and complains about what could not be obeyed.
        fn drain(&mut self, session: &mut Session) {
            while let Some(output) = session.poll_output() {
                match output {
                    AnswerPoll(_) => {
                        assert!(self.poll_waits, "no poll to answer");
                        self.poll_waits = false;
                    }
                    AnswerProbe => assert!(self.has_probe, "no probe to answer"),
                    CloseProbe | Upgraded => {
                        assert!(self.has_probe, "no probe for {output:?}");
                        self.has_probe = false;
                    }
                    Closed(_) => self.endings += 1,
                    RejectPoll | RejectPost | AbortPost => {}
                }
            }
        }

        fn step(&mut self, session: &mut Session, step: u8, now: Instant) {
            match step {
                0 | 1 => {
                    let is_first = !self.poll_waits && session.transport() == POLLING;
                    self.poll_waits |= is_first;
                    session.handle_poll(step == 0);
                }
                2 if self.poll_waits => {
                    self.poll_waits = false;
                    session.handle_poll_answered();
                }
                3 => session.handle_post(),
                4 => session.handle_post_end(),
                5 => self.has_probe |= session.handle_probe_opened(now),
                6 => session.handle_probe_packet(Some(&Packet::Ping("probe")), now),
                7 => session.handle_probe_packet(Some(&Packet::Upgrade), now),
                8 => session.handle_probe_packet(None, now),
                9 if self.has_probe => {
                    self.has_probe = false;
                    session.handle_probe_lost();
                }
                10 => session.handle_timeout(now),
                11 => session.handle_close(ForcedClose, true, now),
                12 => drop(session.handle_packet(Packet::Message("x"))),
                13 => drop(session.handle_packet(Packet::Close)),
                14 if self.poll_waits => {
                    self.poll_waits = false;
                    session.handle_poll_aborted();
                }
                15 => session.handle_post_aborted(),
                16 => session.handle_invalid_packet(),
                17 => session.handle_discard(PingTimeout),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn every_poll_and_probe_is_settled_once_and_the_end_comes_once(
            steps in proptest::collection::vec((0_u8..18, 0_u64..12), 0..60),
        ) {
            let mut session = Session::polling(UPGRADE_TIMEOUT);
            let mut driver = Driver::default();
            let mut now = clock::start();
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                driver.step(&mut session, step, now);
                driver.drain(&mut session);
                prop_assert_eq!(driver.has_probe, session.is_probing());
                prop_assert_eq!(driver.poll_waits, session.has_waiting_poll());
                prop_assert_eq!(driver.endings, usize::from(session.transport().is_none()));
                prop_assert!(session.transport() == POLLING || session.deadline().is_none());
            }
        }
    }
}
