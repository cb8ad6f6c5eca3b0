//! `#[derive(Event)]`: each variant of an enum is an event type.
//!
//! For each variant the generated code has its name, its version and its tags; its fields are the
//! payload, as serde would write them. It also has functions that make the enum's queries. See `leftfold::Event` for the attributes.

mod attributes;
mod expand;
mod queries;
mod serde_rules;
mod tags;
mod variant;

use proc_macro::TokenStream;

/// Derives `Event` for an enum: one event type per variant. The trait `Event` documents the
/// attributes.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
