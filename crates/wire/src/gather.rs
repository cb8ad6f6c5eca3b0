//! A stream that sends in one system call what is written to it in several.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that are held back.
const MOST: usize = 64 << 10;
/// The room that is kept when nothing is held: a connection may be idle for long.
const KEPT: usize = 4 << 10;
/// How often a flush is put off in a row.
const MOST_DEFERRALS: u8 = 8;

/// Gathers what the tasks of a connection of HTTP/2 write one after the other: head, body and trailers of a short
/// answer are one packet then, and one wake-up of the other side.
///
/// A flush is put off until the tasks that are ready have run: it wakes its own task, which comes after them, and begins
/// by reading; what is held is sent by the next flush, or the next read.
pub struct Gather<S> {
    stream: S,
    held: BytesMut,
    /// Whether something was written since the last read.
    is_new: bool,
    /// How often the flush of what is held was put off.
    deferrals: u8,
}

impl<S> Gather<S> {
    /// Gathers what is written to a stream. Its task must read or flush when a flush has woken it, as those of HTTP and of
    /// TLS do.
    pub fn new(stream: S) -> Self {
        Gather { stream, held: BytesMut::new(), is_new: false, deferrals: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    /// Writes what is held back.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.held))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(sent);
        }
        if self.held.capacity() > KEPT {
            self.held = BytesMut::new();
        }
        (self.is_new, self.deferrals) = (false, 0);
        Poll::Ready(Ok(()))
    }

    /// Whether a flush may wait for what else is written.
    fn may_defer(&mut self) -> bool {
        let may = self.is_new && !self.held.is_empty() && self.deferrals < MOST_DEFERRALS;
        self.deferrals += u8::from(may);
        may
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if this.held.len() + length > MOST {
            ready!(this.poll_send(context))?;
            if length > MOST {
                return Pin::new(&mut this.stream).poll_write_vectored(context, parts);
            }
        }
        this.held.reserve(length);
        parts.iter().for_each(|part| this.held.extend_from_slice(part));
        this.is_new |= length > 0;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.may_defer() {
            context.waker().wake_by_ref();
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::take(&mut this.is_new) {
            // A handshake of TLS flushes once and then only reads. What the stream does not take now, it asks for itself.
            _ = this.poll_send(context)?;
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use super::*;

    /// Counts how often a task was woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes each write, of which it takes a part only.
    #[derive(Default)]
    struct Notes(Vec<Vec<u8>>);

    impl AsyncWrite for Notes {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(1 << 15);
            self.get_mut().0.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Notes {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    fn write(stream: &mut Gather<Notes>, context: &mut Context<'_>, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match Pin::new(&mut *stream).poll_write(context, rest) {
                Poll::Ready(Ok(taken)) => rest = &rest[taken..],
                other => panic!("{other:?}"),
            }
        }
    }

    fn flush(stream: &mut Gather<Notes>, context: &mut Context<'_>) {
        assert!(matches!(Pin::new(stream).poll_flush(context), Poll::Ready(Ok(()))));
    }

    fn read(stream: &mut Gather<Notes>, context: &mut Context<'_>) {
        assert!(Pin::new(stream).poll_read(context, &mut ReadBuf::new(&mut [0])).is_pending());
    }

    #[test]
    fn what_is_written_before_the_task_runs_again_is_sent_at_once() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let context = &mut Context::from_waker(&waker);
        let mut stream = Gather::new(Notes::default());
        write(&mut stream, context, b"head");
        flush(&mut stream, context);
        write(&mut stream, context, b"body");
        flush(&mut stream, context);
        assert!(stream.stream.0.is_empty());
        assert!(count.0.load(Ordering::Relaxed) > 0);
        // The task runs again.
        read(&mut stream, context);
        flush(&mut stream, context);
        assert_eq!(stream.stream.0, [b"headbody"]);
        // An idle connection keeps little.
        write(&mut stream, context, &[7; 60_000]);
        read(&mut stream, context);
        flush(&mut stream, context);
        assert!(stream.held.capacity() <= KEPT);
    }

    #[test]
    fn a_task_that_only_reads_sends_what_it_has_flushed() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut stream = Gather::new(Notes::default());
        write(&mut stream, context, b"hello");
        flush(&mut stream, context);
        read(&mut stream, context);
        read(&mut stream, context);
        assert_eq!(stream.stream.0, [b"hello"]);
    }

    #[test]
    fn a_task_that_does_not_read_sends_all_the_same() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut stream = Gather::new(Notes::default());
        write(&mut stream, context, b"head");
        (0..=MOST_DEFERRALS).for_each(|_| flush(&mut stream, context));
        assert_eq!(stream.stream.0, [b"head"]);
    }

    #[test]
    fn what_is_long_is_not_held_and_nothing_is_lost_or_out_of_order() {
        let context = &mut Context::from_waker(Waker::noop());
        let mut stream = Gather::new(Notes::default());
        let all: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut rest = &all[..];
        for length in [10, 60_000, 5_000, 70_000, 1, 65_536, 400_000].into_iter().cycle() {
            let (part, behind) = rest.split_at(rest.len().min(length));
            write(&mut stream, context, part);
            assert!(stream.held.len() <= MOST);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        assert!(matches!(Pin::new(&mut stream).poll_shutdown(context), Poll::Ready(Ok(()))));
        assert_eq!(stream.stream.0.concat(), all);
    }
}
