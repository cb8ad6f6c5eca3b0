//! Where clients connect: a port, or a Unix socket.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Clients on this machine count as one that connects over loopback.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Accepts connections.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// A Unix socket, for clients that run as the same user. Its file is removed at the end.
pub(crate) struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// A connection that was accepted, on its way to the thread that it lives on.
pub(super) enum Accepted {
    Tcp(std::net::TcpStream),
    Unix(StdUnixStream),
}

/// A connection on the thread that it lives on.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener::Tcp(listener)
    }
}

impl Listener {
    /// Waits for a connection; returns it with its client's address.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Accepted::Tcp(stream.into_std()?), peer))
            }
            Listener::Unix(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                Ok((Accepted::Unix(stream.into_std()?), LOCAL))
            }
        }
    }
}

impl UnixSocket {
    /// Listens on a socket in the file system, to which only this user may connect. One that nobody listens on is
    /// replaced: a server that was killed leaves it.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        if is_socket
            && let Err(error) = StdUnixStream::connect(path)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            fs::remove_file(path)?;
        }
        let listener = StdUnixListener::bind(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(UnixSocket { listener: UnixListener::from_std(listener)?, path: path.to_owned() })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket can't be removed");
        }
    }
}

impl Accepted {
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Accepted::Tcp(stream) => stream.as_raw_fd(),
            Accepted::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// Moves it to the calling thread.
    pub(super) fn settle(self) -> io::Result<Socket> {
        Ok(match self {
            Accepted::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Accepted::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl Socket {
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Socket::Tcp(stream) => stream.local_addr(),
            Socket::Unix(_) => Ok(LOCAL),
        }
    }
}
