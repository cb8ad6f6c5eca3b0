//! The crate seen from outside: files in, drafts and rejects out.

// `cfg(test)` is always true here; it says that the helpers in these files are test code too.
#[cfg(test)]
mod camt;
#[cfg(test)]
mod changes;
#[cfg(test)]
mod common;
#[cfg(test)]
mod drafting;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod mt;
#[cfg(test)]
mod nights;
#[cfg(test)]
mod ofx;
#[cfg(test)]
mod pain;
#[cfg(test)]
mod payloads;
#[cfg(test)]
mod reasons;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod store;
