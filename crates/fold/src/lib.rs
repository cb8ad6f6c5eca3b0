#![doc = include_str!("../README.md")]

pub mod reactor;
mod text;
pub mod time;
