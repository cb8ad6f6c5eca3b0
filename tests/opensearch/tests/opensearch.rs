//! A node starts, is killed, and is restarted with its data.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;

use leftfold_opensearch_server::Server;

fn request(server: &Server, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_killed_node_comes_back_with_its_data_and_ends_with_its_server() {
    let server = Server::start().unwrap();
    let address = server.address();
    let answer = request(&server, "PUT", "/things/_doc/1", r#"{"n":17}"#);
    assert!(answer.contains("201"), "{answer}");
    server.kill().unwrap();
    assert!(TcpStream::connect(address).is_err());
    server.restart().unwrap();
    assert_eq!(server.address(), address);
    let answer = request(&server, "GET", "/things/_doc/1", "");
    assert!(answer.contains(r#"{"n":17}"#), "{answer}");
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}
