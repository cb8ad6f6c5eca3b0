//! Generates Rust from the protocol's files, without protoc.

use std::path::Path;

use prost::Message;

const FILES: [&str; 5] = [
    "leftfold/v1/events.proto",
    "leftfold/v1/problem.proto",
    "leftfold/v1/store.proto",
    "leftfold/v1/admin.proto",
    "google/rpc/status.proto",
];

/// What the nodes of a cluster ask of each other. It is not described to clients.
const NODE_FILE: &str = "leftfold/node/v1/copies.proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    for file in FILES.into_iter().chain([NODE_FILE]) {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(FILES, [root])?;
    // For the test that holds the decode guard against the protocol.
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(false)
        .bytes(".")
        .codec_path("crate::WireCodec")
        // Written by hand: events go into it without a copy.
        .extern_path(".leftfold.v1.PackedEvents", "crate::PackedEvents")
        .compile_fds(descriptors.clone())?;
    // A server takes appends as their bytes: it reserves memory before it decodes them.
    let servers = Path::new(&out).join("servers");
    std::fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .build_client(false)
        .codec_path("crate::WireCodec")
        .extern_path(".leftfold.v1", "crate::v1")
        .extern_path(".leftfold.v1.AppendRequest", "crate::ReceivedAppend")
        .extern_path(".leftfold.v1.NumberedAppend", "crate::ReceivedNumberedAppend")
        .out_dir(servers)
        .compile_fds(descriptors)?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .codec_path("crate::WireCodec")
        .compile_fds(protox::compile([NODE_FILE], [root])?)?;
    Ok(())
}
