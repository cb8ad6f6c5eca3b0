use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::request_id::RequestId;
use super::unread::Rest;
use crate::http::problem::{MEDIA_TYPE, Problem};

/// The first bytes of HTTP/2; no method of HTTP/1.1 has them.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A stream that notes when bytes of HTTP/1.1 arrive. Those of HTTP/2 may belong to no request.
///
/// It also gives the refusals of HTTP/1.1 that no handler made, as of a head that is too large, the body
/// that all other refusals have.
pub(super) struct HeadWatch<S> {
    stream: S,
    activity: Arc<Activity>,
    /// Whether it is HTTP/2, once that is known.
    is_http2: Option<bool>,
    /// How many bytes of [`PREFACE`] have arrived.
    preface: usize,
    /// A refusal that is being sent.
    refusal: Bytes,
    /// What is received behind the last answer, when this side is closed.
    rest: Option<Rest>,
}

impl<S> HeadWatch<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        let (preface, refusal, rest) = (0, Bytes::new(), None);
        HeadWatch { stream, activity, is_http2: None, preface, refusal, rest }
    }
}

impl<S> HeadWatch<S> {
    /// Compares the next bytes with those that HTTP/2 begins with.
    fn compare_preface(&mut self, bytes: &[u8]) {
        if self.is_http2.is_none() {
            let expected = PREFACE.get(self.preface..).unwrap_or_default();
            let length = expected.len().min(bytes.len());
            if expected.get(..length) != bytes.get(..length) {
                self.is_http2 = Some(false);
            }
            self.preface += length;
            if self.is_http2.is_none() && self.preface == PREFACE.len() {
                self.is_http2 = Some(true);
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> HeadWatch<S> {
    /// Sends what is left of a refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.refusal))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.advance(sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the bytes are a refusal that no handler made; another one is then sent instead.
    fn take_over(&mut self, bytes: &[u8]) -> bool {
        if self.is_http2 != Some(false) || self.activity.is_busy() {
            return false;
        }
        let refusal = refusal_for(bytes);
        self.refusal = refusal.unwrap_or_default();
        !self.refusal.is_empty()
    }
}

/// Returns the refusal to send instead of one that was made for a head that could not be read: it has no
/// body, and none of the headers of the server's own answers.
fn refusal_for(bytes: &[u8]) -> Option<Bytes> {
    let head = bytes.strip_prefix(b"HTTP/1.1 4")?.strip_suffix(b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?;
    let mut is_empty = false;
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") => is_empty = true,
            ("connection" | "date", _) => {}
            _ => return None,
        }
    }
    let problem = match status.get(..2)? {
        "31" => Problem::new(
            "head_too_large",
            "the head of the request has more bytes (limits.header_bytes) or more headers (100) than \
             the server takes; send less of them, or a long query with POST /v1/events/read",
        ),
        "14" => Problem::new(
            "target_too_long",
            "the request's target is too long; send a long query with POST /v1/events/read",
        ),
        _ => Problem::new("head_invalid", "the head of the request is not valid HTTP/1.1"),
    };
    let (body, id) = (problem.to_json(), RequestId::new());
    let text = format!(
        "HTTP/1.1 4{}\r\ncontent-type: {MEDIA_TYPE}\r\n{}: {id}\r\ncontent-length: {}\r\n\r\n{body}",
        head.replace("content-length: 0\r\n", "").replace("\r\ncontent-length: 0", ""),
        RequestId::HEADER,
        body.len(),
    );
    is_empty.then(|| text.into())
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadWatch<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        if !bytes.is_empty() {
            this.compare_preface(bytes);
            // Until it is known, they are the begin of a head as well.
            if this.is_http2 != Some(true) {
                this.activity.head_bytes();
            }
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadWatch<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(context))?;
        match this.take_over(bytes) {
            true => Poll::Ready(Ok(bytes.len())),
            false => Pin::new(&mut this.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(context))?;
        match parts.iter().find(|part| !part.is_empty()) {
            Some(part) if this.take_over(part) => Poll::Ready(Ok(part.len())),
            _ => Pin::new(&mut this.stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_refusal(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_none() {
            ready!(this.poll_refusal(context))?;
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        }
        if this.activity.has_left_body() {
            let rest = this.rest.get_or_insert_with(Rest::begin);
            ready!(rest.poll(&mut this.stream, context));
        }
        Poll::Ready(Ok(()))
    }
}
