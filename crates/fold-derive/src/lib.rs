//! `#[derive(Event)]`: each variant of an enum is an event type.
//!
//! What it writes can be read in full here. For each variant there are its name, its version and
//! its tags; its fields are the payload, as serde would write them. See `leftfold::Event` for what
//! may be said.

mod attributes;
mod expand;
mod variant;

use proc_macro::TokenStream;

/// Makes an enum an event type per variant. The attributes are described at the trait `Event`.
#[proc_macro_derive(Event, attributes(event, serde))]
pub fn derive_event(input: TokenStream) -> TokenStream {
    let input = syn::parse_macro_input!(input as syn::DeriveInput);
    expand::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
