//! Makes Rust of the protocol's files; no protoc is needed.

use std::path::Path;

const FILES: [&str; 5] = [
    "leftfold/v1/events.proto",
    "leftfold/v1/problem.proto",
    "leftfold/v1/store.proto",
    "leftfold/v1/admin.proto",
    "google/rpc/status.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    for file in FILES {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(FILES, [root])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .codec_path("crate::WireCodec")
        // Written by hand: events go into it without being copied first.
        .extern_path(".leftfold.v1.PackedEvents", "crate::PackedEvents")
        .compile_fds(descriptors)?;
    Ok(())
}
