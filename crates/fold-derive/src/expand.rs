//! Generates the implementation of `Event` for an enum.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error};

use crate::attributes::EnumAttributes;
use crate::variant::{EventVariant, serde_crate};

const ENUMS_ONLY: &str = "an event type is a variant of an enum: write `enum Bank { Opened { .. } }`; \
                          all events that belong together are one enum";

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(input.ident.span(), ENUMS_ONLY));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "an enum of events has no parameters: what is stored has one shape",
        ));
    }
    if data.variants.is_empty() {
        return Err(Error::new(input.ident.span(), "an enum of events has at least one variant"));
    }
    let krate = EnumAttributes::read(&input.attrs)?.krate;
    let kinds = data.variants.iter().map(EventVariant::read).collect::<syn::Result<Vec<_>>>()?;
    check_names(&kinds)?;

    let ident = &input.ident;
    let private = quote!(#krate::__private);
    let listed = kinds.iter().map(|kind| kind.kind_entry(&krate));
    let any = kinds.iter().map(EventVariant::pattern);
    let at = 0..kinds.len();
    let tags = kinds.iter().map(EventVariant::tags_arm);
    let (name, serde_crate) = (ident.to_string(), serde_crate(&private));
    let written = kinds.iter().map(EventVariant::serde_variant);
    let empty = kinds.iter().filter(|kind| kind.is_empty()).map(EventVariant::pattern);
    let decode = kinds.iter().map(|kind| kind.decode_arm(&private));
    Ok(quote! {
        #[automatically_derived]
        impl #krate::Event for #ident {
            const KINDS: &'static [#krate::Kind] = &[#(#listed),*];

            fn kind(&self) -> &'static #krate::Kind {
                match self { #(#any => &Self::KINDS[#at],)* }
            }

            fn tags(&self) -> ::std::vec::Vec<(::std::string::String, ::std::string::String)> {
                match self { #(#tags)* }
            }

            fn encode(&self) -> ::std::result::Result<::std::vec::Vec<u8>, #krate::Unencodable> {
                #[derive(#private::serde::Serialize)]
                #[serde(crate = #serde_crate, remote = #name, untagged)]
                enum Payload { #(#written,)* }

                struct PayloadRef<'event>(&'event #ident);

                impl #private::serde::Serialize for PayloadRef<'_> {
                    fn serialize<S: #private::serde::Serializer>(
                        &self,
                        serializer: S,
                    ) -> ::std::result::Result<S::Ok, S::Error> {
                        Payload::serialize(self.0, serializer)
                    }
                }

                match self {
                    #(#empty => ::std::result::Result::Ok(b"{}".to_vec()),)*
                    event => #private::encode(&PayloadRef(event)),
                }
            }

            fn decode(
                event_type: &str,
                version: u16,
                data: &[u8],
            ) -> ::std::result::Result<::std::option::Option<Self>, #krate::WrongShape> {
                ::std::result::Result::Ok(::std::option::Option::Some(match event_type {
                    #(#decode)*
                    _ => return ::std::result::Result::Ok(::std::option::Option::None),
                }))
            }
        }
    })
}

fn check_names(kinds: &[EventVariant<'_>]) -> syn::Result<()> {
    let mut names = HashSet::new();
    for kind in kinds {
        if !names.insert(&kind.name) {
            let message = format!("two variants are named {:?}", kind.name);
            return Err(Error::new(kind.ident().span(), message));
        }
    }
    Ok(())
}
