//! What one flush writes: the frames that had gathered, in as few system calls as there can be.
//!
//! | frames                  | system call                                  |
//! |-------------------------|----------------------------------------------|
//! | one                     | `send`                                       |
//! | several, of a few KiB   | `send`, of a copy that puts them together    |
//! | several, and large      | `writev`                                     |
//!
//! The kernel takes longer over `writev` than over `send`, by more than small frames take to copy.
//!
//! # Invariants
//!
//! - Whatever the kernel takes, what is left continues exactly behind it.

use std::io::{self, IoSlice};
use std::sync::Arc;

use smallvec::SmallVec;
use tokio::net::TcpStream;

use super::super::frame::Frame;

/// Up to so many bytes of several frames are copied together.
const MAX_JOINED: usize = 4096;

/// More than this takes the kernel noticeably longer than a small frame.
const LARGE: usize = 16 * 1024;

/// The most frames that one `writev` takes.
const MAX_SLICES: usize = 64;

/// How much a flush took upon itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Written {
    pub(crate) frames: usize,
    /// Whether that takes noticeably longer than a small frame.
    pub(crate) is_large: bool,
}

/// Frames on their way out, while nobody else may write.
#[derive(Debug)]
pub(crate) struct Batch {
    stream: Arc<TcpStream>,
    frames: SmallVec<[Frame; 8]>,
    /// How much of the first frame has left already.
    offset: usize,
    has_moved: bool,
}

impl Batch {
    pub(super) const fn new(
        stream: Arc<TcpStream>,
        frames: SmallVec<[Frame; 8]>,
        offset: usize,
    ) -> Self {
        Self {
            stream,
            frames,
            offset,
            has_moved: false,
        }
    }

    /// Whether the stream has taken anything.
    pub(super) const fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// What has not left, and how much of the first of it has.
    pub(super) fn into_rest(self) -> (SmallVec<[Frame; 8]>, usize) {
        (self.frames, self.offset)
    }

    /// How much is to be written.
    pub(crate) fn size(&self) -> Written {
        Written {
            frames: self.frames.len(),
            is_large: joined_len(&self.frames) > LARGE,
        }
    }

    /// Writes until everything is out or the stream refuses.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if the stream's buffer is full; otherwise the connection is broken.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while !self.frames.is_empty() {
            let written = match self.frames.as_slice() {
                [only] => send(&self.stream, tail(only, self.offset))?,
                several if joined_len(several) <= MAX_JOINED => {
                    // Filled where it lies: returned, it would be copied once more.
                    let mut joined = SmallVec::new();
                    join(several, self.offset, &mut joined);
                    send(&self.stream, &joined)?
                }
                [first, ..] => {
                    let slices = slices(&self.frames, self.offset);
                    match self.stream.try_write_vectored(&slices) {
                        // The runtime may say so without asking: what it knows may be old.
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            send(&self.stream, tail(first, self.offset))?
                        }
                        written => written?,
                    }
                }
                [] => break,
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.advance(written);
        }
        Ok(())
    }

    fn advance(&mut self, written: usize) {
        self.has_moved = true;
        let mut left = written + self.offset;
        let mut done = 0;
        for frame in &self.frames {
            let len = frame.wire().len();
            if left < len {
                break;
            }
            left -= len;
            done += 1;
        }
        self.frames.drain(..done);
        self.offset = left;
    }
}

/// Writes without asking the runtime first whether the stream is writable: it nearly always is, and
/// what the runtime knows of it lies in a line of memory of its own, far from all that is at hand.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::{io::Errno, net::SendFlags};

    match rustix::net::send(stream, bytes, SendFlags::NOSIGNAL) {
        // Refused by the runtime's way too, or the runtime would not know that somebody waits.
        Err(Errno::WOULDBLOCK) => stream.try_write(bytes),
        result => Ok(result?),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.try_write(bytes)
}

fn joined_len(frames: &[Frame]) -> usize {
    frames.iter().map(|frame| frame.wire().len()).sum()
}

/// Puts the frames together, without the first `offset` bytes.
fn join(frames: &[Frame], mut offset: usize, joined: &mut SmallVec<[u8; MAX_JOINED]>) {
    for frame in frames {
        joined.extend_from_slice(tail(frame, std::mem::take(&mut offset)));
    }
}

fn slices(frames: &[Frame], offset: usize) -> SmallVec<[IoSlice<'_>; MAX_SLICES]> {
    let frames = frames.iter().take(MAX_SLICES);
    let mut slices: SmallVec<[_; MAX_SLICES]> =
        frames.map(|frame| IoSlice::new(frame.wire())).collect();
    if let Some(first) = slices.first_mut() {
        first.advance(offset);
    }
    slices
}

fn tail(frame: &Frame, offset: usize) -> &[u8] {
    frame.wire().get(offset..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, peer) = tokio::join!(listener.accept(), connecting);
        let stream = accepted.unwrap().0;
        stream.writable().await.unwrap();
        (Arc::new(stream), peer.unwrap())
    }

    /// Frames of these lengths, each of a letter of its own, and all their bytes.
    fn frames(lens: &[usize]) -> (SmallVec<[Frame; 8]>, Vec<u8>) {
        let frames: SmallVec<[Frame; 8]> = lens
            .iter()
            .zip(b'a'..)
            .map(|(len, letter)| Frame::from_wire(vec![letter; *len]))
            .collect();
        let bytes = frames.iter().flat_map(|frame| frame.wire().to_vec());
        let bytes = bytes.collect();
        (frames, bytes)
    }

    #[tokio::test]
    async fn one_several_and_large_frames_arrive_in_order_from_where_it_stopped() {
        for lens in [
            &[9][..],
            &[9, 8, 7],
            &[4_090, 6],
            &[4_090, 7],
            &[5; 70],
            &[900; 9],
        ] {
            for offset in [0, 3] {
                let (stream, mut peer) = pair().await;
                let (frames, bytes) = frames(lens);
                let mut batch = Batch::new(stream, frames, offset);
                batch.write().unwrap();
                let (rest, offset_after) = batch.into_rest();
                assert_eq!((rest.len(), offset_after), (0, 0), "{lens:?}");
                let mut arrived = vec![0; bytes.len() - offset];
                peer.read_exact(&mut arrived).await.unwrap();
                assert!(arrived == bytes[offset..], "{lens:?} from {offset}");
            }
        }
    }

    #[tokio::test]
    async fn what_the_kernel_does_not_take_continues_where_it_stopped() {
        for lens in [[100; 40], [3_000; 40]] {
            let (stream, mut peer) = pair().await;
            let mut expected = Vec::new();
            let mut offset = 0;
            let mut rest = SmallVec::new();
            // Until the kernel refuses: nobody reads.
            let refused = loop {
                let (more, bytes) = frames(&lens);
                expected.extend_from_slice(&bytes);
                rest.extend(more);
                let mut batch = Batch::new(Arc::clone(&stream), rest, offset);
                let written = batch.write();
                (rest, offset) = batch.into_rest();
                if let Err(error) = written {
                    break error;
                }
            };
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
            let mut arrived = vec![0; expected.len()];
            let reading = peer.read_exact(&mut arrived);
            let writing = async {
                let mut batch = Batch::new(Arc::clone(&stream), rest, offset);
                while batch.write().is_err() {
                    stream.writable().await.unwrap();
                }
            };
            let (read, ()) = tokio::join!(reading, writing);
            read.unwrap();
            assert!(arrived == expected, "{lens:?}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_takes_more_is_asked_though_the_runtime_was_not_told() {
        let (stream, peer) = pair().await;
        let (mut rest, mut offset) = (SmallVec::new(), 0);
        loop {
            rest.extend(frames(&[3_000; 40]).0);
            let mut batch = Batch::new(Arc::clone(&stream), rest, offset);
            let written = batch.write();
            (rest, offset) = batch.into_rest();
            if written.is_err() {
                break;
            }
        }
        let mut buffer = vec![0; 64 * 1024];
        // Without awaiting anything: the runtime hears of nothing meanwhile.
        let peer = socket2::SockRef::from(&peer);
        for _ in 0..50 {
            while (&*peer).read(&mut buffer).is_ok_and(|count| count > 0) {}
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut batch = Batch::new(stream, rest, offset);
        let _ = batch.write();
        assert!(batch.has_moved());
    }

    #[test]
    fn what_is_joined_begins_where_it_stopped() {
        let (frames, bytes) = frames(&[3, 4, 5]);
        for offset in 0..3 {
            let mut joined = SmallVec::new();
            join(&frames, offset, &mut joined);
            assert_eq!(joined.as_slice(), &bytes[offset..]);
        }
    }
}
