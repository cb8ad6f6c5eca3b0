//! Every block of `docs/tutorial.md`, compiled and run.

mod page {
    include!(concat!(env!("OUT_DIR"), "/tutorial.rs"));
}

pub use page::run;
