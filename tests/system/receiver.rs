//! A receiver of web hooks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

/// Far more than a delivery takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The streams and versions of the events that were received.
pub(crate) type Received = Arc<(Mutex<Vec<(String, u64)>>, Condvar)>;

/// A receiver of web hooks. It refuses the events of `order-refused`.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Received,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Received::default();
        let of_thread = received.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let received = of_thread.clone();
                // A sender that was killed leaves half a request.
                std::thread::spawn(move || _ = receive(stream, &received));
            }
        });
        Receiver { address, received }
    }

    /// Waits until the events received so far are as wanted.
    pub(crate) fn wait(&self, wanted: impl Fn(&[(String, u64)]) -> bool) -> Vec<(String, u64)> {
        let (all, came) = &*self.received;
        let waited = came.wait_timeout_while(all.lock().unwrap(), PATIENCE, |all| !wanted(all));
        let (all, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{all:?}");
        all.clone()
    }

    pub(crate) fn hook(&self, dir: &Path) -> String {
        let path = dir.join("hook.toml");
        let text = format!(
            "name = \"hook\"\nkind = \"http\"\nquery = \"category:order\"\n[retry]\nschedule = [\"50ms\"]\n[http]\n\
             url = \"http://{}/\"\nallow_private = true\n",
            self.address
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn receive(mut stream: TcpStream, received: &Received) -> std::io::Result<()> {
    let mut input = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        if let Some(text) = line.trim().to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let stream_name = event["stream"].as_str().unwrap_or_default().to_owned();
    let is_refused = stream_name == "order-refused";
    let status = if is_refused { "500 Internal Server Error" } else { "204 No Content" };
    if !is_refused && event.is_object() {
        received.0.lock().unwrap().push((stream_name, event["version"].as_u64().unwrap()));
        received.1.notify_all();
    }
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}
